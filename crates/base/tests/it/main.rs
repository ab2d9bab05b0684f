//! The public interface of `steward-base`.

mod filter;
