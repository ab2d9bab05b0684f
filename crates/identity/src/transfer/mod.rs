//! Tenants on their way between installations: told into one sealed file, and taken in from one.
//!
//! The file holds the tenant's namespace (records, recycle bin, the event chain, jobs), its name, its members with the persons they are, and its
//! objects. It is sealed under a passphrase and opens nowhere without it. Sessions, signing keys and kept answers stay behind: they mean something
//! to the installation that made them only. Password hashes stay behind unless they are asked for.
//!
//! Invariants: a file is taken in whole or not at all; nobody is let into a tenant before all of it is there; a person whom the installation
//! knows by address keeps who they are, and their password. Whoever wrote a file knows its passphrase, so that nothing in it is believed: it
//! brings nothing of the platform's own, neither records nor jobs, and no password hash that is dear to check.

mod export;
mod file;
mod import;
mod item;
mod operations;
mod persons;

use std::sync::Arc;

use steward_auth::SigningKey;
use steward_base::{Error, ErrorKind, Result, Secret, TenantId};
use steward_fabric::blob::Blob;
use steward_store::{Elsewhere, MasterKey, Model as _};
use steward_work::PLATFORM_JOBS;

use crate::{Identity, Session};

pub use export::{Credentials, Exported};
pub(crate) use import::IMPORT;

/// Fewer characters are guessed from the file alone.
const SHORTEST: usize = 12;
const LONGEST: usize = 1_024;

/// How a tenant that is taken in is to be, where that is not as it was.
#[derive(Clone, Debug, Default)]
pub struct Arriving {
    /// Another short name.
    pub slug: Option<String>,
    /// Whether it takes no requests until the operator lifts that; as where it came from unless said.
    pub suspended: Option<bool>,
}

/// What takes tenants out and in. Cheap to clone.
#[derive(Clone)]
pub struct Transfer(Arc<Parts>);

struct Parts {
    identity: Identity,
    master: MasterKey,
    blob: Blob,
}

impl Transfer {
    /// Over the installation's tenants and objects. `master` seals the key of a file while a saga takes it in.
    pub fn new(identity: Identity, master: MasterKey, blob: Blob) -> Self {
        Self(Arc::new(Parts { identity, master, blob }))
    }

    /// The key of a file.
    async fn key(&self, passphrase: Secret<String>, preamble: &file::Preamble) -> Result<Secret<[u8; 32]>> {
        self.0.identity.0.passwords.derive(passphrase, preamble.cost()?).await
    }
}

/// What a tenant's dump is like in a file.
fn elsewhere(tenant: TenantId, key: &MasterKey) -> Elsewhere {
    Elsewhere { tenant, key: key.clone(), without: vec![Session::KIND, SigningKey::KIND], never: PLATFORM_JOBS.to_vec() }
}

/// Fails with `passphrase_required`.
fn long_enough(passphrase: &str) -> Result<()> {
    if (SHORTEST..=LONGEST).contains(&passphrase.chars().count()) {
        return Ok(());
    }
    let detail =
        format!("A tenant's file is sealed under a passphrase: send one of {SHORTEST} to {LONGEST} characters as Steward-Passphrase.");
    Err(Error::new(ErrorKind::Invalid, "passphrase_required", detail))
}

fn damaged(why: impl Into<String>) -> Error {
    let detail = "This file does not hold what was written: use another copy of it.";
    Error::new(ErrorKind::Invalid, "dump_damaged", detail).with_source(why.into())
}

fn newer() -> Error {
    let detail = "This file was written by a newer version of Steward: import it with that version.";
    Error::new(ErrorKind::Invalid, "dump_newer", detail)
}
