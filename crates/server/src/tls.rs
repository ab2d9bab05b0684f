//! The certificate and key that the server shows.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use steward_base::{Error, ErrorKind, Result};

use crate::config::Config;

/// The TLS configuration; `None` when TLS is off. Fails with `config_invalid`, naming the file.
pub(crate) fn load(config: &Config) -> Result<Option<Arc<ServerConfig>>> {
    if !config.tls() {
        return Ok(None);
    }
    let (certificate, key) = (Path::new(&config.tls_cert_file), Path::new(&config.tls_key_file));
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).map_err(|error| invalid(certificate, &error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| invalid(key, &error.to_string()))?;
    let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| invalid(certificate, &error.to_string()))?;
    Ok(Some(Arc::new(server)))
}

fn invalid(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, "config_invalid", format!("{} cannot be used for TLS: {why}.", path.display()))
}
