//! Removing backups: by their age, never what a kept one needs, and again after an interruption.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use steward_base::{Clock, Ctx, Error, Random, TenantId};
use steward_fabric::blob::Blob;
use steward_work::backup::{self, Keep, Manifest, Pruned, Pruning, Subject};
use tempfile::TempDir;

use crate::place::{Place, blob, events, subjects, write};

const DAY: Duration = Duration::from_secs(86_400);

async fn prune(backups: &Blob, keep: Keep, pruning: Pruning) -> Result<Pruned, Error> {
    backup::prune(backups, &keep, pruning, (&Clock::system(), &Random::system())).await
}

fn kept(pruned: &Pruned) -> Vec<&str> {
    pruned.backups.iter().filter(|choice| !choice.rules.is_empty()).map(|choice| choice.name.as_str()).collect()
}

/// Every object that is there beside the manifests.
fn there(backups: &TempDir) -> BTreeSet<String> {
    let folders = ["backup-parts", "backup-objects", "backup-telemetry"].map(|class| backups.path().join("platform").join(class));
    let files = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    files.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Every object that these backups name.
fn named(manifests: &[&Manifest]) -> BTreeSet<String> {
    let tenants = manifests.iter().flat_map(|manifest| &manifest.tenants);
    let names = tenants.flat_map(|copied| {
        let parts = copied.parts.iter().map(|part| format!("{}.{}", copied.tenant, part.backup));
        let objects = copied.objects.iter().map(|object| format!("{}.{}", copied.tenant, object.sha256));
        let segments = copied.telemetry.segments.iter().map(|segment| format!("{}.{}", copied.tenant, segment.id()));
        parts.chain(objects).chain(segments)
    });
    names.collect()
}

/// An installation of two tenants that was backed up once a day for twelve days.
struct Days {
    place: Place,
    folder: TempDir,
    backups: Blob,
    tenants: [Ctx; 2],
    made: Vec<Manifest>,
}

impl Days {
    async fn new() -> Self {
        let clock = Clock::manual("2026-11-02T03:00:00Z".parse().expect("a time"));
        let (place, folder) = (Place::at(clock.clone()).await, tempfile::tempdir().expect("a folder"));
        let (backups, tenants) = (blob(&folder).await, [place.tenant().await, place.tenant().await]);
        let mut made = Vec::new();
        for day in 0..12 {
            write(&place.store, &tenants[0], day).await;
            place.put(tenants[0].tenant(), "each-day", &format!("what is there on day {day}")).await;
            if day == 0 {
                write(&place.store, &tenants[1], day).await;
                place.put(tenants[1].tenant(), "once", "what stays").await;
            }
            made.push(backup::create(place.all(), &backups, subjects(&tenants)).await.expect("is made"));
            clock.advance(DAY);
        }
        Self { place, folder, backups, tenants, made }
    }

    /// What is there is what these backups need, and each is read back as it was.
    async fn holds(&self, kept: &[usize]) {
        let made: Vec<&Manifest> = kept.iter().map(|at| &self.made[*at]).collect();
        let names: Vec<&str> = made.iter().map(|made| made.name.as_str()).collect();
        assert_eq!(backup::names(&self.backups).await.expect("lists"), names);
        assert_eq!(there(&self.folder), named(&made));
        for (at, made) in kept.iter().zip(made) {
            backup::verify(&self.backups, &backup::read(&self.backups, Some(&made.name)).await.expect("reads")).await.expect("holds");
            let other = Place::new().await;
            for ctx in &self.tenants {
                let restored = backup::restore_tenant(other.all(), &self.backups, made, ctx.tenant()).await.expect("restores");
                assert_eq!(events(&other.store, ctx, i64::MAX).await, events(&self.place.store, ctx, restored.position).await);
            }
            let was = [("each-day".to_owned(), format!("what is there on day {at}"))];
            assert_eq!(other.objects(self.tenants[0].tenant()).await, was);
            other.store.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rule_keeps_goes_with_what_it_alone_needed() {
    let days = Days::new().await;
    let keep = Keep { last: 2, daily: 3, weekly: 2, ..Keep::default() };
    let all: Vec<usize> = (0..12).collect();
    days.holds(&all).await;
    let rehearsed = prune(&days.backups, keep, Pruning::Rehearsed).await.expect("is told");
    days.holds(&all).await;
    // The days are the 2nd, a Monday, to the 13th of November.
    let expected = [6, 9, 10, 11];
    assert_eq!(kept(&rehearsed), expected.map(|at| days.made[at].name.as_str()));
    let rules: Vec<String> = expected.iter().map(|at| rehearsed.backups[*at].rules.join(" ")).collect();
    assert_eq!(rules, ["weekly", "daily", "last daily", "last daily weekly"]);
    assert_eq!(rehearsed.objects, 8, "a file of each day that goes; the increments are needed by those that stay");

    let pruned = prune(&days.backups, keep, Pruning::Real).await.expect("prunes");
    assert_eq!(pruned, rehearsed);
    days.holds(&expected).await;
    let again = prune(&days.backups, keep, Pruning::Real).await.expect("prunes");
    assert_eq!((again.backups.len(), again.objects), (4, 0));
    // The next one builds upon what is left.
    write(&days.place.store, &days.tenants[0], 99).await;
    let next = backup::create(days.place.all(), &days.backups, subjects(&days.tenants)).await.expect("is made");
    assert_eq!(next.tenant(days.tenants[0].tenant()).expect("is in it").parts.len(), 13);
    prune(&days.backups, Keep { last: 1, ..Keep::default() }, Pruning::Real).await.expect("prunes");
    assert_eq!(there(&days.folder), named(&[&next]));
    backup::verify(&days.backups, &next).await.expect("holds");
    days.place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_of_one_tenant_take_no_place_of_those_of_all() {
    let days = Days::new().await;
    let one = days.tenants[1].tenant();
    let mut alone = Vec::new();
    for number in 0..3 {
        days.place.store.clock().advance(Duration::from_secs(60));
        write(&days.place.store, &days.tenants[1], number).await;
        let subject = Subject { tenant: one, about: json!({ "slug": "one" }) };
        alone.push(backup::create(days.place.all(), &days.backups, vec![subject]).await.expect("is made"));
    }
    prune(&days.backups, Keep { last: 1, ..Keep::default() }, Pruning::Real).await.expect("prunes");
    assert_eq!(backup::names(&days.backups).await.expect("lists"), [days.made[11].name.as_str(), alone[2].name.as_str()]);
    for made in [&days.made[11], &alone[2]] {
        backup::verify(&days.backups, made).await.expect("holds");
    }
    assert_eq!(there(&days.folder), named(&[&days.made[11], &alone[2]]));
    assert!(days.made[11].tenant(TenantId::OPERATOR).is_some());
    days.place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_run_left_goes_with_the_next_one() {
    let days = Days::new().await;
    // As one ends that removed the manifests and nothing else, and a backup that never was complete.
    for made in &days.made[..10] {
        std::fs::remove_file(days.folder.path().join("platform/backups").join(&made.name)).expect("is removed");
    }
    let parts = days.folder.path().join("platform/backup-parts");
    let name = std::fs::read_dir(&parts).expect("lists").next().expect("one").expect("an entry").path();
    std::fs::copy(&name, parts.join(format!("{}.bak_0000000000000000000000000a", days.tenants[0].tenant()))).expect("is copied");
    for made in &days.made[10..] {
        backup::verify(&days.backups, made).await.expect("holds");
    }
    let pruned = prune(&days.backups, Keep { last: 5, ..Keep::default() }, Pruning::Real).await.expect("prunes");
    assert_eq!((pruned.backups.len(), kept(&pruned).len(), pruned.objects), (2, 2, 11));
    days.holds(&[10, 11]).await;
    days.place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_while_it_is_not_known_what_is_needed() {
    let days = Days::new().await;
    let before = there(&days.folder);
    assert_eq!(prune(&days.backups, Keep::default(), Pruning::Real).await.expect_err("keeps nothing").code(), "backup_keeps_nothing");
    let manifest = days.folder.path().join("platform/backups").join(&days.made[3].name);
    let whole = std::fs::read(&manifest).expect("is there");
    std::fs::write(&manifest, &whole[..whole.len() - 1]).expect("is cut");
    for pruning in [Pruning::Rehearsed, Pruning::Real] {
        let error = prune(&days.backups, Keep { last: 1, ..Keep::default() }, pruning).await.expect_err("is damaged");
        assert_eq!(error.code(), "backup_damaged");
        assert!(error.detail().contains(&days.made[3].name) && error.detail().contains("nothing is removed"), "{}", error.detail());
    }
    assert_eq!((backup::names(&days.backups).await.expect("lists").len(), there(&days.folder)), (12, before));
    std::fs::remove_file(&manifest).expect("is removed");
    prune(&days.backups, Keep { last: 1, ..Keep::default() }, Pruning::Real).await.expect("prunes");
    days.holds(&[11]).await;
    days.place.store.close().await;
}
