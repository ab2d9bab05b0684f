//! Which devices are heard of. It lives in memory; the record is written only when the state changes.
//!
//! After a start nothing is known yet: a device that was online gets as long as a silent one does before it is called stale, so that a
//! restart of the server is no transition.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;
use steward_auth::system;
use steward_base::{Clock, RecordId, Result, TenantId, Timestamp};
use steward_store::Model as _;
use tokio_util::sync::CancellationToken;

use crate::Fleet;
use crate::models::{Device, DeviceStatus};

/// Seconds between heartbeats that agents are asked for.
pub(crate) const HEARTBEAT_SECONDS: u64 = 30;
/// Silence that makes a device stale: three heartbeats.
const STALE_AFTER: Duration = Duration::from_secs(90);
/// Silence that makes it offline.
const OFFLINE_AFTER: Duration = Duration::from_secs(300);
/// How often silence is looked for.
const ROUND: Duration = Duration::from_secs(5);

/// What is known of a device's presence now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Presence {
    /// Whether it is heard of.
    pub status: DeviceStatus,
    /// Why, in a sentence.
    pub reason: String,
    /// The last heartbeat since this server started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Timestamp>,
    /// How long the machine has been up, in seconds, at that heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<u64>,
    /// Bytes that wait in the agent's spool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_bytes: Option<u64>,
    /// Rows that the agent had to drop since it was installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_total: Option<u64>,
}

/// What a heartbeat says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beat {
    pub(crate) uptime_seconds: Option<u64>,
    pub(crate) spool_bytes: Option<u64>,
    pub(crate) dropped_total: Option<u64>,
}

#[derive(Clone, Debug)]
struct Seen {
    /// By the monotonic clock; what silence is measured from.
    last: Duration,
    /// The wall time of the last heartbeat; `None` until the first one after a start.
    heartbeat: Option<Timestamp>,
    beat: Beat,
    /// As the record has it.
    written: DeviceStatus,
}

/// A change of state that is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    pub(crate) tenant: TenantId,
    pub(crate) device: RecordId,
    pub(crate) status: DeviceStatus,
    pub(crate) last_seen: Option<Timestamp>,
    /// What was known when the silence was noticed.
    last: Duration,
}

/// What became of a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is what the record says now.
    Written,
    /// The device was heard of meanwhile: the record must be told that it is online.
    Overtaken,
}

/// Who was heard of when.
pub(crate) struct Board {
    clock: Clock,
    seen: Mutex<HashMap<(TenantId, RecordId), Seen>>,
}

impl Board {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, seen: Mutex::default() }
    }

    /// Notes a heartbeat; whether the record must be told that the device is online.
    pub(crate) fn heard(&self, tenant: TenantId, device: RecordId, written: DeviceStatus, beat: Beat) -> bool {
        let now = self.clock.monotonic();
        let mut seen = self.seen.lock();
        let entry = seen.entry((tenant, device)).or_insert(Seen { last: now, heartbeat: None, beat, written });
        *entry = Seen { last: now, heartbeat: Some(self.clock.now()), beat, written: DeviceStatus::Online };
        written != DeviceStatus::Online
    }

    /// Begins to watch a device that was online or stale when the server started.
    pub(crate) fn expect(&self, tenant: TenantId, device: RecordId, written: DeviceStatus) {
        let last = self.clock.monotonic();
        self.seen.lock().entry((tenant, device)).or_insert(Seen { last, heartbeat: None, beat: Beat::default(), written });
    }

    pub(crate) fn forget(&self, tenant: TenantId, device: RecordId) {
        self.seen.lock().remove(&(tenant, device));
    }

    /// Whether any device of the tenant is watched.
    pub(crate) fn watches(&self, tenant: TenantId) -> bool {
        self.seen.lock().keys().any(|(of, _)| *of == tenant)
    }

    /// The tenants of the devices that are watched.
    fn tenants(&self) -> HashSet<TenantId> {
        self.seen.lock().keys().map(|(tenant, _)| *tenant).collect()
    }

    /// The states that silence has changed and no record says yet; each comes again until [`Board::written`] is told of it.
    pub(crate) fn silent(&self) -> Vec<Transition> {
        let now = self.clock.monotonic();
        let mut due = Vec::new();
        for ((tenant, device), seen) in self.seen.lock().iter() {
            let status = status_after(now.saturating_sub(seen.last));
            if status != seen.written && status != DeviceStatus::Online {
                due.push(Transition { tenant: *tenant, device: *device, status, last_seen: seen.heartbeat, last: seen.last });
            }
        }
        due
    }

    /// Notes that a record says what silence made of its device; an offline one is watched no longer.
    pub(crate) fn written(&self, transition: &Transition) -> Outcome {
        let mut watched = self.seen.lock();
        let key = (transition.tenant, transition.device);
        let Some(seen) = watched.get_mut(&key) else { return Outcome::Written };
        if seen.last != transition.last {
            return Outcome::Overtaken;
        }
        seen.written = transition.status;
        if transition.status == DeviceStatus::Offline {
            watched.remove(&key);
        }
        Outcome::Written
    }

    /// What is known of a device; the record's own state where nothing was heard since the start.
    pub(crate) fn of(&self, tenant: TenantId, device: RecordId, record: &Device) -> Presence {
        let seen = self.seen.lock().get(&(tenant, device)).cloned();
        let known = seen.filter(|seen| seen.heartbeat.is_some());
        let beat = known.as_ref().map(|seen| seen.beat).unwrap_or_default();
        Presence {
            status: known.as_ref().map_or(record.status, |seen| seen.written),
            reason: known.as_ref().map_or_else(|| record.status_reason.clone(), |seen| reason(seen.written).to_owned()),
            last_heartbeat: known.and_then(|seen| seen.heartbeat),
            uptime_seconds: beat.uptime_seconds,
            spool_bytes: beat.spool_bytes,
            dropped_total: beat.dropped_total,
        }
    }
}

/// The sentence that explains a state.
pub(crate) fn reason(status: DeviceStatus) -> &'static str {
    match status {
        DeviceStatus::Online => "Its agent reports.",
        DeviceStatus::Stale => "Its agent has missed three heartbeats.",
        DeviceStatus::Offline => "Its agent has been silent for five minutes.",
    }
}

fn status_after(silence: Duration) -> DeviceStatus {
    if silence >= OFFLINE_AFTER {
        DeviceStatus::Offline
    } else if silence >= STALE_AFTER {
        DeviceStatus::Stale
    } else {
        DeviceStatus::Online
    }
}

impl Fleet {
    /// Watches for silent devices until `stop`, those included that were online or stale when the server ended.
    pub async fn run(self, stop: CancellationToken) {
        // `None` until control has said which tenants there are.
        let mut unread: Option<Vec<TenantId>> = None;
        loop {
            if unread.as_ref().is_none_or(|tenants| !tenants.is_empty()) {
                unread = self.take_up(unread).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(ROUND) => {}
            }
            self.note_silent().await;
        }
    }

    /// Takes up the devices of these tenants; answers the tenants that are to be tried again.
    async fn take_up(&self, unread: Option<Vec<TenantId>>) -> Option<Vec<TenantId>> {
        let tenants = match unread {
            Some(tenants) => tenants,
            None => match self.watched_tenants().await {
                Ok(tenants) => tenants,
                Err(error) => {
                    tracing::error!(error.causes = error.causes(), "nobody knows yet whose devices to watch for silence");
                    return None;
                }
            },
        };
        let mut again = Vec::new();
        for tenant in tenants {
            let taken = async {
                self.expect_devices(tenant).await?;
                self.settle(tenant).await
            };
            if let Err(error) = taken.await {
                tracing::error!(tenant.id = %tenant, error.causes = error.causes(), "the devices of a tenant are not watched for silence yet");
                again.push(tenant);
            }
        }
        Some(again)
    }

    async fn note_silent(&self) {
        let mut quiet = HashSet::new();
        for transition in self.0.presence.silent() {
            if let Err(error) = self.note_silence(&transition).await {
                tracing::error!(device.id = %transition.device.wire("dev"), error.causes = error.causes(), "a device's state could not be written");
            }
            quiet.insert(transition.tenant);
        }
        let watched = if quiet.is_empty() { HashSet::new() } else { self.0.presence.tenants() };
        for tenant in quiet.into_iter().filter(|tenant| !watched.contains(tenant)) {
            if let Err(error) = self.settle(tenant).await {
                tracing::warn!(tenant.id = %tenant, error.causes = error.causes(), "the next start will look into a tenant for nothing");
            }
        }
    }

    async fn note_silence(&self, transition: &Transition) -> Result<()> {
        let Transition { tenant, device, status, last_seen, .. } = *transition;
        self.write_state(tenant, device, status, last_seen).await?;
        match self.0.presence.written(transition) {
            Outcome::Written => Ok(()),
            Outcome::Overtaken => self.write_state(tenant, device, DeviceStatus::Online, None).await,
        }
    }

    /// Writes a state, unless the device is gone.
    pub(crate) async fn write_state(
        &self,
        tenant: TenantId,
        device: RecordId,
        status: DeviceStatus,
        last_seen: Option<Timestamp>,
    ) -> Result<()> {
        let ctx = system(tenant, "presence");
        if self.0.store.get(&ctx, Device::KIND, device).await?.is_none() {
            self.0.presence.forget(tenant, device);
            return Ok(());
        }
        let change = |device: &mut Device| {
            device.status = status;
            device.status_reason = reason(status).to_owned();
            device.last_seen = match status {
                DeviceStatus::Online => None,
                _ => last_seen.or(device.last_seen),
            };
            Ok(())
        };
        self.0.store.update::<Device>(&ctx, device, change).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (TenantId, RecordId) {
        (RecordId::from_bytes([1; 16]).into(), RecordId::from_bytes([2; 16]))
    }

    #[test]
    fn silence_is_noticed_once_per_state_and_a_heartbeat_ends_it() {
        let clock = Clock::manual(Timestamp::default());
        let board = Board::new(clock.clone());
        let (tenant, device) = ids();
        assert!(!board.heard(tenant, device, DeviceStatus::Online, Beat::default()), "an online device needs no write");
        clock.advance(Duration::from_secs(89));
        assert!(board.silent().is_empty());
        clock.advance(Duration::from_secs(1));
        let due = board.silent();
        assert_eq!(due[0].status, DeviceStatus::Stale);
        assert_eq!(board.silent(), due, "a state that could not be written comes again");
        assert_eq!(board.written(&due[0]), Outcome::Written);
        assert!(board.silent().is_empty(), "a state that is written does not");
        assert!(board.heard(tenant, device, DeviceStatus::Stale, Beat::default()), "the return is written");
        clock.advance(OFFLINE_AFTER);
        let due = board.silent();
        assert_eq!((due[0].status, due[0].last_seen), (DeviceStatus::Offline, Some(Timestamp::from_micros(90_000_000))));
        assert_eq!(board.written(&due[0]), Outcome::Written);
        clock.advance(OFFLINE_AFTER);
        assert!(board.silent().is_empty(), "an offline device is watched no longer");
    }

    #[test]
    fn a_heartbeat_beside_the_write_of_silence_wins() {
        let clock = Clock::manual(Timestamp::default());
        let board = Board::new(clock.clone());
        let (tenant, device) = ids();
        board.heard(tenant, device, DeviceStatus::Online, Beat::default());
        clock.advance(STALE_AFTER);
        let due = board.silent();
        clock.advance(Duration::from_secs(1));
        assert!(!board.heard(tenant, device, DeviceStatus::Online, Beat::default()), "the record was not changed yet");
        assert_eq!(board.written(&due[0]), Outcome::Overtaken);
        assert!(board.silent().is_empty());
    }

    #[test]
    fn a_restart_is_no_transition() {
        let clock = Clock::manual(Timestamp::default());
        let board = Board::new(clock.clone());
        let (tenant, device) = ids();
        board.expect(tenant, device, DeviceStatus::Online);
        clock.advance(Duration::from_secs(60));
        assert!(board.silent().is_empty());
        assert!(!board.heard(tenant, device, DeviceStatus::Online, Beat::default()));
        clock.advance(Duration::from_secs(60));
        assert!(board.silent().is_empty());
    }
}
