//! The logs and metrics of tenants in a backup: each segment is copied once, and told of by every backup that it was there for.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use steward_base::{Result, TenantId, hex};
use steward_fabric::blob::{Blob, Expect, Key, whole};
use steward_fabric::{Class, Scope};
use steward_telemetry::{Copied, Telemetry};

use super::{damaged, gone};

pub(super) const SEGMENTS: Class = Class::new("backup-telemetry");
/// The engine makes none of a tenth of it.
const MAX_SEGMENT: usize = 1 << 30;

/// The logs and metrics of a tenant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rows {
    /// No row's id has a higher batch.
    highest: u64,
    /// What they are in.
    pub segments: Vec<Segment>,
}

/// A segment in a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Segment {
    copied: Copied,
    /// Bytes of its copy.
    pub length: u64,
    /// Of the copy, as hexadecimal digits.
    pub sha256: String,
}

/// Copies the segments that `known` does not have.
pub(super) async fn copy(from: &Telemetry, to: &Blob, tenant: TenantId, known: Option<&Rows>) -> Result<Rows> {
    let known: HashMap<&str, &Segment> =
        known.iter().flat_map(|known| &known.segments).map(|segment| (segment.copied.id(), segment)).collect();
    let sealed = from.sealed(tenant);
    let mut rows = Rows { highest: sealed.highest(), segments: Vec::new() };
    for id in sealed.ids() {
        if let Some(known) = known.get(id) {
            rows.segments.push((*known).clone());
            continue;
        }
        let (copied, bytes) = sealed.read(id).await?;
        let stored = to.put(&key(tenant, id)?, whole(bytes), Expect::default()).await?;
        rows.segments.push(Segment { copied, length: stored.length, sha256: hex(&stored.sha256) });
    }
    // A tenant that has none says nothing, so that manifests of idle ones stay alike.
    Ok(if rows.segments.is_empty() { Rows::default() } else { rows })
}

/// Reads the copies again; answers how many they are and their bytes. Fails with `backup_damaged` or `backup_missing`.
pub(super) async fn verify(blob: &Blob, tenant: TenantId, rows: &Rows) -> Result<(u64, u64)> {
    let mut bytes = 0;
    for segment in &rows.segments {
        bytes += read(blob, tenant, segment).await?.len() as u64;
    }
    Ok((rows.segments.len() as u64, bytes))
}

/// Puts the rows back, all at once.
pub(super) async fn restore(from: &Blob, to: &Telemetry, tenant: TenantId, rows: &Rows) -> Result<()> {
    if rows.segments.is_empty() {
        return Ok(());
    }
    let mut arriving = to.arriving(tenant);
    for segment in &rows.segments {
        arriving.add(segment.copied.clone(), read(from, tenant, segment).await?).await?;
    }
    arriving.publish(rows.highest).await
}

async fn read(blob: &Blob, tenant: TenantId, segment: &Segment) -> Result<bytes::Bytes> {
    let told = || format!("the telemetry {} of {tenant}", segment.copied.id());
    let object = blob.get(&segment.key(tenant)?, None).await?.ok_or_else(|| gone(told()))?;
    let bytes = object.bytes(MAX_SEGMENT).await?;
    if bytes.len() as u64 == segment.length && hex(digest(&SHA256, &bytes).as_ref()) == segment.sha256 {
        return Ok(bytes);
    }
    Err(damaged(format!("the copy of {} is not what was copied", told())))
}

impl Segment {
    /// Its id.
    pub fn id(&self) -> &str {
        self.copied.id()
    }

    pub(super) fn key(&self, tenant: TenantId) -> Result<Key> {
        key(tenant, self.copied.id())
    }
}

fn key(tenant: TenantId, id: &str) -> Result<Key> {
    Key::new(Scope::Platform, SEGMENTS, &format!("{tenant}.{id}"))
}
