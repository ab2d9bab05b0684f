//! The methods of the port: what each is asked and how the store answers it. The list at the end is all there is, beside the greeting, commits
//! and the feed.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use steward_base::filter::Expr;
use steward_base::{AttemptKey, Ctx, Error, ErrorKind, Event, RecordId, TenantId};

use super::wire::{Chained, Kept, Who};
use crate::attempt::Remembered;
use crate::building::Unclaimed;
use crate::job::{Job, JobQuery};
use crate::keys::{KeyRow, Which};
use crate::list::{FacetQuery, Facets, SearchCursor, SearchQuery};
use crate::moving::Moved;
use crate::places::ask;
use crate::query::{Cursor, ListQuery};
use crate::rotate::Resealed;
use crate::rows::Row;
use crate::store::{Store, own};

/// How long an answer may take that looks at a few rows.
const SHORT: Duration = Duration::from_secs(30);
/// How long one may take that looks at all of them.
const LONG: Duration = Duration::from_secs(900);

/// A method of the port that may be asked twice.
pub(super) trait Call: Serialize + DeserializeOwned + Send + Sync + 'static {
    const METHOD: &'static str;
    const PATIENCE: Duration = SHORT;
    /// What changes something goes on when whoever asked hangs up.
    const CHANGES: bool = false;
    type Answer: Serialize + DeserializeOwned;

    fn answer(self, store: &Store) -> impl Future<Output = Result<Self::Answer, Error>> + Send;
}

/// Reads look at nothing of a context but the tenant.
fn reading(tenant: TenantId) -> Ctx {
    own(tenant, "remote")
}

#[derive(Serialize, Deserialize)]
pub(super) struct Provision {
    pub(super) tenant: TenantId,
}

impl Call for Provision {
    const METHOD: &'static str = "provision";
    const CHANGES: bool = true;
    type Answer = ();

    async fn answer(self, store: &Store) -> Result<(), Error> {
        store.provision(self.tenant).await
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Get {
    pub(super) tenant: TenantId,
    pub(super) kind: String,
    pub(super) id: RecordId,
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
pub(super) struct Find {
    pub(super) tenant: TenantId,
    pub(super) kind: String,
    pub(super) field: String,
    pub(super) value: String,
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
pub(super) struct AskUnclaimed {
    pub(super) tenant: TenantId,
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
pub(super) struct List {
    pub(super) tenant: TenantId,
    pub(super) query: ListQuery,
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
pub(super) struct Count {
    pub(super) tenant: TenantId,
    pub(super) kind: String,
    pub(super) filter: Option<Expr>,
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
pub(super) struct AskFacets {
    pub(super) tenant: TenantId,
    pub(super) query: FacetQuery,
}

impl Call for AskFacets {
    const METHOD: &'static str = "facets";
    type Answer = Facets;

    async fn answer(self, store: &Store) -> Result<Facets, Error> {
        store.facets(&reading(self.tenant), self.query).await
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Search {
    pub(super) tenant: TenantId,
    pub(super) query: SearchQuery,
}

impl Call for Search {
    const METHOD: &'static str = "search";
    type Answer = (Vec<Kept>, Option<SearchCursor>);

    async fn answer(self, store: &Store) -> Result<Self::Answer, Error> {
        let page = store.search(&reading(self.tenant), self.query).await?;
        Ok((Kept::all(store.kinds(), page.records), page.next))
    }
}

/// An event on its way.
#[derive(Serialize, Deserialize)]
pub(super) struct Telling(#[serde(with = "super::text")] pub(super) Event);

/// Events as they are kept: whoever asks reads those it wants, and may verify the chain.
#[derive(Serialize, Deserialize)]
pub(super) struct Events {
    pub(super) tenant: TenantId,
    pub(super) after: i64,
    pub(super) limit: usize,
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
pub(super) struct History {
    pub(super) tenant: TenantId,
    pub(super) subject: RecordId,
    pub(super) before: i64,
    pub(super) limit: usize,
}

impl Call for History {
    const METHOD: &'static str = "history";
    type Answer = Vec<Chained>;

    async fn answer(self, store: &Store) -> Result<Vec<Chained>, Error> {
        let rows = ask!(store.0.places, self.tenant, engine => engine.history(self.tenant, self.subject, self.before, self.limit))?;
        Ok(rows.into_iter().map(Chained::of).collect())
    }
}

/// Asked twice it is told twice, which is what happened.
#[derive(Serialize, Deserialize)]
pub(super) struct Reveal {
    pub(super) who: Who,
    pub(super) kind: String,
    pub(super) id: RecordId,
    pub(super) field: String,
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

#[derive(Serialize, Deserialize)]
pub(super) struct AskJob {
    pub(super) tenant: TenantId,
    pub(super) id: RecordId,
}

impl Call for AskJob {
    const METHOD: &'static str = "job";
    type Answer = Option<Job>;

    async fn answer(self, store: &Store) -> Result<Option<Job>, Error> {
        ask!(store.0.places, self.tenant, engine => engine.job(self.tenant, self.id))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Jobs {
    pub(super) tenant: TenantId,
    pub(super) query: JobQuery,
}

impl Call for Jobs {
    const METHOD: &'static str = "jobs";
    type Answer = Vec<Job>;

    async fn answer(self, store: &Store) -> Result<Vec<Job>, Error> {
        store.jobs(&reading(self.tenant), self.query).await
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct NextDue {
    pub(super) tenant: TenantId,
    pub(super) kinds: Option<Vec<String>>,
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
pub(super) struct AskTally {
    pub(super) tenant: TenantId,
    pub(super) name: String,
}

impl Call for AskTally {
    const METHOD: &'static str = "tally";
    type Answer = Option<i64>;

    async fn answer(self, store: &Store) -> Result<Option<i64>, Error> {
        ask!(store.0.places, self.tenant, engine => engine.tally(self.tenant, self.name.clone()))
    }
}

/// Data keys as they are kept: wrapped.
#[derive(Serialize, Deserialize)]
pub(super) struct DataKeys {
    pub(super) tenant: TenantId,
    pub(super) which: Which,
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
pub(super) struct RotateDataKey {
    pub(super) who: Who,
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
pub(super) struct ResealSecrets {
    pub(super) who: Who,
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
pub(super) struct Erase {
    pub(super) tenant: TenantId,
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
pub(super) struct Relocate {
    pub(super) tenant: TenantId,
    pub(super) place: String,
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

#[derive(Serialize, Deserialize)]
pub(super) struct Scrub {
    pub(super) tenant: TenantId,
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

/// The events of one request.
#[derive(Serialize, Deserialize)]
pub(super) struct Correlated {
    pub(super) tenant: TenantId,
    pub(super) correlation_id: String,
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

#[derive(Serialize, Deserialize)]
pub(super) struct AskRemembered {
    pub(super) tenant: TenantId,
    pub(super) key: AttemptKey,
}

impl Call for AskRemembered {
    const METHOD: &'static str = "remembered";
    type Answer = Option<Remembered>;

    async fn answer(self, store: &Store) -> Result<Option<Remembered>, Error> {
        ask!(store.0.places, self.tenant, engine => engine.remembered(self.tenant, self.key.clone()))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Marks {}

impl Call for Marks {
    const METHOD: &'static str = "marks";
    type Answer = Vec<(String, i64)>;

    async fn answer(self, store: &Store) -> Result<Vec<(String, i64)>, Error> {
        store.0.places.home().notes(crate::tally::MARK).await
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct InUse {}

impl Call for InUse {
    const METHOD: &'static str = "in_use";
    type Answer = Vec<TenantId>;

    async fn answer(self, store: &Store) -> Result<Vec<TenantId>, Error> {
        Ok(store.in_use())
    }
}

/// Only what whoever asks has seen to is settled.
#[derive(Serialize, Deserialize)]
pub(super) struct Settle {
    pub(super) idle: Duration,
    pub(super) handled: HashMap<TenantId, i64>,
}

impl Call for Settle {
    const METHOD: &'static str = "settle";
    const CHANGES: bool = true;
    type Answer = ();

    async fn answer(self, store: &Store) -> Result<(), Error> {
        store.settle(self.idle, |tenant| self.handled.get(&tenant).copied().unwrap_or(-1)).await
    }
}

/// Position and hash of the last events of some tenants; nothing for one that has no namespace.
#[derive(Serialize, Deserialize)]
pub(super) struct Heads {
    pub(super) tenants: Vec<TenantId>,
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
pub(super) struct VerifyChain {
    pub(super) tenant: TenantId,
}

impl Call for VerifyChain {
    const METHOD: &'static str = "verify_chain";
    const PATIENCE: Duration = LONG;
    type Answer = i64;

    async fn answer(self, store: &Store) -> Result<i64, Error> {
        store.verify_chain(&reading(self.tenant)).await
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Health {}

impl Call for Health {
    const METHOD: &'static str = "health";
    type Answer = ();

    async fn answer(self, store: &Store) -> Result<(), Error> {
        store.health().await
    }
}

/// Answers a body.
pub(super) type Handler = fn(Arc<Store>, Bytes) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>> + Send>>;

fn handle<C: Call>(store: Arc<Store>, body: Bytes) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>> + Send>> {
    let answer = async move {
        let call: C = read(&body)?;
        let answer = call.answer(&store).await?;
        serde_json::to_vec(&answer).map_err(Error::internal)
    };
    if C::CHANGES { Box::pin(async move { tokio::spawn(answer).await.map_err(Error::internal)? }) } else { Box::pin(answer) }
}

const fn call<C: Call>() -> (&'static str, Handler) {
    (C::METHOD, handle::<C>)
}

/// Every method.
pub(super) const CALLS: &[(&str, Handler)] = &[
    call::<Provision>(),
    call::<Get>(),
    call::<Find>(),
    call::<AskUnclaimed>(),
    call::<List>(),
    call::<Count>(),
    call::<AskFacets>(),
    call::<Search>(),
    call::<Events>(),
    call::<History>(),
    call::<Reveal>(),
    call::<AskJob>(),
    call::<Jobs>(),
    call::<NextDue>(),
    call::<AskTally>(),
    call::<DataKeys>(),
    call::<RotateDataKey>(),
    call::<ResealSecrets>(),
    call::<Scrub>(),
    call::<Erase>(),
    call::<Relocate>(),
    call::<Correlated>(),
    call::<AskRemembered>(),
    call::<Marks>(),
    call::<InUse>(),
    call::<Settle>(),
    call::<Heads>(),
    call::<VerifyChain>(),
    call::<Health>(),
];

/// Reads what another process wrote.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| {
        let detail = "The two processes do not speak the same version of the port: upgrade the data role first, then the others.";
        Error::new(ErrorKind::Unavailable, "data_version", detail).with_source(error)
    })
}
