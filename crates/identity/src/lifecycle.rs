//! How tenants come and go: sagas of control, whose steps may be repeated.
//!
//! A tenant that is being deleted is refused at once, then every part that keeps something of it lets go, then its namespace goes, and at last
//! the lines of control that name it. From the first step on there is no way back: a part that is away makes the saga wait, not give up.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use steward_base::filter;
use steward_base::{Ctx, Error, ErrorKind, RecordId, Result, TenantId};
use steward_store::{Expect, ListQuery, Model, Record, UnitOfWork};
use steward_work::{At, Done, Failure, Saga, SagaState, Step, begin, finished, is_unfinished};

use crate::moving;
use crate::tenants::{check_slug, slug_taken};
use crate::transfer::IMPORT;
use crate::{Identity, Person, Tenant, TenantStatus};

/// How long whoever makes a tenant waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const CREATE: &str = "create_tenant";
pub(crate) const DELETE: &str = "delete_tenant";

/// A part that keeps something of tenants beside their records, and how it lets go of one.
pub struct Eraser {
    part: &'static str,
    erase: Box<dyn Fn(TenantId) -> BoxFuture<'static, Result<()>> + Send + Sync>,
}

impl Eraser {
    /// The part as logs name it, its handle, and a function that resolves when nothing of the tenant is left; it may be called again.
    pub fn new<S, F, R>(part: &'static str, handle: S, erase: F) -> Self
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(S, TenantId) -> R + Send + Sync + 'static,
        R: Future<Output = Result<()>> + Send + 'static,
    {
        Self { part, erase: Box::new(move |tenant| Box::pin(erase(handle.clone(), tenant))) }
    }
}

/// What the saga `create_tenant` is begun with.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    tenant: TenantId,
    slug: String,
    name: String,
}

/// What the saga `delete_tenant` is begun with.
#[derive(Debug, Serialize, Deserialize)]
struct Doomed {
    tenant: TenantId,
}

impl Identity {
    /// The sagas of this crate.
    pub fn sagas(&self, erasers: Vec<Eraser>) -> [Saga; 3] {
        let create = Saga::new(CREATE).patience(5, Duration::from_millis(200));
        let create = create.then(Claim(self.clone())).then(Provision(self.clone())).then(Open(self.clone()));
        let delete = Saga::new(DELETE).patience(i32::MAX, Duration::from_secs(1));
        let delete = delete.then(Close(self.clone())).then(LetGo(erasers)).then(Erase(self.clone())).then(Forget(self.clone()));
        [create, delete, moving::saga(self)]
    }

    /// Makes a tenant by the saga and waits for it.
    ///
    /// Fails with `slug_taken`, `slug_reserved`, `tenant_not_made`, or `tenant_being_made` when it takes longer than one waits.
    pub(crate) async fn make_tenant(&self, ctx: &Ctx, slug: String, name: String) -> Result<Record> {
        check_slug(&slug)?;
        if self.tenant_by_slug(&slug).await?.is_some() {
            return Err(slug_taken(&slug));
        }
        let store = &self.0.store;
        let (tenant, saga) = (RecordId::new(&self.0.clock, &self.0.random), store.mint_id());
        let wanted = serde_json::to_value(Wanted { tenant: tenant.into(), slug: slug.clone(), name }).map_err(Error::internal)?;
        let begun = store.commit(ctx, begin(UnitOfWork::new(), saga, CREATE, &slug, wanted)).await;
        begun.map_err(|error| if error.code() == "unique_taken" { slug_taken(&slug) } else { error })?;
        let run = finished(store, ctx, saga, PATIENCE).await?;
        match run.state {
            SagaState::Done => store.get(ctx, Tenant::KIND, tenant).await?.ok_or_else(|| Error::not_found("tenant")),
            SagaState::Running | SagaState::Undoing => {
                let detail = "The tenant is still being made: look for it in a moment.";
                Err(Error::new(ErrorKind::Unavailable, "tenant_being_made", detail).with_retry_after(Duration::from_secs(5)))
            }
            SagaState::Undone | SagaState::Parked if run.error.as_deref().is_some_and(|error| error.contains("slug_taken")) => {
                Err(slug_taken(&slug))
            }
            SagaState::Undone | SagaState::Parked => {
                let saga = saga.wire(steward_work::SagaRun::PREFIX);
                let detail = format!("The tenant could not be made; /api/v1/sagas/{saga} says why.");
                Err(Error::new(ErrorKind::Unavailable, "tenant_not_made", detail))
            }
        }
    }

    /// Begins to delete a tenant; answers the saga's id. `confirm` must be its slug.
    ///
    /// Fails with `not_found`, `confirmation_wrong`, `tenant_fixed` for the operator's, `tenant_being_deleted`, or `tenant_not_ready` for one that
    /// is being made: who makes it would go on in what is erased.
    pub(crate) async fn delete_tenant(&self, ctx: &Ctx, tenant: RecordId, confirm: &str) -> Result<RecordId> {
        if tenant == TenantId::OPERATOR.record() {
            return Err(Error::new(
                ErrorKind::Conflict,
                "tenant_fixed",
                "The operator's tenant is the installation itself and cannot be deleted.",
            ));
        }
        let store = &self.0.store;
        let record = store.get(ctx, Tenant::KIND, tenant).await?.ok_or_else(|| Error::not_found("tenant"))?;
        let doomed: Tenant = record.decode()?;
        if doomed.slug != confirm {
            let detail = "Say the tenant's short name in `confirm`: everything in it will be gone.";
            return Err(Error::new(ErrorKind::Conflict, "confirmation_wrong", detail));
        }
        if self.being_made(ctx, tenant.into(), &doomed).await? {
            return Err(not_ready());
        }
        let saga = store.mint_id();
        let doomed = serde_json::to_value(Doomed { tenant: tenant.into() }).map_err(Error::internal)?;
        let begun = store.commit(ctx, begin(UnitOfWork::new(), saga, DELETE, &tenant.wire(Tenant::PREFIX), doomed)).await;
        begun.map_err(|error| match error.code() {
            "unique_taken" => Error::new(ErrorKind::Conflict, "tenant_being_deleted", "This tenant is being deleted already."),
            _ => error,
        })?;
        Ok(saga)
    }

    /// Suspends a tenant, or lifts it. Fails with `not_found`, `tenant_fixed`, or `tenant_not_ready` for one that is being made or deleted.
    pub(crate) async fn set_status(&self, ctx: &Ctx, tenant: RecordId, status: TenantStatus) -> Result<Record> {
        if tenant == TenantId::OPERATOR.record() {
            return Err(Error::new(
                ErrorKind::Conflict,
                "tenant_fixed",
                "The operator's tenant is the installation itself and cannot be suspended.",
            ));
        }
        let change = |tenant: &mut Tenant| match tenant.status {
            TenantStatus::Active | TenantStatus::Suspended => {
                tenant.status = status;
                Ok(())
            }
            TenantStatus::Provisioning | TenantStatus::Deleting => Err(not_ready()),
        };
        self.0.store.update::<Tenant>(ctx, tenant, change).await
    }

    /// Whether background work is done for a tenant: not while it is suspended or being deleted, and not before it is open. The jobs of one that is
    /// being taken in are there before it is known that they stay: what they did elsewhere would be done twice.
    pub async fn works_for(&self, tenant: TenantId) -> Result<bool> {
        let control = steward_auth::system(TenantId::OPERATOR, "tenant");
        let record = self.0.store.get(&control, Tenant::KIND, tenant.record()).await?;
        Ok(match record {
            Some(record) => record.decode::<Tenant>()?.status == TenantStatus::Active,
            None => false,
        })
    }

    /// Takes a tenant from its persons; whoever belongs nowhere else is erased, which is to be followed by a scrub.
    pub(crate) async fn leave_persons(&self, ctx: &Ctx, tenant: TenantId) -> Result<()> {
        let filter = filter::parse(&format!("tenants:\"{tenant}\""))
            .and_then(|filter| filter::check(filter, self.kind(Person::KIND).filter_registry(), self.0.clock.now()));
        let query = ListQuery { kind: Person::KIND.to_owned(), filter: Some(filter?), limit: 100, ..ListQuery::default() };
        loop {
            let page = self.0.store.list(ctx, query.clone()).await?;
            if page.records.is_empty() && page.next.is_none() {
                return Ok(());
            }
            for record in page.records {
                self.leave(ctx, record.id.into(), tenant).await?;
            }
        }
    }

    /// Whether a saga is at work on a tenant that is not open yet. One that nobody goes on to make was left behind by whoever did.
    async fn being_made(&self, ctx: &Ctx, id: TenantId, tenant: &Tenant) -> Result<bool> {
        let store = &self.0.store;
        Ok(tenant.status == TenantStatus::Provisioning
            && (is_unfinished(store, ctx, CREATE, &tenant.slug).await? || is_unfinished(store, ctx, IMPORT, &id.to_string()).await?))
    }

    async fn tenant_record(&self, ctx: &Ctx, tenant: TenantId) -> Result<Option<(Record, Tenant)>, Failure> {
        let Some(record) = self.0.store.get(ctx, Tenant::KIND, tenant.record()).await? else { return Ok(None) };
        let tenant = record.decode()?;
        Ok(Some((record, tenant)))
    }
}

pub(crate) fn not_ready() -> Error {
    Error::new(ErrorKind::Conflict, "tenant_not_ready", "This tenant is being made or deleted.")
}

/// What a saga of this crate was begun with. Its steps act on the tenant that is named there: one that is not the operator's is nobody's order.
pub(crate) fn begun_with<T: DeserializeOwned>(at: &At) -> Result<T, Failure> {
    if at.ctx.tenant() == TenantId::OPERATOR {
        return at.input();
    }
    Err(Failure::Never(Error::internal("a saga that acts on tenants was begun in one that is not the operator's")))
}

/// The unit that gives a tenant another status.
fn with_status(record: &Record, tenant: Tenant, status: TenantStatus) -> UnitOfWork {
    UnitOfWork::new().put_model(record.id, &Tenant { status, ..tenant }, Expect::Version(record.version))
}

/// Takes the short name.
struct Claim(Identity);

impl Step for Claim {
    const NAME: &'static str = "claim";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        let Wanted { tenant, slug, name } = begun_with(&at)?;
        match self.0.tenant_by_slug(&slug).await? {
            Some(other) if other.id != tenant.record() => Err(Failure::Never(slug_taken(&slug))),
            _ => {
                let made = Tenant { name, slug, status: TenantStatus::Provisioning };
                Ok(Done { unit: UnitOfWork::new().put_model(tenant.record(), &made, Expect::Any), ..Done::default() })
            }
        }
    }

    async fn undo(&self, at: At) -> Result<UnitOfWork, Failure> {
        let Wanted { tenant, .. } = begun_with(&at)?;
        Ok(UnitOfWork::new().delete(Tenant::KIND, tenant.record(), Expect::Any))
    }
}

/// Makes the namespace.
struct Provision(Identity);

impl Step for Provision {
    const NAME: &'static str = "provision";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        self.0.0.store.provision(begun_with::<Wanted>(&at)?.tenant).await?;
        Ok(Done::default())
    }

    async fn undo(&self, at: At) -> Result<UnitOfWork, Failure> {
        self.0.0.store.erase(begun_with::<Wanted>(&at)?.tenant).await?;
        Ok(UnitOfWork::new())
    }
}

/// Lets requests in, unless the tenant is not being made any more.
struct Open(Identity);

impl Step for Open {
    const NAME: &'static str = "open";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        match self.0.tenant_record(&at.ctx, begun_with::<Wanted>(&at)?.tenant).await? {
            Some((record, tenant)) if tenant.status == TenantStatus::Provisioning => {
                Ok(Done { unit: with_status(&record, tenant, TenantStatus::Active), ..Done::default() })
            }
            _ => Err(Failure::Never(not_ready())),
        }
    }

    async fn undo(&self, at: At) -> Result<UnitOfWork, Failure> {
        match self.0.tenant_record(&at.ctx, begun_with::<Wanted>(&at)?.tenant).await? {
            Some((record, tenant)) if matches!(tenant.status, TenantStatus::Active | TenantStatus::Suspended) => {
                Ok(with_status(&record, tenant, TenantStatus::Provisioning))
            }
            _ => Ok(UnitOfWork::new()),
        }
    }
}

/// Refuses every request from now on.
struct Close(Identity);

impl Step for Close {
    const NAME: &'static str = "close";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        match self.0.tenant_record(&at.ctx, begun_with::<Doomed>(&at)?.tenant).await? {
            // Whoever makes it was called off after it was open, and erases it.
            Some((record, tenant)) if self.0.being_made(&at.ctx, record.id.into(), &tenant).await? => Err(Failure::Never(not_ready())),
            Some((record, tenant)) => Ok(Done { unit: with_status(&record, tenant, TenantStatus::Deleting), ..Done::default() }),
            None => Ok(Done::default()),
        }
    }

    async fn undo(&self, at: At) -> Result<UnitOfWork, Failure> {
        match self.0.tenant_record(&at.ctx, begun_with::<Doomed>(&at)?.tenant).await? {
            Some((record, tenant)) if tenant.status == TenantStatus::Deleting => Ok(with_status(&record, tenant, TenantStatus::Suspended)),
            _ => Ok(UnitOfWork::new()),
        }
    }
}

/// What is erased cannot come back: somebody who calls the deletion off then must be told so.
fn no_way_back() -> Failure {
    let detail = "Parts of the tenant are erased already: it can only be deleted to the end.";
    Failure::Never(Error::new(ErrorKind::Conflict, "tenant_half_erased", detail))
}

/// Has every part beside the records let go.
struct LetGo(Vec<Eraser>);

impl Step for LetGo {
    const NAME: &'static str = "let_go";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        let Doomed { tenant } = begun_with(&at)?;
        for Eraser { part, erase } in &self.0 {
            erase(tenant).await.inspect_err(
                |error| tracing::warn!(tenant.id = %tenant, part, error.code = error.code(), "a part does not let go of a tenant yet"),
            )?;
        }
        Ok(Done::default())
    }

    async fn undo(&self, _: At) -> Result<UnitOfWork, Failure> {
        Err(no_way_back())
    }
}

/// Erases the namespace.
struct Erase(Identity);

impl Step for Erase {
    const NAME: &'static str = "erase";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        self.0.0.store.erase(begun_with::<Doomed>(&at)?.tenant).await?;
        Ok(Done::default())
    }

    async fn undo(&self, _: At) -> Result<UnitOfWork, Failure> {
        Err(no_way_back())
    }
}

/// Takes the tenant out of control: from its persons, of whom whoever belongs nowhere else is erased, and out of the list.
struct Forget(Identity);

impl Step for Forget {
    const NAME: &'static str = "forget";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        let Doomed { tenant } = begun_with(&at)?;
        self.0.leave_persons(&at.ctx, tenant).await?;
        self.0.0.store.commit(&at.ctx, UnitOfWork::new().erase(Tenant::KIND, tenant.record())).await?;
        // Once for all of them: every tenant's first commit waits while the files are written anew. After a crash the step comes here again.
        self.0.0.store.scrub(&at.ctx).await?;
        Ok(Done::default())
    }

    async fn undo(&self, _: At) -> Result<UnitOfWork, Failure> {
        Err(no_way_back())
    }
}
