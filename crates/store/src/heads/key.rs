//! The key of this installation that signs heads: made once, its private half sealed under the master key.

use std::io;
use std::path::Path;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, Random, Result, TenantId, Timestamp};

use super::{SignedHead, signed_text};
use crate::MasterKey;
use crate::dump::Position;
use crate::durable::{self, Readers};

const LABEL: &str = "chain-heads";
const FILE: &str = "signing-key.json";
/// What stands before the 32 bytes of an Ed25519 key in its DER form (RFC 8410).
const DER: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Signs heads.
pub struct HeadSigner {
    id: String,
    pair: Ed25519KeyPair,
}

/// The key as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    algorithm: String,
    /// The private key (PKCS#8), sealed.
    sealed: String,
}

impl HeadSigner {
    /// Reads the key of a folder, or makes one.
    ///
    /// Errors: `audit_folder` when the folder or the file cannot be used, `master_key_wrong` when the key was sealed under another one.
    pub fn load_or_create(folder: &Path, master: &MasterKey, random: &Random) -> Result<Self> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| unusable(&path, &error.into()))?;
                Self::open(&kept, master)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pair = Ed25519KeyPair::generate().map_err(Error::internal)?;
                let private = pair.to_pkcs8v1().map_err(Error::internal)?;
                keep(folder, &master.seal(LABEL, b"", private.as_ref(), random))?;
                Ok(Self::of(pair))
            }
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    /// Seals the key of a folder under the current master key; nothing happens where it is or there is none.
    pub fn reseal(folder: &Path, master: &MasterKey, random: &Random) -> Result<()> {
        let path = folder.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unusable(&path, &error)),
        };
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| unusable(&path, &error.into()))?;
        if master.is_current(&kept.sealed) {
            return Ok(());
        }
        let private = master.open(LABEL, b"", &kept.sealed).ok_or_else(wrong)?;
        keep(folder, &master.seal(LABEL, b"", &private, random))
    }

    /// The id of its public key: the first 8 bytes of its SHA-256.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key in PEM.
    pub fn public_pem(&self) -> String {
        let der = [&DER[..], self.pair.public_key().as_ref()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    /// Says that a chain had this head at this time.
    pub fn sign(&self, tenant: TenantId, head: Position, time: Timestamp) -> SignedHead {
        let signature = self.pair.sign(&signed_text(tenant, &head, time));
        SignedHead { tenant, head, time, key: self.id.clone(), signature: URL_SAFE_NO_PAD.encode(signature.as_ref()) }
    }

    fn open(kept: &Kept, master: &MasterKey) -> Result<Self> {
        let private = master.open(LABEL, b"", &kept.sealed).ok_or_else(wrong)?;
        Ed25519KeyPair::from_pkcs8(&private).map(Self::of).map_err(Error::internal)
    }

    fn of(pair: Ed25519KeyPair) -> Self {
        Self { id: id_of(pair.public_key().as_ref()), pair }
    }
}

/// The raw public key of a PEM file whose name says its id; `None` when it is none or another.
pub(super) fn public_of(pem: &str, id: &str) -> Option<Vec<u8>> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(text.trim()).ok()?;
    let key = der.strip_prefix(&DER).filter(|key| key.len() == 32)?;
    (id_of(key) == id).then(|| key.to_vec())
}

/// Whether a head is signed by this key.
pub(super) fn holds(head: &SignedHead, public: &[u8]) -> bool {
    let Ok(signature) = URL_SAFE_NO_PAD.decode(&head.signature) else { return false };
    UnparsedPublicKey::new(&ED25519, public).verify(&signed_text(head.tenant, &head.head, head.time), &signature).is_ok()
}

fn id_of(public: &[u8]) -> String {
    steward_base::hex(&digest::digest(&digest::SHA256, public).as_ref()[..8])
}

fn keep(folder: &Path, sealed: &str) -> Result<()> {
    let path = folder.join(FILE);
    let kept = Kept { algorithm: "Ed25519".to_owned(), sealed: sealed.to_owned() };
    let write = || {
        durable::folder(folder)?;
        durable::replace(&path, &serde_json::to_vec(&kept)?, Readers::OnlyUs)
    };
    write().map_err(|error| unusable(&path, &error))
}

pub(super) fn unusable(path: &Path, error: &io::Error) -> Error {
    let detail = format!("{} cannot be used: {error}. Signed heads of the event chains are kept there.", path.display());
    Error::new(ErrorKind::Unavailable, "audit_folder", detail)
}

fn wrong() -> Error {
    let detail = "The key that signs chain heads was sealed under another master key: start with that one.";
    Error::new(ErrorKind::Unavailable, "master_key_wrong", detail)
}
