//! Backups: taken while tenants are written, read again, and read back into an installation that has nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use steward_auth::system;
use steward_base::{Clock, Random, TenantId};
use steward_fabric::blob::Blob;
use steward_store::{Backend, Kind, Kinds, MasterKey, Model, Options, Sealed, Store, UnitOfWork};
use steward_work::backup::{self, Installation, Manifest};
use tempfile::TempDir;

use crate::place::{Backed, Place, blob, create, events, subjects, write};
use crate::support::open;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_restored_to_its_position() {
    let (world, objects) = (Place::new().await, tempfile::tempdir().expect("a folder"));
    let blob = blob(&objects).await;
    let tenants = [world.tenant().await, world.tenant().await];
    write(&world.store, &system(TenantId::OPERATOR, "test"), 1).await;
    let ends = Arc::new(AtomicBool::new(false));
    let acked: [Arc<AtomicI64>; 2] = Default::default();
    let mut writers = tokio::task::JoinSet::new();
    for (ctx, acked) in tenants.iter().zip(&acked) {
        let (store, ctx, ends, acked) = (world.store.clone(), ctx.clone(), ends.clone(), acked.clone());
        writers.spawn(async move {
            let mut number = 0;
            while !ends.load(Ordering::Acquire) {
                number += 1;
                write(&store, &ctx, number).await;
                acked.store(number, Ordering::Release);
            }
        });
    }
    let mut last = None;
    for _ in 0..3 {
        for ctx in &tenants {
            let before = world.store.head(ctx).await.expect("reads");
            let mut moved = world.store.watch(ctx.tenant());
            moved.wait_for(|position| *position > before + 20).await.expect("goes on");
        }
        let known: Vec<i64> = acked.iter().map(|acked| acked.load(Ordering::Acquire)).collect();
        let made = backup::create(world.all(), &blob, subjects(&tenants)).await.expect("is made");
        for (ctx, known) in tenants.iter().zip(known) {
            let copied = made.tenant(ctx.tenant()).expect("is in it");
            assert!(copied.head.position >= known, "what was acknowledged before is in it");
        }
        last = Some(made);
    }
    ends.store(true, Ordering::Release);
    while let Some(done) = writers.join_next().await {
        done.expect("no panic");
    }
    let last = last.expect("was made");
    assert_eq!(last.tenant(TenantId::OPERATOR).expect("is in it").parts.len(), 1, "control did not go on");
    assert_eq!(last.tenant(tenants[0].tenant()).expect("is in it").parts.len(), 3);
    let read = backup::read(&blob, None).await.expect("reads");
    assert_eq!((read.name.as_str(), backup::names(&blob).await.expect("lists").len()), (last.name.as_str(), 3));
    let verified = backup::verify(&blob, &read).await.expect("holds");
    assert_eq!((verified.tenants, verified.parts), (3, 7));

    // Another machine, which has nothing.
    let other = Place::new().await;
    let (store, into) = (&other.store, other.all());
    backup::restore_control(into, &blob, &read).await.expect("restores");
    for ctx in &tenants {
        let restored = backup::restore_tenant(into, &blob, &read, ctx.tenant()).await.expect("restores");
        assert_eq!(store.verify_chain(ctx).await.expect("holds"), restored.position);
        assert_eq!(events(store, ctx, i64::MAX).await, events(&world.store, ctx, restored.position).await);
        assert_eq!(store.count(ctx, "trace", None).await.expect("counts") as i64, restored.position, "one event per record");
        let again = backup::restore_tenant(into, &blob, &read, ctx.tenant()).await.expect_err("is there");
        assert_eq!(again.code(), "tenant_exists");
        write(store, ctx, 0).await;
    }
    let control = system(TenantId::OPERATOR, "test");
    assert_eq!(store.count(&control, "trace", None).await.expect("counts"), 1);
    assert_eq!(backup::restore_control(into, &blob, &read).await.expect_err("is in use").code(), "tenant_exists");
    // Its marks are those of this installation, so that a start looks into what was restored.
    assert_eq!(store.marked().await.expect("reads").len(), 2);
    store.close().await;
    let store = open(&other.path.join("records"), Clock::system()).await;
    assert_eq!(store.count(&control, "trace", None).await.expect("counts"), 1);
    store.close().await;
}

/// As one is that was written before objects and telemetry were copied.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_the_form_before_is_read_and_built_upon() {
    let Backed { place, folder: objects, backups: blob, ctx } = Backed::new().await;
    write(&place.store, &ctx, 1).await;
    let made = create(&place, &blob, &ctx).await;
    let manifest = objects.path().join("platform").join("backups").join(&made.name);
    let write_as = |format: u32| {
        let text = std::fs::read_to_string(&manifest).expect("is text");
        let mut told: Value = serde_json::from_str(text.split_once('\n').expect("a checksum").1).expect("is JSON");
        told["format"] = format.into();
        for copied in told["tenants"].as_array_mut().expect("a list") {
            let fields = copied.as_object_mut().expect("an object");
            fields.retain(|name, _| ["tenant", "about", "head", "keys", "parts"].contains(&name.as_str()));
        }
        let json = told.to_string();
        let sum = steward_base::hex(digest(&SHA256, json.as_bytes()).as_ref());
        std::fs::write(&manifest, format!("{sum}\n{json}")).expect("is written");
    };
    write_as(2);
    let read = backup::read(&blob, None).await.expect("reads");
    let verified = backup::verify(&blob, &read).await.expect("holds");
    assert_eq!((verified.tenants, verified.objects, verified.segments), (2, 0, 0));
    let other = Place::new().await;
    backup::restore_tenant(other.all(), &blob, &read, ctx.tenant()).await.expect("restores");
    other.store.close().await;
    place.put(ctx.tenant(), "a-file", "that was there before too").await;
    let next = create(&place, &blob, &ctx).await;
    let copied = next.tenant(ctx.tenant()).expect("is in it");
    assert_eq!((copied.parts.len(), copied.objects.len()), (1, 1), "its parts are built upon, its objects are copied");
    write_as(1_000);
    assert_eq!(backup::read(&blob, Some(&made.name)).await.expect_err("is of a later version").code(), "backup_newer");
    place.store.close().await;
}

/// The file of a tenant that nobody writes to may as well not be there.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_tenant_is_not_looked_at() {
    let (place, objects) = (Place::new().await, tempfile::tempdir().expect("a folder"));
    let blob = blob(&objects).await;
    let tenants = [place.tenant().await, place.tenant().await];
    for ctx in &tenants {
        write(&place.store, ctx, 1).await;
    }
    let first = backup::create(place.all(), &blob, subjects(&tenants)).await.expect("is made");
    place.store.settle(Duration::ZERO, |_| i64::MAX).await.expect("settles");
    backup::create(place.all(), &blob, subjects(&tenants)).await.expect("is made, and knows them to be calm");
    let place = place.reopened().await;
    let idle = tenants[0].tenant().to_string();
    let files: Vec<_> = found(&place.path.join("records"), &idle);
    assert!(!files.is_empty(), "its records are in files");
    let away = |path: &Path| PathBuf::from(format!("{}.away", path.display()));
    for file in &files {
        std::fs::rename(file, away(file)).expect("is moved");
    }
    write(&place.store, &tenants[1], 2).await;
    let second = backup::create(place.all(), &blob, subjects(&tenants)).await.expect("is made");
    let parts = |made: &Manifest| tenants.clone().map(|ctx| made.tenant(ctx.tenant()).expect("is in it").parts.len());
    assert_eq!((parts(&first), parts(&second)), ([1, 1], [1, 2]));
    for file in &files {
        std::fs::rename(away(file), file).expect("is moved back");
    }
    write(&place.store, &tenants[0], 2).await;
    let third = backup::create(place.all(), &blob, subjects(&tenants)).await.expect("is made");
    assert_eq!(parts(&third), [2, 2], "until somebody writes");
    backup::verify(&blob, &third).await.expect("holds");
    place.store.close().await;
}

/// The files and folders below a folder that have a text in their names.
fn found(folder: &Path, text: &str) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).expect("lists").map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.file_name().is_some_and(|name| name.to_string_lossy().contains(text)) {
            true => vec![path],
            false if path.is_dir() => found(&path, text),
            false => Vec::new(),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_interrupted_or_damaged_is_no_backup() {
    let Backed { place: world, folder: objects, backups: blob, ctx } = Backed::new().await;
    for number in 0..30 {
        write(&world.store, &ctx, number).await;
    }
    assert_eq!(backup::read(&blob, None).await.expect_err("there is none").code(), "backup_missing");
    // A tenant that is not there ends a backup of control only, and an interrupted one leaves no manifest.
    let made = create(&world, &blob, &ctx).await;
    let part = objects.path().join("platform").join("backup-parts").join(format!("{}.{}", ctx.tenant(), made.name));
    let whole = std::fs::read(&part).expect("is a file");
    let refused = async |what: &str| {
        let verified = backup::verify(&blob, &made).await.map(|_| ()).expect_err(what);
        let other = Place::new().await;
        let restored = backup::restore_tenant(other.all(), &blob, &made, ctx.tenant()).await.map(|_| ()).expect_err(what);
        for error in [verified, restored] {
            assert!(["backup_damaged", "backup_missing", "dump_damaged", "dump_cut"].contains(&error.code()), "{what}: {error:?}");
        }
        assert_eq!(other.store.head(&ctx).await.expect_err("is not there").code(), "not_found", "{what}");
        other.store.close().await;
    };
    for at in [0, 5, whole.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 4;
        std::fs::write(&part, changed).expect("writes");
        refused(&format!("byte {at}")).await;
    }
    std::fs::write(&part, &whole[..whole.len() - 3]).expect("writes");
    refused("cut").await;
    std::fs::remove_file(&part).expect("removes");
    refused("missing").await;
    std::fs::write(&part, &whole).expect("writes");
    // Erasing the tenant where objects are kept takes nothing from backups that are kept there too.
    blob.erase(ctx.tenant().into()).await.expect("erases");
    backup::verify(&blob, &made).await.expect("holds");
    let manifest = objects.path().join("platform").join("backups").join(&made.name);
    let mut text = std::fs::read(&manifest).expect("is a file");
    let last = text.len() - 2;
    text[last] ^= 1;
    std::fs::write(&manifest, text).expect("writes");
    assert_eq!(backup::read(&blob, None).await.expect_err("does not hold").code(), "backup_damaged");
    // The next one does not build upon it.
    let next = create(&world, &blob, &ctx).await;
    backup::verify(&blob, &next).await.expect("holds");
    world.store.close().await;
}

/// Something with a secret.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Safe {
    pin: Sealed,
}

impl Model for Safe {
    const KIND: &'static str = "safe";
    const PREFIX: &'static str = "saf";
}

async fn open_with(folder: &TempDir, master: MasterKey) -> Store {
    let backend = Backend::Sqlite { dir: folder.path().join("records") };
    let kinds = steward_work::kinds().into_iter().fold(Kinds::new().with(Kind::of::<Safe>()), Kinds::with);
    Store::open(Options { backend, master }, kinds, Clock::system(), Random::system()).await.expect("opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_the_next_backup_needs_the_new_master_key_alone() {
    let (folder, objects) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (blob, file, random) = (blob(&objects).await, folder.path().join("master.key"), Random::system());
    let own = Blob::directory(&folder.path().join("blobs")).await.expect("opens");
    let options = steward_telemetry::Options::new(folder.path().join("telemetry"));
    let telemetry = &steward_telemetry::Telemetry::open(options, Clock::system(), Random::system()).await.expect("opens");
    let master = MasterKey::load_or_create(&file, &random).expect("is made");
    let store = open_with(&folder, master.clone()).await;
    let tenant = TenantId::new(store.clock(), &random);
    store.provision(tenant).await.expect("provisions");
    let (ctx, id) = (system(tenant, "test"), store.mint_id());
    let unit = UnitOfWork::new().create(id, &Safe { pin: Sealed::new("1234".to_owned()) });
    store.commit(&ctx, unit).await.expect("commits");
    let create = async || {
        let made = backup::create(Installation { store: &store, objects: &own, telemetry }, &blob, subjects(std::slice::from_ref(&ctx)))
            .await
            .expect("is made");
        made.tenant(tenant).expect("is in it").parts.len()
    };
    assert_eq!((create().await, create().await), (1, 1), "nothing happened in it");
    master.rotate(&file, &random).expect("rotates");
    assert_eq!(store.rewrap_keys(&ctx).await.expect("wraps"), 1);
    assert_eq!((create().await, create().await), (2, 2), "its keys are others now");
    store.close().await;

    let text = std::fs::read_to_string(&file).expect("is there");
    let new = MasterKey::parse(text.lines().next().expect("the current one"), "the test").expect("is a key");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let store = open_with(&elsewhere, new).await;
    let read = backup::read(&blob, None).await.expect("reads");
    backup::restore_tenant(Installation { store: &store, objects: &own, telemetry }, &blob, &read, tenant).await.expect("restores");
    assert_eq!(store.verify_chain(&ctx).await.expect("holds"), read.tenant(tenant).expect("is in it").head.position);
    let pin = store.reveal(&ctx, "safe", id, "pin").await.expect("reveals").expect("has one");
    assert_eq!(*pin.expose(), "1234");
    store.close().await;
}
