//! Moving a tenant to another place of the installation, while it is served: a saga of one step, which can be taken back.

use std::time::Duration;

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_base::{Ctx, Error, ErrorKind, RecordId, Result, TenantId};
use steward_store::{EventDraft, Model as _, Moved, UnitOfWork};
use steward_web::{ById, Call, Json, Operation, Reply, operation};
use steward_work::{At, Done, Failure, Saga, SagaRun, Step, begin};

use crate::lifecycle::begun_with;
use crate::{Identity, Tenant, TenantStatus};

const MOVE: &str = "move_tenant";

/// What the saga `move_tenant` is begun with.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    tenant: TenantId,
    from: String,
    to: String,
}

/// The saga that moves a tenant.
pub(crate) fn saga(identity: &Identity) -> Saga {
    Saga::new(MOVE).long().patience(8, Duration::from_secs(1)).then(Move(identity.clone()))
}

impl Identity {
    /// Begins to move a tenant; answers the saga's id, and where the tenant is.
    ///
    /// Fails with `not_found`, `tenant_fixed`, `tenant_not_ready`, `place_unknown`, `tenant_being_moved`.
    pub async fn move_tenant(&self, ctx: &Ctx, tenant: RecordId, place: &str) -> Result<(RecordId, String)> {
        if tenant == TenantId::OPERATOR.record() {
            let detail = "The operator's tenant is the installation itself and cannot be moved.";
            return Err(Error::new(ErrorKind::Conflict, "tenant_fixed", detail));
        }
        let store = &self.0.store;
        let record = store.get(ctx, Tenant::KIND, tenant).await?.ok_or_else(|| Error::not_found("tenant"))?;
        if !matches!(record.decode::<Tenant>()?.status, TenantStatus::Active | TenantStatus::Suspended) {
            return Err(Error::new(ErrorKind::Conflict, "tenant_not_ready", "This tenant is being made or deleted."));
        }
        store.check_place(place).await?;
        let from = place_of(self, tenant.into()).await?;
        let saga = store.mint_id();
        let wanted = Wanted { tenant: tenant.into(), from: from.clone(), to: place.to_owned() };
        let wanted = serde_json::to_value(wanted).map_err(Error::internal)?;
        let begun = store.commit(ctx, begin(UnitOfWork::new(), saga, MOVE, &tenant.wire(Tenant::PREFIX), wanted)).await;
        begun.map_err(|error| match error.code() {
            "unique_taken" => Error::new(ErrorKind::Conflict, "tenant_being_moved", "This tenant is being moved already."),
            _ => error,
        })?;
        Ok((saga, from))
    }
}

impl Identity {
    /// Moves a tenant where no worker runs: it is there when this returns, and its event says so. Fails as [`Identity::move_tenant`] does.
    pub async fn move_tenant_now(&self, ctx: &Ctx, tenant: TenantId, place: &str) -> Result<()> {
        let moved = self.0.store.relocate(tenant, place).await?;
        self.0.store.commit(ctx, UnitOfWork::new().event(told(tenant, place, &moved))).await.map(drop)
    }
}

async fn place_of(identity: &Identity, tenant: TenantId) -> Result<String> {
    identity.0.store.place(tenant).await?.ok_or_else(|| {
        let detail = "This tenant's data is in a place that the configuration no longer names: name it again.";
        Error::new(ErrorKind::Unavailable, "place_missing", detail)
    })
}

fn measured(moved: &Moved) -> Value {
    json!({ "position": moved.position, "held_ms": moved.held.as_millis(), "took_ms": moved.took.as_millis() })
}

/// That a tenant is in another place, however it came there.
fn told(tenant: TenantId, place: &str, moved: &Moved) -> EventDraft {
    let mut told = measured(moved);
    told["place"] = place.into();
    EventDraft::new("tenant.moved", tenant.record(), told)
}

/// Copies the tenant, lets the copy follow, and makes it the one that counts.
struct Move(Identity);

impl Move {
    async fn to(&self, tenant: TenantId, place: &str) -> Result<Done, Failure> {
        match self.0.0.store.relocate(tenant, place).await {
            Ok(moved) => {
                let unit = UnitOfWork::new().event(told(tenant, place, &moved));
                Ok(Done { output: measured(&moved), unit })
            }
            Err(error) if matches!(error.code(), "place_unknown" | "tenant_fixed" | "not_found") => Err(Failure::Never(error)),
            Err(error) => Err(Failure::Again(error)),
        }
    }
}

impl Step for Move {
    const NAME: &'static str = "move";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        let Wanted { tenant, to, .. } = begun_with(&at)?;
        self.to(tenant, &to).await
    }

    async fn undo(&self, at: At) -> Result<UnitOfWork, Failure> {
        let Wanted { tenant, from, .. } = begun_with(&at)?;
        self.to(tenant, &from).await.map(|done| done.unit)
    }
}

/// `tenants.move` and `tenants.place`.
pub(crate) fn operations(identity: &Identity) -> [Operation; 2] {
    [
        operation("tenants.move", Method::POST, "/api/v1/tenants/{id}/move")
            .needs("tenants:execute")
            .summary("Move a tenant to another place of the installation while it is served")
            .description(
                "A place is a folder or a database that the settings name; home is where control is. Events keep their positions, reads never wait, \
                 and commits wait for the last of it only. When the saga is called off or fails, the tenant is where it was.",
            )
            .tag("tenants")
            .status(StatusCode::ACCEPTED)
            .error(StatusCode::CONFLICT, "tenant_being_moved")
            .error(StatusCode::CONFLICT, "tenant_fixed")
            .error(StatusCode::CONFLICT, "tenant_not_ready")
            .error(StatusCode::UNPROCESSABLE_ENTITY, "place_unknown")
            .handle(identity.clone(), move_tenant),
        operation("tenants.place", Method::GET, "/api/v1/tenants/{id}/place")
            .needs("tenants:read")
            .summary("In which place of the installation a tenant is")
            .tag("tenants")
            .error(StatusCode::SERVICE_UNAVAILABLE, "place_missing")
            .handle(identity.clone(), place),
    ]
}

/// A place, by the name that the settings give it.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// `home`, or a name of the settings.
    #[schemars(length(min = 1, max = 40))]
    place: String,
}

/// What goes on in the background.
#[derive(Debug, Serialize, JsonSchema)]
struct Moving {
    /// The saga's id; `/api/v1/sagas/{id}` says how far it is.
    saga: String,
    /// Where the tenant is.
    from: String,
    /// Where it will be.
    to: String,
}

async fn move_tenant(identity: Identity, call: Call<ById<Tenant>, (), Json<Named>>) -> Result<Reply<Json<Moving>>> {
    let Json(Named { place }) = call.body;
    let (saga, from) = identity.move_tenant(&call.ctx, call.path.id.record(), &place).await?;
    let saga = saga.wire(SagaRun::PREFIX);
    let location = format!("/api/v1/sagas/{saga}");
    Ok(Reply::json(Moving { saga, from, to: place }).location(&location))
}

async fn place(identity: Identity, call: Call<ById<Tenant>>) -> Result<Reply<Json<Named>>> {
    let tenant = call.path.id.record();
    identity.0.store.get(&call.ctx, Tenant::KIND, tenant).await?.ok_or_else(|| Error::not_found("tenant"))?;
    Ok(Reply::json(Named { place: place_of(&identity, tenant.into()).await? }))
}
