//! The header by which a process shows that it belongs to the installation.
//!
//! `1.<run>.<time>.<nonce>.<digest>.<mac>`: the run of the data role that is meant (`-` in a greeting), microseconds since 1970, 16 random bytes,
//! SHA-256 of the body, and HMAC-SHA256 over audience, method, path and all of these. It is good for 30 seconds to either side of the time and for
//! one use; what was said to an earlier run is nothing to this one, so that a restart forgets no use. It is checked before the body is read.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use steward_base::{Clock, Error, ErrorKind, Random};
use zeroize::Zeroizing;

use crate::keys::MasterKey;

pub(super) const HEADER: &str = "x-steward-signed";
/// Who is spoken to.
const AUDIENCE: &str = "data";
/// How long a header is good, and how far clocks may differ.
const LIFETIME: Duration = Duration::from_secs(30);
/// In place of a run where none is known yet.
pub(super) const NO_RUN: &str = "-";
/// What the key is derived from the master key for.
const LABEL: &str = "data-link";

/// The key that processes of one installation sign requests to the `data` role with.
#[derive(Clone)]
pub struct LinkKey(Arc<hmac::Key>);

impl LinkKey {
    /// The key that follows from the master key.
    pub fn derived(master: &MasterKey) -> Self {
        Self::new(&Zeroizing::new(master.derive(LABEL)))
    }

    /// The key in a file: 32 bytes in base64url.
    ///
    /// Errors: `data_key_unreadable`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unreadable = |why: &str| {
            let detail = format!("The file {} {why}: it holds one key of 32 bytes in base64url.", path.display());
            Error::new(ErrorKind::Unavailable, "data_key_unreadable", detail)
        };
        let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| unreadable("cannot be read").with_source(error))?;
        let bytes = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('=')).map(Zeroizing::new);
        let bytes = bytes.ok().and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok()).map(Zeroizing::new);
        bytes.map(|bytes| Self::new(&bytes)).ok_or_else(|| unreadable("is no key"))
    }

    fn new(bytes: &[u8; 32]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// The header for a request.
    pub(super) fn sign(&self, meant: &Meant<'_>, body: &[u8], clock: &Clock, random: &Random) -> String {
        let nonce = URL_SAFE_NO_PAD.encode(random.bytes::<16>());
        let head = format!("1.{}.{}.{nonce}.{}", meant.run, clock.now().micros(), digest_of(body));
        let mac = hmac::sign(&self.0, meant.with(&head).as_bytes());
        format!("{head}.{}", URL_SAFE_NO_PAD.encode(mac))
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey")
    }
}

/// What a signature is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meant<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) run: &'a str,
}

impl Meant<'_> {
    fn with(&self, head: &str) -> String {
        format!("{AUDIENCE}\n{}\n{}\n{head}", self.method, self.path)
    }
}

/// Checks headers, each once.
pub(super) struct Guard {
    key: LinkKey,
    clock: Clock,
    seen: Mutex<Seen>,
}

/// Uses of the last minute at least: in the current half and the one before.
#[derive(Default)]
struct Seen {
    current: HashSet<[u8; 16]>,
    before: HashSet<[u8; 16]>,
    /// Of the monotonic clock.
    turned: Duration,
}

/// A header that was right; the body is still to be compared.
#[derive(Debug)]
pub(super) struct Verified {
    digest: String,
}

impl Guard {
    pub(super) fn new(key: LinkKey, clock: Clock) -> Self {
        Self { key, clock, seen: Mutex::default() }
    }

    /// Errors: `data_unsigned`, `data_signature`, `data_restarted`, `data_expired`, `data_replayed`.
    pub(super) fn verify(&self, meant: &Meant<'_>, header: Option<&str>) -> Result<Verified, Error> {
        let header = header
            .ok_or_else(|| refused("data_unsigned", "Requests to the data role are signed by another process of the installation."))?;
        let bad = || refused("data_signature", "The signature does not fit: both processes need the same master key or data_key_file.");
        let (head, mac) = header.rsplit_once('.').ok_or_else(bad)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| bad())?;
        hmac::verify(&self.key.0, meant.with(head).as_bytes(), &mac).map_err(|_| bad())?;
        let mut parts = head.split('.');
        let mut part = || parts.next().ok_or_else(bad);
        let (version, run, time, nonce, digest) = (part()?, part()?, part()?, part()?, part()?);
        if version != "1" {
            return Err(bad());
        }
        if run != meant.run {
            return Err(refused("data_restarted", "The data role was started anew: greet it again."));
        }
        let time: i64 = time.parse().map_err(|_| bad())?;
        if u128::from(self.clock.now().micros().abs_diff(time)) > LIFETIME.as_micros() {
            return Err(refused(
                "data_expired",
                "The signature is too old, or the clocks of the two machines differ by more than 30 seconds.",
            ));
        }
        let nonce = URL_SAFE_NO_PAD.decode(nonce).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(bad)?;
        if !self.seen.lock().first_use(nonce, self.clock.monotonic()) {
            return Err(refused("data_replayed", "This very request was made before."));
        }
        Ok(Verified { digest: digest.to_owned() })
    }
}

impl Verified {
    /// Whether the body is the one that was signed.
    pub(super) fn covers(&self, body: &[u8]) -> Result<(), Error> {
        let same = verify_slices_are_equal(digest_of(body).as_bytes(), self.digest.as_bytes());
        same.map_err(|_| refused("data_signature", "The body is not the one that was signed."))
    }
}

impl Seen {
    fn first_use(&mut self, nonce: [u8; 16], now: Duration) -> bool {
        // A header can be used from 30 s before its time to 30 s after it.
        let kept = 2 * LIFETIME;
        if now.saturating_sub(self.turned) >= kept {
            self.before = if now.saturating_sub(self.turned) < 2 * kept { std::mem::take(&mut self.current) } else { HashSet::new() };
            self.current.clear();
            self.turned = now;
        }
        !self.before.contains(&nonce) && self.current.insert(nonce)
    }
}

fn digest_of(body: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, body))
}

fn refused(code: &'static str, detail: &'static str) -> Error {
    Error::new(ErrorKind::Unauthenticated, code, detail)
}

#[cfg(test)]
mod tests {
    use steward_base::Timestamp;

    use super::*;

    const MEANT: Meant<'_> = Meant { method: "POST", path: "/data/v1/get", run: "r1" };

    fn code(result: Result<Verified, Error>) -> &'static str {
        result.map_or_else(|error| error.code(), |_| "ok")
    }

    #[test]
    fn a_header_is_good_once_for_what_it_was_made_for() {
        let (clock, random) = (Clock::manual(Timestamp::from_micros(1_763_630_000_000_000)), Random::seeded(1));
        let key = LinkKey::new(&[1; 32]);
        let guard = Guard::new(key.clone(), clock.clone());
        let sign = || key.sign(&MEANT, b"body", &clock, &random);

        let header = sign();
        let verified = guard.verify(&MEANT, Some(&header)).expect("is right");
        verified.covers(b"body").expect("is the body");
        assert_eq!(verified.covers(b"other").expect_err("another body").code(), "data_signature");
        assert_eq!(code(guard.verify(&MEANT, Some(&header))), "data_replayed");
        assert_eq!(code(guard.verify(&MEANT, None)), "data_unsigned");

        let others = [Meant { method: "GET", ..MEANT }, Meant { path: "/data/v1/commit", ..MEANT }];
        for other in others {
            assert_eq!(code(guard.verify(&other, Some(&sign()))), "data_signature");
        }
        assert_eq!(code(guard.verify(&Meant { run: "r2", ..MEANT }, Some(&sign()))), "data_restarted");
        let stranger = LinkKey::new(&[2; 32]).sign(&MEANT, b"body", &clock, &random);
        assert_eq!(code(guard.verify(&MEANT, Some(&stranger))), "data_signature");
        for broken in ["", "1.2", &sign().replacen("1.", "2.", 1), &sign()[..40]] {
            assert_eq!(code(guard.verify(&MEANT, Some(broken))), "data_signature", "{broken}");
        }
    }

    #[test]
    fn time_ends_it_and_no_earlier_moment_forgets_its_use() {
        let (clock, random) = (Clock::manual(Timestamp::from_micros(1_763_630_000_000_000)), Random::seeded(2));
        let key = LinkKey::new(&[1; 32]);
        let guard = Guard::new(key.clone(), clock.clone());
        let ahead = Clock::manual(clock.now().plus(LIFETIME));
        let early = key.sign(&MEANT, b"", &ahead, &random);
        assert_eq!(code(guard.verify(&MEANT, Some(&early))), "ok");
        for _ in 0..12 {
            assert_eq!(code(guard.verify(&MEANT, Some(&early))), "data_replayed");
            clock.advance(Duration::from_secs(5));
        }
        clock.advance(Duration::from_secs(1));
        assert_eq!(code(guard.verify(&MEANT, Some(&early))), "data_expired");
        assert_eq!(code(guard.verify(&MEANT, Some(&key.sign(&MEANT, b"", &clock, &random)))), "ok");
    }
}
