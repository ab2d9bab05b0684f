//! The certificates that a server's own must come from, as an operator names them.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Whether a text is PEM with a certificate. The libraries take one without for an authority that nobody comes from.
pub(crate) fn is_usable(pem: &str) -> bool {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    certificates.is_ok_and(|certificates| !certificates.is_empty())
}
