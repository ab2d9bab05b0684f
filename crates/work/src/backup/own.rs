//! The backups that an installation makes of itself: at the place that the settings name, by jobs, and seen by whoever looks at its metrics.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_auth::system;
use steward_base::{Ctx, RecordId, Result, TenantId, Timestamp};
use steward_fabric::blob::Blob;
use steward_store::{Model, Store};
use steward_telemetry::Telemetry;
use steward_web::metrics::gauge;
use tokio_util::sync::CancellationToken;

use super::inventory::{Inventory, Told};
use super::{Installation, PREFIX, Place, Subject};

/// How often it is looked what is in the place: others remove from it too.
const LOOK: Duration = Duration::from_secs(300);

/// What was found out about a backup when it was read to its end. What it holds, it says itself, where it is kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// When it was last found to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// The code of what was wrong with it the last time; none while it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Model for Backup {
    const KIND: &'static str = "backup";
    const PREFIX: &'static str = PREFIX;
}

/// An installation that makes backups of itself. Cheap to clone.
#[derive(Clone)]
pub struct Backups(pub(super) Arc<Parts>);

pub(super) struct Parts {
    pub(super) store: Store,
    objects: Blob,
    telemetry: Telemetry,
    pub(super) place: Place,
    everything: Everything,
    pub(super) inventory: Inventory,
    last: Mutex<Last>,
}

type Everything = Box<dyn Fn() -> BoxFuture<'static, Result<Vec<Subject>>> + Send + Sync>;

/// The last good backup of the whole installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// Nobody has looked yet.
    Unknown,
    Never,
    BeganAt(Timestamp),
}

impl Backups {
    /// Backups of all this at the place; `everything` says which tenants there are, the operator's first.
    pub fn new<R>(
        store: Store,
        objects: Blob,
        telemetry: Telemetry,
        place: Place,
        everything: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self
    where
        R: Future<Output = Result<Vec<Subject>>> + Send + 'static,
    {
        let everything: Everything = Box::new(move || everything().boxed());
        let (inventory, last) = (Inventory::default(), Mutex::new(Last::Unknown));
        Self(Arc::new(Parts { store, objects, telemetry, place, everything, inventory, last }))
    }

    pub(super) fn installation(&self) -> Installation<'_> {
        Installation { store: &self.0.store, objects: &self.0.objects, telemetry: &self.0.telemetry }
    }

    pub(super) async fn everything(&self) -> Result<Vec<Subject>> {
        (self.0.everything)().await
    }

    /// What was found out about a backup.
    pub(super) async fn known(&self, ctx: &Ctx, id: RecordId) -> Result<Backup> {
        let record = self.0.store.get(ctx, Backup::KIND, id).await?;
        record.map_or_else(|| Ok(Backup::default()), |record| record.decode())
    }

    /// Looks now and then how old the last good backup is, until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        if matches!(self.0.place, Place::Nowhere) {
            return;
        }
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            // What was known stays, and grows older.
            if let Err(error) = self.look().await {
                tracing::warn!(error.code = error.code(), error.causes = %error.causes(), "nobody knows now which backups there are");
            }
        }
    }

    /// Looks how old the last good backup is.
    pub(super) async fn look(&self) -> Result<()> {
        let blob = self.0.place.open_to_read().await?;
        let ctx = system(TenantId::OPERATOR, "backups");
        let mut last = Last::Never;
        for manifest in self.0.inventory.manifests(&blob).await? {
            let Some(found) = self.0.inventory.look(&blob, &manifest).await? else { continue };
            if let Told::Whole(summary) = found.told
                && summary.everything
                && self.known(&ctx, found.id).await?.problem.is_none()
            {
                last = Last::BeganAt(summary.began_at);
                break;
            }
        }
        *self.0.last.lock() = last;
        Ok(())
    }

    /// Writes how old the last good backup is, for `/metrics`; nothing when the settings name no place.
    pub fn render(&self, out: &mut String) {
        let age = match *self.0.last.lock() {
            Last::Unknown => return,
            Last::Never => "+Inf".to_owned(),
            Last::BeganAt(time) => self.0.store.clock().now().since(time).as_secs().to_string(),
        };
        let help = "Seconds since the last backup of the whole installation was begun that is good as far as is known; +Inf without any.";
        gauge(out, "steward_backup_age_seconds", help, age);
    }
}
