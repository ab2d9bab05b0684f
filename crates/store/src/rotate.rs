//! Changing keys under what they seal: data keys are wrapped anew under the current master key, secrets are sealed anew under a new data key.
//!
//! Everything here may stop at any point and be done again: what is done already is passed over.

use serde_json::{Map, Value};
use steward_base::{Ctx, Error, RecordId};

use crate::keys::{DataKey, Rewrapped, Sealer, Which, bound, each, key_of, sealed, sealed_text, texts, unreadable};
use crate::kind::Kind;
use crate::places::ask;
use crate::unit::{Becomes, Write};
use crate::{Direction, Expect, ListQuery, Order, Record, Store, UnitOfWork};

/// Keys of one step, and records.
const STEP: usize = 500;

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

    /// Gives the tenant a new key for its secrets, which seals from now on, where it has one at all; then [`Store::reseal_secrets`].
    pub async fn rotate_data_key(&self, ctx: &Ctx) -> Result<usize, Error> {
        if let Some(remote) = self.remote() {
            return remote.rotate_data_key(ctx).await;
        }
        if self.read_keys(ctx.tenant()).await?.is_empty() {
            return Ok(0);
        }
        let (row, _) = DataKey::make(&self.vault().master, ctx.tenant(), None, self.clock(), self.random());
        self.commit(ctx, UnitOfWork { keys: vec![row], ..UnitOfWork::new() }).await?;
        self.reseal_secrets(ctx).await
    }

    /// Seals the secrets of live records under the newest key of the tenant; answers how many records had others. Nothing else of a record
    /// changes, so there is no event and no new version. Older keys stay for what is in the recycle bin.
    pub async fn reseal_secrets(&self, ctx: &Ctx) -> Result<usize, Error> {
        if let Some(remote) = self.remote() {
            return remote.reseal_secrets(ctx).await;
        }
        let keys = self.vault().keep(ctx.tenant(), self.read_keys(ctx.tenant()).await?);
        let Some(newest) = keys.0.last().map(|key| key.id) else { return Ok(0) };
        let sealer = Sealer { keys: keys.clone(), random: self.random().clone() };
        let mut done = 0;
        for kind in self.kinds().iter().filter(|kind| kind.seals()) {
            let order = vec![Order { field: "id".to_owned(), direction: Direction::Ascending }];
            let mut query = ListQuery { kind: kind.name().to_owned(), limit: STEP, order: order.clone(), ..ListQuery::default() };
            loop {
                let page = self.list(ctx, query.clone()).await?;
                for record in &page.records {
                    if let Some(body) = resealed(kind, record, &sealer, newest)? {
                        done += usize::from(self.put_resealed(ctx, record, body).await?);
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

    /// Answers whether the record was still as it was read: one that changed meanwhile is left to the next pass.
    async fn put_resealed(&self, ctx: &Ctx, record: &Record, body: Map<String, Value>) -> Result<bool, Error> {
        let mut unit = UnitOfWork::new();
        let (kind, expect) = (record.kind.to_string().into(), Expect::Version(record.version));
        unit.writes.push(Write { kind, id: record.id, expect, parent: None, becomes: Becomes::Resealed(body) });
        match self.commit(ctx, unit).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.code(), "version_conflict" | "not_found") => Ok(false),
            Err(error) => Err(error),
        }
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
