//! `steward backup`: copies of the tenants, in a folder or at the place of the settings, and back; and the copies that the server makes of itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use steward_auth::system;
use steward_base::{Clock, Error, ErrorKind, Random, Result, TenantId};
use steward_fabric::blob::Blob;
use steward_identity::{Tenant, TenantStatus};
use steward_store::{Backend, Expect, ListQuery, MasterKey, Model as _, Options, Store, UnitOfWork};
use steward_telemetry::Telemetry;
use steward_work::backup::{self, Backups, Choice, Installation, Keep, Manifest, Place, Pruning, Subject};

use crate::app::{App, kinds, make_data_dir, open_store, telemetry_options};
use crate::cli::KeepArgs;
use crate::config::Config;
use crate::{fabric, master};

/// What is read back.
pub(crate) struct Wanted {
    /// A backup by its name; the latest that holds what is wanted unless said.
    pub(crate) backup: Option<String>,
    /// One tenant, by the short name that it had.
    pub(crate) tenant: Option<String>,
    /// The short name that it gets.
    pub(crate) renamed: Option<String>,
    /// Whether it takes no requests; as it was unless said.
    pub(crate) suspended: Option<bool>,
}

/// The folder, or the place of the settings.
pub(crate) async fn objects(config: &Config, folder: Option<&Path>, clock: &Clock) -> Result<Blob> {
    let named = Some(Path::new(&config.backup_dir)).filter(|path| !path.as_os_str().is_empty());
    match folder.or(named) {
        Some(folder) => backup::folder(folder).await,
        None if config.s3_bucket.is_empty() => Err(no_place()),
        None => fabric::blob(config, clock).await,
    }
}

/// The place of the settings; `own` is where all objects are.
pub(crate) fn place(config: &Config, own: &Blob) -> Place {
    match (config.backup_dir.as_str(), own) {
        ("", Blob::S3(_)) => Place::Bucket(own.clone()),
        ("", Blob::Directory(_)) => Place::Nowhere,
        (folder, _) => Place::Folder(folder.into()),
    }
}

/// Where the running server puts a backup.
pub(crate) async fn of_server(place: &Place, folder: Option<&Path>) -> Result<Blob> {
    match (folder, place) {
        (Some(folder), _) => backup::folder(folder).await,
        (None, Place::Nowhere) => Err(no_place()),
        (None, place) => place.open().await,
    }
}

/// The backups that the server makes of itself.
pub(crate) fn of_itself(app: &App, telemetry: &Telemetry) -> Backups {
    let (store, master) = (app.store().clone(), app.master().clone());
    let everything = move || {
        let (store, master) = (store.clone(), master.clone());
        async move { everything(&store, &master).await }
    };
    Backups::new(app.store().clone(), app.fabric().blob.clone(), telemetry.clone(), app.backup_place().clone(), everything)
}

/// Copies one tenant, or the whole installation, and says what came of it.
pub(crate) async fn create(from: Installation<'_>, master: &MasterKey, blob: &Blob, slug: Option<&str>) -> Result<String> {
    let store = from.store;
    let began = store.clock().monotonic();
    let mut subjects = everything(store, master).await?;
    if let Some(slug) = slug {
        subjects.retain(|subject| subject.about["slug"] == *slug && subject.tenant != TenantId::OPERATOR);
    }
    if subjects.is_empty() {
        return Err(Error::not_found("tenant"));
    }
    let made = backup::create(from, blob, subjects).await?;
    let took = store.clock().monotonic().saturating_sub(began);
    Ok(format!("{}: {} tenants, {} bytes in all, in {}", made.name, made.tenants.len(), made.length(), seconds(took)))
}

/// Reads a backup again.
pub(crate) async fn verify(blob: &Blob, name: Option<&str>) -> Result<String> {
    let manifest = backup::read(blob, name).await?;
    let read = backup::verify(blob, &manifest).await?;
    Ok(format!(
        "{} of {}: {} tenants, {} parts, {} objects, {} segments of telemetry, {} bytes and {} events hold",
        manifest.name, manifest.began_at, read.tenants, read.parts, read.objects, read.segments, read.bytes, read.events
    ))
}

/// Removes what no rule keeps, or says what would go: a line for each backup, and what it comes to.
pub(crate) async fn prune(blob: &Blob, keep: &KeepArgs, pruning: Pruning) -> Result<String> {
    let KeepArgs { keep_last: last, keep_daily: daily, keep_weekly: weekly, keep_monthly: monthly, keep_yearly: yearly } = *keep;
    let by = (&Clock::system(), &Random::system());
    let pruned = backup::prune(blob, &Keep { last, daily, weekly, monthly, yearly }, pruning, by).await?;
    let (going, done) = match pruning {
        Pruning::Rehearsed => ("would go", "would be removed"),
        Pruning::Real => ("removed", "removed"),
    };
    let mut lines: Vec<String> = pruned
        .backups
        .iter()
        .map(|Choice { name, began_at, tenants, rules }| {
            let fate = if rules.is_empty() { going.to_owned() } else { format!("kept: {}", rules.join(", ")) };
            format!("{name} of {began_at}, {tenants} tenants: {fate}")
        })
        .collect();
    let kept = pruned.backups.iter().filter(|choice| !choice.rules.is_empty()).count();
    lines.push(format!(
        "{kept} kept, {} {done}; {} objects of {} bytes that no backup needs",
        pruned.backups.len() - kept,
        pruned.objects,
        pruned.bytes
    ));
    Ok(lines.join("\n"))
}

/// Reads everything back into an installation that has nothing, whose server does not run.
pub(crate) async fn restore_all(config: &Config, blob: &Blob, wanted: &Wanted) -> Result<String> {
    let (clock, random) = (Clock::system(), Random::system());
    let manifest = find(blob, wanted, |manifest| manifest.tenant(TenantId::OPERATOR).is_some()).await?;
    make_data_dir(&config.data_dir)?;
    let master = master::load(config, &random).await?;
    let store = open_store(config, &master, &clock, &random).await?;
    let objects = fabric::blob(config, &clock).await?;
    let telemetry = Telemetry::open(telemetry_options(config, &config.data_dir), clock.clone(), random).await?;
    let restored = all(Installation { store: &store, objects: &objects, telemetry: &telemetry }, blob, &manifest).await;
    telemetry.close().await?;
    store.close().await;
    Ok(report(&manifest, &restored?, &clock))
}

/// The same into a folder of its own, which is removed: how long it takes, and what would be lost.
pub(crate) async fn drill(config: &Config, blob: &Blob, wanted: &Wanted) -> Result<String> {
    let (clock, random) = (Clock::system(), Random::system());
    let manifest = find(blob, wanted, |manifest| manifest.tenant(TenantId::OPERATOR).is_some()).await?;
    let master = master::load(config, &random).await?;
    let folder = config.data_dir.join("drill");
    remove(&folder)?;
    let backend = Backend::Sqlite { dir: folder.join("records") };
    let store = Store::open(Options { backend, master }, kinds(), clock.clone(), random.clone()).await?;
    let objects = Blob::directory(&folder.join("blobs")).await?;
    let telemetry = Telemetry::open(telemetry_options(config, &folder), clock.clone(), random).await?;
    let restored = all(Installation { store: &store, objects: &objects, telemetry: &telemetry }, blob, &manifest).await;
    telemetry.close().await?;
    store.close().await;
    remove(&folder)?;
    Ok(report(&manifest, &restored?, &clock))
}

/// Reads one tenant back into an installation that runs, where it is not; control gets to know it when it does not.
pub(crate) async fn restore_tenant(into: Installation<'_>, blob: &Blob, wanted: &Wanted) -> Result<String> {
    let store = into.store;
    let slug = wanted.tenant.as_deref().unwrap_or_default();
    let named = |manifest: &Manifest| manifest.tenants.iter().find(|copied| copied.about["slug"] == *slug).cloned();
    let manifest = find(blob, wanted, |manifest| named(manifest).is_some()).await?;
    let copied = named(&manifest).ok_or_else(|| Error::not_found("tenant"))?;
    let slug = wanted.renamed.as_deref().unwrap_or(slug);
    let control = system(TenantId::OPERATOR, "restore");
    let holder = store.find(&control, Tenant::KIND, "slug", slug).await?;
    if holder.is_some_and(|record| record.id != copied.tenant.record()) {
        let detail = format!("A tenant named \"{slug}\" exists: give this one another name with --as.");
        return Err(Error::new(ErrorKind::Conflict, "slug_taken", detail));
    }
    let restored = backup::restore_tenant(into, blob, &manifest, copied.tenant).await?;
    let name = copied.about["name"].as_str().unwrap_or(slug).to_owned();
    let known = store.get(&control, Tenant::KIND, copied.tenant.record()).await?.map(|record| record.decode::<Tenant>()).transpose()?;
    let was = serde_json::from_value(copied.about["status"].clone()).ok();
    // Whoever restores a tenant does not lift what the operator put on it.
    let suspended = [known.map(|tenant| tenant.status), was].contains(&Some(TenantStatus::Suspended));
    let status = if wanted.suspended.unwrap_or(suspended) { TenantStatus::Suspended } else { TenantStatus::Active };
    let tenant = Tenant { name, slug: slug.to_owned(), status };
    store.commit(&control, UnitOfWork::new().put_model(copied.tenant.record(), &tenant, Expect::Any)).await?;
    Ok(report(&manifest, &[(copied.tenant, restored.took, restored.position)], store.clock()))
}

async fn all(into: Installation<'_>, blob: &Blob, manifest: &Manifest) -> Result<Vec<(TenantId, Duration, i64)>> {
    let control = backup::restore_control(into, blob, manifest).await?;
    let mut restored = vec![(TenantId::OPERATOR, control.took, control.position)];
    for copied in manifest.tenants.iter().filter(|copied| copied.tenant != TenantId::OPERATOR) {
        let one = backup::restore_tenant(into, blob, manifest, copied.tenant).await?;
        restored.push((copied.tenant, one.took, one.position));
    }
    for (tenant, ..) in &restored {
        into.store.verify_chain(&system(*tenant, "restore")).await?;
    }
    Ok(restored)
}

fn report(manifest: &Manifest, restored: &[(TenantId, Duration, i64)], clock: &Clock) -> String {
    let took = restored.iter().map(|(_, took, _)| *took).sum::<Duration>();
    let age = clock.now().since(manifest.began_at);
    let mut lines: Vec<String> =
        restored.iter().map(|(tenant, took, position)| format!("{tenant}: {position} events in {}", seconds(*took))).collect();
    lines.push(format!("recovery time {}, recovery point {} ago ({})", seconds(took), seconds(age), manifest.name));
    lines.join("\n")
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// The named backup, or the latest that has what is wanted.
async fn find(blob: &Blob, wanted: &Wanted, has: impl Fn(&Manifest) -> bool) -> Result<Manifest> {
    if let Some(name) = &wanted.backup {
        return backup::read(blob, Some(name)).await;
    }
    for name in backup::names(blob).await?.iter().rev() {
        let manifest = backup::read(blob, Some(name)).await?;
        if has(&manifest) {
            return Ok(manifest);
        }
    }
    Err(Error::new(ErrorKind::NotFound, "backup_missing", "No backup there holds that."))
}

/// The whole installation: control, then every tenant that it knows.
async fn everything(store: &Store, master: &MasterKey) -> Result<Vec<Subject>> {
    let control = system(TenantId::OPERATOR, "backup");
    let mut query = ListQuery { kind: Tenant::KIND.to_owned(), limit: 500, ..ListQuery::default() };
    let about = json!({ "slug": "operator", "master_key": master.id() });
    let mut subjects = vec![Subject { tenant: TenantId::OPERATOR, about }];
    loop {
        let page = store.list(&control, query.clone()).await?;
        for record in page.records.iter().filter(|record| record.id != TenantId::OPERATOR.record()) {
            subjects.push(Subject { tenant: record.id.into(), about: Value::Object(record.body.object()?) });
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(subjects),
        }
    }
}

fn remove(folder: &PathBuf) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::internal(error)),
        _ => Ok(()),
    }
}

fn no_place() -> Error {
    let detail = "Say which folder the backups are in, or name one in the settings, or a bucket.";
    Error::new(ErrorKind::Invalid, "config_invalid", detail)
}
