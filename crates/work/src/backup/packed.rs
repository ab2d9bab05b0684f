//! Dumps as they are stored: compressed on their way in, and held against length and checksum on their way out.

use std::io::Write as _;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::stream::{BoxStream, try_unfold};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use steward_base::{Error, Result, TenantId, hex};
use steward_fabric::blob::Blob;

use super::{Part, damaged, gone, part_key};

/// Little work for most of the effect.
const LEVEL: i32 = 3;

/// Compresses, as one frame of Zstandard.
pub fn pack(dump: impl Stream<Item = Result<Bytes>> + Unpin + Send) -> Result<impl Stream<Item = Result<Bytes>> + Send> {
    let encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL).map_err(Error::internal)?;
    Ok(try_unfold((dump, Some(encoder)), |(mut dump, encoder)| async move {
        let Some(mut encoder) = encoder else { return Ok(None) };
        loop {
            match dump.try_next().await? {
                Some(bytes) => {
                    encoder.write_all(&bytes).map_err(Error::internal)?;
                    let packed = std::mem::take(encoder.get_mut());
                    if !packed.is_empty() {
                        return Ok(Some((Bytes::from(packed), (dump, Some(encoder)))));
                    }
                }
                None => return Ok(Some((Bytes::from(encoder.finish().map_err(Error::internal)?), (dump, None)))),
            }
        }
    }))
}

/// The dump in a part. It ends with `backup_damaged` when the object is not the one that was written.
pub(super) async fn unpack(blob: &Blob, tenant: TenantId, part: &Part) -> Result<BoxStream<'static, Result<Bytes>>> {
    let object = blob.get(&part_key(tenant, &part.backup)?, None).await?.ok_or_else(|| gone(part.told(tenant)))?;
    let decoder = zstd::stream::write::Decoder::new(Vec::new()).map_err(Error::internal)?;
    let (length, sha256, told) = (part.length, part.sha256.clone(), part.told(tenant));
    let state = (object.body, Some((decoder, Context::new(&SHA256), 0u64)));
    let unpacked = try_unfold(state, move |(mut body, reading)| {
        let (sha256, told) = (sha256.clone(), told.clone());
        async move {
            let Some((mut decoder, mut sum, mut seen)) = reading else { return Ok(None) };
            while let Some(bytes) = body.try_next().await? {
                sum.update(&bytes);
                seen += bytes.len() as u64;
                decoder.write_all(&bytes).map_err(|error| damaged(format!("{told}: {error}")))?;
                let plain = std::mem::take(decoder.get_mut());
                if !plain.is_empty() {
                    return Ok(Some((Bytes::from(plain), (body, Some((decoder, sum, seen))))));
                }
            }
            if seen != length || hex(sum.finish().as_ref()) != sha256 {
                return Err(damaged(format!("{told} is not what was written")));
            }
            decoder.flush().map_err(|error| damaged(format!("{told}: {error}")))?;
            Ok(Some((Bytes::from(std::mem::take(decoder.get_mut())), (body, None))))
        }
    });
    Ok(unpacked.boxed())
}

impl Part {
    fn told(&self, tenant: TenantId) -> String {
        format!("the part of {tenant} from {}", self.backup)
    }
}
