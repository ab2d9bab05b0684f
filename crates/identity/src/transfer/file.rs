//! The file as it lies on a disk: a few words in the clear, then chunks sealed with AES-256-GCM under a key that is derived from the passphrase.
//!
//! The chunks follow the STREAM construction: the nonce of each is its number and whether it is the last one, so that none can be left out, moved,
//! or taken for the end. The words in the clear are bound to every chunk, and the salt in them makes each file's key its own.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::stream::try_unfold;
use futures_util::{Stream, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use steward_base::{Error, ErrorKind, Result};
use steward_store::MasterKey;

use super::item::Item;
use super::{damaged, newer};
use crate::passwords::Cost;

const MAGIC: &[u8] = b"STEWARD-TENANT\n";
const FORMAT: u32 = 1;
/// Bytes of a chunk before it is sealed.
const CHUNK: usize = 64 << 10;
/// Marks the last chunk in its length.
const LAST: u32 = 1 << 31;
/// Longer words in the clear were never written.
const MAX_PREAMBLE: usize = 4 << 10;
/// What is unpacked at once: four of its bytes become 128 KiB at most.
const UNPACKED_AT_ONCE: usize = 128;
/// Of how many bytes back, as a power of two, what is packed may speak: memory that is taken before the first of them comes.
const WINDOW: u32 = 23;
const LABEL: &str = "tenant-file";

/// What stands in the clear.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Preamble {
    format: u32,
    /// Base64url of 16 bytes.
    salt: String,
    /// Argon2id's memory in KiB.
    memory_kib: u32,
    /// Argon2id's passes.
    passes: u32,
}

impl Preamble {
    pub(super) fn new(cost: &Cost) -> Self {
        Self { format: FORMAT, salt: URL_SAFE_NO_PAD.encode(cost.salt), memory_kib: cost.memory_kib, passes: cost.passes }
    }

    /// What deriving the key takes.
    pub(super) fn cost(&self) -> Result<Cost> {
        let salt = URL_SAFE_NO_PAD.decode(&self.salt).ok().and_then(|salt| salt.try_into().ok());
        let cost =
            Cost { salt: salt.ok_or_else(|| damaged("the salt is not of its form"))?, memory_kib: self.memory_kib, passes: self.passes };
        if cost.is_bearable() { Ok(cost) } else { Err(damaged("its key takes more to derive than any that was written")) }
    }
}

struct Cipher {
    key: LessSafeKey,
    /// The words in the clear.
    bound_to: Vec<u8>,
    number: u64,
}

impl Cipher {
    fn new(key: &MasterKey, bound_to: Vec<u8>) -> Self {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key.derive(LABEL)).expect("AES-256 takes 32 bytes"));
        Self { key, bound_to, number: 0 }
    }

    fn nonce(&self, last: u32) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(last == LAST);
        Nonce::assume_unique_for_key(nonce)
    }

    /// The chunk as it is written.
    fn seal(&mut self, plain: &[u8], last: u32) -> Bytes {
        let mut sealed = plain.to_vec();
        let nonce = self.nonce(last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(&self.bound_to), &mut sealed)
            .expect("a chunk is far below what AES-GCM can seal");
        self.number += 1;
        let mut out = BytesMut::with_capacity(4 + sealed.len());
        out.put_u32_le(sealed.len() as u32 | last);
        out.put_slice(&sealed);
        out.freeze()
    }

    fn open<'a>(&mut self, sealed: &'a mut [u8], last: u32) -> Option<&'a [u8]> {
        let plain = self.key.open_in_place(self.nonce(last), Aad::from(&self.bound_to), sealed).ok()?;
        self.number += 1;
        Some(plain)
    }
}

/// Seals what is told.
pub(super) fn seal<S>(plain: S, key: &MasterKey, preamble: &Preamble) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<S>>
where
    S: Stream<Item = Result<Bytes>> + Unpin + Send,
{
    let words = serde_json::to_vec(preamble).map_err(Error::internal)?;
    let mut begin = BytesMut::from(MAGIC);
    begin.put_u32_le(words.len() as u32);
    begin.put_slice(&words);
    let mut cipher = Cipher::new(key, words);
    // With nothing in it: whether it opens says whether the passphrase is right, whatever became of the rest.
    begin.put_slice(&cipher.seal(&[], 0));
    let state = (plain, Some(cipher), BytesMut::new(), Some(begin.freeze()));
    Ok(try_unfold(state, |(mut plain, cipher, mut waiting, begin)| async move {
        if let Some(begin) = begin {
            return Ok(Some((begin, (plain, cipher, waiting, None))));
        }
        let Some(mut cipher) = cipher else { return Ok(None) };
        // One byte more than a chunk: then it is not the last one.
        while waiting.len() <= CHUNK {
            match plain.try_next().await? {
                Some(bytes) => waiting.extend_from_slice(&bytes),
                None => return Ok(Some((cipher.seal(&waiting, LAST), (plain, None, waiting, None)))),
            }
        }
        let chunk = cipher.seal(&waiting.split_to(CHUNK), 0);
        Ok(Some((chunk, (plain, Some(cipher), waiting, None))))
    }))
}

/// Reads a file: sealed chunks, unpacked, taken apart.
pub(super) struct Reader<S> {
    source: S,
    raw: BytesMut,
    words: Vec<u8>,
    preamble: Preamble,
    cipher: Option<Cipher>,
    /// What is left of the chunk at hand.
    packed: BytesMut,
    /// The chunk at hand is the last one.
    last: bool,
    /// Nothing once all of the last chunk was unpacked.
    decoder: Option<zstd::stream::write::Decoder<'static, Vec<u8>>>,
    plain: BytesMut,
    back: Option<Item>,
}

impl<S: Stream<Item = Result<Bytes>> + Unpin + Send> Reader<S> {
    /// Reads what stands in the clear. Fails with `not_an_export`, `dump_cut`, `dump_damaged` or `dump_newer`.
    pub(super) async fn begin(mut source: S) -> Result<Self> {
        let mut raw = BytesMut::new();
        let foreign = || {
            let detail = "This is no file of an exported tenant: send what the export answered, whole and unchanged.";
            Error::new(ErrorKind::Invalid, "not_an_export", detail)
        };
        if !filled(&mut source, &mut raw, MAGIC.len()).await? || !raw.starts_with(MAGIC) {
            return Err(foreign());
        }
        raw.advance(MAGIC.len());
        let length = if filled(&mut source, &mut raw, 4).await? { raw.get_u32_le() as usize } else { return Err(cut()) };
        if length > MAX_PREAMBLE {
            return Err(damaged("its first words are longer than any"));
        }
        if !filled(&mut source, &mut raw, length).await? {
            return Err(cut());
        }
        let words = raw.split_to(length).to_vec();
        let told: serde_json::Value = serde_json::from_slice(&words).map_err(|error| damaged(error.to_string()))?;
        match told["format"].as_u64() {
            None => return Err(damaged("it does not say its format")),
            Some(format) if format > u64::from(FORMAT) => return Err(newer()),
            Some(_) => {}
        }
        let preamble = serde_json::from_value(told).map_err(|error| damaged(error.to_string()))?;
        let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).map_err(Error::internal)?;
        decoder.window_log_max(WINDOW).map_err(Error::internal)?;
        let (packed, plain) = (BytesMut::new(), BytesMut::new());
        Ok(Self { source, raw, words, preamble, cipher: None, packed, last: false, decoder: Some(decoder), plain, back: None })
    }

    pub(super) fn preamble(&self) -> &Preamble {
        &self.preamble
    }

    /// Opens the first chunk, which is there for that. Fails with `passphrase_wrong`, `dump_cut` or `dump_damaged`.
    pub(super) async fn open(&mut self, key: &MasterKey) -> Result<()> {
        self.cipher = Some(Cipher::new(key, self.words.clone()));
        let opened = self.chunk().await;
        opened.map_err(|error| match error.code() {
            "dump_damaged" => {
                let detail = "This is not the passphrase that the file was sealed under, or the file is damaged at its very beginning.";
                Error::new(ErrorKind::Invalid, "passphrase_wrong", detail)
            }
            _ => error,
        })
    }

    /// The next piece. Fails with `dump_cut` and `dump_damaged`; there is always one more until the end was read.
    pub(super) async fn item(&mut self) -> Result<Item> {
        if let Some(item) = self.back.take() {
            return Ok(item);
        }
        loop {
            if let Some(item) = Item::decode(&mut self.plain)? {
                return Ok(item);
            }
            self.more().await?;
        }
    }

    /// The piece is asked for again.
    pub(super) fn put_back(&mut self, item: Item) {
        self.back = Some(item);
    }

    /// Nothing may come behind the end.
    pub(super) async fn finish(mut self) -> Result<()> {
        while self.plain.is_empty() && self.decoder.is_some() {
            self.more().await?;
        }
        let rest = !self.plain.is_empty() || filled(&mut self.source, &mut self.raw, 1).await?;
        if rest { Err(damaged("something comes behind its end")) } else { Ok(()) }
    }

    /// Unpacks the next bit and no more: how large a chunk becomes is said by whoever wrote the file.
    async fn more(&mut self) -> Result<()> {
        if self.packed.is_empty() && !self.last {
            self.chunk().await?;
        }
        let Some(decoder) = &mut self.decoder else { return Err(cut()) };
        let bit = self.packed.split_to(self.packed.len().min(UNPACKED_AT_ONCE));
        decoder.write_all(&bit).map_err(|error| damaged(error.to_string()))?;
        let at_end = self.last && self.packed.is_empty();
        if at_end {
            decoder.flush().map_err(|error| damaged(error.to_string()))?;
        }
        self.plain.extend_from_slice(decoder.get_ref());
        decoder.get_mut().clear();
        if at_end {
            self.decoder = None;
        }
        Ok(())
    }

    /// Opens the next chunk.
    async fn chunk(&mut self) -> Result<()> {
        let Some(cipher) = &mut self.cipher else { return Err(Error::internal("a file is read before it is opened")) };
        if !filled(&mut self.source, &mut self.raw, 4).await? {
            return Err(cut());
        }
        let word = self.raw.get_u32_le();
        let (length, last) = ((word & !LAST) as usize, word & LAST);
        if length > CHUNK + MAX_TAG_LEN {
            return Err(damaged("a chunk is longer than any"));
        }
        if !filled(&mut self.source, &mut self.raw, length).await? {
            return Err(cut());
        }
        let mut sealed = self.raw.split_to(length);
        let plain = cipher.open(&mut sealed, last).ok_or_else(|| damaged("a chunk does not open"))?.len();
        sealed.truncate(plain);
        (self.packed, self.last) = (sealed, last == LAST);
        Ok(())
    }
}

/// Whether there are so many bytes.
async fn filled<S: Stream<Item = Result<Bytes>> + Unpin>(source: &mut S, raw: &mut BytesMut, wanted: usize) -> Result<bool> {
    while raw.len() < wanted {
        match source.try_next().await? {
            Some(bytes) => raw.extend_from_slice(&bytes),
            None => return Ok(false),
        }
    }
    Ok(true)
}

fn cut() -> Error {
    let detail = "This file breaks off before its end: use a whole copy of it.";
    Error::new(ErrorKind::Invalid, "dump_cut", detail)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use steward_base::Random;

    use super::*;

    /// A file that holds what is packed already.
    async fn sealed(packed: Vec<u8>) -> Reader<impl Stream<Item = Result<Bytes>> + Unpin + Send> {
        let (key, preamble) = (MasterKey::new([5; 32]), Preamble::new(&Cost::of_files(&Random::system())));
        let plain = stream::iter([Ok(Bytes::from(packed))]);
        let parts: Vec<Bytes> = seal(plain, &key, &preamble).expect("is sealed").try_collect().await.expect("is told");
        let mut file = Reader::begin(stream::iter(parts.into_iter().map(Ok))).await.expect("begins");
        file.open(&key).await.expect("opens");
        file
    }

    #[tokio::test]
    async fn a_few_bytes_that_become_very_many_are_unpacked_bit_by_bit() {
        // A frame of Zstandard whose blocks of four bytes stand for 128 KiB each.
        let head = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
        let block = |byte: u8| [0x02, 0x00, 0x10, byte];
        let bomb = |byte: u8| head.into_iter().chain(block(byte).repeat(1_000)).collect::<Vec<u8>>();
        let mut file = sealed(bomb(b'B')).await;
        assert_eq!(file.item().await.expect_err("is longer than any piece").code(), "dump_damaged");
        assert!(file.plain.len() <= 8 << 20, "{} bytes are in memory", file.plain.len());
        let file = sealed(bomb(0)).await;
        assert_eq!(file.finish().await.expect_err("comes behind the end").code(), "dump_damaged");
    }

    #[tokio::test]
    async fn what_asks_for_more_memory_than_any_file_is_refused() {
        // A window of 128 MiB.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x02, 0x00, 0x10, b'B'];
        assert_eq!(sealed(frame.to_vec()).await.item().await.expect_err("is refused").code(), "dump_damaged");
    }

    #[tokio::test]
    async fn a_description_is_no_longer_than_any_that_was_written() {
        let long = [&[b'P'][..], &(1u32 << 20).to_le_bytes()].concat();
        let mut file = sealed(zstd::encode_all(&long[..], 3).expect("is packed")).await;
        assert_eq!(file.item().await.expect_err("is refused").code(), "dump_damaged");
    }
}
