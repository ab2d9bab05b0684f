//! Copies of tenants on their way out: a dump is begun once and then asked for part by part. One that nobody goes on with is given up.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use steward_base::{Clock, Error, TenantId, base32};
use tokio::sync::mpsc;

use super::calls::read;
use super::client::{Link, Trouble};
use super::wire::Refusal;
use crate::dump::{Dump, Position, damaged};
use crate::store::Store;

pub(super) const BEGIN: &str = "dump";
pub(super) const NEXT: &str = "dump_next";
/// How long a part may take: the first one of an increment looks for what changed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of a part, about.
const PART: usize = 1024 * 1024;
/// Parts that wait for whoever takes them.
const WAITING: usize = 4;
/// After so long without a question a dump is given up.
const IDLE: Duration = Duration::from_secs(300);
/// How often one looks for those.
const LOOK: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
pub(super) struct Begin {
    tenant: TenantId,
    after: Option<i64>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Next {
    copy: String,
}

/// A part of a copy.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Part {
    frames: Vec<String>,
    /// Why it broke off.
    refusal: Option<Refusal>,
    /// Where it ends, when this is the last part.
    end: Option<Position>,
}

/// The dumps that are under way.
#[derive(Default)]
pub(super) struct Copies(Mutex<HashMap<String, Copy>>);

struct Copy {
    dump: Arc<tokio::sync::Mutex<Dump>>,
    /// Of the monotonic clock.
    used: Duration,
}

impl Copies {
    pub(super) async fn begin(&self, store: &Store, begin: Begin) -> Result<String, Error> {
        let dump = Arc::new(tokio::sync::Mutex::new(store.dump(begin.tenant, begin.after).await?));
        let (name, now) = (base32::encode(&store.random().bytes::<16>()), store.clock().monotonic());
        self.0.lock().insert(name.clone(), Copy { dump, used: now });
        Ok(name)
    }

    /// Gives up what nobody goes on with, again and again: each has a connection, and may keep a log from being emptied.
    pub(super) async fn expire(&self, clock: &Clock) {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let now = clock.monotonic();
            self.0.lock().retain(|_, copy| now.saturating_sub(copy.used) < IDLE);
        }
    }

    pub(super) async fn next(&self, store: &Store, next: Next) -> Result<Part, Error> {
        let dump = {
            let mut copies = self.0.lock();
            let copy = copies.get_mut(&next.copy).ok_or_else(|| damaged("it was given up"))?;
            copy.used = store.clock().monotonic();
            copy.dump.clone()
        };
        let mut dump = dump.lock().await;
        let (mut part, mut bytes) = (Part::default(), 0);
        while bytes < PART {
            match dump.next().await {
                Some(Ok(frame)) => {
                    bytes += frame.len();
                    part.frames.push(STANDARD_NO_PAD.encode(frame));
                }
                Some(Err(error)) => part.refusal = Some(Refusal::of(&error)),
                None => {
                    part.end = dump.end().get().cloned();
                    self.0.lock().remove(&next.copy);
                    break;
                }
            }
        }
        Ok(part)
    }
}

/// Begins a dump in the data role; its parts are asked for as they are taken.
pub(super) async fn dump(link: &Arc<Link>, tenant: TenantId, after: Option<i64>) -> Result<Dump, Error> {
    let copy: String = ask(link, BEGIN, &Begin { tenant, after }).await?;
    let (frames, taken) = mpsc::channel(WAITING);
    let end = Arc::new(OnceLock::new());
    let (own, ended) = (link.clone(), end.clone());
    link.tasks.spawn(async move {
        let fetched = tokio::select! {
            () = own.closing.cancelled() => Err(crate::engine::closed()),
            fetched = fetch(&own, copy, &frames, &ended) => fetched,
        };
        if let Err(error) = fetched {
            // Whoever listened may have gone.
            let _ = frames.send(Err(error)).await;
        }
    });
    Ok(Dump::of(taken, end))
}

async fn fetch(link: &Link, copy: String, frames: &mpsc::Sender<Result<Bytes, Error>>, ended: &OnceLock<Position>) -> Result<(), Error> {
    let next = Next { copy };
    loop {
        let part: Part = ask(link, NEXT, &next).await?;
        for frame in part.frames {
            let frame = STANDARD_NO_PAD.decode(frame).map_err(|_| damaged("a part of it did not arrive whole"))?;
            if frames.send(Ok(frame.into())).await.is_err() {
                return Ok(());
            }
        }
        if let Some(refusal) = part.refusal {
            return Err(refusal.into_error());
        }
        if let Some(end) = part.end {
            // Nobody else sets it.
            let _ = ended.set(end);
            return Ok(());
        }
    }
}

/// Asks once: a part whose answer was lost is not there a second time.
async fn ask<Q: Serialize, A: serde::de::DeserializeOwned>(link: &Link, method: &str, question: &Q) -> Result<A, Error> {
    let body = Bytes::from(serde_json::to_vec(question).map_err(Error::internal)?);
    read(&link.once_in_this_run(method, body, PATIENCE).await.map_err(Trouble::into_error)?)
}
