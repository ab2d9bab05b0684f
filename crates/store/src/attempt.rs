//! Keys under which clients repeat requests: claimed in the commit of the first effect, answered in a later one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use steward_base::{Attempt, Error, ErrorKind, Timestamp};

/// When a client that was too quick may ask again.
const AGAIN: Duration = Duration::from_secs(1);
/// Most ids that are remembered of what a request wrote.
pub(crate) const MAX_WRITTEN: usize = 1_000;

/// What is remembered of a request that came with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Digest of everything that was asked for, under a key.
    pub request: [u8; 32],
    /// Which try had the effect.
    pub nonce: [u8; 16],
    /// When the key was claimed.
    pub claimed_at: Timestamp,
    /// Wire ids of the records and jobs that the request wrote, up to 1,000.
    pub written: Vec<String>,
    /// What was answered, once it was: the status, and the rest as the caller of [`crate::Store::answer`] gave it, unless it was too large.
    pub answer: Option<(u16, Option<Vec<u8>>)>,
    /// Until when it is remembered.
    pub until: Timestamp,
}

impl Remembered {
    /// A key that nobody claimed before.
    pub(crate) fn claimed(attempt: &Attempt, now: Timestamp) -> Self {
        let (request, nonce, until) = (attempt.request, attempt.nonce, attempt.until);
        Self { request, nonce, claimed_at: now, written: Vec::new(), answer: None, until }
    }

    /// Fails when another request has the key: `idempotency_key_reused` when that asked for something else, `idempotency_in_flight` otherwise.
    pub(crate) fn refuse_others(&self, attempt: &Attempt) -> Result<(), Error> {
        if self.nonce == attempt.nonce {
            return Ok(());
        }
        self.refuse_reuse(attempt)?;
        Err(in_flight())
    }

    /// Fails with `idempotency_key_reused` when something else was asked for.
    pub fn refuse_reuse(&self, attempt: &Attempt) -> Result<(), Error> {
        if self.request == attempt.request || attempt.formerly.contains(&self.request) {
            return Ok(());
        }
        let detail = "This Idempotency-Key came with another request before. Use a new key for every new request.";
        Err(Error::new(ErrorKind::Invalid, "idempotency_key_reused", detail))
    }
}

/// The first request with the key is not answered yet.
pub fn in_flight() -> Error {
    let detail = "The first request with this Idempotency-Key is still being worked on. Send the same one again in a moment.";
    Error::new(ErrorKind::Conflict, "idempotency_in_flight", detail).with_retry_after(AGAIN)
}
