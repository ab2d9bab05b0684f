//! What Steward leans on beside its records: short-lived keys, objects, mail, and a cache.
//!
//! Each of the first three is one handle over an embedded variant, which needs nothing installed, and a networked one; both pass one contract
//! suite. Invariants: a key says whose it is before anything else; a networked part that is down answers a clear error within a bounded time,
//! degrades only what needs it, and comes back by itself.

mod authority;
pub mod blob;
mod breaker;
pub mod cache;
pub mod kv;
pub mod mail;
mod scope;

pub use breaker::Circuit;
pub use scope::{Class, Scope};
