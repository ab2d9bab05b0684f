//! What a person may do about sagas: see them, call one off, retry one that is parked.

use http::{Method, StatusCode};
use steward_base::{Error, ErrorKind};
use steward_store::{Model, Store, UnitOfWork};
use steward_web::{ById, Call, Operation, Reply, Resource, operation, resource};

use super::engine::turn_back;
use super::model::{SagaRun, SagaState};

/// `sagas.list`, `sagas.get`, `sagas.cancel` and `sagas.retry`.
pub(crate) fn operations(store: &Store) -> Vec<Operation> {
    let read = Resource::<SagaRun>::new("sagas").without_create().without_update().without_delete();
    let mut all = resource(store, read);
    all.push(
        operation("sagas.cancel", Method::POST, "/api/v1/sagas/{id}/cancel")
            .summary("Call a saga off: what it did is undone")
            .tag("sagas")
            .needs("sagas:execute")
            .error(StatusCode::CONFLICT, "saga_finished")
            .handle(store.clone(), cancel),
    );
    all.push(
        operation("sagas.retry", Method::POST, "/api/v1/sagas/{id}/retry")
            .summary("Go on undoing a parked saga")
            .description("A saga is parked when one of its undos failed for good. Mend the cause first.")
            .tag("sagas")
            .needs("sagas:execute")
            .error(StatusCode::CONFLICT, "saga_not_parked")
            .handle(store.clone(), retry),
    );
    all
}

async fn cancel(store: Store, call: Call<ById<SagaRun>>) -> Result<Reply<()>, Error> {
    change(&store, &call, |state| match state {
        SagaState::Running => Ok(()),
        _ => Err(Error::new(ErrorKind::Conflict, "saga_finished", "Only a running saga can be called off.")),
    })
    .await
}

async fn retry(store: Store, call: Call<ById<SagaRun>>) -> Result<Reply<()>, Error> {
    change(&store, &call, |state| match state {
        SagaState::Parked => Ok(()),
        _ => Err(Error::new(ErrorKind::Conflict, "saga_not_parked", "Only a parked saga can be retried.")),
    })
    .await
}

async fn change(store: &Store, call: &Call<ById<SagaRun>>, allowed: impl Fn(SagaState) -> Result<(), Error>) -> Result<Reply<()>, Error> {
    let id = call.path.id.record();
    let record = store.get(&call.ctx, SagaRun::KIND, id).await?.ok_or_else(|| Error::not_found("saga"))?;
    allowed(record.decode::<SagaRun>()?.state)?;
    let unit = turn_back(id, &record, UnitOfWork::new(), &format!("called off by {}", call.ctx.actor()))?;
    // The job that has it in hand sees the change; one that ended before is needed again.
    store.commit(&call.ctx, unit.enqueue(store.mint_id(), super::job(id))).await?;
    Ok(Reply::empty())
}
