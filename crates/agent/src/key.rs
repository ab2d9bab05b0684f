//! The device's own Ed25519 key. It never leaves the state folder.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use steward_base::{Error, ErrorKind, Result, Secret};

use crate::state::State;

const FILE: &str = "device.key";

/// The key pair.
pub(crate) struct DeviceKey {
    pkcs8: Secret<Vec<u8>>,
    public: String,
}

impl DeviceKey {
    /// The key of the state folder, made at the first start.
    pub(crate) fn load_or_create(state: &State) -> Result<Self> {
        let pkcs8 = match state.read(FILE)? {
            Some(bytes) => Secret::new(bytes),
            None => {
                let pair = Ed25519KeyPair::generate().map_err(Error::internal)?;
                let pkcs8 = Secret::new(pair.to_pkcs8().map_err(Error::internal)?.as_ref().to_vec());
                state.write(FILE, pkcs8.expose())?;
                pkcs8
            }
        };
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.expose()).map_err(|error| {
            let detail = format!("{} is not a key. Remove it, and enrol the device again.", state.folder().join(FILE).display());
            Error::new(ErrorKind::Invalid, "state_unusable", detail).with_source(error)
        })?;
        Ok(Self { pkcs8, public: URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()) })
    }

    /// The public half: 32 bytes in base64url.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    /// A JWT with these claims, signed with EdDSA.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String> {
        let key = EncodingKey::from_ed_der(self.pkcs8.expose());
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &key).map_err(Error::internal)
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.public)
    }
}
