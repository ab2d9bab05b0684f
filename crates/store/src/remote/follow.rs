//! One long poll per process: what changed elsewhere wakes whoever waits here.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use steward_base::{Error, TenantId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::calls::{Heads, Marks, read};
use super::client::{Link, Run};
use super::feed::{self, Changes, LONGEST_POLL, Poll};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Beyond so many watched tenants those that nobody watches any more are forgotten.
const MANY_WATCHED: usize = 4_096;

/// The life of the task; it ends with the store.
pub(super) async fn run(link: Weak<Link>, mut run: Run, closing: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    while let Some(link) = link.upgrade() {
        let polled = tokio::select! {
            () = closing.cancelled() => return,
            polled = poll(&link, &mut run) => polled,
        };
        match polled {
            Ok(()) => pause = FIRST_PAUSE,
            Err(error) => {
                tracing::debug!(error.code = error.code(), error.causes = %error.causes(), "changes cannot be asked for now");
                drop(link);
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Goes on from the last number; in another run everything is looked at first.
async fn poll(link: &Link, run: &mut Run) -> Result<(), Error> {
    let present = link.run().await?;
    if present.id != run.id {
        tracing::info!("the data role was restarted: looking at everything that may have changed");
        look(link).await?;
        *run = present;
    }
    let body = serde_json::to_vec(&Poll { after: run.seq }).map_err(Error::internal)?;
    let answer = link.once_in_this_run(feed::METHOD, Bytes::from(body), LONGEST_POLL * 2).await;
    // A restart is seen at the next turn.
    let changes: Changes = read(&answer.map_err(super::client::Trouble::into_error)?)?;
    for (tenant, position) in changes.told {
        link.told(tenant, position);
        link.surroundings.told.add(tenant);
    }
    for tenant in changes.stirred {
        link.surroundings.stirred.add(tenant);
    }
    run.seq = changes.seq;
    Ok(())
}

/// What was told by the run that is gone, and never arrived.
async fn look(link: &Link) -> Result<(), Error> {
    let marked = link.call(&Marks {}).await?;
    for tenant in marked.into_iter().filter_map(|(tenant, _)| tenant.parse().ok()).chain([TenantId::OPERATOR]) {
        link.surroundings.told.add(tenant);
        link.surroundings.stirred.add(tenant);
    }
    let tenants = link.watched.lock().iter().filter(|(_, sender)| sender.receiver_count() > 0).map(|(tenant, _)| *tenant).collect();
    for (tenant, position, _) in link.call(&Heads { tenants }).await? {
        link.reached(tenant, position);
    }
    Ok(())
}

impl Link {
    /// The position of a tenant from now on.
    pub(super) fn watch(self: &Arc<Self>, tenant: TenantId) -> watch::Receiver<i64> {
        let receiver = {
            let mut watched = self.watched.lock();
            if watched.len() >= MANY_WATCHED && !watched.contains_key(&tenant) {
                watched.retain(|_, sender| sender.receiver_count() > 0);
            }
            watched.entry(tenant).or_insert_with(|| watch::Sender::new(0)).subscribe()
        };
        // The feed tells what comes; what is there already is asked for.
        let link = self.clone();
        self.tasks.spawn(async move {
            let question = Heads { tenants: vec![tenant] };
            let heads = tokio::select! {
                () = link.closing.cancelled() => return,
                heads = link.call(&question) => heads,
            };
            for (tenant, position, _) in heads.unwrap_or_default() {
                link.reached(tenant, position);
            }
        });
        receiver
    }

    /// The feed tells in order. A lower position is that of a tenant that was restored as it was earlier; 0 is one that is not known there now.
    fn told(&self, tenant: TenantId, position: i64) {
        if let Some(sender) = self.watched.lock().get(&tenant) {
            if (1..*sender.borrow()).contains(&position) {
                self.surroundings.positions.begin_life(tenant);
            }
            sender.send_if_modified(|known| position > 0 && std::mem::replace(known, position) != position);
        }
    }

    /// What was asked for may be answered late: it takes no position back.
    fn reached(&self, tenant: TenantId, position: i64) {
        if let Some(sender) = self.watched.lock().get(&tenant) {
            sender.send_if_modified(|known| position > *known && std::mem::replace(known, position) != position);
        }
    }
}
