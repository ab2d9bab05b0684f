//! What turns a wish into a unit of work: checks, hooks and scope of one kind, whoever asks and for however many records.

use std::sync::Arc;

use serde_json::{Map, Value};
use steward_auth::Scope;
use steward_base::{Ctx, Error, ErrorKind, Permission, RecordId, Timestamp, filter};
use steward_store::{Expect, Kind, Record, Store, UnitOfWork};

use super::{Change, Hook};
use crate::schema::Checker;
use crate::scope;

/// Who asks, and where its permission holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By<'c> {
    pub(crate) ctx: &'c Ctx,
    pub(crate) scope: Option<&'c Scope>,
    pub(crate) now: Timestamp,
}

/// The one way in which callers write records of a kind.
pub(crate) struct Writer {
    pub(super) store: Store,
    pub(super) kind: Arc<Kind>,
    pub(super) noun: String,
    /// What callers may do at all.
    pub(super) verbs: Verbs,
    pub(super) on_create: Option<Hook>,
    pub(super) on_update: Option<Hook>,
    pub(super) on_delete: Option<Hook>,
    /// What a hook may count on when it sees a changed body.
    pub(super) stored: Checker,
}

/// The permission for each thing that callers may do; `None` for what nobody does by hand.
#[derive(Clone, Debug)]
pub(super) struct Verbs {
    pub(super) create: Option<Permission>,
    pub(super) update: Option<Permission>,
    pub(super) delete: Option<Permission>,
}

/// A change of one record, ready to be committed.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) id: RecordId,
    pub(crate) unit: UnitOfWork,
}

impl Writer {
    /// A new record, with this id or a fresh one.
    pub(crate) async fn create(&self, by: By<'_>, id: Option<RecordId>, sent: Map<String, Value>) -> Result<Planned, Error> {
        let body = self.kind.create_body(sent)?;
        let id = id.unwrap_or_else(|| self.store.mint_id());
        let change = Change { id, before: None, body, unit: UnitOfWork::new() };
        let Change { id, body, unit, .. } = run(self.on_create.as_ref(), by.ctx, change).await?;
        self.within(by, &body, id)?;
        Ok(Planned { id, unit: unit.put(self.kind.name().to_owned(), id, body, Expect::Absent) })
    }

    /// The record after a merge patch.
    pub(crate) async fn update(&self, by: By<'_>, record: Record, patch: &Map<String, Value>) -> Result<Planned, Error> {
        let body = self.valid(self.kind.patched_body(&record, patch)?)?;
        let (id, version) = (record.id, record.version);
        let change = Change { id, before: Some(record), body, unit: UnitOfWork::new() };
        let Change { body, unit, .. } = run(self.on_update.as_ref(), by.ctx, change).await?;
        self.within(by, &body, id)?;
        Ok(Planned { id, unit: unit.put(self.kind.name().to_owned(), id, body, Expect::Version(version)) })
    }

    /// The record in the recycle bin.
    pub(crate) async fn delete(&self, by: By<'_>, record: Record) -> Result<Planned, Error> {
        let (id, version) = (record.id, record.version);
        let change = Change { id, body: record.body.object()?, before: Some(record), unit: UnitOfWork::new() };
        let unit = run(self.on_delete.as_ref(), by.ctx, change).await?.unit;
        Ok(Planned { id, unit: unit.delete(self.kind.name().to_owned(), id, Expect::Version(version)) })
    }

    /// The record, if the caller may know of it.
    pub(crate) async fn find(&self, by: By<'_>, id: RecordId) -> Result<Record, Error> {
        let found = self.store.get(by.ctx, self.kind.name(), id).await?;
        self.visible(by, found)
    }

    /// What was found, if the caller may know of it.
    pub(crate) fn visible(&self, by: By<'_>, found: Option<Record>) -> Result<Record, Error> {
        // Asked first: who reaches none of these records must not learn which of them there are.
        let limit = scope::limit(&self.kind, by.scope, by.now)?;
        let record = found.ok_or_else(|| self.absent())?;
        match limit {
            Some(limit) if !filter::matches(&limit, &record.to_json(&self.kind)?) => Err(self.absent()),
            _ => Ok(record),
        }
    }

    pub(crate) fn absent(&self) -> Error {
        Error::not_found(&self.noun)
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
    fn within(&self, by: By<'_>, body: &Map<String, Value>, id: RecordId) -> Result<(), Error> {
        if by.scope.is_none() {
            return Ok(());
        }
        let mut row = body.clone();
        row.insert("id".into(), id.wire(self.kind.prefix()).into());
        let covered = scope::covers(&self.kind, by.scope, &Value::Object(row), by.now);
        if covered { Ok(()) } else { Err(scope::outside(&self.noun)) }
    }
}

async fn run(hook: Option<&Hook>, ctx: &Ctx, change: Change) -> Result<Change, Error> {
    match hook {
        Some(hook) => hook(ctx.clone(), change).await,
        None => Ok(change),
    }
}

/// What a row of a file comes to.
#[derive(Debug)]
pub(crate) enum Taken {
    New(Planned),
    Changed(Planned),
    /// The record is as the row says.
    Same(RecordId),
}

/// The record's own fields beside the id: the platform writes them.
const OWN: [&str; 6] = ["revision", "created_at", "created_by", "updated_at", "updated_by", "deleted_at"];

impl Writer {
    /// A row of a file: a merge patch of the record that it names by its id or by a unique field, or a new record.
    pub(crate) async fn take(&self, by: By<'_>, mut row: Map<String, Value>, matching: Option<&str>) -> Result<Taken, Error> {
        let id = row.remove("id").filter(|id| !id.is_null());
        OWN.iter().for_each(|name| drop(row.remove(*name)));
        for field in self.kind.fields().iter().filter(|field| field.read_only) {
            remove(&mut row, &field.path);
        }
        let id = id.map(|id| self.named(&id)).transpose()?;
        let found = match (matching, id) {
            (Some(field), _) => self.store.find(by.ctx, self.kind.name(), field, &text_at(&row, field)?).await?,
            (None, Some(id)) => self.store.get_with_deleted(by.ctx, self.kind.name(), id).await?,
            (None, None) => None,
        };
        if found.as_ref().is_some_and(|record| record.deleted_at.is_some()) {
            // Writing over it would take it out of the recycle bin without what restoring checks.
            self.visible(by, found)?;
            let detail = format!("This {} is in the recycle bin: restore it first, or leave the id out.", self.noun);
            return Err(Error::new(ErrorKind::Conflict, "record_deleted", detail));
        }
        if found.is_none() {
            self.may(self.verbs.create.is_some(), "made")?;
            row.retain(|_, value| !value.is_null());
            return self.create(by, id.filter(|_| matching.is_none()), row).await.map(Taken::New);
        }
        let record = self.visible(by, found)?;
        self.may(self.verbs.update.is_some(), "changed")?;
        if self.kind.patched_body(&record, &row)? == record.body.object()? {
            return Ok(Taken::Same(record.id));
        }
        self.update(by, record, &row).await.map(Taken::Changed)
    }

    fn named(&self, id: &Value) -> Result<RecordId, Error> {
        let known = id.as_str().and_then(|text| RecordId::parse(self.kind.prefix(), text));
        known.ok_or_else(|| {
            let detail = format!("An id of the form {}_… is expected.", self.kind.prefix());
            Error::invalid("One field is not valid; see errors.").with_field("/id", "invalid_id", detail)
        })
    }

    fn may(&self, can: bool, what: &str) -> Result<(), Error> {
        if can {
            return Ok(());
        }
        let detail = format!("No {} is {what} by hand.", self.noun);
        Err(Error::invalid(detail.clone()).with_field("", "op_unsupported", detail))
    }

    /// What whoever creates or changes records must hold.
    pub(crate) fn write_permission(&self) -> Result<&Permission, Error> {
        self.verbs.create.as_ref().or(self.verbs.update.as_ref()).ok_or_else(|| Error::internal("nobody writes these records by hand"))
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

/// The text of a unique field.
fn text_at(row: &Map<String, Value>, field: &str) -> Result<String, Error> {
    let mut segments = field.split('.');
    let first = segments.next().and_then(|name| row.get(name));
    match segments.fold(first, |value, name| value?.get(name)) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        _ => {
            let pointer = format!("/{}", field.replace('.', "/"));
            Err(Error::invalid("One field is not valid; see errors.").with_field(
                pointer,
                "required",
                "Rows are matched by this field: give its value.",
            ))
        }
    }
}

fn remove(row: &mut Map<String, Value>, path: &str) {
    match path.split_once('.') {
        None => drop(row.remove(path)),
        Some((first, rest)) => {
            if let Some(Value::Object(below)) = row.get_mut(first) {
                remove(below, rest);
                if below.is_empty() {
                    row.remove(first);
                }
            }
        }
    }
}
