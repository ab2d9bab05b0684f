//! A body of great size: at hand while it is small, an object of the site's beyond that.
//!
//! One may have so many bytes, and all that wait in one tenant so many more: what nobody works through must not fill the disk for everyone.

use std::time::Duration;

use aws_lc_rs::digest;
use axum::body::Body as HttpBody;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use serde_json::Value;
use steward_base::{Error, ErrorKind, RecordId, TenantId};
use steward_fabric::Class;
use steward_fabric::blob::{Blob, Expect, Key, MAX_PAGE, whole};
use steward_store::{JOB_PREFIX, JobState};

use super::arriving::Arriving;
use super::body::{media, unsupported};
use super::{Body, BodyRules, RawPart};
use crate::imports;
use crate::site::{Limits, Site};

/// What arrived and waits for a job.
pub(crate) const UPLOADS: Class = Class::new("uploads");
/// Most bytes that are kept in memory.
const AT_HAND: usize = 4 << 20;
/// When there may be room again.
const LATER: Duration = Duration::from_secs(60);

/// A body of great size.
#[derive(Debug)]
pub struct Upload {
    pub(crate) media_type: String,
    pub(crate) content: Content,
}

/// Where it is.
#[derive(Debug)]
pub(crate) enum Content {
    AtHand(Bytes),
    Stored(Stored),
}

/// An object that goes with this value, unless it is kept: nobody else knows of it.
#[derive(Debug)]
pub struct Stored {
    blob: Blob,
    key: Key,
    /// Of the job that will work on it; the object has its name.
    pub(crate) job: RecordId,
    pub(crate) length: u64,
    kept: bool,
}

impl Stored {
    /// Stores what is at hand. Fails as [`receive`] does for what is too much.
    pub(crate) async fn whole(site: &Site, tenant: TenantId, bytes: Bytes) -> Result<Self, Error> {
        Self::put(site, tenant, whole(bytes)).await.map(|(stored, _)| stored)
    }

    /// Stores what comes, as long as there is room for it, and answers its digest with it.
    async fn put(site: &Site, tenant: TenantId, body: impl Stream<Item = Result<Bytes, Error>> + Send) -> Result<(Self, [u8; 32]), Error> {
        let limits = site.limits();
        let mut held = waiting(site, tenant).await?;
        if held.saturating_add(limits.import_bytes) > limits.imports_bytes {
            // What was called off or given up can be queued again only as long as there is room to keep it.
            imports::sweep(site, tenant, JobState::is_finished).await?;
            held = waiting(site, tenant).await?;
        }
        let room = limits.imports_bytes.saturating_sub(held);
        if room == 0 {
            return Err(no_room(limits));
        }
        let mut length = 0;
        let bounded = body.map(|part| {
            let part = part?;
            length += part.len() as u64;
            match length {
                length if length > limits.import_bytes => Err(too_large(limits)),
                length if length > room => Err(no_room(limits)),
                _ => Ok(part),
            }
        });
        let (job, key) = named(site, tenant)?;
        let put = site.blob().put(&key, bounded, Expect::default()).await?;
        let stored = Self { blob: site.blob().clone(), key, job, length: put.length, kept: false };
        // Others may have come at the same time.
        if waiting(site, tenant).await? > limits.imports_bytes { Err(no_room(limits)) } else { Ok((stored, put.sha256)) }
    }

    /// Stores a stream of any length for the job that will have this id.
    pub async fn of(
        blob: &Blob,
        tenant: TenantId,
        job: RecordId,
        bytes: impl Stream<Item = Result<Bytes, Error>> + Send,
    ) -> Result<Self, Error> {
        let key = upload_key(tenant, job)?;
        let put = blob.put(&key, bytes, Expect::default()).await?;
        Ok(Self { blob: blob.clone(), key, job, length: put.length, kept: false })
    }

    /// The object stays: somebody else knows of it now, and deletes it.
    pub fn keep(mut self) {
        self.kept = true;
    }

    /// Where it is.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Of the job that is to work on it: while that one is not done, nobody sweeps the object away.
    pub fn job(&self) -> RecordId {
        self.job
    }
}

impl Upload {
    /// As an object, which goes with this value unless it is kept.
    pub async fn stored(self, site: &Site, tenant: TenantId) -> Result<Stored, Error> {
        match self.content {
            Content::AtHand(bytes) => Stored::whole(site, tenant, bytes).await,
            Content::Stored(stored) => Ok(stored),
        }
    }
}

/// Where what arrived waits for a job.
pub fn upload_key(tenant: TenantId, job: RecordId) -> Result<Key, Error> {
    Key::new(tenant, UPLOADS, &job.wire(JOB_PREFIX))
}

impl Drop for Stored {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let (blob, key) = (self.blob.clone(), self.key.clone());
        tokio::spawn(async move {
            // One that stays is swept with the next import.
            if let Err(error) = blob.delete(&key).await {
                tracing::warn!(error.code = error.code(), error.causes = %error.causes(), "an upload that nobody wants cannot be deleted");
            }
        });
    }
}

fn named(site: &Site, tenant: TenantId) -> Result<(RecordId, Key), Error> {
    let job = RecordId::new(site.clock(), site.random());
    Ok((job, upload_key(tenant, job)?))
}

/// Bytes of the files that wait in a tenant.
async fn waiting(site: &Site, tenant: TenantId) -> Result<u64, Error> {
    let (mut bytes, mut after) = (0, None);
    loop {
        let page = site.blob().list(tenant.into(), UPLOADS, after.as_deref(), MAX_PAGE).await?;
        bytes += page.objects.iter().map(|object| object.length).sum::<u64>();
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(bytes),
        }
    }
}

fn too_large(limits: &Limits) -> Error {
    let detail = format!("A file of rows has at most {} bytes: send it in several parts.", limits.import_bytes);
    Error::new(ErrorKind::TooLarge, "import_too_large", detail)
}

fn no_room(limits: &Limits) -> Error {
    let detail = format!(
        "The files of this tenant that wait to be imported have {} bytes together at most: wait until some of them are done.",
        limits.imports_bytes
    );
    Error::new(ErrorKind::Limited, "imports_full", detail).with_retry_after(LATER)
}

impl Body for Upload {
    fn rules(schema: Option<Value>) -> BodyRules {
        BodyRules { streamed: true, schema, ..BodyRules::none() }
    }

    fn read(part: RawPart, _: &BodyRules) -> Result<Self, Error> {
        let content = part.stored.map_or_else(|| Content::AtHand(part.bytes), Content::Stored);
        Ok(Self { media_type: part.media_type, content })
    }
}

/// Takes a body in and answers its digest with it. Fails with `import_too_large` or `imports_full` before more is stored than there is room for.
pub(crate) async fn receive(
    body: HttpBody,
    headers: &HeaderMap,
    rules: &BodyRules,
    site: &Site,
    tenant: TenantId,
) -> Result<(RawPart, [u8; 32]), Error> {
    let (media_type, encoding) = media(headers, rules)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > site.limits().import_bytes) {
        return Err(too_large(site.limits()));
    }
    let mut arriving = Arriving::new(body, site.limits());
    let mut head = BytesMut::new();
    let rest = loop {
        match arriving.next().await? {
            None => break None,
            Some(part) if head.len() + part.len() > AT_HAND => break Some(part),
            Some(part) => head.extend_from_slice(&part),
        }
    };
    if media_type.is_empty() {
        return Err(unsupported(rules));
    }
    let Some(rest) = rest else {
        let digest = digest::digest(&digest::SHA256, &head).as_ref().try_into().expect("SHA-256 has 32 bytes");
        return Ok((RawPart { media_type, encoding, bytes: head.freeze(), stored: None }, digest));
    };
    let begun = [Ok(head.freeze()), Ok(rest)];
    let more = stream::unfold(arriving, |mut arriving| async move { Some((arriving.next().await.transpose()?, arriving)) });
    let (stored, digest) = Stored::put(site, tenant, stream::iter(begun).chain(more)).await?;
    Ok((RawPart { media_type, encoding, bytes: Bytes::new(), stored: Some(stored) }, digest))
}
