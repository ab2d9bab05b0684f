//! A body of any size: at hand while it is small, an object of the site's beyond that.

use aws_lc_rs::digest;
use axum::body::Body as HttpBody;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::HeaderMap;
use serde_json::Value;
use steward_base::{Error, RecordId, TenantId};
use steward_fabric::Class;
use steward_fabric::blob::{Blob, Expect, Key, whole};
use steward_store::JOB_PREFIX;

use super::arriving::Arriving;
use super::body::{media, unsupported};
use super::{Body, BodyRules, RawPart};
use crate::site::Site;

/// What arrived and waits for a job.
pub(crate) const UPLOADS: Class = Class::new("uploads");
/// Most bytes that are kept in memory.
const AT_HAND: usize = 4 << 20;

/// A body of any size.
#[derive(Debug)]
pub(crate) struct Upload {
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
pub(crate) struct Stored {
    blob: Blob,
    key: Key,
    /// Of the job that will work on it; the object has its name.
    pub(crate) job: RecordId,
    pub(crate) length: u64,
    kept: bool,
}

impl Stored {
    /// Stores what is at hand.
    pub(crate) async fn whole(site: &Site, tenant: TenantId, bytes: Bytes) -> Result<Self, Error> {
        let (job, key) = named(site, tenant)?;
        let put = site.blob().put(&key, whole(bytes), Expect::default()).await?;
        Ok(Self { blob: site.blob().clone(), key, job, length: put.length, kept: false })
    }

    /// The object stays: somebody else knows of it now.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }
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
    Ok((job, Key::new(tenant, UPLOADS, &job.wire(JOB_PREFIX))?))
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

/// Takes a body in and answers its digest with it.
pub(crate) async fn receive(
    body: HttpBody,
    headers: &HeaderMap,
    rules: &BodyRules,
    site: &Site,
    tenant: TenantId,
) -> Result<(RawPart, [u8; 32]), Error> {
    let (media_type, encoding) = media(headers, rules)?;
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
    let (job, key) = named(site, tenant)?;
    let begun = [Ok(head.freeze()), Ok(rest)];
    let more = stream::unfold(arriving, |mut arriving| async move { Some((arriving.next().await.transpose()?, arriving)) });
    let put = site.blob().put(&key, futures_util::StreamExt::chain(stream::iter(begun), more), Expect::default()).await?;
    let stored = Stored { blob: site.blob().clone(), key, job, length: put.length, kept: false };
    Ok((RawPart { media_type, encoding, bytes: Bytes::new(), stored: Some(stored) }, put.sha256))
}
