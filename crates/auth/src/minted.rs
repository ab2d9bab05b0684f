//! Minted strings: `stw_<tenant><key id><secret><crc>` in base32.
//!
//! A string carries its tenant, so that nothing needs a write in two namespaces; its checksum lets secret scanners and typing mistakes be
//! told from real ones without a look-up. Only the digest of the secret is stored.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use steward_base::{Random, RecordId, Secret, TenantId, base32};

const LENGTH: usize = 16 + 16 + 32 + 4;

/// What a minted string is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintedKind {
    /// An API key.
    ApiKey,
    /// A signed-in session.
    Session,
    /// A device's way in.
    Enrolment,
    /// The one-time link that makes the first owner.
    SetUp,
    /// The code with which a person sets a password once.
    Password,
}

impl MintedKind {
    const ALL: [MintedKind; 5] = [MintedKind::ApiKey, MintedKind::Session, MintedKind::Enrolment, MintedKind::SetUp, MintedKind::Password];

    const fn prefix(self) -> &'static str {
        match self {
            MintedKind::ApiKey => "stw_",
            MintedKind::Session => "sts_",
            MintedKind::Enrolment => "ste_",
            MintedKind::SetUp => "stu_",
            MintedKind::Password => "stp_",
        }
    }
}

/// A minted string taken apart: tenant, id of the record that stands for it, and the secret.
#[derive(Debug)]
pub struct Minted {
    /// What it is for.
    pub kind: MintedKind,
    /// Whose it is.
    pub tenant: TenantId,
    /// The record that stands for it.
    pub record: RecordId,
    secret: Secret<[u8; 32]>,
}

impl Minted {
    /// A fresh one for the record `record`.
    pub fn new(kind: MintedKind, tenant: TenantId, record: RecordId, random: &Random) -> Self {
        Self { kind, tenant, record, secret: Secret::new(random.bytes()) }
    }

    /// The string to hand out, once.
    pub fn reveal(&self) -> Secret<String> {
        let mut bytes = [0u8; LENGTH];
        bytes[..16].copy_from_slice(&self.tenant.bytes());
        bytes[16..32].copy_from_slice(&self.record.bytes());
        bytes[32..64].copy_from_slice(self.secret.expose());
        let crc = checksum(self.kind, &bytes[..64]);
        bytes[64..].copy_from_slice(&crc);
        Secret::new(format!("{}{}", self.kind.prefix(), base32::encode(&bytes)))
    }

    /// Reads a string; `None` when it is no minted string or its checksum is off.
    pub fn parse(text: &str) -> Option<Self> {
        let kind = MintedKind::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))?;
        let bytes: [u8; LENGTH] = base32::decode(&text[kind.prefix().len()..])?;
        if checksum(kind, &bytes[..64]) != bytes[64..] {
            return None;
        }
        let part = |from: usize| -> [u8; 16] {
            let mut out = [0u8; 16];
            out.copy_from_slice(&bytes[from..from + 16]);
            out
        };
        let mut secret = [0u8; 32];
        secret.copy_from_slice(&bytes[32..64]);
        Some(Self {
            kind,
            tenant: RecordId::from_bytes(part(0)).into(),
            record: RecordId::from_bytes(part(16)),
            secret: Secret::new(secret),
        })
    }

    /// What is stored: HMAC-SHA256 of the secret under the record's id, base64url. The secret is 256 random bits, so no slow hash is needed.
    pub fn digest(&self) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.record.bytes());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, self.secret.expose()).as_ref())
    }

    /// Whether `digest` is this string's, in constant time.
    pub fn matches(&self, digest: &str) -> bool {
        constant_time::verify_slices_are_equal(self.digest().as_bytes(), digest.as_bytes()).is_ok()
    }
}

fn checksum(kind: MintedKind, bytes: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(kind.prefix().as_bytes());
    hasher.update(bytes);
    hasher.finalize().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Minted {
        Minted::new(MintedKind::ApiKey, TenantId::OPERATOR, RecordId::from_bytes([7; 16]), &Random::seeded(3))
    }

    #[test]
    fn reads_back_and_matches_only_its_own_digest() {
        let minted = sample();
        let read = Minted::parse(minted.reveal().expose()).expect("reads back");
        assert_eq!((read.tenant, read.record, read.kind), (minted.tenant, minted.record, minted.kind));
        assert!(read.matches(&minted.digest()));
        let other = Minted::new(MintedKind::ApiKey, TenantId::OPERATOR, minted.record, &Random::seeded(4));
        assert!(!other.matches(&minted.digest()));
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_noticed(at in 4usize..113, with in "[0-9a-hjkmnp-tv-z]") {
            let text = sample().reveal().expose().clone();
            let mut changed = text.clone();
            changed.replace_range(at..=at, &with);
            prop_assert_eq!(Minted::parse(&changed).is_some(), changed == text);
        }

        #[test]
        fn a_string_of_one_kind_is_none_of_another(text in "\\PC{0,120}") {
            prop_assert!(Minted::parse(&text).is_none());
            prop_assert!(Minted::parse(&sample().reveal().expose().replacen("stw_", "sts_", 1)).is_none());
        }
    }
}
