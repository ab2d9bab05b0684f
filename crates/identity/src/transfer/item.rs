//! What a file holds, piece by piece: one byte that says of what sort it is, the length, the content.
//!
//! In this order: what it is, persons, the dump, objects (each its name, its bytes, its checksum), the end. Stored, so that it only grows.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use steward_base::{Error, Result, TenantId, Timestamp};

use super::damaged;
use crate::PersonId;

/// Longer pieces are cut.
pub(super) const LONGEST: usize = 1 << 20;
/// Longer descriptions of anything were never written.
const LONGEST_WORDS: usize = 16 << 10;
pub(super) const HEAD: usize = 5;

const ABOUT: u8 = b'T';
const PERSON: u8 = b'P';
const DUMP: u8 = b'D';
const OBJECT: u8 = b'O';
const BYTES: u8 = b'B';
const SUM: u8 = b'S';
const END: u8 = b'E';

/// Which tenant it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) tenant: TenantId,
    pub(super) name: String,
    pub(super) slug: String,
    pub(super) exported_at: Timestamp,
    /// Whether it took no requests where it came from. Files from before this was said do not say it.
    #[serde(default)]
    pub(super) suspended: bool,
}

/// A person who is a member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Traveller {
    pub(super) id: PersonId,
    pub(super) email: String,
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) password_hash: Option<String>,
}

/// The name of an object within its tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) class: String,
    pub(super) name: String,
    pub(super) length: u64,
}

/// What the bytes of an object came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum {
    pub(super) length: u64,
    /// Hexadecimal digits.
    pub(super) sha256: String,
}

/// What was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) persons: u64,
    pub(super) objects: u64,
}

/// One piece.
#[derive(Debug)]
pub(super) enum Item {
    About(About),
    Person(Traveller),
    Dump(Bytes),
    Object(Named),
    Bytes(Bytes),
    Sum(Sum),
    End(Totals),
}

impl Item {
    pub(super) fn encode(&self) -> Result<Bytes> {
        match self {
            Self::About(about) => json(ABOUT, about),
            Self::Person(person) => json(PERSON, person),
            Self::Dump(bytes) => Ok(framed(DUMP, bytes)),
            Self::Object(named) => json(OBJECT, named),
            Self::Bytes(bytes) => Ok(framed(BYTES, bytes)),
            Self::Sum(sum) => json(SUM, sum),
            Self::End(totals) => json(END, totals),
        }
    }

    /// Takes the next piece off; nothing while it is not whole.
    pub(super) fn decode(plain: &mut BytesMut) -> Result<Option<Self>> {
        let Some(head) = plain.get(..HEAD) else { return Ok(None) };
        let (tag, length) = (head[0], u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize);
        let longest = match tag {
            DUMP | BYTES => LONGEST,
            ABOUT | PERSON | OBJECT | SUM | END => LONGEST_WORDS,
            _ => return Err(super::newer()),
        };
        if length > longest {
            return Err(damaged("a piece is longer than any"));
        }
        if plain.len() < HEAD + length {
            return Ok(None);
        }
        plain.advance(HEAD);
        let content = plain.split_to(length).freeze();
        Ok(Some(match tag {
            ABOUT => Self::About(read(&content)?),
            PERSON => Self::Person(read(&content)?),
            DUMP => Self::Dump(content),
            OBJECT => Self::Object(read(&content)?),
            BYTES => Self::Bytes(content),
            SUM => Self::Sum(read(&content)?),
            END => Self::End(read(&content)?),
            _ => return Err(super::newer()),
        }))
    }
}

fn json(tag: u8, value: &impl Serialize) -> Result<Bytes> {
    Ok(framed(tag, &serde_json::to_vec(value).map_err(Error::internal)?))
}

fn read<T: serde::de::DeserializeOwned>(content: &[u8]) -> Result<T> {
    serde_json::from_slice(content).map_err(|error| damaged(error.to_string()))
}

fn framed(tag: u8, content: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD + content.len());
    out.put_u8(tag);
    out.put_u32_le(content.len() as u32);
    out.put_slice(content);
    out.freeze()
}
