//! What every protocol does with a body: unpack it within bounds, off the async threads; and name the delivery.

use std::io::Read as _;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::HeaderMap;
use steward_base::{Error, ErrorKind, Result};
use steward_telemetry::Delivery;
use steward_web::RawPart;

/// The most bytes of a body as it is sent.
pub(crate) const PACKED_BYTES: usize = 16 << 20;
/// The most bytes of a body when unpacked.
const UNPACKED_BYTES: usize = 64 << 20;
const MAX_KEY: usize = 256;

/// The bytes of a body. Fails with `body_too_large` and `malformed_gzip`.
pub(crate) fn unpack(part: &RawPart) -> Result<Bytes> {
    if part.encoding != "gzip" {
        return Ok(part.bytes.clone());
    }
    let mut out = Vec::with_capacity((part.bytes.len() * 4).min(UNPACKED_BYTES));
    let mut decoder = MultiGzDecoder::new(&*part.bytes).take(UNPACKED_BYTES as u64 + 1);
    decoder.read_to_end(&mut out).map_err(|error| {
        Error::new(ErrorKind::Malformed, "malformed_gzip", "The body is announced as gzip and is not.").with_source(error)
    })?;
    if out.len() > UNPACKED_BYTES {
        let detail = format!("The unpacked body may have {UNPACKED_BYTES} bytes. Send less at once.");
        return Err(Error::new(ErrorKind::TooLarge, "body_too_large", detail));
    }
    Ok(out.into())
}

/// Runs what takes the processor long on a thread where it may.
pub(crate) async fn decoding<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

/// The delivery that `Idempotency-Key` names: a sender that tries again after a lost answer stores nothing twice.
pub(crate) fn delivery(headers: &HeaderMap) -> Result<Option<Delivery>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    if value.is_empty() || value.len() > MAX_KEY {
        let detail = format!("An idempotency key has 1 to {MAX_KEY} characters.");
        return Err(Error::new(ErrorKind::Malformed, "malformed_idempotency_key", detail));
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, value.as_bytes());
    let half = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    Ok(Some(Delivery(*half)))
}
