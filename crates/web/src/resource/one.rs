//! Operations on one record.

use std::sync::Arc;

use serde_json::{Map, Value};
use steward_base::{Error, ErrorKind, RecordId};
use steward_store::{Model, Record, Shown};

use super::{ById, State};
use crate::call::Call;
use crate::etag::{self, Match};
use crate::input::MergePatch;
use crate::reply::{Json, Reply, Written};

/// How often a change of whatever version there is is repeated when others were faster.
const TRIES: usize = 8;

pub(super) async fn get<M: Model>(state: Arc<State<M>>, call: Call<ById<M>>) -> Result<Reply<Written<Shown>>, Error> {
    let record = state.writer.find(call.by(), call.path.id.record()).await?;
    call.site.saw(&call.ctx, &state.kind, std::iter::once(record.id), None).await?;
    Ok(state.show(record))
}

pub(super) async fn create<M: Model>(
    state: Arc<State<M>>,
    mut call: Call<(), (), Json<Map<String, Value>>>,
) -> Result<Reply<Written<Shown>>, Error> {
    let sent = std::mem::take(&mut call.body.0);
    let planned = state.writer.create(call.by(), None, sent).await?;
    let committed = state.store.commit(&call.ctx, planned.unit).await?;
    let record = written(committed.records, M::KIND, planned.id)?;
    let location = format!("/api/v1/{}/{}", state.options.plural, planned.id.wire(M::PREFIX));
    Ok(state.show(record).location(&location))
}

pub(super) async fn update<M: Model>(state: Arc<State<M>>, call: Call<ById<M>, (), MergePatch>) -> Result<Reply<Written<Shown>>, Error> {
    let id = call.path.id.record();
    let mut tries = 0;
    loop {
        let record = state.writer.find(call.by(), id).await?;
        let named = precondition(&call.headers, &record)?;
        let planned = state.writer.update(call.by(), record, &call.body.0).await?;
        match state.store.commit(&call.ctx, planned.unit).await {
            Ok(committed) => return Ok(state.show(written(committed.records, M::KIND, id)?)),
            Err(error) => again(error, &named, &mut tries)?,
        }
    }
}

pub(super) async fn delete<M: Model>(state: Arc<State<M>>, call: Call<ById<M>>) -> Result<Reply<()>, Error> {
    let id = call.path.id.record();
    let mut tries = 0;
    loop {
        let record = state.writer.find(call.by(), id).await?;
        let named = precondition(&call.headers, &record)?;
        let planned = state.writer.delete(call.by(), record).await?;
        match state.store.commit(&call.ctx, planned.unit).await {
            Ok(_) => return Ok(Reply::empty()),
            Err(error) => again(error, &named, &mut tries)?,
        }
    }
}

impl<M: Model> State<M> {
    pub(super) fn show(&self, record: Record) -> Reply<Written<Shown>> {
        let version = record.version;
        Reply::new(Written(record.shown(&self.kind))).etag(version)
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
