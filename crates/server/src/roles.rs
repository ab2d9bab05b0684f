//! The table of operations of every role. One process runs them all so far.

use steward_fabric::blob::Blob;
use steward_fabric::cache::Cache;
use steward_fabric::kv::Kv;
use steward_fabric::mail::Mail;
use steward_identity::{Eraser, PasswordCodes, Tenant};
use steward_observe::Observe;
use steward_store::Model as _;
use steward_telemetry::Telemetry;
use steward_web::{Operations, events, health, openapi, search, undo};
use steward_work::Work;
use steward_work::backup::Backups;

use crate::app::App;
use crate::{console, fabric, problems};

/// What `/version` says.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Every operation there is: nothing else is routed.
pub(crate) fn operations(app: &App, observe: &Observe, work: &Work) -> Operations {
    Operations::new()
        .tag("meta", "The document of this API.")
        .tag("health", "Whether the process lives and can serve.")
        .tag("auth", "Set-up, sign-in and sessions.")
        .tag("tenants", "Tenants of this installation; for its operator.")
        .tag("members", "Who belongs to a tenant, and what they may do there.")
        .tag("api-keys", "Keys for programs.")
        .tag("organizations", "The clients or departments that a tenant looks after.")
        .tag("projects", "Projects and what they are made of.")
        .tag("services", "Services of a project, their state and their health.")
        .tag("devices", "Machines that run an agent.")
        .tag("enrollment-tokens", "The way in for new devices.")
        .tag("sample", "A sample company to look around in.")
        .tag("agent", "What agents call.")
        .tag("jobs", "Background work: what waits, runs, and has failed for good.")
        .tag("schedules", "Jobs that the clock queues.")
        .tag("sagas", "Work in steps that is done whole or undone.")
        .tag("backups", "Copies of the whole installation; for its operator.")
        .tag("events", "What happened, in order, and live.")
        .tag("search", "Everything, by its words.")
        .tag("undo", "What a request did, taken back.")
        .tag("logs", "Log lines: in, out and live.")
        .tag("metrics", "Metric points: in, and series out.")
        .tag("platform", "The installation itself; for its operator.")
        .tag("console", "Pages for browsers.")
        .with(health::operations())
        .with([openapi::operation_for_document()])
        .with(steward_identity::operations(app.identity()))
        .with(app.transfer().operations())
        .with(PasswordCodes::new(app.identity().clone(), app.fabric().mail.clone(), app.password_page()).operations())
        .with(app.fleet().operations())
        .with(observe.operations())
        .with(work.operations())
        .with(events::operations(app.store()))
        .with(search::operations(app.store()))
        .with(undo::operations(app.store()))
        .with(fabric::operations(app.fabric()))
        .with(problems::operations())
        .with(console::operations())
}

/// The background work of every role.
pub(crate) fn work(app: &App, telemetry: &Telemetry, backups: Backups) -> Work {
    let work = Work::new(app.store().clone(), steward_work::Options::default());
    let identity = app.identity().clone();
    let work = work.only_for(Tenant::KIND, move |tenant| {
        let identity = identity.clone();
        async move { identity.works_for(tenant).await }
    });
    let sagas = app.identity().sagas(erasers(app, telemetry)).into_iter().chain(app.transfer().sagas());
    sagas.fold(work.backups(backups), Work::saga)
}

/// Every part that keeps something of tenants beside their records.
fn erasers(app: &App, telemetry: &Telemetry) -> Vec<Eraser> {
    let fabric = app.fabric().clone();
    vec![
        Eraser::new("telemetry", telemetry.clone(), async |telemetry: Telemetry, tenant| telemetry.erase(tenant).await),
        Eraser::new("objects", fabric.blob, async |blob: Blob, tenant| blob.erase(tenant.into()).await),
        Eraser::new("mail", fabric.mail, async |mail: Mail, tenant| mail.erase(tenant.into()).await),
        // Before the keys, among which a second level would say that the tenant was forgotten.
        Eraser::new("cache", fabric.cache, async |cache: Cache, tenant| {
            cache.invalidate_tenant(tenant).await;
            Ok(())
        }),
        Eraser::new("keys", fabric.kv, async |kv: Kv, tenant| kv.erase(tenant.into()).await),
    ]
}
