//! Organizations, projects, services and devices.
//!
//! Invariants: one machine is one device of a tenant, however often it enrols; presence lives in memory, and a heartbeat writes nothing;
//! a device's state is written when it changes, with the reason; a token's uses are counted in the commit that makes the device; a start looks
//! only into tenants that have a device which is not offline.

mod agents;
mod enrollment;
mod models;
mod operations;
mod presence;
mod sample;
mod watched;

pub use enrollment::NewEnrollmentToken;
pub use models::{
    Device, DeviceId, DeviceStatus, EnrollmentToken, Hardware, Organization, OrganizationId, Os, Project, ProjectId, Service,
    ServiceHealth, ServiceStatus, kinds,
};
pub use presence::Presence;

use std::sync::Arc;

use steward_auth::Authority;
use steward_base::{Clock, Random};
use steward_store::{Kind, Store};

/// What the fleet operations work on. Cheap to clone.
#[derive(Clone)]
pub struct Fleet(Arc<State>);

struct State {
    store: Store,
    authority: Authority,
    clock: Clock,
    random: Random,
    presence: presence::Board,
    assertions: agents::Seen,
    watched: watched::Watched,
}

impl Fleet {
    /// The fleet over a store.
    pub fn new(store: Store, authority: Authority, clock: Clock, random: Random) -> Self {
        let presence = presence::Board::new(clock.clone());
        let assertions = agents::Seen::new(clock.clone());
        Self(Arc::new(State { store, authority, clock, random, presence, assertions, watched: watched::Watched::default() }))
    }

    fn kind(&self, name: &str) -> &Kind {
        self.0.store.kinds().get(name).expect("the kinds of this crate are registered before it is used")
    }
}
