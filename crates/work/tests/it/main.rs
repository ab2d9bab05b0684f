//! Background work through its public interface.

mod generated;
mod running;
mod starting;
mod support;
