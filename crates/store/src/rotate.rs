//! Changing keys under what they seal: data keys are wrapped anew under the current master key, secrets are sealed anew under a new data key.
//!
//! Everything here may stop at any point and be done again: what is done already is passed over.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use steward_base::{Ctx, Error, ErrorKind, RecordId, hex};

use crate::keys::{DataKey, Rewrapped, Sealer, Which, bound, each, key_of, sealed, sealed_text, texts, unreadable};
use crate::kind::Kind;
use crate::places::ask;
use crate::unit::{Becomes, Write};
use crate::{Direction, Expect, ListQuery, Order, Record, Store, UnitOfWork};

/// Keys of one step, and records.
const STEP: usize = 500;
/// How often a record that is changed at the same moment is read again.
const TRIES: usize = 16;

/// What became of the secrets of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resealed {
    /// Records whose secrets were under an older key and are under the newest.
    pub records: usize,
    /// Wire ids of those that stay as they are, since they do not open or cannot be read; the log says why.
    pub left: Vec<String>,
}

impl Store {
    /// Wraps the data keys of a tenant under the current master key; answers how many were not.
    ///
    /// Errors: `master_key_wrong` when one was wrapped under a key that the ring does not hold.
    pub async fn rewrap_keys(&self, ctx: &Ctx) -> Result<usize, Error> {
        let (mut after, mut done) = (None, 0);
        loop {
            let rows = ask!(self.0.places, ctx.tenant(), engine => engine.data_keys(ctx.tenant(), Which::After(after, STEP)))?;
            let mut rewrapped: Vec<Rewrapped> = Vec::new();
            for row in &rows {
                rewrapped.extend(row.rewrapped(&self.vault().master, ctx.tenant(), self.random())?);
            }
            done += rewrapped.len();
            if !rewrapped.is_empty() {
                self.commit(ctx, UnitOfWork { rewrapped, ..UnitOfWork::new() }).await?;
            }
            match rows.last() {
                Some(last) if rows.len() == STEP => after = Some(last.id),
                _ => return Ok(done),
            }
        }
    }

    /// A digest of the tenant's data keys as they are wrapped now, which is another one once they are wrapped anew: that tells no event.
    pub async fn wrapped_keys(&self, ctx: &Ctx) -> Result<String, Error> {
        let (mut after, mut digest) = (None, digest::Context::new(&digest::SHA256));
        loop {
            let rows = ask!(self.0.places, ctx.tenant(), engine => engine.data_keys(ctx.tenant(), Which::After(after, STEP)))?;
            for row in &rows {
                digest.update(&row.id.bytes());
                digest.update(row.wrapped.as_bytes());
            }
            match rows.last() {
                Some(last) if rows.len() == STEP => after = Some(last.id),
                _ => return Ok(hex(digest.finish().as_ref())),
            }
        }
    }

    /// Gives the tenant a new key for its secrets, which seals from now on, where it has one at all; then [`Store::reseal_secrets`].
    pub async fn rotate_data_key(&self, ctx: &Ctx) -> Result<Resealed, Error> {
        if let Some(remote) = self.remote() {
            return remote.rotate_data_key(ctx).await;
        }
        if self.read_keys(ctx.tenant()).await?.is_empty() {
            return Ok(Resealed::default());
        }
        let (row, _) = DataKey::make(&self.vault().master, ctx.tenant(), None, self.clock(), self.random());
        self.commit(ctx, UnitOfWork { keys: vec![row], ..UnitOfWork::new() }).await?;
        self.reseal_secrets(ctx).await
    }

    /// Seals the secrets of live records under the newest key of the tenant. Nothing else of a record changes, so there is no event and no new
    /// version; what cannot be sealed anew is passed over and told. Older keys stay for what is in the recycle bin.
    pub async fn reseal_secrets(&self, ctx: &Ctx) -> Result<Resealed, Error> {
        if let Some(remote) = self.remote() {
            return remote.reseal_secrets(ctx).await;
        }
        let keys = self.vault().keep(ctx.tenant(), self.read_keys(ctx.tenant()).await?);
        let mut done = Resealed::default();
        let Some(newest) = keys.0.last().map(|key| key.id) else { return Ok(done) };
        let sealer = Sealer { keys: keys.clone(), random: self.random().clone() };
        for kind in self.kinds().iter().filter(|kind| kind.seals()) {
            let order = vec![Order { field: "id".to_owned(), direction: Direction::Ascending }];
            let mut query = ListQuery { kind: kind.name().to_owned(), limit: STEP, order: order.clone(), ..ListQuery::default() };
            loop {
                let page = self.list(ctx, query.clone()).await?;
                for record in page.records {
                    let id = record.id.wire(kind.prefix());
                    match self.reseal(ctx, kind, record, (&sealer, newest)).await {
                        Ok(changed) => done.records += usize::from(changed),
                        // One record must not keep all others under the old key.
                        Err(error) if !matches!(error.kind(), ErrorKind::Unavailable) => {
                            tracing::warn!(
                                tenant.id = %ctx.tenant(), record.id = id, error.code = error.code(), error.causes = %error.causes(),
                                "the secrets of a record cannot be sealed anew"
                            );
                            done.left.push(id);
                        }
                        Err(error) => return Err(error),
                    }
                }
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
        }
        Ok(done)
    }

    /// Answers whether the record was under an older key. Whoever changes it meanwhile may keep what it read, so that it is looked at again.
    async fn reseal(&self, ctx: &Ctx, kind: &Kind, mut record: Record, (sealer, newest): (&Sealer, RecordId)) -> Result<bool, Error> {
        for _ in 0..TRIES {
            let Some(body) = resealed(kind, &record, sealer, newest)? else { return Ok(false) };
            let mut unit = UnitOfWork::new();
            let expect = Expect::Version(record.version);
            unit.writes.push(Write {
                kind: record.kind.to_string().into(),
                id: record.id,
                expect,
                parent: None,
                becomes: Becomes::Resealed(body),
            });
            match self.commit(ctx, unit).await {
                Ok(_) => return Ok(true),
                Err(error) if error.code() == "not_found" => return Ok(false),
                Err(error) if error.code() == "version_conflict" => {}
                Err(error) => return Err(error),
            }
            match self.get(ctx, kind.name(), record.id).await? {
                Some(found) => record = found,
                None => return Ok(false),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "version_conflict", "The record is changed all the time: run this again."))
    }
}

/// The body with its secrets under the newest key; `None` when they are.
fn resealed(kind: &Kind, record: &Record, sealer: &Sealer, newest: RecordId) -> Result<Option<Map<String, Value>>, Error> {
    let mut body = record.body.object()?;
    let mut changed = false;
    for field in kind.fields().iter().filter(|field| field.sealed) {
        let older = texts(&body, &field.segments).into_iter().any(|text| key_of(text) != Some(newest));
        if !older {
            continue;
        }
        let bound_to = bound(kind, record.id, &field.path);
        let mut done = Ok(());
        each(&mut body, &field.segments, &mut |value| {
            let Some(text) = sealed_text(value).filter(|text| key_of(text) != Some(newest)) else { return };
            let plain = sealer.keys.open(&bound_to, text).ok_or_else(|| unreadable(kind, &field.path));
            match plain.and_then(|plain| sealer.seal_text(&bound_to, &plain)) {
                Ok(text) => *value = sealed(&text),
                Err(error) => done = Err(error),
            }
        });
        done?;
        changed = true;
    }
    Ok(changed.then_some(body))
}
