//! Data keys: AES-256-GCM under a key that stands in the database only wrapped.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use steward_base::{Clock, Error, ErrorKind, Random, RecordId, TenantId};
use zeroize::Zeroizing;

use super::MasterKey;

const LABEL: &str = "data-key";
/// Of what a data key sealed: this byte, the key's id, nonce, text and tag.
const FORMAT: u8 = 1;

/// A data key as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    pub(crate) id: RecordId,
    /// Names the record whose personal data it seals; the tenant's secrets without one.
    pub(crate) subject: Option<RecordId>,
    pub(crate) wrapped: Arc<str>,
    pub(crate) created_at: i64,
}

/// A data key wrapped under another master key, if it is still as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rewrapped {
    pub(crate) id: RecordId,
    pub(crate) from: Arc<str>,
    pub(crate) to: Arc<str>,
}

/// Which data keys are asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which {
    /// Those for the tenant's secrets, oldest first.
    Secrets,
    /// These, where they are.
    Ids(Vec<RecordId>),
    /// All, by id, after one.
    After(Option<RecordId>, usize),
}

/// A data key ready to seal and open. It is wiped when dropped.
pub(crate) struct DataKey {
    pub(crate) id: RecordId,
    cipher: LessSafeKey,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataKey({})", self.id.uuid())
    }
}

impl DataKey {
    /// A fresh key and the row it is kept as.
    pub(crate) fn make(master: &MasterKey, tenant: TenantId, subject: Option<RecordId>, clock: &Clock, random: &Random) -> (KeyRow, Self) {
        let id = RecordId::new(clock, random);
        let bytes = Zeroizing::new(random.bytes::<32>());
        let wrapped = master.seal(LABEL, &bound(tenant, id), &*bytes, random);
        let row = KeyRow { id, subject, wrapped: wrapped.into(), created_at: clock.now().micros() };
        (row, Self { id, cipher: cipher(&bytes) })
    }

    /// Errors: `master_key_wrong` when it was wrapped under a key that the ring does not hold.
    pub(crate) fn unwrap(master: &MasterKey, tenant: TenantId, row: &KeyRow) -> Result<Self, Error> {
        let bytes = open(master, tenant, row)?;
        Ok(Self { id: row.id, cipher: cipher(&bytes) })
    }

    /// Seals a text that opens only with the same `bound_to`.
    pub(crate) fn seal(&self, bound_to: &[u8], plain: &[u8], random: &Random) -> String {
        let nonce: [u8; NONCE_LEN] = random.bytes();
        let mut text = plain.to_vec();
        self.cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to), &mut text)
            .expect("the text is far below what AES-GCM can seal");
        let mut out = Vec::with_capacity(1 + 16 + NONCE_LEN + text.len());
        out.push(FORMAT);
        out.extend_from_slice(&self.id.bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&text);
        URL_SAFE_NO_PAD.encode(out)
    }

    /// Opens what this key sealed with the same `bound_to`.
    pub(crate) fn open(&self, bound_to: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let (id, rest) = split(sealed)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok().filter(|_| id == self.id)?;
        let length = self.cipher.open_in_place(nonce, Aad::from(bound_to), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

impl KeyRow {
    /// The key wrapped under the current master key; `None` when it is already.
    pub(crate) fn rewrapped(&self, master: &MasterKey, tenant: TenantId, random: &Random) -> Result<Option<Rewrapped>, Error> {
        if master.is_current(&self.wrapped) {
            return Ok(None);
        }
        let wrapped = master.seal(LABEL, &bound(tenant, self.id), &*open(master, tenant, self)?, random);
        Ok(Some(Rewrapped { id: self.id, from: self.wrapped.clone(), to: wrapped.into() }))
    }

    /// The key as it is wrapped under another master key. Errors: `master_key_wrong`.
    pub(crate) fn carried(&self, (from, to): (&MasterKey, &MasterKey), tenant: TenantId, random: &Random) -> Result<String, Error> {
        Ok(to.seal(LABEL, &bound(tenant, self.id), &*open(from, tenant, self)?, random))
    }
}

/// The id of the key that sealed a text.
pub(crate) fn key_of(sealed: &str) -> Option<RecordId> {
    split(sealed).map(|(id, _)| id)
}

fn split(sealed: &str) -> Option<(RecordId, Vec<u8>)> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let (&FORMAT, rest) = bytes.split_first()? else { return None };
    let (id, rest) = rest.split_at_checked(16)?;
    Some((RecordId::from_bytes(id.try_into().ok()?), rest.to_vec()))
}

fn open(master: &MasterKey, tenant: TenantId, row: &KeyRow) -> Result<Zeroizing<[u8; 32]>, Error> {
    let bytes = master.open(LABEL, &bound(tenant, row.id), &row.wrapped);
    let bytes = bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).map(Zeroizing::new);
    bytes.ok_or_else(|| {
        let detail = "The master key is not the one that this data was sealed under: start with that one.";
        Error::new(ErrorKind::Unavailable, "master_key_wrong", detail)
            .with_source(format!("data key {} of {tenant} does not open under {master:?}", row.id.uuid()))
    })
}

fn bound(tenant: TenantId, id: RecordId) -> Vec<u8> {
    [tenant.bytes(), id.bytes()].concat()
}

fn cipher(bytes: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 takes 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_what_it_sealed_where_it_was_sealed() {
        let (master, clock, random) = (MasterKey::new([1; 32]), Clock::system(), Random::seeded(1));
        let tenant = TenantId::OPERATOR;
        let (row, key) = DataKey::make(&master, tenant, None, &clock, &random);
        let sealed = key.seal(b"here", b"open sesame", &random);
        assert_eq!(key_of(&sealed), Some(row.id));
        let again = DataKey::unwrap(&master, tenant, &row).expect("unwraps");
        assert_eq!(again.open(b"here", &sealed).expect("opens").as_slice(), b"open sesame");
        assert!(again.open(b"there", &sealed).is_none());
        let (_, other) = DataKey::make(&master, tenant, None, &clock, &random);
        assert!(other.open(b"here", &sealed).is_none());
        assert_eq!(DataKey::unwrap(&MasterKey::new([2; 32]), tenant, &row).expect_err("another ring").code(), "master_key_wrong");
        assert!(DataKey::unwrap(&master, TenantId::new(&clock, &random), &row).is_err(), "keys stay with their tenant");
    }
}
