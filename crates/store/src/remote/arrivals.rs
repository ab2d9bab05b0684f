//! Tenants on their way in: whoever loads one sends its dump part by part, and the data role writes it where nobody sees it.
//!
//! The bytes travel as they are, so that the data role judges them: what it does not know it refuses, and what does not follow it does not
//! write. A load that nobody goes on with is given up. Whoever begins one says which ones go on in its process: any other one of the same tenant
//! was lost on its way, or its process was killed, and makes room.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use steward_base::{Clock, Error, ErrorKind, TenantId, base32};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::calls::{Heads, read};
use super::client::{Link, Remote, Trouble};
use super::serve::written;
use crate::dump::{Loading, Position, damaged};
use crate::store::Store;

pub(super) const BEGIN: &str = "load";
pub(super) const PART: &str = "load_part";
pub(super) const PUBLISH: &str = "load_publish";
pub(super) const DISCARD: &str = "load_discard";
/// How long an answer may take: the last part and publishing wait until all is on disk.
const PATIENCE: Duration = Duration::from_secs(900);
/// Bytes of a part, about.
const BYTES: usize = 1024 * 1024;
/// Pieces that wait for being written.
const WAITING: usize = 4;
/// After so long without a part a load is given up.
const IDLE: Duration = Duration::from_secs(300);
/// How often one looks for those.
const LOOK: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
struct Begin {
    tenant: TenantId,
    /// The loads of this process that go on.
    going_on: HashSet<String>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    load: String,
    pieces: Vec<String>,
    /// The dump ends with it.
    last: bool,
}

#[derive(Serialize, Deserialize)]
struct Named {
    load: String,
}

/// The loads that are under way.
#[derive(Default)]
pub(super) struct Arrivals(Mutex<HashMap<String, Arrival>>);

#[derive(Clone)]
struct Arrival {
    tenant: TenantId,
    stage: Arc<tokio::sync::Mutex<Stage>>,
    /// Of the monotonic clock.
    used: Duration,
}

enum Stage {
    /// Between two dumps.
    Waits(Loading),
    /// In one.
    Takes(Taking),
    /// It was given up, or is published.
    Over,
}

struct Taking {
    pieces: mpsc::Sender<Result<Bytes, Error>>,
    task: JoinHandle<(Loading, Result<Position, Error>)>,
}

impl Taking {
    fn begin(mut loading: Loading) -> Self {
        let (pieces, mut taken) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            let applied = loading.apply(stream::poll_fn(move |context| taken.poll_recv(context))).await;
            (loading, applied)
        });
        Self { pieces, task }
    }

    /// Waits for what was sent.
    async fn end(self) -> Result<(Loading, Result<Position, Error>), Error> {
        drop(self.pieces);
        self.task.await.map_err(Error::internal)
    }
}

impl Arrivals {
    /// Answers a question about loads; it goes on when whoever asked hangs up.
    pub(super) async fn answer(self: &Arc<Self>, store: &Arc<Store>, method: &str, body: Bytes) -> Result<Bytes, Error> {
        let (own, store, method) = (self.clone(), store.clone(), method.to_owned());
        let answering = async move {
            match method.as_str() {
                BEGIN => written(&own.begin(&store, read(&body)?).await?),
                PART => written(&own.part(&store, read(&body)?).await?),
                PUBLISH => written(&own.publish(&store, read(&body)?).await?),
                _ => written(&own.discard(read(&body)?).await?),
            }
        };
        tokio::spawn(answering).await.map_err(Error::internal)?
    }

    async fn begin(&self, store: &Store, begin: Begin) -> Result<String, Error> {
        let lost: Vec<String> = {
            let arrivals = self.0.lock();
            let lost = arrivals.iter().filter(|(name, arrival)| arrival.tenant == begin.tenant && !begin.going_on.contains(*name));
            lost.map(|(name, _)| name.clone()).collect()
        };
        for load in lost {
            self.discard(Named { load }).await?;
        }
        let stage = Arc::new(tokio::sync::Mutex::new(Stage::Waits(store.load(begin.tenant).await?)));
        let (name, used) = (base32::encode(&store.random().bytes::<16>()), store.clock().monotonic());
        self.0.lock().insert(name.clone(), Arrival { tenant: begin.tenant, stage, used });
        Ok(name)
    }

    /// Writes a part; answers where the tenant is when it was the last one.
    async fn part(&self, store: &Store, part: Part) -> Result<Option<Position>, Error> {
        let stage = self.used(store.clock(), &part.load)?;
        let mut stage = stage.lock().await;
        let taking = match std::mem::replace(&mut *stage, Stage::Over) {
            Stage::Waits(loading) => Taking::begin(loading),
            Stage::Takes(taking) => taking,
            Stage::Over => return Err(given_up()),
        };
        let mut refused = false;
        for piece in part.pieces {
            let piece = STANDARD_NO_PAD.decode(piece).map_err(|_| damaged("a part of it did not arrive whole"));
            refused = taking.pieces.send(piece.map(Bytes::from)).await.is_err();
            if refused {
                break;
            }
        }
        if !part.last && !refused {
            *stage = Stage::Takes(taking);
            return Ok(None);
        }
        let (loading, applied) = taking.end().await?;
        *stage = Stage::Waits(loading);
        applied.map(Some)
    }

    async fn publish(&self, store: &Store, named: Named) -> Result<(), Error> {
        let stage = self.used(store.clock(), &named.load)?;
        let taken = std::mem::replace(&mut *stage.lock().await, Stage::Over);
        self.0.lock().remove(&named.load);
        match taken {
            Stage::Waits(loading) => store.publish(loading).await,
            Stage::Takes(_) => Err(Error::internal("a namespace was to be used that is still being loaded")),
            Stage::Over => Err(given_up()),
        }
    }

    /// One that is not there is fine.
    async fn discard(&self, named: Named) -> Result<(), Error> {
        let Some(arrival) = self.0.lock().remove(&named.load) else { return Ok(()) };
        let taken = std::mem::replace(&mut *arrival.stage.lock().await, Stage::Over);
        match taken {
            Stage::Waits(loading) => loading.discard().await,
            Stage::Takes(taking) => taking.end().await?.0.discard().await,
            Stage::Over => {}
        }
        Ok(())
    }

    /// Gives up what nobody goes on with, again and again: each keeps its tenant from being loaded.
    pub(super) async fn expire(&self, clock: &Clock) {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let now = clock.monotonic();
            self.give_up(|arrival| now.saturating_sub(arrival.used) >= IDLE && arrival.stage.try_lock().is_ok()).await;
        }
    }

    /// Gives up all of them: the data role goes down.
    pub(super) async fn end(&self) {
        self.give_up(|_| true).await;
    }

    async fn give_up(&self, which: impl Fn(&Arrival) -> bool) {
        let names: Vec<String> = self.0.lock().iter().filter(|(_, arrival)| which(arrival)).map(|(name, _)| name.clone()).collect();
        for load in names {
            if let Err(error) = self.discard(Named { load }).await {
                tracing::warn!(error.causes = error.causes(), "a load that was given up leaves something until the next start");
            }
        }
    }

    fn used(&self, clock: &Clock, load: &str) -> Result<Arc<tokio::sync::Mutex<Stage>>, Error> {
        let mut arrivals = self.0.lock();
        let arrival = arrivals.get_mut(load).ok_or_else(given_up)?;
        arrival.used = clock.monotonic();
        Ok(arrival.stage.clone())
    }
}

/// A load that the data role does for this process.
pub(crate) struct Departing {
    link: Arc<Link>,
    tenant: TenantId,
    load: String,
    /// Where the tenant is when what was sent is published.
    head: Option<Position>,
}

impl Drop for Departing {
    fn drop(&mut self) {
        self.link.loads.lock().remove(&self.load);
    }
}

impl Remote {
    pub(crate) async fn load(&self, tenant: TenantId) -> Result<Loading, Error> {
        let link = self.0.clone();
        let going_on = link.loads.lock().clone();
        let load: String = ask(&link, BEGIN, &Begin { tenant, going_on }).await.map_err(Trouble::into_error)?;
        link.loads.lock().insert(load.clone());
        Ok(Loading::there(Departing { link, tenant, load, head: None }))
    }
}

impl Departing {
    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub(crate) async fn apply(&mut self, mut dump: impl Stream<Item = Result<Bytes, Error>> + Unpin) -> Result<Position, Error> {
        loop {
            let mut part = Part { load: self.load.clone(), pieces: Vec::new(), last: false };
            let mut bytes = 0;
            while bytes < BYTES && !part.last {
                match dump.next().await {
                    Some(Ok(piece)) => {
                        bytes += piece.len();
                        part.pieces.push(STANDARD_NO_PAD.encode(piece));
                    }
                    Some(Err(error)) => return Err(error),
                    None => part.last = true,
                }
            }
            let answer: Option<Position> = ask(&self.link, PART, &part).await.map_err(Trouble::into_error)?;
            if part.last {
                let head = answer.ok_or_else(|| Error::internal("a dump ended without saying where"))?;
                self.head = Some(head.clone());
                return Ok(head);
            }
        }
    }

    pub(crate) async fn publish(self) -> Result<(), Error> {
        match ask(&self.link, PUBLISH, &Named { load: self.load.clone() }).await {
            Ok(()) => Ok(()),
            // The answer was lost, and perhaps the question too: what is there says which.
            Err(Trouble::Lost(error)) => {
                if self.is_there().await? {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(trouble) => Err(trouble.into_error()),
        }
    }

    async fn is_there(&self) -> Result<bool, Error> {
        let heads = self.link.call(&Heads { tenants: vec![self.tenant] }).await?;
        Ok(heads.into_iter().next().map(|(_, position, hash)| Position::of((position, hash))) == self.head)
    }

    /// What cannot be said now is said with the next load of this tenant.
    pub(crate) async fn discard(self) {
        let told: Result<(), Trouble> = ask(&self.link, DISCARD, &Named { load: self.load.clone() }).await;
        if let Err(trouble) = told {
            tracing::debug!(error.causes = trouble.into_error().causes(), "the data role is not told that a load was given up");
        }
    }
}

/// Asks once: a part is written once.
async fn ask<Q: Serialize, A: DeserializeOwned>(link: &Link, method: &str, question: &Q) -> Result<A, Trouble> {
    let body = serde_json::to_vec(question).map_err(|error| Trouble::Refused(Error::internal(error)))?;
    read(&link.once_in_this_run(method, body.into(), PATIENCE).await?).map_err(Trouble::Refused)
}

fn given_up() -> Error {
    let detail = "The process with the data role gave this load up: begin it again.";
    Error::new(ErrorKind::Unavailable, "load_given_up", detail).with_retry_after(Duration::from_secs(1))
}
