//! Wake-ups between processes: one connection that listens and rings, outside of every commit, and a poll for when it is down.
//!
//! A message is tenant, position, `jobs` where jobs changed, and the life that the position is of.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use steward_base::TenantId;
use tokio::sync::{Notify, mpsc};
use tokio_postgres::AsyncMessage;

use super::lives::{News, Sight};
use super::{Shared, dialect};
use parking_lot::Mutex;

/// How often watched tenants are looked at anyway.
const POLL: Duration = Duration::from_secs(2);
const RECONNECT: Duration = Duration::from_millis(500);

/// Heads that others have not been told of, the latest per tenant, and whether jobs changed.
#[derive(Default)]
pub(super) struct Bell {
    untold: Mutex<HashMap<TenantId, (Sight, bool)>>,
    rung: Notify,
}

impl Bell {
    pub(super) fn ring(&self, tenant: TenantId, sight: Sight, jobs: bool) {
        let mut untold = self.untold.lock();
        let before = untold.get(&tenant).is_some_and(|(_, jobs)| *jobs);
        untold.insert(tenant, (sight, before || jobs));
        drop(untold);
        self.rung.notify_one();
    }
}

/// The life of the task; it ends with the store.
pub(super) async fn run(shared: std::sync::Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        if let Err(error) = session(&shared).await {
            tracing::debug!(error = %error, "the wake-up connection is gone; positions are polled until it is back");
        }
        if shared.closing.is_cancelled() {
            return;
        }
        poll(&shared).await;
        drop(shared);
        tokio::time::sleep(RECONNECT).await;
    }
}

/// One connection, until it breaks or the store is closed.
async fn session(shared: &Arc<Shared>) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = shared.connections.config.connect(shared.connections.tls.clone()).await?;
    let (told, mut heard) = mpsc::channel::<String>(1024);
    let driver = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                // A full channel loses nothing: positions are polled as well.
                let _ = told.try_send(notification.payload().to_owned());
            }
        }
    });
    let _ended_with_us = AbortOnDrop(driver.abort_handle());
    client.batch_execute(dialect::LISTEN).await?;
    poll(shared).await;
    let mut tick = tokio::time::interval(POLL);
    loop {
        tokio::select! {
            () = shared.closing.cancelled() => return Ok(()),
            message = heard.recv() => match message {
                Some(text) => hear(shared, &text),
                None => return Ok(()),
            },
            () = shared.bell.rung.notified() => {
                let untold = std::mem::take(&mut *shared.bell.untold.lock());
                for (tenant, (sight, jobs)) in untold {
                    let text = message(tenant, sight, jobs);
                    if let Err(error) = client.query(dialect::RING, &[&text]).await {
                        // The next session tells it; what else was untold is told by whoever polls.
                        shared.bell.ring(tenant, sight, jobs);
                        return Err(error);
                    }
                }
            }
            _ = tick.tick() => poll(shared).await,
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn message(tenant: TenantId, sight: Sight, jobs: bool) -> String {
    let jobs = if jobs { "jobs" } else { "-" };
    match sight.life {
        Some(life) => format!("{tenant} {} {jobs} {life}", sight.position),
        None => format!("{tenant} {} {jobs}", sight.position),
    }
}

fn hear(shared: &Arc<Shared>, text: &str) {
    let mut words = text.split(' ');
    let (Some(tenant), Some(position)) = (words.next(), words.next()) else { return };
    let (Ok(tenant), Ok(position)) = (tenant.parse::<TenantId>(), position.parse()) else { return };
    if words.next() == Some("jobs") {
        shared.surroundings.stirred.add(tenant);
    }
    let life = words.next().and_then(|life| life.parse().ok());
    let Some(namespace) = shared.known(tenant) else {
        // A tenant that this process never looked at may still have a consumer waiting here.
        return shared.surroundings.told.add(tenant);
    };
    match namespace.heard(Sight { position, life }) {
        News::More => shared.surroundings.told.add(tenant),
        News::No => {}
        News::Doubt => {
            namespace.doubt();
            shared.look_behind(namespace);
        }
    }
}

/// Looks up the positions that somebody waits for.
async fn poll(shared: &Arc<Shared>) {
    for namespace in shared.all() {
        if namespace.position.receiver_count() > 0
            && let Ok(true) = shared.look(&namespace).await
        {
            shared.surroundings.told.add(namespace.tenant);
        }
    }
}
