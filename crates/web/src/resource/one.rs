//! Operations on one record.

use std::sync::Arc;

use serde_json::{Map, Value};
use steward_auth::Scope;
use steward_base::{Ctx, Error, ErrorKind, RecordId, filter};
use steward_store::{Expect, Model, Record, Shown, UnitOfWork};

use super::{ById, Change, Hook, State};
use crate::call::Call;
use crate::etag::{self, Match};
use crate::input::MergePatch;
use crate::reply::{Json, Reply, Written};
use crate::scope;
use crate::site::Site;

/// How often a change with `If-Match: *` is repeated when others were faster.
const TRIES: usize = 8;

pub(super) async fn get<M: Model>(state: Arc<State<M>>, call: Call<ById<M>>) -> Result<Reply<Written<Shown>>, Error> {
    let record = state.find(&call, call.path.id.record()).await?;
    Ok(state.show(record))
}

pub(super) async fn create<M: Model>(
    state: Arc<State<M>>,
    call: Call<(), (), Json<Map<String, Value>>>,
) -> Result<Reply<Written<Shown>>, Error> {
    let Json(sent) = call.body;
    let body = state.kind.create_body(sent)?;
    let change = Change { id: state.store.mint_id(), before: None, body, unit: UnitOfWork::new() };
    let Change { id, body, unit, .. } = run(state.options.on_create.as_ref(), &call.ctx, change).await?;
    state.within(call.scope.as_ref(), &call.site, &body, id)?;
    let committed = state.store.commit(&call.ctx, unit.put(M::KIND, id, body, Expect::Absent)).await?;
    let record = written(committed.records, M::KIND, id)?;
    let location = format!("/api/v1/{}/{}", state.options.plural, id.wire(M::PREFIX));
    Ok(state.show(record).location(&location))
}

pub(super) async fn update<M: Model>(state: Arc<State<M>>, call: Call<ById<M>, (), MergePatch>) -> Result<Reply<Written<Shown>>, Error> {
    let id = call.path.id.record();
    let mut tries = 0;
    loop {
        let record = state.find(&call, id).await?;
        let named = precondition(&call.headers, &record)?;
        let version = record.version;
        let body = state.kind.patched_body(&record, &call.body.0)?;
        let body = state.valid(body)?;
        let change = Change { id, before: Some(record), body, unit: UnitOfWork::new() };
        let Change { body, unit, .. } = run(state.options.on_update.as_ref(), &call.ctx, change).await?;
        state.within(call.scope.as_ref(), &call.site, &body, id)?;
        match state.store.commit(&call.ctx, unit.put(M::KIND, id, body, Expect::Version(version))).await {
            Ok(committed) => return Ok(state.show(written(committed.records, M::KIND, id)?)),
            Err(error) => again(error, &named, &mut tries)?,
        }
    }
}

pub(super) async fn delete<M: Model>(state: Arc<State<M>>, call: Call<ById<M>>) -> Result<Reply<()>, Error> {
    let id = call.path.id.record();
    let mut tries = 0;
    loop {
        let record = state.find(&call, id).await?;
        let named = precondition(&call.headers, &record)?;
        let version = record.version;
        let change = Change { id, body: record.body.object()?, before: Some(record), unit: UnitOfWork::new() };
        let unit = run(state.options.on_delete.as_ref(), &call.ctx, change).await?.unit;
        match state.store.commit(&call.ctx, unit.delete(M::KIND, id, Expect::Version(version))).await {
            Ok(_) => return Ok(Reply::empty()),
            Err(error) => again(error, &named, &mut tries)?,
        }
    }
}

impl<M: Model> State<M> {
    /// The record, if the caller may know of it.
    async fn find<B>(&self, call: &Call<ById<M>, (), B>, id: RecordId) -> Result<Record, Error> {
        let record = self.store.get(&call.ctx, M::KIND, id).await?;
        self.visible(call, record)
    }

    /// What was found, if the caller may know of it.
    pub(super) fn visible<B>(&self, call: &Call<ById<M>, (), B>, found: Option<Record>) -> Result<Record, Error> {
        // Asked first: who reaches none of these records must not learn which of them there are.
        let limit = scope::limit(&self.kind, call.scope.as_ref(), call.site.clock().now())?;
        let record = found.ok_or_else(|| self.absent())?;
        match limit {
            Some(limit) if !filter::matches(&limit, &record.to_json(&self.kind)?) => Err(self.absent()),
            _ => Ok(record),
        }
    }

    pub(super) fn absent(&self) -> Error {
        Error::not_found(&self.options.noun)
    }

    /// Hooks see only bodies that could be stored as they are.
    fn valid(&self, body: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let body = Value::Object(body);
        self.stored.check(&body)?;
        match body {
            Value::Object(body) => Ok(body),
            _ => Err(Error::internal("an object is an object")),
        }
    }

    /// A caller cannot put a record where its permission does not reach.
    fn within(&self, limit: Option<&Scope>, site: &Site, body: &Map<String, Value>, id: RecordId) -> Result<(), Error> {
        if limit.is_none() {
            return Ok(());
        }
        let mut row = body.clone();
        row.insert("id".into(), id.wire(M::PREFIX).into());
        let covered = scope::covers(&self.kind, limit, &Value::Object(row), site.clock().now());
        if covered { Ok(()) } else { Err(scope::outside(&self.options.noun)) }
    }

    pub(super) fn show(&self, record: Record) -> Reply<Written<Shown>> {
        let version = record.version;
        Reply::new(Written(record.shown(&self.kind))).etag(version)
    }
}

async fn run(hook: Option<&Hook>, ctx: &Ctx, change: Change) -> Result<Change, Error> {
    match hook {
        Some(hook) => hook(ctx.clone(), change).await,
        None => Ok(change),
    }
}

/// What `If-Match` names, once it is known to include the current version.
pub(super) fn precondition(headers: &http::HeaderMap, record: &Record) -> Result<Match, Error> {
    let named = etag::if_match(headers)?;
    if named.includes(record.version) { Ok(named) } else { Err(etag::stale(record.version)) }
}

/// Another change came between: whoever named a version is told, whoever said `*` gets another try.
pub(super) fn again(error: Error, named: &Match, tries: &mut usize) -> Result<(), Error> {
    if error.code() != "version_conflict" {
        return Err(error);
    }
    *tries += 1;
    match named {
        Match::Any if *tries < TRIES => Ok(()),
        _ => {
            let detail = "The record changed at the same moment. Read it again and repeat the change on what you find.";
            Err(Error::new(ErrorKind::PreconditionFailed, "version_conflict", detail).with_source(error))
        }
    }
}

pub(super) fn written(records: Vec<Record>, kind: &str, id: RecordId) -> Result<Record, Error> {
    let found = records.into_iter().find(|record| record.id == id && *record.kind == *kind);
    found.ok_or_else(|| Error::internal("a commit answered without the record it wrote"))
}
