//! What every other crate speaks: ids, time, randomness, errors, secrets, the event envelope, the filter grammar and the request context.
//!
//! Invariants: nothing here does I/O; the wall clock and the random source are read only in `time` and `random`; a [`Ctx`] is minted only by
//! `auth`, and by `store` and `work` when they restore one.

mod attempt;
pub mod base32;
mod ctx;
mod error;
mod event;
pub mod filter;
mod hex;
mod id;
mod permission;
mod random;
mod secret;
mod time;

pub use attempt::{Attempt, AttemptKey};
pub use ctx::{Ctx, Origin, Parts, Principal};
pub use error::{Error, ErrorKind, FieldError};
pub use event::{Event, EventHash};
pub use hex::hex;
pub use id::{Id, Prefix, RecordId, Tenant, TenantId};
pub use permission::{Effect, Grant, Permission, Verb};
pub use random::Random;
pub use secret::Secret;
pub use time::{Clock, Timestamp};

/// The result of anything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;
