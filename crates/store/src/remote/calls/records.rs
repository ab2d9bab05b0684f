//! Questions about records.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use steward_base::filter::Expr;
use steward_base::{Error, RecordId, TenantId};

use super::{Call, LONG, reading};
use crate::building::Unclaimed;
use crate::list::{FacetQuery, Facets, SearchCursor, SearchQuery};
use crate::places::ask;
use crate::query::{Cursor, ListQuery};
use crate::remote::wire::{Kept, Who};
use crate::rows::Row;
use crate::store::Store;

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Get {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) kind: String,
    pub(in crate::remote) id: RecordId,
}

impl Call for Get {
    const METHOD: &'static str = "get";
    type Answer = Option<Row>;

    async fn answer(self, store: &Store) -> Result<Option<Row>, Error> {
        let kind = store.kind(&self.kind)?;
        ask!(store.0.places, self.tenant, engine => engine.get(self.tenant, kind, self.id))
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Find {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) kind: String,
    pub(in crate::remote) field: String,
    pub(in crate::remote) value: String,
}

impl Call for Find {
    const METHOD: &'static str = "find";
    type Answer = Option<Kept>;

    async fn answer(self, store: &Store) -> Result<Option<Kept>, Error> {
        let found = store.find(&reading(self.tenant), &self.kind, &self.field, &self.value).await?;
        Ok(found.map(|record| Kept::of(store.kinds(), record)))
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct AskUnclaimed {
    pub(in crate::remote) tenant: TenantId,
}

impl Call for AskUnclaimed {
    const METHOD: &'static str = "unclaimed";
    const PATIENCE: Duration = LONG;
    type Answer = Vec<Unclaimed>;

    async fn answer(self, store: &Store) -> Result<Vec<Unclaimed>, Error> {
        store.unclaimed(&reading(self.tenant)).await
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct List {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) query: ListQuery,
}

impl Call for List {
    const METHOD: &'static str = "list";
    type Answer = (Vec<Kept>, Option<Cursor>);

    async fn answer(self, store: &Store) -> Result<Self::Answer, Error> {
        let page = store.list(&reading(self.tenant), self.query).await?;
        Ok((Kept::all(store.kinds(), page.records), page.next))
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Count {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) kind: String,
    pub(in crate::remote) filter: Option<Expr>,
}

impl Call for Count {
    const METHOD: &'static str = "count";
    const PATIENCE: Duration = LONG;
    type Answer = u64;

    async fn answer(self, store: &Store) -> Result<u64, Error> {
        store.count(&reading(self.tenant), &self.kind, self.filter).await
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct AskFacets {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) query: FacetQuery,
}

impl Call for AskFacets {
    const METHOD: &'static str = "facets";
    type Answer = Facets;

    async fn answer(self, store: &Store) -> Result<Facets, Error> {
        store.facets(&reading(self.tenant), self.query).await
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Search {
    pub(in crate::remote) tenant: TenantId,
    pub(in crate::remote) query: SearchQuery,
}

impl Call for Search {
    const METHOD: &'static str = "search";
    type Answer = (Vec<Kept>, Option<SearchCursor>);

    async fn answer(self, store: &Store) -> Result<Self::Answer, Error> {
        let page = store.search(&reading(self.tenant), self.query).await?;
        Ok((Kept::all(store.kinds(), page.records), page.next))
    }
}

/// Asked twice it is told twice, which is what happened.
#[derive(Serialize, Deserialize)]
pub(in crate::remote) struct Reveal {
    pub(in crate::remote) who: Who,
    pub(in crate::remote) kind: String,
    pub(in crate::remote) id: RecordId,
    pub(in crate::remote) field: String,
}

impl Call for Reveal {
    const METHOD: &'static str = "reveal";
    const CHANGES: bool = true;
    type Answer = Option<String>;

    async fn answer(self, store: &Store) -> Result<Option<String>, Error> {
        let secret = store.reveal(&self.who.restore(), &self.kind, self.id, &self.field).await?;
        Ok(secret.map(|secret| secret.expose().clone()))
    }
}
