//! Power cuts of the folder of backups: a child copies tenants under `strace`; the folder is rebuilt as it could be after a cut at any moment,
//! and read. Every backup that was acknowledged is there, and whatever is there holds to the last event.

use std::collections::BTreeSet;
use std::path::Path;

use steward_auth::system;
use steward_base::{Clock, Random, RecordId, TenantId};
use steward_fabric::blob::Blob;
use steward_telemetry::{LogBatch, LogFields, LogQuery};
use steward_work::backup::{self, Keep, Pruning};
use tokio::runtime::Runtime;

use crate::place::{Place, UPLOADS, subjects, write};
use crate::platters::Disk;
use crate::traced::{self, Act, Record, say};

/// How many backups a child makes.
const TURNS: usize = 5;
/// How many backups stay.
const KEPT: usize = 2;
/// How many ways of being cut each moment is tried in.
const WAYS: usize = 4;

fn tenants() -> [TenantId; 2] {
    [1, 2].map(|byte| RecordId::from_bytes([byte; 16]).into())
}

async fn open(dir: &Path) -> Place {
    Place::open(dir, Clock::system()).await
}

async fn log(place: &Place, tenant: TenantId, message: &str) {
    let mut batch = LogBatch::new();
    batch.push(&LogFields { message, ..LogFields::default() });
    place.telemetry.append_logs(tenant, None, batch).await.expect("is stored");
}

/// What is backed up is elsewhere, so that it is not looked at; the folder of backups is made on the way.
async fn media(dir: &Path) -> Blob {
    Blob::directory(&dir.join("mnt/steward/backups")).await.expect("opens")
}

async fn copy(live: &Place, blob: &Blob) -> String {
    let tenants = tenants().map(|tenant| system(tenant, "test"));
    backup::create(live.all(), blob, subjects(&tenants)).await.expect("is made").name
}

/// Started by the tests below, which hand it a folder.
#[test]
#[ignore = "started by other tests"]
fn copies() {
    let Some(dir) = traced::folder() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let live = open(&dir.with_file_name("live")).await;
        for tenant in tenants() {
            // It is there when this is a second life.
            let _ = live.store.provision(tenant).await;
        }
        let blob = media(&dir).await;
        for turn in 0..TURNS {
            // The second one is copied anew only now and then.
            for tenant in &tenants()[..1 + usize::from(turn % 3 == 0)] {
                for number in 0..8 {
                    write(&live.store, &system(*tenant, "test"), number).await;
                }
                log(&live, *tenant, &format!("what was logged in turn {turn}")).await;
                live.put(*tenant, &format!("file-{turn}"), &format!("what came in turn {turn}")).await;
                live.put(*tenant, "same", &format!("as it is in turn {turn}")).await;
            }
            say(&format!("acked {}", copy(&live, &blob).await));
        }
        live.store.close().await;
    });
}

/// Started by the test below: some backups, of which all but the last ones are removed.
#[test]
#[ignore = "started by other tests"]
fn prunes() {
    let Some(dir) = traced::folder() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let live = open(&dir.with_file_name("live")).await;
        for tenant in tenants() {
            let _ = live.store.provision(tenant).await;
        }
        let blob = media(&dir).await;
        for turn in 0..TURNS {
            for tenant in tenants() {
                write(&live.store, &system(tenant, "test"), turn as i64).await;
                log(&live, tenant, &format!("what was logged in turn {turn}")).await;
                live.put(tenant, "same", &format!("as it is in turn {turn}")).await;
            }
            let name = copy(&live, &blob).await;
            say(&format!("{} {name}", if turn + KEPT < TURNS { "going" } else { "acked" }));
        }
        say("begins");
        prune(&blob).await;
        say("pruned");
        live.store.close().await;
    });
}

async fn prune(blob: &Blob) -> backup::Pruned {
    let keep = Keep { last: KEPT as u32, ..Keep::default() };
    backup::prune(blob, &keep, Pruning::Real, (&Clock::system(), &Random::system())).await.expect("prunes")
}

/// Every backup that was acknowledged is there, whatever is there holds, the latest one is read back, and the next one is made.
async fn inspect(dir: &Path, said: &[String], live: &Place, when: &str) {
    let blob = media(dir).await;
    let names = backup::names(&blob).await.expect("lists");
    for line in said {
        assert!(
            line.strip_prefix("acked ").is_none_or(|name| names.iter().any(|known| known == name)),
            "{when}: {line}, and there are {names:?}"
        );
    }
    for name in &names {
        let manifest = backup::read(&blob, Some(name)).await.unwrap_or_else(|error| panic!("{when}: {name}: {error:?}"));
        let verified = backup::verify(&blob, &manifest).await.unwrap_or_else(|error| panic!("{when}: {name}: {error:?}"));
        assert_eq!(verified.tenants, 3, "{when}");
    }
    let next = copy(live, &blob).await;
    let next = backup::read(&blob, Some(&next)).await.unwrap_or_else(|error| panic!("{when}: the next one: {error:?}"));
    backup::verify(&blob, &next).await.unwrap_or_else(|error| panic!("{when}: the next one: {error:?}"));
}

/// Reads the latest backup back into an installation that has nothing, and follows the chains.
async fn restored(dir: &Path, when: &str) {
    let (blob, elsewhere) = (media(dir).await, tempfile::tempdir().expect("a folder"));
    let Ok(manifest) = backup::read(&blob, None).await else { return };
    let live = open(elsewhere.path()).await;
    backup::restore_control(live.all(), &blob, &manifest).await.unwrap_or_else(|error| panic!("{when}: {error:?}"));
    for tenant in tenants() {
        let restored =
            backup::restore_tenant(live.all(), &blob, &manifest, tenant).await.unwrap_or_else(|error| panic!("{when}: {error:?}"));
        assert_eq!(live.store.verify_chain(&system(tenant, "test")).await.expect("holds"), restored.position, "{when}");
        let page = live.objects.list(tenant.into(), UPLOADS, None, 100).await.expect("lists");
        let copied = manifest.tenant(tenant).expect("is in it");
        assert_eq!(page.objects.len(), copied.objects.len(), "{when}");
        let rows = live.telemetry.logs(tenant, LogQuery { limit: 100, ..LogQuery::default() }).await.expect("answers").rows;
        assert!(rows.len() >= copied.telemetry.segments.len() && !rows.is_empty(), "{when}");
    }
    live.store.close().await;
}

/// A folder with a disk that is watched in it, and what is backed up beside.
fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let outer = tempfile::tempdir().expect("a folder");
    let disk = outer.path().join("disk");
    std::fs::create_dir(&disk).expect("is made");
    (outer, disk)
}

fn said(acts: &[Act]) -> Vec<String> {
    acts.iter().filter_map(|act| if let Act::Said(line) = act { Some(line.clone()) } else { None }).collect()
}

#[test]
fn no_power_cut_loses_a_backup_or_leaves_one_that_does_not_hold() {
    let (outer, dir) = folder();
    let Some(Record { acts, said: all }) = traced::run("backups_power::copies", &dir, &[&[]]) else { return };
    assert_eq!(all.iter().filter(|line| line.starts_with("acked")).count(), TURNS, "{all:?}");
    let (mut disk, random, runtime) = (Disk::default(), Random::seeded(7), Runtime::new().expect("a runtime"));
    let live = runtime.block_on(open(&outer.path().join("live")));
    for (number, act) in acts.iter().enumerate() {
        disk.take(act);
        // Written bytes change nothing before they are synced but what may be torn, which the moment after tells too.
        if matches!(act, Act::Write(..)) {
            continue;
        }
        for way in 0..WAYS {
            let after = tempfile::tempdir().expect("a folder");
            disk.cut(&dir, after.path(), &random);
            runtime.block_on(inspect(after.path(), &said(&acts[..=number]), &live, &format!("act {number}, way {way}")));
        }
    }
    for way in 0..WAYS {
        let after = tempfile::tempdir().expect("a folder");
        disk.cut(&dir, after.path(), &random);
        runtime.block_on(restored(after.path(), &format!("the end, way {way}")));
    }
    runtime.block_on(live.store.close());
}

/// Processes that are killed right before a sync leave names that nobody made durable; the next one must.
#[test]
fn no_power_cut_after_a_kill_loses_a_backup() {
    let runtime = Runtime::new().expect("a runtime");
    for sync in [1, 3, 6, 9, 12, 16, 20, 26, 34, 44] {
        let (outer, dir) = folder();
        let inject = format!("inject=fsync:signal=SIGKILL:when={sync}");
        let Some(Record { acts, .. }) = traced::run("backups_power::copies", &dir, &[&["-e", &inject], &[]]) else { return };
        let (mut disk, random) = (Disk::default(), Random::seeded(sync));
        acts.iter().for_each(|act| disk.take(act));
        let live = runtime.block_on(open(&outer.path().join("live")));
        for way in 0..WAYS * 2 {
            let after = tempfile::tempdir().expect("a folder");
            disk.cut(&dir, after.path(), &random);
            let when = format!("sync {sync}, way {way}");
            runtime.block_on(inspect(after.path(), &said(&acts), &live, &when));
            runtime.block_on(restored(after.path(), &when));
        }
        runtime.block_on(live.store.close());
    }
}

/// Whatever of a removal was durable, the backups that stay hold, and the next removal leaves nothing that nobody needs.
#[test]
fn no_power_cut_while_backups_are_removed_takes_what_another_needs() {
    let (outer, dir) = folder();
    let Some(Record { acts, .. }) = traced::run("backups_power::prunes", &dir, &[&[]]) else { return };
    let (mut disk, random, runtime) = (Disk::default(), Random::seeded(11), Runtime::new().expect("a runtime"));
    let live = runtime.block_on(open(&outer.path().join("live")));
    let mut moments = 0;
    for (number, act) in acts.iter().enumerate() {
        disk.take(act);
        let so_far = said(&acts[..=number]);
        if matches!(act, Act::Write(..)) || !so_far.iter().any(|line| line == "begins") {
            continue;
        }
        moments += 1;
        for way in 0..WAYS {
            let after = tempfile::tempdir().expect("a folder");
            disk.cut(&dir, after.path(), &random);
            let when = format!("act {number}, way {way}");
            runtime.block_on(async {
                inspect(after.path(), &so_far, &live, &when).await;
                let blob = media(after.path()).await;
                if so_far.last().is_some_and(|line| line == "pruned") {
                    // Those that stay, and the one that `inspect` made.
                    assert_eq!(backup::names(&blob).await.expect("lists").len(), KEPT + 1, "{when}: what was removed is gone");
                }
                prune(&blob).await;
                drop(blob);
                needed_alone(after.path(), &when).await;
            });
        }
    }
    assert!(moments > 2, "there were manifests and parts to remove: {moments}");
    runtime.block_on(live.store.close());
}

/// Every file beside the manifests is named by one.
async fn needed_alone(dir: &Path, when: &str) {
    let blob = media(dir).await;
    let mut named = BTreeSet::new();
    let names = backup::names(&blob).await.expect("lists");
    assert_eq!(names.len(), KEPT, "{when}");
    for name in &names {
        let manifest = backup::read(&blob, Some(name)).await.expect("reads");
        backup::verify(&blob, &manifest).await.unwrap_or_else(|error| panic!("{when}: {name}: {error:?}"));
        for copied in &manifest.tenants {
            named.extend(copied.parts.iter().map(|part| format!("{}.{}", copied.tenant, part.backup)));
            named.extend(copied.objects.iter().map(|object| format!("{}.{}", copied.tenant, object.sha256)));
            named.extend(copied.telemetry.segments.iter().map(|segment| format!("{}.{}", copied.tenant, segment.id())));
        }
    }
    let folders = ["backup-parts", "backup-objects", "backup-telemetry"].map(|class| dir.join("mnt/steward/backups/platform").join(class));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("lists"));
    let there: BTreeSet<String> = files.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(there, named, "{when}");
}
