//! The objects of tenants in a backup: each content is copied once per tenant, under its SHA-256, and told of by every backup that it was
//! there for.

use std::collections::{HashMap, HashSet};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use steward_base::{Error, Result, TenantId, Timestamp, hex};
use steward_fabric::blob::{Blob, Expect, Key, Stored};
use steward_fabric::{Class, Scope};
use steward_web::imports::CLASSES;

use super::{damaged, gone};

pub(super) const OBJECTS: Class = Class::new("backup-objects");
/// How often an object that is written anew while it is copied is begun again.
const TRIES: usize = 5;

/// An object of a tenant in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its class.
    pub class: String,
    /// Its name.
    pub name: String,
    /// When it was written: one of the same name that was written anew is another one.
    pub modified: Timestamp,
    /// Its bytes.
    pub length: u64,
    /// Of its bytes, as hexadecimal digits; the copy is named after it.
    pub sha256: String,
}

/// Copies what `known` does not have. One that is deleted meanwhile is left out.
pub(super) async fn copy(from: &Blob, to: &Blob, tenant: TenantId, known: &[Object]) -> Result<Vec<Object>> {
    // What an interrupted backup left is copied again: its name may not outlive a power cut.
    let mut contents: HashSet<String> = known.iter().map(|object| object.sha256.clone()).collect();
    let known: HashMap<(&str, &str), &Object> = known.iter().map(|object| ((&*object.class, &*object.name), object)).collect();
    let mut copied = Vec::new();
    for class in CLASSES {
        let mut after = None;
        loop {
            let page = from.list(tenant.into(), class, after.as_deref(), 1_000).await?;
            for found in &page.objects {
                match known.get(&(class.name(), found.key.name())) {
                    Some(known) if known.length == found.length && known.modified == found.modified => copied.push((*known).clone()),
                    _ => copied.extend(copy_one(from, to, (tenant, &found.key), &mut contents).await?),
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    Ok(copied)
}

/// Adds what came meanwhile. What went meanwhile stays: the records may name it as of a moment before.
pub(super) async fn copy_more(from: &Blob, to: &Blob, tenant: TenantId, before: Vec<Object>) -> Result<Vec<Object>> {
    let mut objects = copy(from, to, tenant, &before).await?;
    let there: HashSet<(String, String)> = objects.iter().map(|object| (object.class.clone(), object.name.clone())).collect();
    objects.extend(before.into_iter().filter(|object| !there.contains(&(object.class.clone(), object.name.clone()))));
    Ok(objects)
}

async fn copy_one(from: &Blob, to: &Blob, (tenant, key): (TenantId, &Key), contents: &mut HashSet<String>) -> Result<Option<Object>> {
    for _ in 0..TRIES {
        // Read twice, because what it is called there is known only then.
        let Some(object) = from.get(key, None).await? else { return Ok(None) };
        let modified = object.meta.modified;
        let Stored { length, sha256 } = summed(object.body).await?;
        let (class, name) = (key.class().name().to_owned(), key.name().to_owned());
        let copied = Object { class, name, modified, length, sha256: hex(&sha256) };
        if contents.contains(&copied.sha256) {
            return Ok(Some(copied));
        }
        let Some(object) = from.get(key, None).await? else { return Ok(None) };
        match to.put(&copied.key(tenant)?, object.body, Expect { length: Some(length), sha256: Some(sha256) }).await {
            Ok(_) => {
                contents.insert(copied.sha256.clone());
                return Ok(Some(copied));
            }
            Err(error) if matches!(error.code(), "blob_length" | "blob_digest") => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::internal(format!("{} changed whenever it was copied", key.name())))
}

/// Reads the copies of a tenant again, each once; answers how many objects they are and their bytes.
///
/// Errors: `backup_damaged`, `backup_missing`.
pub(super) async fn verify(blob: &Blob, tenant: TenantId, objects: &[Object]) -> Result<(u64, u64)> {
    let (mut seen, mut bytes) = (HashSet::new(), 0);
    for object in objects {
        if seen.insert(&object.sha256) {
            let Stored { length, sha256 } = summed(object.read(blob, tenant).await?.body).await?;
            if length != object.length || hex(&sha256) != object.sha256 {
                return Err(object.spoilt(tenant));
            }
            bytes += length;
        }
    }
    Ok((objects.len() as u64, bytes))
}

/// Puts the objects of a tenant back where they were; `fresh` is told those that were not there before.
pub(super) async fn restore(from: &Blob, to: &Blob, (tenant, objects): (TenantId, &[Object]), fresh: &mut Vec<Key>) -> Result<()> {
    for object in objects {
        restore_one(from, to, (tenant, object), fresh).await?;
    }
    Ok(())
}

async fn restore_one(from: &Blob, to: &Blob, (tenant, object): (TenantId, &Object), fresh: &mut Vec<Key>) -> Result<()> {
    let class = CLASSES.into_iter().find(|class| class.name() == object.class);
    let class = class.ok_or_else(|| damaged(format!("this version knows no objects of the class {}", object.class)))?;
    let key = Key::new(tenant, class, &object.name)?;
    let body = object.read(from, tenant).await?.body;
    let sha256 = digest(&object.sha256).ok_or_else(|| object.spoilt(tenant))?;
    if to.head(&key).await?.is_none() {
        fresh.push(key.clone());
    }
    match to.put(&key, body, Expect { length: Some(object.length), sha256: Some(sha256) }).await {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.code(), "blob_length" | "blob_digest") => Err(object.spoilt(tenant)),
        Err(error) => Err(error),
    }
}

async fn summed(body: impl Stream<Item = Result<Bytes>> + Send) -> Result<Stored> {
    let mut body = std::pin::pin!(body);
    let (mut sum, mut length) = (Context::new(&SHA256), 0);
    while let Some(bytes) = body.try_next().await? {
        sum.update(&bytes);
        length += bytes.len() as u64;
    }
    let sha256 = sum.finish().as_ref().try_into().expect("SHA-256 has 32 bytes");
    Ok(Stored { length, sha256 })
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let digit = |at: usize| text.get(at * 2..at * 2 + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let bytes: Vec<u8> = (0..32).map_while(digit).collect();
    bytes.try_into().ok().filter(|_| text.len() == 64)
}

impl Object {
    pub(super) fn key(&self, tenant: TenantId) -> Result<Key> {
        Key::new(Scope::Platform, OBJECTS, &format!("{tenant}.{}", self.sha256))
    }

    async fn read(&self, blob: &Blob, tenant: TenantId) -> Result<steward_fabric::blob::Object> {
        blob.get(&self.key(tenant)?, None).await?.ok_or_else(|| gone(self.told(tenant)))
    }

    fn spoilt(&self, tenant: TenantId) -> Error {
        damaged(format!("the copy of {} is not what was copied", self.told(tenant)))
    }

    fn told(&self, tenant: TenantId) -> String {
        format!("the object {}/{} of {tenant}", self.class, self.name)
    }
}
