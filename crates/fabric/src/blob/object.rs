//! Reading: what an object is like, its bytes, and lists.

use std::collections::BTreeMap;
use std::fmt;
use std::io::SeekFrom;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectMeta, ObjectStore as _};
use steward_base::{Error, ErrorKind, Result, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::door::{Door, Place, failure, unavailable};
use super::key::{Key, folder};
use crate::{Class, Scope};

/// How much of a file is read at once.
const CHUNK: usize = 256 << 10;

/// What an object is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What it is stored under.
    pub key: Key,
    /// Its length in bytes.
    pub length: u64,
    /// When it was put.
    pub modified: Timestamp,
}

/// An object on its way.
pub struct Object {
    /// What it is like as a whole.
    pub meta: Meta,
    /// The bytes that come.
    pub range: Range<u64>,
    /// The bytes in order; it ends with an error when there are fewer than the range says.
    pub body: BoxStream<'static, Result<Bytes>>,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The objects, by name.
    pub objects: Vec<Meta>,
    /// The name to go on behind; `None` at the end.
    pub next: Option<String>,
}

impl Object {
    /// All the bytes that come. Fails with `blob_too_large` when they are more than `most`.
    pub async fn bytes(mut self, most: usize) -> Result<Bytes> {
        let length = self.range.end - self.range.start;
        if length > most as u64 {
            let detail = format!("The object has {length} bytes and {most} are read at once: read a part.");
            return Err(Error::new(ErrorKind::TooLarge, "blob_too_large", detail));
        }
        let mut bytes = BytesMut::with_capacity(length as usize);
        while let Some(chunk) = self.body.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("meta", &self.meta).field("range", &self.range).finish_non_exhaustive()
    }
}

pub(super) async fn head(door: &Door, key: &Key) -> Result<Option<Meta>> {
    let options = GetOptions { head: true, ..GetOptions::default() };
    let found = door.step(door.store.get_opts(&key.path(), options)).await?;
    Ok(found.map(|result| meta(key.clone(), &result.meta)))
}

pub(super) async fn get(door: &Door, key: &Key, range: Option<Range<u64>>) -> Result<Option<Object>> {
    let mut options = GetOptions::default();
    if let Some(range) = &range {
        // Stores differ in what they say to a range that cannot be met, so the length is known before.
        let Some(meta) = head(door, key).await? else { return Ok(None) };
        let range = range.start..range.end.min(meta.length);
        if range.start > meta.length || range.start > range.end {
            let detail = format!("The object has {} bytes: the range begins behind its end.", meta.length);
            return Err(Error::new(ErrorKind::Invalid, "blob_range", detail));
        }
        if range.is_empty() {
            return Ok(Some(Object { meta, range, body: futures_util::stream::empty().boxed() }));
        }
        options.range = Some(GetRange::Bounded(range));
    }
    let Some(result) = door.step(door.store.get_opts(&key.path(), options)).await? else { return Ok(None) };
    let (meta, range) = (meta(key.clone(), &result.meta), result.range);
    let body = match result.payload {
        GetResultPayload::File(file, _) => from_file(tokio::fs::File::from_std(file), range.clone()).await?,
        GetResultPayload::Stream(stream) => stream.map_err(|error| failure(error, Place::Bucket)).boxed(),
    };
    Ok(Some(Object { meta, body: counted(body, range.end - range.start), range }))
}

pub(super) async fn list(door: &Door, scope: Scope, class: Class, after: Option<&str>, limit: usize) -> Result<Page> {
    let folder = folder(scope, class);
    let mut stream = match after {
        Some(after) => door.store.list_with_offset(Some(&folder), &folder.clone().join(after)),
        None => door.store.list(Some(&folder)),
    };
    let ordered = door.guard.is_some();
    let mut found = BTreeMap::new();
    while let Some(Some(listed)) = door.step(async { stream.next().await.transpose() }).await? {
        let name = listed.location.filename().unwrap_or_default();
        // Files that somebody else put into the folder are none of ours.
        if let Ok(key) = Key::new(scope, class, name).map_err(drop)
            && key.path() == listed.location
        {
            found.insert(name.to_owned(), meta(key, &listed));
        }
        if found.len() > limit + 1 {
            found.pop_last();
        }
        if ordered && found.len() > limit {
            break;
        }
    }
    let more = found.len() > limit;
    let objects: Vec<Meta> = found.into_values().take(limit).collect();
    let next = objects.last().filter(|_| more).map(|meta| meta.key.name().to_owned());
    Ok(Page { objects, next })
}

fn meta(key: Key, meta: &ObjectMeta) -> Meta {
    Meta { key, length: meta.size, modified: Timestamp::from_micros(meta.last_modified.timestamp_micros()) }
}

async fn from_file(mut file: tokio::fs::File, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes>>> {
    let lost = |error: std::io::Error| unavailable(Place::Folder).with_source(error);
    file.seek(SeekFrom::Start(range.start)).await.map_err(lost)?;
    let reader = ReaderStream::with_capacity(file.take(range.end - range.start), CHUNK);
    Ok(reader.map_err(lost).boxed())
}

/// The stream, with an error at its end when it brought fewer bytes than it should.
fn counted(body: BoxStream<'static, Result<Bytes>>, length: u64) -> BoxStream<'static, Result<Bytes>> {
    let missing = body.chain(futures_util::stream::once(async { Ok(Bytes::new()) })).scan(length, |left, chunk| {
        let chunk = match chunk {
            Ok(chunk) if chunk.is_empty() && *left > 0 => {
                Err(unavailable(Place::Bucket).with_source(format!("the object broke off {left} bytes before its end")))
            }
            Ok(chunk) => {
                *left = left.saturating_sub(chunk.len() as u64);
                Ok(chunk)
            }
            Err(error) => Err(error),
        };
        futures_util::future::ready(Some(chunk))
    });
    missing.try_filter(|chunk| futures_util::future::ready(!chunk.is_empty())).boxed()
}
