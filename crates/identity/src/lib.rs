//! Tenants, persons, members, sessions and keys: set-up, sign-in and who may do what.
//!
//! Invariants: there is no default password; the first owner is made through a one-time link or on the machine itself; a person's
//! credentials live in control and no tenant can read or set them; whatever spans two namespaces is a row of steps that may be repeated.

mod api_keys;
mod attempts;
mod joining;
mod lifecycle;
mod members;
mod models;
mod moving;
mod operations;
mod password_codes;
mod passwords;
mod sessions;
mod set_up;
mod tenants;
mod transfer;

pub use api_keys::NewApiKey;
pub use lifecycle::Eraser;
pub use models::{ApiKey, Member, Person, PersonId, Session, SetUpLink, Tenant, TenantStatus, kinds};
pub use operations::operations;
pub use password_codes::{PasswordCode, PasswordCodes};
pub use passwords::Passwords;
pub use sessions::{SessionView, SignedIn, TenantView};
pub use set_up::Owner;
pub use transfer::{Arriving, Credentials, Exported, Transfer};

use std::sync::Arc;

use steward_auth::Authority;
use steward_base::{Clock, Random};
use steward_store::{Kind, Store};

/// What the identity operations work on. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<State>);

struct State {
    store: Store,
    authority: Authority,
    clock: Clock,
    random: Random,
    passwords: Passwords,
    attempts: attempts::Attempts,
    making_owners: tokio::sync::Mutex<()>,
}

/// What an [`Identity`] is made of.
pub struct Options {
    /// Where records are.
    pub store: Store,
    /// Who verifies credentials.
    pub authority: Authority,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Password hashes computed at a time.
    pub cores: usize,
}

impl Identity {
    /// Identity over a store; call [`Identity::prepare`] once before serving.
    pub fn new(options: Options) -> Self {
        let Options { store, authority, clock, random, cores } = options;
        let passwords = Passwords::new(random.clone(), cores);
        let attempts = attempts::Attempts::new(clock.clone());
        Self(Arc::new(State { store, authority, clock, random, passwords, attempts, making_owners: tokio::sync::Mutex::default() }))
    }

    fn kind(&self, name: &str) -> &Kind {
        self.0.store.kinds().get(name).expect("the kinds of this crate are registered before it is used")
    }
}
