//! Putting an object: in parts of bounded size, hashed on the way, published only when it is what was announced.

use std::pin::pin;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use object_store::{MultipartUpload, ObjectStore as _, PutMultipartOptions, PutOptions, PutPayload};
use steward_base::{Error, ErrorKind, Result};

use super::door::{Door, Place, unavailable};
use super::key::Key;
use super::{Expect, Stored};

/// What is sent at once, and so what a put keeps in memory. S3 wants at least 5 MiB of all parts but the last.
const PART: usize = 8 << 20;

/// How a put is going on.
struct Progress {
    expect: Expect,
    hash: Context,
    length: u64,
    /// What is not sent yet; below [`PART`] between two chunks.
    rest: BytesMut,
}

pub(super) async fn put(door: &Door, key: &Key, body: impl Stream<Item = Result<Bytes>> + Send, expect: Expect) -> Result<Stored> {
    let mut body = pin!(body);
    let mut progress = Progress { expect, hash: Context::new(&SHA256), length: 0, rest: BytesMut::new() };
    let mut upload: Option<Box<dyn MultipartUpload>> = None;
    let outcome = loop {
        match body.next().await {
            Some(Ok(chunk)) => {
                if let Err(error) = progress.take(&chunk) {
                    break Err(error);
                }
                if let Err(error) = send(door, key, &mut progress, &mut upload).await {
                    break Err(error);
                }
            }
            Some(Err(error)) => break Err(error),
            None => break progress.finish(),
        }
    };
    match (outcome, upload) {
        (Ok((stored, rest)), None) => {
            let payload = PutPayload::from(rest);
            there(door.step(door.store.put_opts(&key.path(), payload, PutOptions::default())).await?)?;
            Ok(stored)
        }
        (Ok((stored, rest)), Some(mut upload)) => {
            let last = async {
                if !rest.is_empty() {
                    there(door.step(upload.put_part(rest.into())).await?)?;
                }
                there(door.step(upload.complete()).await?).map(drop)
            };
            match last.await {
                Ok(()) => Ok(stored),
                Err(error) => Err(given_up(door, upload, error).await),
            }
        }
        (Err(error), None) => Err(error),
        (Err(error), Some(upload)) => Err(given_up(door, upload, error).await),
    }
}

/// Sends as many whole parts as there are.
async fn send(door: &Door, key: &Key, progress: &mut Progress, upload: &mut Option<Box<dyn MultipartUpload>>) -> Result<()> {
    while progress.rest.len() >= PART {
        let upload = match upload {
            Some(upload) => upload,
            None => {
                let begun = door.step(door.store.put_multipart_opts(&key.path(), PutMultipartOptions::default())).await?;
                upload.insert(there(begun)?)
            }
        };
        let part = progress.rest.split_to(PART).freeze();
        there(door.step(upload.put_part(part.into())).await?)?;
    }
    Ok(())
}

/// Takes back what was sent; why it failed matters more than whether that works.
async fn given_up(door: &Door, mut upload: Box<dyn MultipartUpload>, error: Error) -> Error {
    if let Err(abort) = door.step(upload.abort()).await {
        tracing::debug!(error = %abort, causes = abort.causes(), "an unfinished upload stays until it is swept");
    }
    error
}

/// Where an object is put there is always a place: no bucket at all is an outage.
fn there<T>(answer: Option<T>) -> Result<T> {
    answer.ok_or_else(|| unavailable(Place::Bucket).with_source("there is no such bucket or upload"))
}

impl Progress {
    fn take(&mut self, chunk: &Bytes) -> Result<()> {
        self.length += chunk.len() as u64;
        if let Some(length) = self.expect.length.filter(|length| self.length > *length) {
            return Err(wrong_length(length, "more"));
        }
        self.hash.update(chunk);
        self.rest.extend_from_slice(chunk);
        Ok(())
    }

    fn finish(self) -> Result<(Stored, Bytes)> {
        if let Some(length) = self.expect.length.filter(|length| self.length < *length) {
            return Err(wrong_length(length, "fewer"));
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.hash.finish().as_ref());
        if self.expect.sha256.is_some_and(|expected| expected != sha256) {
            let detail = "The bytes that arrived do not have the SHA-256 that was announced: send them again.";
            return Err(Error::new(ErrorKind::Invalid, "blob_digest", detail));
        }
        Ok((Stored { length: self.length, sha256 }, self.rest.freeze()))
    }
}

fn wrong_length(length: u64, how: &str) -> Error {
    Error::new(ErrorKind::Invalid, "blob_length", format!("{length} bytes were announced and {how} arrived: send them again."))
}
