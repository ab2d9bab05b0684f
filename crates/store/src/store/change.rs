//! Changing a record as it is: read, changed, and written unless somebody else was faster.

use serde_json::{Map, Value};
use steward_base::{Ctx, Error, RecordId};

use super::Store;
use crate::Record;
use crate::kind::{Kind, Model};
use crate::unit::UnitOfWork;

/// How often [`Store::update`] tries again when someone else was faster.
const UPDATE_TRIES: usize = 16;

impl Store {
    /// Reads a record, changes it and writes it; tries again when someone else was faster. Fields that `M` does not know stay.
    pub async fn update<M: Model>(
        &self,
        ctx: &Ctx,
        id: RecordId,
        mut change: impl FnMut(&mut M) -> Result<(), Error> + Send,
    ) -> Result<Record, Error> {
        self.update_with(ctx, id, |model, unit| change(model).map(|()| unit)).await
    }

    /// The same, with more to commit beside it: the closure gets a unit to add events, guards and other records to.
    pub async fn update_with<M: Model>(
        &self,
        ctx: &Ctx,
        id: RecordId,
        mut change: impl FnMut(&mut M, UnitOfWork) -> Result<UnitOfWork, Error> + Send,
    ) -> Result<Record, Error> {
        let kind = self.0.kinds.at(self.kind(M::KIND)?).clone();
        let mut tries = 0;
        loop {
            let record = self.get(ctx, M::KIND, id).await?.ok_or_else(|| Error::not_found(&kind.name().replace('_', " ")))?;
            let mut model: M = record.decode()?;
            let unit = change(&mut model, UnitOfWork::new())?;
            let body = with_unknown_fields(&kind, record.body.object()?, &model)?;
            let unit = unit.put(M::KIND, id, body, crate::Expect::Version(record.version));
            tries += 1;
            // A unit under way is large, and this future is part of many.
            match Box::pin(self.commit(ctx, unit)).await {
                Err(error) if error.code() == "version_conflict" && tries < UPDATE_TRIES => {}
                Err(error) => return Err(error),
                Ok(committed) => {
                    let written = committed.records.into_iter().find(|record| record.id == id && *record.kind == *M::KIND);
                    return written.ok_or_else(|| Error::internal("a commit answered without the record it wrote"));
                }
            }
        }
    }
}

/// The stored body with the model's fields: what the model does not know, a newer version wrote.
fn with_unknown_fields<M: Model>(kind: &Kind, stored: Map<String, Value>, model: &M) -> Result<Map<String, Value>, Error> {
    let Value::Object(mut body) = serde_json::to_value(model).map_err(Error::internal)? else {
        return Err(Error::internal(format!("the body of kind {} is not an object", kind.name())));
    };
    keep_unknown(kind.schema(), stored, &mut body);
    Ok(body)
}

fn keep_unknown(schema: &Value, stored: Map<String, Value>, body: &mut Map<String, Value>) {
    let known = schema.get("properties").and_then(Value::as_object);
    // An object without declared properties is a map: the model holds all of it.
    let Some(known) = known else { return };
    for (name, value) in stored {
        match (known.get(&name), value) {
            (None, value) => {
                body.entry(name).or_insert(value);
            }
            (Some(below), Value::Object(stored)) => {
                if let Some(Value::Object(body)) = body.get_mut(&name) {
                    keep_unknown(below, stored, body);
                }
            }
            _ => {}
        }
    }
}
