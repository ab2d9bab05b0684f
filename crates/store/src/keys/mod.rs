//! Keys: the master key, the data keys of each tenant that it wraps, and what is sealed under those.
//!
//! Invariants: the master key is never in the database; a data key is there only wrapped; what is sealed says under which key; it opens only
//! where it was sealed, since the record and the field are bound into it.

mod data;
mod master;
mod sealed;
mod sealing;
mod tenant;

pub(crate) use data::{DataKey, KeyRow, Rewrapped, Which, key_of};
pub use master::MasterKey;
pub use sealed::Sealed;
pub(crate) use sealing::{
    Sealer, Sealing, bound, bound_to_subject, each, names_sealed, sealed, sealed_text, subject_of, texts, unreadable, withheld,
};
pub(crate) use tenant::{TenantKeys, Vault};

/// Marks a sealed value in bodies and events: `{"$sealed": …}` is written by the store only.
pub(crate) const SEALED: &str = "$sealed";
/// Stands in opened events where a value was whose key is gone.
pub(crate) const ERASED: &str = "$erased";
