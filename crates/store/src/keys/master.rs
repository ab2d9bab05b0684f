//! The master key: a ring of keys from outside the database, under which every other key of the installation is sealed.
//!
//! The first key of the ring is the current one; the others still open what they sealed. What is sealed begins with the id of its key.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::RwLock;
use steward_base::{Error, ErrorKind, Random, Result, Secret, base32};
use zeroize::Zeroizing;

/// A key of the ring.
#[derive(Clone)]
struct Key {
    /// Derived from it, and no way back: it may be shown.
    id: String,
    bytes: Secret<[u8; 32]>,
}

/// The keys that an installation stands on. Clones are one ring.
#[derive(Clone)]
pub struct MasterKey(Arc<RwLock<Arc<[Key]>>>);

impl MasterKey {
    /// A ring of one key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(RwLock::new([Key::new(bytes)].into())))
    }

    /// Reads keys, 32 bytes in base64url each, separated by commas or blanks; the first is current. `source` is named in the error.
    ///
    /// Errors: `master_key_unreadable`.
    pub fn parse(text: &str, source: &str) -> Result<Self> {
        Ok(Self(Arc::new(RwLock::new(
            keys_in(text).ok_or_else(|| unreadable(source, "does not hold keys of 32 bytes in base64url", None))?,
        ))))
    }

    /// Reads `path`, one key per line and the current one first, or makes the file with a fresh key, mode 0600, fsynced with its folder.
    ///
    /// Fails with `master_key_unreadable` when the file cannot be read or written, holds something else, or is open to others.
    pub fn load_or_create(path: &Path, random: &Random) -> Result<Self> {
        let file = format!("the file {}", path.display());
        match std::fs::metadata(path) {
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
                Err(unreadable(&file, "is readable by others; run chmod 600 on it", None))
            }
            Ok(_) => Self::parse(&read(path)?, &file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let fresh = random.bytes();
                write(path, &Zeroizing::new(URL_SAFE_NO_PAD.encode(fresh)))?;
                Ok(Self::new(fresh))
            }
            Err(error) => Err(unreadable(&file, "cannot be read", Some(error))),
        }
    }

    /// Puts a fresh key before those in the file, and uses it from now on; the others still open what they sealed. Answers its id.
    ///
    /// Errors: `master_key_unreadable`; then the ring is as before.
    pub fn rotate(&self, path: &Path, random: &Random) -> Result<String> {
        // Held while the file is written: two rotations at once would lose a key.
        let mut ring = self.0.write();
        let file = format!("the file {}", path.display());
        let text = Zeroizing::new(format!("{}\n{}", *Zeroizing::new(URL_SAFE_NO_PAD.encode(random.bytes::<32>())), read(path)?.as_str()));
        let keys = keys_in(&text).ok_or_else(|| unreadable(&file, "does not hold keys of 32 bytes in base64url", None))?;
        write(path, &text)?;
        *ring = keys;
        Ok(ring[0].id.clone())
    }

    /// The short id of the current key.
    pub fn id(&self) -> String {
        self.0.read()[0].id.clone()
    }

    /// A key for one purpose, from the current key: HKDF-SHA256 with `label` as info.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        self.0.read()[0].derive(label)
    }

    /// The same from each key of the ring, the current one first.
    pub fn derive_each(&self, label: &str) -> Vec<[u8; 32]> {
        self.0.read().iter().map(|key| key.derive(label)).collect()
    }

    /// Seals `plain` with AES-256-GCM under the current key for `label`; `bound_to` must be given again to open it. The key's id, a dot, and
    /// base64url of nonce, text and tag.
    pub fn seal(&self, label: &str, bound_to: &[u8], plain: &[u8], random: &Random) -> String {
        let key = self.0.read()[0].clone();
        let nonce: [u8; NONCE_LEN] = random.bytes();
        let mut sealed = plain.to_vec();
        key.cipher(label)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to), &mut sealed)
            .expect("the text is far below what AES-GCM can seal");
        let mut out = nonce.to_vec();
        out.extend_from_slice(&sealed);
        format!("{}.{}", key.id, URL_SAFE_NO_PAD.encode(out))
    }

    /// Opens what [`MasterKey::seal`] wrote; `None` when the key is not in the ring, or the binding or the text is another.
    pub fn open(&self, label: &str, bound_to: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let ring = self.0.read().clone();
        // Before there was a ring nothing said which key it was sealed under.
        let (id, text) = sealed.split_once('.').map_or((None, sealed), |(id, text)| (Some(id), text));
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        ring.iter().filter(|key| id.is_none_or(|id| id == key.id)).find_map(|key| key.open(label, bound_to, &bytes))
    }

    /// Whether it was sealed under the current key.
    pub fn is_current(&self, sealed: &str) -> bool {
        sealed.split_once('.').is_some_and(|(id, _)| id == self.0.read()[0].id)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id())
    }
}

impl Key {
    fn new(bytes: [u8; 32]) -> Self {
        let id = base32::encode(&derive(&bytes, "key-id")[..5]);
        Self { id, bytes: Secret::new(bytes) }
    }

    fn derive(&self, label: &str) -> [u8; 32] {
        derive(self.bytes.expose(), label)
    }

    fn cipher(&self, label: &str) -> LessSafeKey {
        let key = Zeroizing::new(self.derive(label));
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key).expect("AES-256 takes 32 bytes"))
    }

    fn open(&self, label: &str, bound_to: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = self.cipher(label).open_in_place(nonce, Aad::from(bound_to), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

fn derive(key: &[u8; 32], label: &str) -> [u8; 32] {
    let mut out = [0u8; 32];
    let info = [label.as_bytes()];
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"steward")
        .extract(key)
        .expand(&info, hmac::HMAC_SHA256)
        .and_then(|okm| okm.fill(&mut out))
        .expect("32 bytes are within what HKDF-SHA256 gives");
    out
}

fn keys_in(text: &str) -> Option<Arc<[Key]>> {
    let words = text.split([',', ' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
    let keys = words.map(|word| {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(word).ok()?);
        bytes.as_slice().try_into().ok().map(Key::new)
    });
    let keys = keys.collect::<Option<Vec<Key>>>()?;
    (!keys.is_empty()).then(|| keys.into())
}

fn read(path: &Path) -> Result<Zeroizing<String>> {
    let read = std::fs::read_to_string(path).map(Zeroizing::new);
    read.map_err(|error| unreadable(&format!("the file {}", path.display()), "cannot be read", Some(error)))
}

fn write(path: &Path, text: &str) -> Result<()> {
    // A crash leaves no file or a whole one, never half a key.
    let written = crate::durable::replace(path, text.as_bytes(), crate::durable::Readers::OnlyUs);
    written.map_err(|error| unreadable(&format!("the file {}", path.display()), "cannot be written", Some(error)))
}

fn unreadable(from: &str, what: &str, source: Option<io::Error>) -> Error {
    let detail = format!(
        "The master key comes from {from}, which {what}. Without it sealed data cannot be opened: restore it from where you keep it."
    );
    let error = Error::new(ErrorKind::Unavailable, "master_key_unreadable", detail);
    match source {
        Some(source) => error.with_source(source),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_private_and_keeps_the_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("master.key");
        let first = MasterKey::load_or_create(&path, &Random::system()).expect("creates");
        let again = MasterKey::load_or_create(&path, &Random::system()).expect("reads");
        assert_eq!(first.derive("x"), again.derive("x"));
        assert_ne!(first.derive("x"), first.derive("y"));
        assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("opens it up");
        let refused = MasterKey::load_or_create(&path, &Random::system()).expect_err("is refused");
        assert_eq!(refused.code(), "master_key_unreadable");
    }

    #[test]
    fn sealed_text_opens_only_under_its_own_key_and_binding() {
        let (key, random) = (MasterKey::new([1; 32]), Random::seeded(1));
        let sealed = key.seal("label", b"record", b"the text", &random);
        assert_eq!(key.open("label", b"record", &sealed).expect("opens").as_slice(), b"the text");
        assert!(key.open("label", b"another", &sealed).is_none());
        assert!(key.open("other", b"record", &sealed).is_none());
        assert!(MasterKey::new([2; 32]).open("label", b"record", &sealed).is_none());
        assert!(key.open("label", b"record", "AAAA").is_none());
    }

    #[test]
    fn a_rotated_ring_seals_anew_and_opens_what_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, random) = (folder.path().join("master.key"), Random::seeded(2));
        let key = MasterKey::load_or_create(&path, &random).expect("creates");
        let other_handle = key.clone();
        let (old, before) = (key.seal("label", b"", b"old", &random), key.id());
        assert!(key.is_current(&old));
        let id = key.rotate(&path, &random).expect("rotates");
        assert_ne!(id, before);
        assert_eq!(other_handle.id(), id, "clones are one ring");
        assert!(!key.is_current(&old));
        let new = key.seal("label", b"", b"new", &random);
        let reread = MasterKey::load_or_create(&path, &random).expect("reads two lines");
        for (sealed, plain) in [(&old, b"old"), (&new, b"new")] {
            assert_eq!(reread.open("label", b"", sealed).expect("opens").as_slice(), plain);
        }
        assert_eq!(reread.id(), id);
        let only_old = old.split_once('.').expect("names its key").1;
        assert_eq!(reread.open("label", b"", only_old).expect("opens without an id").as_slice(), b"old");
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        let one = URL_SAFE_NO_PAD.encode([3; 32]);
        assert_eq!(MasterKey::parse(&format!("{one},{one}\n"), "x").expect("reads").id(), MasterKey::new([3; 32]).id());
        for text in ["", "short", &format!("{one} short")] {
            let refused = MasterKey::parse(text, "the environment").expect_err("is no key");
            assert!(refused.detail().contains("the environment"), "{}", refused.detail());
        }
    }
}
