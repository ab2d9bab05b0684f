//! What every protocol does with a body: unpack it within bounds, off the async threads; and name the delivery.

use std::io::Read as _;

use aws_lc_rs::digest;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::HeaderMap;
use steward_base::{Ctx, Error, ErrorKind, Result};
use steward_telemetry::Delivery;
use steward_web::RawPart;
use tokio::sync::Semaphore;

/// The most bytes of a body as it is sent.
pub(crate) const PACKED_BYTES: usize = 16 << 20;
/// The most bytes of a body when unpacked.
const UNPACKED_BYTES: usize = 64 << 20;
/// The most bytes that the rows of one body take once its shared attributes stand on each.
const BATCH_BYTES: usize = 96 << 20;
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

/// Bodies that are taken apart at once: each may hold some hundred megabytes for a moment.
static DECODERS: Semaphore = Semaphore::const_new(4);

/// Runs what takes the processor long on a thread where it may.
pub(crate) async fn decoding<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let _place = DECODERS.acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

/// Fails with `batch_too_large` once a batch in the making holds more than one request may: what a small body can unfold to is bounded here,
/// before it is held.
pub(crate) fn bounded(bytes: usize) -> Result<()> {
    if bytes <= BATCH_BYTES {
        return Ok(());
    }
    let detail = format!("The rows of one request may take {BATCH_BYTES} bytes, attributes repeated on each. Send less at once.");
    Err(Error::new(ErrorKind::TooLarge, "batch_too_large", detail))
}

/// The delivery that `Idempotency-Key` names: a sender that tries again after a lost answer stores nothing twice. A key is the sender's own,
/// and counts for one operation and stream: nobody's delivery can be taken for another's.
pub(crate) fn delivery(headers: &HeaderMap, ctx: &Ctx, stream: &str) -> Result<Option<Delivery>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    if value.is_empty() || value.len() > MAX_KEY {
        let detail = format!("An idempotency key has 1 to {MAX_KEY} characters.");
        return Err(Error::new(ErrorKind::Malformed, "malformed_idempotency_key", detail));
    }
    let mut whole = digest::Context::new(&digest::SHA256);
    for part in [ctx.principal().to_string().as_bytes(), ctx.reason().as_bytes(), stream.as_bytes(), value.as_bytes()] {
        whole.update(&(part.len() as u64).to_le_bytes());
        whole.update(part);
    }
    let digest = whole.finish();
    let half = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    Ok(Some(Delivery(*half)))
}
