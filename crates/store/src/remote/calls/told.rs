//! Questions about events.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, Event, RecordId, TenantId};

use super::{Call, LONG, reading};
use crate::places::ask;
use crate::remote::wire::Chained;
use crate::store::Store;

/// An event on its way.
#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Telling(#[serde(with = "crate::remote::text")] pub(in crate::remote) Event);

/// Events as they are kept: whoever asks reads those it wants, and may verify the chain.
#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Events {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) after: i64,
    pub(in crate::remote) limit: usize,
}

impl Call for Events {
    const METHOD: &'static str = "events";
    type Answer = Vec<Chained>;

    async fn answer(self, store: &Store) -> Result<Vec<Chained>, Error> {
        let rows = ask!(store.0.places, self.tenant, engine => engine.events(self.tenant, self.after, self.limit))?;
        Ok(rows.into_iter().map(Chained::of).collect())
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct History {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) subject: RecordId,
    pub(in crate::remote) before: i64,
    pub(in crate::remote) limit: usize,
}

impl Call for History {
    const METHOD: &'static str = "history";
    type Answer = Vec<Chained>;

    async fn answer(self, store: &Store) -> Result<Vec<Chained>, Error> {
        let rows = ask!(store.0.places, self.tenant, engine => engine.history(self.tenant, self.subject, self.before, self.limit))?;
        Ok(rows.into_iter().map(Chained::of).collect())
    }
}

/// The events of one request.
#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Correlated {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) correlation_id: String,
}

impl Call for Correlated {
    const METHOD: &'static str = "correlated";
    const PATIENCE: Duration = LONG;
    type Answer = Vec<Telling>;

    async fn answer(self, store: &Store) -> Result<Vec<Telling>, Error> {
        let events = store.correlated(&reading(self.tenant), &self.correlation_id).await?;
        Ok(events.into_iter().map(Telling).collect())
    }
}

/// Position and hash of the last events of some tenants; nothing for one that has no namespace.
#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Heads {
    pub(in crate::remote) tenants: Vec<TenantId>,
}

impl Call for Heads {
    const METHOD: &'static str = "heads";
    type Answer = Vec<(TenantId, i64, [u8; 32])>;

    async fn answer(self, store: &Store) -> Result<Self::Answer, Error> {
        let mut heads = Vec::with_capacity(self.tenants.len());
        for tenant in self.tenants {
            match ask!(store.0.places, tenant, engine => engine.head(tenant)) {
                Ok((position, hash)) => heads.push((tenant, position, hash)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(heads)
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct VerifyChain {
    pub(in crate::remote) tenant: TenantId,
}

impl Call for VerifyChain {
    const METHOD: &'static str = "verify_chain";
    const PATIENCE: Duration = LONG;
    type Answer = i64;

    async fn answer(self, store: &Store) -> Result<i64, Error> {
        store.verify_chain(&reading(self.tenant)).await
    }
}
