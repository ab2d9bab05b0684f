//! The master key: one file beside the data, from which every other key of the installation is derived or under which it is sealed.

use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use steward_base::{Error, ErrorKind, Random, Result, Secret};
use zeroize::Zeroizing;

/// 32 bytes that never leave the process.
#[derive(Clone, Debug)]
pub struct MasterKey(Secret<[u8; 32]>);

impl MasterKey {
    /// The key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Reads `path`, or makes the file with a fresh key, mode 0600, fsynced with its folder.
    ///
    /// Fails with `master_key_unreadable` when the file cannot be read or written, is not 32 bytes in base64url, or is open to others.
    pub fn load_or_create(path: &Path, random: &Random) -> Result<Self> {
        match std::fs::metadata(path) {
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => Err(unreadable(path, "is readable by others; run chmod 600 on it", None)),
            Ok(_) => Self::load(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path, random),
            Err(error) => Err(unreadable(path, "cannot be read", Some(error))),
        }
    }

    fn load(path: &Path) -> Result<Self> {
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| unreadable(path, "cannot be read", Some(error)))?);
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map(Zeroizing::new).ok();
        let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
        bytes.map(Self::new).ok_or_else(|| unreadable(path, "does not hold 32 bytes in base64url", None))
    }

    fn create(path: &Path, random: &Random) -> Result<Self> {
        let bytes: [u8; 32] = random.bytes();
        let write = || -> io::Result<()> {
            // Written aside and renamed: a crash leaves no file or a whole one, never half a key.
            let aside = path.with_extension("new");
            let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            file.write_all(URL_SAFE_NO_PAD.encode(bytes).as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&aside, path)?;
            std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|error| unreadable(path, "cannot be written", Some(error)))?;
        Ok(Self::new(bytes))
    }

    /// A key for one purpose: HKDF-SHA256 with `label` as info.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let mut out = [0u8; 32];
        let info = [label.as_bytes()];
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"steward")
            .extract(self.0.expose())
            .expand(&info, hmac::HMAC_SHA256)
            .and_then(|okm| okm.fill(&mut out))
            .expect("32 bytes are within what HKDF-SHA256 gives");
        out
    }

    /// Seals `plain` with AES-256-GCM under the key for `label`; `bound_to` must be given again to open it. Base64url of nonce, text and tag.
    pub fn seal(&self, label: &str, bound_to: &[u8], plain: &[u8], random: &Random) -> String {
        let nonce: [u8; NONCE_LEN] = random.bytes();
        let mut sealed = plain.to_vec();
        self.cipher(label)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to), &mut sealed)
            .expect("the text is far below what AES-GCM can seal");
        let mut out = nonce.to_vec();
        out.extend_from_slice(&sealed);
        URL_SAFE_NO_PAD.encode(out)
    }

    /// Opens what [`MasterKey::seal`] wrote; `None` when the key, the binding or the text is another.
    pub fn open(&self, label: &str, bound_to: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = self.cipher(label).open_in_place(nonce, Aad::from(bound_to), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }

    fn cipher(&self, label: &str) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &self.derive(label)).expect("AES-256 takes 32 bytes");
        LessSafeKey::new(key)
    }
}

fn unreadable(path: &Path, what: &str, source: Option<io::Error>) -> Error {
    let detail = format!(
        "The master key file {} {what}. Without it sealed data cannot be opened; restore it from where you keep it.",
        path.display()
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
}
