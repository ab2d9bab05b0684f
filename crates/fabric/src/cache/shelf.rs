//! One class of the cache, with values of one type.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use steward_base::{Error, Result, TenantId};

use super::entry::{Entry, NameRef};
use super::flights::{Boarding, Outcome, Ticket};
use super::second::{Codec, Found, Gap};
use super::{Cache, Kept, Shared};

/// One class of the cache.
#[derive(Debug)]
pub struct Shelf<V> {
    cache: Cache,
    kept: Arc<Kept>,
    codec: Option<Codec<V>>,
}

impl<V> Clone for Shelf<V> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), kept: self.kept.clone(), codec: self.codec }
    }
}

/// What a loader brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<V> {
    /// The value.
    pub value: V,
    /// The version of the record it was made of.
    pub version: i64,
    /// About how much memory it takes.
    pub bytes: usize,
}

/// What the cache answers.
#[derive(Debug, PartialEq, Eq)]
pub struct Cached<V> {
    /// The value, shared with everybody who asked.
    pub value: Arc<V>,
    /// The version of the record it was made of.
    pub version: i64,
}

impl<V: Any + Send + Sync> Shelf<V> {
    pub(super) fn new(cache: Cache, kept: Arc<Kept>, codec: Option<Codec<V>>) -> Self {
        Self { cache, kept, codec }
    }

    /// The value under `key` of a tenant; `load` runs when it is not cached, once however many ask. Its failure is everybody's answer and is not
    /// kept.
    pub async fn get<F>(&self, tenant: TenantId, key: &str, load: impl FnOnce() -> F + Send + 'static) -> Result<Cached<V>>
    where
        F: Future<Output = Result<Loaded<V>>> + Send + 'static,
    {
        let shared = &self.cache.0;
        let name = NameRef { tenant, class: self.kept.class, key };
        let at_hand = || if shared.freshness.is_fresh() { shared.at_hand(&name) } else { None };
        if let Some(entry) = at_hand() {
            self.kept.tally.hit();
            return Ok(cached(&entry));
        }
        let begin = |ticket| self.clone().load(ticket, tenant, key.to_owned(), load);
        let outcome = match shared.flights.board(&name, at_hand, begin) {
            Boarding::Arrived(entry) => {
                self.kept.tally.hit();
                Ok(entry)
            }
            Boarding::Joined(load) => {
                self.kept.tally.joined();
                load.await
            }
            Boarding::Leading(load) => load.await,
        };
        outcome.map(|entry| cached(&entry)).map_err(|error| copy(&error))
    }

    fn load<F>(
        self,
        ticket: Ticket,
        tenant: TenantId,
        key: String,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> BoxFuture<'static, Outcome>
    where
        F: Future<Output = Result<Loaded<V>>> + Send + 'static,
    {
        let loading = async move {
            let shared = &self.cache.0;
            let name = NameRef { tenant, class: self.kept.class, key: &key };
            let outcome = match self.second(&name).await {
                Ok(entry) => {
                    self.kept.tally.second_hit();
                    Ok(entry)
                }
                Err(gap) => self.first_hand(load, gap).await.map_err(Arc::new),
            };
            ticket.land(|name| {
                if let Ok(entry) = &outcome
                    && shared.freshness.is_fresh()
                {
                    shared.first.insert(name, entry.clone());
                }
            });
            outcome
        };
        loading.boxed()
    }

    /// The entry from the second level, or the right to put one there.
    async fn second(&self, name: &NameRef<'_>) -> Result<Entry, Option<Gap>> {
        let shared = &self.cache.0;
        let (Some(codec), Some(second), true) = (&self.codec, &shared.second, shared.freshness.is_fresh()) else { return Err(None) };
        match second.find(name).await {
            Found::Value { value, version, age } if age < self.kept.ttl => {
                let Some(decoded) = (codec.decode)(&value) else { return Err(None) };
                let until = shared.clock.monotonic() + (self.kept.ttl - age);
                Ok(Entry { value: Arc::new(decoded), version, bytes: value.len(), until })
            }
            Found::Value { .. } | Found::Away => Err(None),
            Found::Gap(gap) => Err(Some(gap)),
        }
    }

    /// The value from where it comes from, shared where it may be.
    async fn first_hand<F>(&self, load: impl FnOnce() -> F, gap: Option<Gap>) -> Result<Entry>
    where
        F: Future<Output = Result<Loaded<V>>> + Send,
    {
        let shared = &self.cache.0;
        self.kept.tally.loading();
        let Loaded { value, version, bytes } = load().await.inspect_err(|_| self.kept.tally.failed())?;
        if let (Some(codec), Some(second), Some(gap)) = (&self.codec, &shared.second, gap) {
            let encoded = Bytes::from((codec.encode)(&value));
            second.fill(gap, &encoded, version, self.kept.ttl).await;
        }
        Ok(Entry { value: Arc::new(value), version, bytes, until: shared.clock.monotonic() + self.kept.ttl })
    }
}

impl Shared {
    fn at_hand(&self, name: &NameRef<'_>) -> Option<Entry> {
        self.first.get(name).filter(|entry| self.clock.monotonic() < entry.until)
    }
}

fn cached<V: Any + Send + Sync>(entry: &Entry) -> Cached<V> {
    let value = entry.value.clone().downcast().expect("a class has one owner and its values one type");
    Cached { value, version: entry.version }
}

/// The same error for one more caller.
fn copy(error: &Arc<Error>) -> Error {
    let mut copy = Error::new(error.kind(), error.code(), error.detail().to_owned()).with_source(error.clone());
    for field in error.fields() {
        copy = copy.with_field(field.pointer.clone(), field.code.clone(), field.detail.clone());
    }
    match error.retry_after() {
        Some(after) => copy.with_retry_after(after),
        None => copy,
    }
}
