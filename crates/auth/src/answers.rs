//! Answers that are kept for whoever repeats a request: sealed, all of them, since one may hold a secret that is shown once.

use aws_lc_rs::hmac;
use steward_base::{Attempt, Ctx, Error, Result, Secret, TenantId, Timestamp};
use steward_store::{MasterKey, Remembered};

use crate::Authority;

const LABEL: &str = "kept-answer";
const REQUESTS: &str = "repeated-request";

/// What became of an earlier request with the same key.
#[derive(Debug)]
pub enum Earlier {
    /// It was answered: the status, and what was kept of the rest.
    Answered(u16, Secret<Vec<u8>>),
    /// It had its effect, and there is no answer to give again, at least not yet.
    Unanswered {
        /// When it began to have an effect.
        since: Timestamp,
        /// Whether it came to its end, with an answer too large to keep.
        ended: bool,
        /// Wire ids of what it wrote.
        written: Vec<String>,
    },
}

impl Authority {
    /// What is kept of a request that may be repeated, from the digest of all that it asks for: nobody can tell from it what was asked for, not even
    /// by guessing, without the master key. One for each key of the ring, the current one first.
    pub fn request_marks(&self, tenant: TenantId, asked: &[u8; 32]) -> Vec<[u8; 32]> {
        marks(self.master(), tenant, asked)
    }

    /// What became of an earlier request with the key of this one; `None` when there was none, or this one came without a key.
    ///
    /// Fails with `idempotency_key_reused` when the earlier one asked for something else.
    pub async fn earlier(&self, ctx: &Ctx) -> Result<Option<Earlier>> {
        let Some(attempt) = ctx.attempt() else { return Ok(None) };
        let Some(row) = self.store().remembered(ctx).await? else { return Ok(None) };
        row.refuse_reuse(attempt)?;
        let Remembered { claimed_at, written, answer, .. } = row;
        let ended = answer.is_some();
        let Some((status, Some(sealed))) = answer else { return Ok(Some(Earlier::Unanswered { since: claimed_at, ended, written })) };
        let sealed = std::str::from_utf8(&sealed).map_err(Error::internal)?;
        // Sealed under another master key: the answer is as good as lost.
        let opened = self.master().open(LABEL, &binding(attempt), sealed);
        Ok(Some(opened.map_or(Earlier::Unanswered { since: claimed_at, ended, written }, |rest| {
            Earlier::Answered(status, Secret::new(rest.to_vec()))
        })))
    }

    /// Keeps an answer for whoever repeats the request; `rest` is `None` when it is too large to keep.
    pub async fn keep_answer(&self, ctx: &Ctx, status: u16, rest: Option<&[u8]>) -> Result<()> {
        let Some(attempt) = ctx.attempt() else { return Ok(()) };
        let sealed = rest.map(|rest| self.master().seal(LABEL, &binding(attempt), rest, self.random()).into_bytes());
        self.store().answer(ctx, status, sealed).await
    }

    /// Whether the process of an earlier request may be another one than this.
    pub fn has_peers(&self) -> bool {
        self.store().is_shared()
    }
}

fn marks(master: &MasterKey, tenant: TenantId, asked: &[u8; 32]) -> Vec<[u8; 32]> {
    let mark = |key: [u8; 32]| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &[&tenant.bytes()[..], asked].concat());
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    };
    master.derive_each(REQUESTS).into_iter().map(mark).collect()
}

/// An answer opens only where it was given.
fn binding(attempt: &Attempt) -> Vec<u8> {
    let key = &attempt.key;
    [&attempt.tenant.bytes()[..], key.principal.as_bytes(), b"\0", key.operation.as_bytes(), b"\0", key.key.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use steward_base::RecordId;

    use super::*;

    #[test]
    fn a_request_is_known_again_after_the_master_key_was_replaced_and_in_no_other_tenant() {
        let key = |byte: u8| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, [byte; 32]);
        let ring = |text: String| MasterKey::parse(&text, "the test").expect("holds keys");
        let (old, new) = (ring(key(1)), ring(format!("{},{}", key(2), key(1))));
        let (tenant, other) = (RecordId::from_bytes([1; 16]).into(), RecordId::from_bytes([2; 16]).into());
        let (before, after) = (marks(&old, tenant, &[7; 32]), marks(&new, tenant, &[7; 32]));
        assert_eq!((before.len(), after.len(), before[0]), (1, 2, after[1]));
        assert_ne!(after[0], after[1]);
        assert_ne!(marks(&old, other, &[7; 32]), before);
        assert_ne!(marks(&old, tenant, &[8; 32]), before);
    }
}
