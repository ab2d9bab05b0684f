//! Consumers: what follows from events, once for each, in their order.
//!
//! The cursor of a consumer moves in the same commit as the effect, compared with where it was, so that the cursor is the inbox: an event takes
//! effect once, whoever crashed and however many processes follow. Where nothing was wanted the cursor is moved now and then only.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::json;
use steward_base::{Ctx, Error, Event};
use steward_store::{JobDraft, Record, Store, UnitOfWork};

use crate::job::{Failure, JobHandler, Running};

/// Does what follows from events.
pub trait Consumer: Send + Sync + 'static {
    /// Unique in the installation. Under a new name a consumer starts over, with a snapshot or from the first event.
    const NAME: &'static str;

    /// The types of the events from which something follows: `device.registered`, or `device.*` for all about devices.
    const WANTS: &'static [&'static str];

    /// What follows from these, one or more that it wants, in order; committed together with the cursor. What is done outside the store may be
    /// done twice.
    fn handle(&self, at: Handling, events: Vec<Event>) -> impl Future<Output = Result<UnitOfWork, Failure>> + Send;

    /// Kinds whose live records it is shown before the first event, in place of all that happened before; none for all events from the first.
    fn snapshot(&self) -> &'static [&'static str] {
        &[]
    }

    /// What follows from records of the snapshot. They may come twice, and events that they tell of already may follow.
    fn introduce(&self, at: Handling, records: Vec<Record>) -> impl Future<Output = Result<UnitOfWork, Failure>> + Send {
        let _ = (at, records);
        std::future::ready(Ok(UnitOfWork::new()))
    }

    /// What becomes of an event that fails again and again.
    fn poison(&self) -> Poison {
        Poison::SetAside
    }
}

/// What becomes of an event that fails again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// It becomes a job `redeliver`, and in the end a dead letter that a person may queue again; later events go on.
    SetAside,
    /// Everything after it waits, for order is worth more than progress.
    Wait,
}

/// Where a consumer is at work.
#[derive(Clone)]
pub struct Handling {
    /// The platform in the tenant whose events they are.
    pub ctx: Ctx,
    /// The store.
    pub store: Store,
}

type Work<T> = Box<dyn Fn(Handling, Vec<T>) -> BoxFuture<'static, Result<UnitOfWork, Failure>> + Send + Sync>;

/// A consumer without its type.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    wants: &'static [&'static str],
    pub(crate) handle: Work<Event>,
    pub(crate) introduce: Work<Record>,
    pub(crate) snapshot: &'static [&'static str],
    pub(crate) poison: Poison,
}

impl Known {
    pub(crate) fn of<C: Consumer>(consumer: C) -> Self {
        let consumer = Arc::new(consumer);
        let (handles, introduces) = (consumer.clone(), consumer.clone());
        Self {
            name: C::NAME,
            wants: C::WANTS,
            handle: Box::new(move |at, events| {
                let consumer = handles.clone();
                async move { consumer.handle(at, events).await }.boxed()
            }),
            introduce: Box::new(move |at, records| {
                let consumer = introduces.clone();
                async move { consumer.introduce(at, records).await }.boxed()
            }),
            snapshot: consumer.snapshot(),
            poison: consumer.poison(),
        }
    }

    pub(crate) fn wants(&self, event_type: &str) -> bool {
        self.wants.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(start) => event_type.starts_with(start),
            None => *wanted == event_type,
        })
    }
}

/// The payload of a job `redeliver`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SetAside {
    consumer: String,
    position: i64,
}

/// A job that tries one event again, apart from the others.
pub(crate) fn set_aside(consumer: &str, event: &Event) -> JobDraft {
    JobDraft::new(Redeliver::KIND, json!({ "consumer": consumer, "position": event.position }))
}

/// Hands a consumer an event that it failed on.
pub(crate) struct Redeliver(pub(crate) Arc<Vec<Known>>);

impl JobHandler for Redeliver {
    const KIND: &'static str = "redeliver";
    type Payload = SetAside;

    async fn run(&self, job: Running, payload: SetAside) -> Result<UnitOfWork, Failure> {
        let Some(consumer) = self.0.iter().find(|known| known.name == payload.consumer) else {
            return Err(Failure::Never(Error::internal(format!("no consumer is called {}", payload.consumer))));
        };
        let events = job.store.events(job.ctx(), payload.position - 1, 1).await?;
        (consumer.handle)(Handling { ctx: job.ctx().clone(), store: job.store.clone() }, events).await
    }
}
