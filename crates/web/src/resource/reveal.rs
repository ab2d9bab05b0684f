//! Reading a secret of a record: nothing else shows it, it takes a permission of its own, and it is told before it is answered.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Error, Id};
use steward_store::{Kind, Model};

use super::{OfKind, State};
use crate::call::Call;
use crate::reply::{Json, Reply};

pub(super) const DESCRIPTION: &str =
    "The value of one secret field. An event `revealed` and the access stream say who asked for it; the value is in neither.";

/// Which secret.
#[derive(Deserialize, JsonSchema)]
#[serde(bound = "")]
#[schemars(bound = "", inline)]
pub(super) struct Which<M: Model> {
    /// The record's id.
    id: Id<OfKind<M>>,
    /// Dotted path of the field.
    #[schemars(length(min = 1, max = 200))]
    field: String,
}

/// A secret as it is.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Revealed {
    /// Dotted path of the field.
    field: String,
    /// Its value.
    value: String,
}

/// Whether a kind has secrets that can be read again.
pub(super) fn has_some(kind: &Kind) -> bool {
    kind.fields().iter().any(|field| field.sealed && !field.list)
}

pub(super) async fn reveal<M: Model>(state: Arc<State<M>>, call: Call<Which<M>>) -> Result<Reply<Json<Revealed>>, Error> {
    let (id, field) = (call.path.id.record(), call.path.field.clone());
    let record = state.writer.find(call.by(), id).await?;
    if !state.kind.field(&field).is_some_and(|known| known.sealed && !known.list) {
        return Err(Error::not_found("secret"));
    }
    call.site.reveals(&call.ctx, &state.kind, record.id, &field).await?;
    let secret = state.store.reveal(&call.ctx, M::KIND, record.id, &field).await?.ok_or_else(|| Error::not_found("secret"))?;
    Ok(Reply::json(Revealed { field, value: secret.expose().clone() }))
}
