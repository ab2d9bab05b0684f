//! Answers that are kept for whoever repeats a request: sealed, all of them, since one may hold a secret that is shown once.

use steward_base::{Attempt, Ctx, Error, Result, Secret, Timestamp};
use steward_store::Remembered;

use crate::Authority;

const LABEL: &str = "kept-answer";

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
    /// What became of an earlier request with the key of this one; `None` when there was none, or this one came without a key.
    ///
    /// Fails with `idempotency_key_reused` when the earlier one asked for something else.
    pub async fn earlier(&self, ctx: &Ctx) -> Result<Option<Earlier>> {
        let Some(attempt) = ctx.attempt() else { return Ok(None) };
        let Some(row) = self.store().remembered(ctx).await? else { return Ok(None) };
        row.refuse_reuse(&attempt.request)?;
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

/// An answer opens only where it was given.
fn binding(attempt: &Attempt) -> Vec<u8> {
    let key = &attempt.key;
    [&attempt.tenant.bytes()[..], key.principal.as_bytes(), b"\0", key.operation.as_bytes(), b"\0", key.key.as_bytes()].concat()
}
