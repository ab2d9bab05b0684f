//! Taking back what one request did.
//!
//! The caller needs for every record the permission of the operation that would do the same to it by hand, and that permission must reach the record
//! as it is and as it will be. Where a kind's owner looks at each such change, or no operation does it, there is no undoing behind its back.

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use steward_base::{Error, ErrorKind};
use steward_store::{Act, Kind, Reversal, Store};

use steward_auth::allows;

use crate::call::Call;
use crate::draft::operation;
use crate::operation::Operation;
use crate::reply::{Json, Reply};
use crate::scope::Reach;

/// What is to be undone.
#[derive(Debug, Deserialize, JsonSchema)]
struct Undo {
    /// The `X-Request-Id` of the answer, which is the `correlation_id` of the events.
    #[schemars(length(min = 1, max = 128))]
    request_id: String,
}

/// What was undone.
#[derive(Debug, Serialize, JsonSchema)]
struct Undone {
    /// The records, each as it is now.
    data: Vec<Reversed>,
}

/// A record that is as it was before.
#[derive(Debug, Serialize, JsonSchema)]
struct Reversed {
    /// The kind's name.
    kind: String,
    /// The record's id.
    id: String,
    /// What was done to it.
    act: Act,
    /// The record's revision now.
    revision: i64,
}

/// `undo.create`.
pub fn operations(store: &Store) -> Vec<Operation> {
    let draft = operation("undo.create", Method::POST, "/api/v1/undo")
        .summary("Undo what a request did")
        .description(
            "Takes back everything that one request changed, all of it or nothing: what it made goes to the recycle bin, what it changed gets its \
             former values, what it deleted comes back. It must lie within the last day, and nothing of it may have been changed since. The caller needs the permission to do the same by hand to every record.",
        )
        .tag("undo")
        .signed_in()
        .body_example("typical", json!({ "request_id": "5f0f2c4e9d3b4c1f8a7e6d5c4b3a2918" }))
        .error(StatusCode::NOT_FOUND, "not_found")
        .error(StatusCode::CONFLICT, "version_conflict")
        .error(StatusCode::CONFLICT, "referenced")
        .error(StatusCode::CONFLICT, "unique_taken")
        .error(StatusCode::CONFLICT, "undo_impossible");
    vec![draft.handle(store.clone(), undo)]
}

async fn undo(store: Store, call: Call<(), (), Json<Undo>>) -> Result<Reply<Json<Undone>>, Error> {
    // Whoever may undo nothing at all does not learn what requests there were.
    if !call.site.changers().any(|permission| allows(&call.ctx, permission)) {
        return Err(refused());
    }
    let allow = |reversals: &[Reversal]| reversals.iter().try_for_each(|reversal| allowed(&store, &call, reversal));
    let undone = store.undo(&call.ctx, &call.body.0.request_id, allow).await?;
    let mut data = Vec::with_capacity(undone.len());
    for (act, record) in undone {
        let kind = kind(&store, &record.kind)?;
        data.push(Reversed { kind: kind.name().to_owned(), id: record.id.wire(kind.prefix()), act, revision: record.version });
    }
    Ok(Reply::json(Undone { data }))
}

fn allowed(store: &Store, call: &Call<(), (), Json<Undo>>, reversal: &Reversal) -> Result<(), Error> {
    let kind = kind(store, &reversal.current.kind)?;
    let Some(permission) = call.site.changer(kind.name(), reversal.act) else {
        let detail =
            format!("The request changed a {}, and that is not undone in this way: nothing was undone.", kind.name().replace('_', " "));
        return Err(Error::new(ErrorKind::Conflict, "undo_impossible", detail));
    };
    let reach = Reach::of(kind, &call.ctx, permission, call.site.clock().now());
    let is = reversal.current.to_json(kind)?;
    let mut becomes = reversal.body.clone();
    becomes.insert("id".into(), reversal.current.id.wire(kind.prefix()).into());
    if reach.includes(&is) && reach.includes(&Value::Object(becomes)) {
        return Ok(());
    }
    Err(refused())
}

fn refused() -> Error {
    let detail = "The request changed records that you may not change so; whoever may can undo it. Nothing was undone.";
    Error::new(ErrorKind::Forbidden, "permission_denied", detail)
}

fn kind<'s>(store: &'s Store, name: &str) -> Result<&'s Kind, Error> {
    let kind = store.kinds().get(name).ok_or_else(|| Error::internal(format!("a record is of kind {name}, which is none")))?;
    Ok(kind)
}
