//! The store's calls as questions to the data role.

use std::collections::HashMap;
use std::time::Duration;

use steward_base::filter::Expr;
use steward_base::{AttemptKey, Ctx, Error, Event, RecordId, Secret, TenantId};
use tokio::sync::watch;

use super::calls::{
    AskFacets, AskJob, AskPlace, AskRemembered, AskTally, AskUnclaimed, CheckPlace, Correlated, Count, DataKeys, Erase, Events, Find, Get,
    Heads, Health, History, InUse, Jobs, List, Marks, NextDue, Provision, Relocate, ResealSecrets, Reveal, RotateDataKey, Scrub, Search,
    Settle, Telling, VerifyChain,
};
use super::client::Remote;
use super::wire::{Chained, Kept, Who};
use super::{copies, lanes};
use crate::Record;
use crate::attempt::Remembered;
use crate::building::Unclaimed;
use crate::dump::Dump;
use crate::engine::no_namespace;
use crate::job::{Job, JobQuery};
use crate::keys::{KeyRow, Which};
use crate::list::{FacetQuery, Facets, SearchPage, SearchQuery};
use crate::moving::Moved;
use crate::query::{ListQuery, Page};
use crate::rotate::Resealed;
use crate::rows::{EventRow, Row};
use crate::unit::{Committed, UnitOfWork};

impl Remote {
    pub(crate) async fn provision(&self, tenant: TenantId) -> Result<(), Error> {
        self.0.call(&Provision { tenant }).await
    }

    pub(crate) async fn get(&self, tenant: TenantId, kind: usize, id: RecordId) -> Result<Option<Row>, Error> {
        let kind = self.0.surroundings.kinds.at(kind).name().to_owned();
        self.0.call(&Get { tenant, kind, id }).await
    }

    pub(crate) async fn find(&self, tenant: TenantId, kind: &str, field: &str, value: &str) -> Result<Option<Record>, Error> {
        let call = Find { tenant, kind: kind.to_owned(), field: field.to_owned(), value: value.to_owned() };
        let found = self.0.call(&call).await?;
        found.map(|kept| kept.restore(&self.0.surroundings.kinds)).transpose()
    }

    pub(crate) async fn unclaimed(&self, tenant: TenantId) -> Result<Vec<Unclaimed>, Error> {
        self.0.call(&AskUnclaimed { tenant }).await
    }

    pub(crate) async fn list(&self, tenant: TenantId, query: ListQuery) -> Result<Page, Error> {
        let (records, next) = self.0.call(&List { tenant, query }).await?;
        Ok(Page { records: Kept::restore_all(records, &self.0.surroundings.kinds)?, next })
    }

    pub(crate) async fn count(&self, tenant: TenantId, kind: &str, filter: Option<Expr>) -> Result<u64, Error> {
        self.0.call(&Count { tenant, kind: kind.to_owned(), filter }).await
    }

    pub(crate) async fn facets(&self, tenant: TenantId, query: FacetQuery) -> Result<Facets, Error> {
        self.0.call(&AskFacets { tenant, query }).await
    }

    pub(crate) async fn search(&self, tenant: TenantId, query: SearchQuery) -> Result<SearchPage, Error> {
        let (records, next) = self.0.call(&Search { tenant, query }).await?;
        Ok(SearchPage { records: Kept::restore_all(records, &self.0.surroundings.kinds)?, next })
    }

    pub(crate) async fn commit(&self, ctx: &Ctx, unit: UnitOfWork) -> Result<Committed, Error> {
        lanes::commit(&self.0, ctx, unit).await
    }

    pub(crate) async fn events(&self, tenant: TenantId, after: i64, limit: usize) -> Result<Vec<EventRow>, Error> {
        let rows = self.0.call(&Events { tenant, after, limit }).await?;
        rows.into_iter().map(Chained::restore).collect()
    }

    pub(crate) async fn history(&self, tenant: TenantId, subject: RecordId, before: i64, limit: usize) -> Result<Vec<EventRow>, Error> {
        let rows = self.0.call(&History { tenant, subject, before, limit }).await?;
        rows.into_iter().map(Chained::restore).collect()
    }

    pub(crate) async fn reveal(&self, ctx: &Ctx, kind: &str, id: RecordId, field: &str) -> Result<Option<Secret<String>>, Error> {
        let call = Reveal { who: Who::of(ctx), kind: kind.to_owned(), id, field: field.to_owned() };
        Ok(self.0.call(&call).await?.map(Secret::new))
    }

    pub(crate) async fn job(&self, tenant: TenantId, id: RecordId) -> Result<Option<Job>, Error> {
        self.0.call(&AskJob { tenant, id }).await
    }

    pub(crate) async fn jobs(&self, tenant: TenantId, query: JobQuery) -> Result<Vec<Job>, Error> {
        self.0.call(&Jobs { tenant, query }).await
    }

    pub(crate) async fn next_due(&self, tenant: TenantId, kinds: Option<Vec<String>>) -> Result<Option<i64>, Error> {
        self.0.call(&NextDue { tenant, kinds }).await
    }

    pub(crate) async fn tally(&self, tenant: TenantId, name: String) -> Result<Option<i64>, Error> {
        self.0.call(&AskTally { tenant, name }).await
    }

    pub(crate) async fn data_keys(&self, tenant: TenantId, which: Which) -> Result<Vec<KeyRow>, Error> {
        self.0.call(&DataKeys { tenant, which }).await
    }

    pub(crate) async fn rotate_data_key(&self, ctx: &Ctx) -> Result<Resealed, Error> {
        self.0.call(&RotateDataKey { who: Who::of(ctx) }).await
    }

    pub(crate) async fn reseal_secrets(&self, ctx: &Ctx) -> Result<Resealed, Error> {
        self.0.call(&ResealSecrets { who: Who::of(ctx) }).await
    }

    pub(crate) async fn dump(&self, tenant: TenantId, after: Option<i64>) -> Result<Dump, Error> {
        copies::dump(&self.0, tenant, after).await
    }

    pub(crate) async fn erase(&self, tenant: TenantId) -> Result<(), Error> {
        self.0.call(&Erase { tenant }).await
    }

    pub(crate) async fn relocate(&self, tenant: TenantId, place: &str) -> Result<Moved, Error> {
        self.0.call(&Relocate { tenant, place: place.to_owned() }).await
    }

    pub(crate) async fn place(&self, tenant: TenantId) -> Result<Option<String>, Error> {
        self.0.call(&AskPlace { tenant }).await
    }

    pub(crate) async fn check_place(&self, name: &str) -> Result<(), Error> {
        self.0.call(&CheckPlace { place: name.to_owned() }).await
    }

    pub(crate) async fn scrub(&self, tenant: TenantId) -> Result<(), Error> {
        self.0.call(&Scrub { tenant }).await
    }

    /// What one request did, newest first.
    pub(crate) async fn correlated(&self, tenant: TenantId, correlation_id: &str) -> Result<Vec<Event>, Error> {
        let told = self.0.call(&Correlated { tenant, correlation_id: correlation_id.to_owned() }).await?;
        Ok(told.into_iter().map(|Telling(event)| event).collect())
    }

    pub(crate) async fn remembered(&self, tenant: TenantId, key: AttemptKey) -> Result<Option<Remembered>, Error> {
        self.0.call(&AskRemembered { tenant, key }).await
    }

    pub(crate) async fn marks(&self) -> Result<Vec<(String, i64)>, Error> {
        self.0.call(&Marks {}).await
    }

    /// The tenants whose marks are not settled, as the data role said when it was asked to settle some.
    pub(crate) fn in_use(&self) -> Vec<TenantId> {
        self.0.in_use.lock().clone()
    }

    /// The data role knows who commits; whoever asks knows what was handled.
    pub(crate) async fn settle(&self, idle: Duration, handled: impl Fn(TenantId) -> i64) -> Result<(), Error> {
        let in_use = self.0.call(&InUse {}).await?;
        let handled: HashMap<TenantId, i64> = in_use.iter().map(|tenant| (*tenant, handled(*tenant))).collect();
        *self.0.in_use.lock() = in_use;
        self.0.call(&Settle { idle, handled }).await
    }

    pub(crate) async fn head(&self, tenant: TenantId) -> Result<(i64, [u8; 32]), Error> {
        let heads = self.0.call(&Heads { tenants: vec![tenant] }).await?;
        heads.into_iter().next().map(|(_, position, hash)| (position, hash)).ok_or_else(no_namespace)
    }

    pub(crate) async fn verify_chain(&self, tenant: TenantId) -> Result<i64, Error> {
        self.0.call(&VerifyChain { tenant }).await
    }

    pub(crate) fn watch(&self, tenant: TenantId) -> watch::Receiver<i64> {
        self.0.watch(tenant)
    }

    pub(crate) async fn health(&self) -> Result<(), Error> {
        self.0.call(&Health {}).await
    }
}
