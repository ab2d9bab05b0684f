//! Questions about jobs, and about what control and tenants count and remember.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use steward_base::{AttemptKey, Error, RecordId, TenantId};

use super::{Call, reading};
use crate::attempt::Remembered;
use crate::job::{Job, JobQuery};
use crate::places::ask;
use crate::store::Store;

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct AskJob {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) id: RecordId,
}

impl Call for AskJob {
    const METHOD: &'static str = "job";
    type Answer = Option<Job>;

    async fn answer(self, store: &Store) -> Result<Option<Job>, Error> {
        ask!(store.0.places, self.tenant, engine => engine.job(self.tenant, self.id))
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Jobs {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) query: JobQuery,
}

impl Call for Jobs {
    const METHOD: &'static str = "jobs";
    type Answer = Vec<Job>;

    async fn answer(self, store: &Store) -> Result<Vec<Job>, Error> {
        store.jobs(&reading(self.tenant), self.query).await
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct NextDue {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) kinds: Option<Vec<String>>,
}

impl Call for NextDue {
    const METHOD: &'static str = "next_due";
    type Answer = Option<i64>;

    async fn answer(self, store: &Store) -> Result<Option<i64>, Error> {
        ask!(store.0.places, self.tenant, engine => engine.next_due(self.tenant, self.kinds.clone()))
    }
}

/// A counter, sequence or cursor by its stored name.
#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct AskTally {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) name: String,
}

impl Call for AskTally {
    const METHOD: &'static str = "tally";
    type Answer = Option<i64>;

    async fn answer(self, store: &Store) -> Result<Option<i64>, Error> {
        ask!(store.0.places, self.tenant, engine => engine.tally(self.tenant, self.name.clone()))
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct AskRemembered {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) key: AttemptKey,
}

impl Call for AskRemembered {
    const METHOD: &'static str = "remembered";
    type Answer = Option<Remembered>;

    async fn answer(self, store: &Store) -> Result<Option<Remembered>, Error> {
        ask!(store.0.places, self.tenant, engine => engine.remembered(self.tenant, self.key.clone()))
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Marks {}

impl Call for Marks {
    const METHOD: &'static str = "marks";
    type Answer = Vec<(String, i64)>;

    async fn answer(self, store: &Store) -> Result<Vec<(String, i64)>, Error> {
        store.0.places.home().notes(crate::tally::MARK).await
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct InUse {}

impl Call for InUse {
    const METHOD: &'static str = "in_use";
    type Answer = Vec<TenantId>;

    async fn answer(self, store: &Store) -> Result<Vec<TenantId>, Error> {
        Ok(store.in_use())
    }
}

/// Only what whoever asks has seen to is settled.
#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Settle {
    pub(in crate::remote) idle: Duration,
    pub(in crate::remote) handled: HashMap<TenantId, i64>,
}

impl Call for Settle {
    const METHOD: &'static str = "settle";
    const CHANGES: bool = true;
    type Answer = ();

    async fn answer(self, store: &Store) -> Result<(), Error> {
        store.settle(self.idle, |tenant| self.handled.get(&tenant).copied().unwrap_or(-1)).await
    }
}
