//! Questions about whole tenants and their keys, and about the store itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use steward_base::{Error, TenantId};

use super::{Call, LONG};
use crate::keys::{KeyRow, Which};
use crate::moving::Moved;
use crate::places::ask;
use crate::remote::wire::Who;
use crate::rotate::Resealed;
use crate::store::Store;

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Provision {
    pub(in crate::remote) tenant: TenantId,
}

impl Call for Provision {
    const METHOD: &'static str = "provision";
    const CHANGES: bool = true;
    type Answer = ();

    async fn answer(self, store: &Store) -> Result<(), Error> {
        store.provision(self.tenant).await
    }
}

/// Data keys as they are kept: wrapped.
#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct DataKeys {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) which: Which,
}

impl Call for DataKeys {
    const METHOD: &'static str = "data_keys";
    type Answer = Vec<KeyRow>;

    async fn answer(self, store: &Store) -> Result<Vec<KeyRow>, Error> {
        ask!(store.0.places, self.tenant, engine => engine.data_keys(self.tenant, self.which.clone()))
    }
}

/// Done where secrets are sealed, so that the new key is used at once. Asked twice it makes two, of which the newer one seals.
#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct RotateDataKey {
    pub(in crate::remote) who: Who,
}

impl Call for RotateDataKey {
    const METHOD: &'static str = "rotate_data_key";
    const PATIENCE: Duration = LONG;
    const CHANGES: bool = true;
    type Answer = Resealed;

    async fn answer(self, store: &Store) -> Result<Resealed, Error> {
        store.rotate_data_key(&self.who.restore()).await
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct ResealSecrets {
    pub(in crate::remote) who: Who,
}

impl Call for ResealSecrets {
    const METHOD: &'static str = "reseal_secrets";
    const PATIENCE: Duration = LONG;
    const CHANGES: bool = true;
    type Answer = Resealed;

    async fn answer(self, store: &Store) -> Result<Resealed, Error> {
        store.reseal_secrets(&self.who.restore()).await
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Erase {
    pub(in crate::remote) tenant: TenantId,
}

impl Call for Erase {
    const METHOD: &'static str = "erase";
    const PATIENCE: Duration = LONG;
    const CHANGES: bool = true;
    type Answer = ();

    async fn answer(self, store: &Store) -> Result<(), Error> {
        store.erase(self.tenant).await
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Relocate {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) place: String,
}

impl Call for Relocate {
    const METHOD: &'static str = "relocate";
    const PATIENCE: Duration = LONG;
    const CHANGES: bool = true;
    type Answer = Moved;

    async fn answer(self, store: &Store) -> Result<Moved, Error> {
        Box::pin(store.relocate(self.tenant, &self.place)).await
    }
}

/// The name of the place that a tenant is in.
#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct AskPlace {
    pub(in crate::remote) tenant: TenantId,
}

impl Call for AskPlace {
    const METHOD: &'static str = "place";
    type Answer = Option<String>;

    async fn answer(self, store: &Store) -> Result<Option<String>, Error> {
        store.place(self.tenant).await
    }
}

/// Whether the configuration of the data role names a place.
#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct CheckPlace {
    pub(in crate::remote) place: String,
}

impl Call for CheckPlace {
    const METHOD: &'static str = "check_place";
    type Answer = ();

    async fn answer(self, store: &Store) -> Result<(), Error> {
        store.check_place(&self.place).await
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Scrub {
    pub(in crate::remote) tenant: TenantId,
}

impl Call for Scrub {
    const METHOD: &'static str = "scrub";
    const PATIENCE: Duration = LONG;
    const CHANGES: bool = true;
    type Answer = ();

    async fn answer(self, store: &Store) -> Result<(), Error> {
        ask!(store.0.places, self.tenant, engine => engine.scrub(self.tenant))
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Health {}

impl Call for Health {
    const METHOD: &'static str = "health";
    type Answer = ();

    async fn answer(self, store: &Store) -> Result<(), Error> {
        store.health().await
    }
}
