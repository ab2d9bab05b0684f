//! Reading a backup again, to the last event.

use steward_base::Result;
use steward_fabric::blob::Blob;
use steward_store::Loading;
use tokio::sync::watch;

use super::{Manifest, Progress, damaged, objects, packed, telemetry};

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Tenants.
    pub tenants: u64,
    /// Parts of dumps.
    pub parts: u64,
    /// Objects of tenants.
    pub objects: u64,
    /// Segments of logs and metrics.
    pub segments: u64,
    /// Events, each following from the one before.
    pub events: u64,
    /// Bytes of all that was read.
    pub bytes: u64,
}

/// Reads every part, object and segment of a backup: checksums, form, and that each tenant's events follow from each other up to where it ends.
///
/// Errors: `backup_damaged`, `backup_missing`, and `dump_*`.
pub async fn verify(blob: &Blob, manifest: &Manifest) -> Result<Verified> {
    verify_telling(blob, manifest, &watch::Sender::default()).await
}

/// The same for whoever wants to be told how far it is.
pub(super) async fn verify_telling(blob: &Blob, manifest: &Manifest, told: &watch::Sender<Progress>) -> Result<Verified> {
    let mut verified = Verified::default();
    for (at, copied) in manifest.tenants.iter().enumerate() {
        told.send_replace(Progress { tenants: at, of: manifest.tenants.len() });
        let mut checking = Loading::checking(copied.tenant);
        let mut end = None;
        for part in &copied.parts {
            end = Some(checking.apply(packed::unpack(blob, copied.tenant, part).await?).await?);
            verified.parts += 1;
            verified.bytes += part.length;
        }
        if end.as_ref() != Some(&copied.head) {
            return Err(damaged(format!("the parts of {} do not end where they should", copied.tenant)));
        }
        let (objects, bytes) = objects::verify(blob, copied.tenant, &copied.objects).await?;
        let (segments, more) = telemetry::verify(blob, copied.tenant, &copied.telemetry).await?;
        verified.objects += objects;
        verified.segments += segments;
        verified.bytes += bytes + more;
        verified.tenants += 1;
        verified.events += copied.head.position as u64;
    }
    Ok(verified)
}
