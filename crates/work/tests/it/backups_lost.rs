//! Backups in a bucket that is away or slow, or whose owner ended: nobody destroys what another one needs, and nothing is left half sent.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use steward_base::{Clock, Ctx, Error, Random};
use steward_fabric::blob::{Expect, Key, whole};
use steward_fabric::{Class, Scope};
use steward_work::backup::{self, Keep, Manifest, Pruned, Pruning};

use crate::bucket::{BucketServer, Mood};
use crate::place::{Place, subjects, write};
use crate::support::until;

/// Two tenants with objects of their own, and a backup of them in a bucket.
struct World {
    place: Place,
    clock: Clock,
    /// Has the objects of the tenants.
    source: BucketServer,
    /// Has the backups.
    bucket: BucketServer,
    tenants: [Ctx; 2],
    first: Manifest,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::manual("2026-03-01T00:00:00Z".parse().expect("a time"));
        let (source, bucket) = (BucketServer::start().await, BucketServer::start().await);
        let place = Place { objects: source.blob(), ..Place::at(clock.clone()).await };
        let tenants = [place.tenant().await, place.tenant().await];
        for ctx in &tenants {
            place.put(ctx.tenant(), "file", &format!("of {}", ctx.tenant())).await;
            write(&place.store, ctx, 1).await;
        }
        let first = backup::create(place.all(), &bucket.blob(), subjects(&tenants)).await.expect("is made");
        // Names of one moment have no order.
        clock.advance(Duration::from_secs(1));
        for ctx in &tenants {
            write(&place.store, ctx, 2).await;
        }
        Self { place, clock, source, bucket, tenants, first }
    }

    async fn create(&self) -> Result<Manifest, Error> {
        backup::create(self.place.all(), &self.bucket.blob(), subjects(&self.tenants)).await
    }

    async fn prune(&self) -> Result<Pruned, Error> {
        let keep = Keep { last: 9, ..Keep::default() };
        backup::prune(&self.bucket.blob(), &keep, Pruning::Real, (&self.clock, &Random::system())).await
    }

    fn files(&self, class: &str) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.bucket.folder().join("steward-test/platform").join(class));
        folder.into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect()
    }

    /// Until one that is made has copied the first tenant and waits for the objects of the second.
    async fn half_made(&self) {
        let before = self.files("backup-parts").len();
        until(async || self.files("backup-parts").len() > before).await;
    }

    /// All backups there hold, and are these.
    async fn hold(&self, names: &[&str]) {
        let blob = self.bucket.blob();
        assert_eq!(backup::names(&blob).await.expect("lists"), names);
        for name in names {
            backup::verify(&blob, &backup::read(&blob, Some(name)).await.expect("reads")).await.expect("holds");
        }
    }
}

/// As the bucket's clock shows it to others.
fn age(lock: &Path) {
    let file = std::fs::File::options().write(true).open(lock).expect("is there");
    let modified = file.metadata().and_then(|meta| meta.modified()).expect("is known") - Duration::from_secs(11 * 60);
    file.set_modified(modified).expect("is set");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_away_for_longer_than_a_lock_lives_ends_the_backup() {
    let world = World::new().await;
    world.source.stall(&world.tenants[1].tenant().to_string());
    let (made, ()) = tokio::join!(world.create(), async {
        world.half_made().await;
        world.bucket.turn(Mood::Broken);
        let asked = world.bucket.requests.load(Ordering::SeqCst);
        world.clock.advance(Duration::from_secs(121));
        until(async || world.bucket.requests.load(Ordering::SeqCst) > asked).await;
        world.clock.advance(Duration::from_secs(170));
    });
    let error = made.expect_err("it could not keep its lock");
    assert_eq!(error.code(), "backup_busy");
    assert!(error.detail().contains("did not answer for so long"), "{}", error.detail());
    world.bucket.turn(Mood::Well);

    // Its lock stayed, since the bucket was away: it counts until it is stale.
    let locks = world.files("backup-locks");
    assert_eq!(locks.len(), 1);
    assert_eq!(world.prune().await.expect_err("somebody may be at it").code(), "backup_busy");
    age(&locks[0]);
    assert!(world.prune().await.expect("prunes").objects > 0, "what it had copied is nobody's");
    world.hold(&[&world.first.name]).await;
    world.source.go_on();
    let second = world.create().await.expect("is made");
    world.hold(&[&world.first.name, &second.name]).await;
    assert_eq!(world.files("backup-locks"), [] as [PathBuf; 0]);
}

/// A process that slept, say: others removed its lock, and what it had copied.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_taken_for_dead_makes_no_backup() {
    let world = World::new().await;
    world.source.stall(&world.tenants[1].tenant().to_string());
    let (made, ()) = tokio::join!(world.create(), async {
        world.half_made().await;
        age(&world.files("backup-locks")[0]);
        assert!(world.prune().await.expect("prunes").objects > 0, "what it had copied is nobody's");
        world.source.go_on();
    });
    let error = made.expect_err("what it copied first is gone");
    assert_eq!(error.code(), "backup_busy");
    assert!(error.detail().contains("another run took its place"), "{}", error.detail());
    world.hold(&[&world.first.name]).await;
    let second = world.create().await.expect("is made");
    world.hold(&[&world.first.name, &second.name]).await;
}

/// A process that is killed in the middle of a large object, and the backup or the removal that comes next.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_backup_left_half_sent_is_taken_back() {
    let world = World::new().await;
    for number in 0..2 {
        // Of two parts and a bit.
        world.place.put(world.tenants[1].tenant(), &format!("large-{number}"), &format!("{number}").repeat(17 << 20)).await;
        world.bucket.stall("partNumber=2");
        tokio::select! {
            made = world.create() => panic!("a part of it waits: {made:?}"),
            () = until(async || !world.bucket.unfinished().is_empty()) => {}
        }
        world.bucket.go_on();
        assert_eq!(world.bucket.unfinished().len(), 1, "nobody took it back");
        until(async || world.files("backup-locks").is_empty()).await;
        if number == 0 {
            world.create().await.expect("is made");
        } else {
            world.prune().await.expect("prunes");
        }
        assert_eq!(world.bucket.unfinished(), [] as [&str; 0]);
    }
    let names = backup::names(&world.bucket.blob()).await.expect("lists");
    assert_eq!(names.len(), 2);
    world.hold(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_living_backup_is_sending_is_left_alone() {
    const LOCKS: Class = Class::new("backup-locks");
    const PARTS: Class = Class::new("backup-parts");
    const OBJECTS: Class = Class::new("backup-objects");
    let world = World::new().await;
    let blob = world.bucket.blob();
    let key = |class, name: &str| Key::new(Scope::Platform, class, name).expect("a key");
    let lock = key(LOCKS, "bak_living.making");
    blob.put(&lock, whole("held"), Expect::default()).await.expect("is held");
    world.bucket.stall("partNumber=");
    let mut sending = tokio::task::JoinSet::new();
    for key in [key(PARTS, "ten_1.bak_dead"), key(PARTS, "ten_1.bak_living"), key(OBJECTS, "ten_1.of_somebody")] {
        let blob = blob.clone();
        sending.spawn(async move { blob.put(&key, whole(vec![7; 9 << 20]), Expect::default()).await.map(drop) });
    }
    until(async || world.bucket.unfinished().len() == 3).await;
    world.create().await.expect("is made");
    assert_eq!(world.bucket.unfinished(), ["platform/backup-objects/ten_1.of_somebody", "platform/backup-parts/ten_1.bak_living"]);
    assert_eq!(world.prune().await.expect_err("somebody is at it").code(), "backup_busy");
    sending.shutdown().await;
    blob.delete(&lock).await.expect("is let go");
    world.create().await.expect("is made");
    assert_eq!(world.bucket.unfinished(), [] as [&str; 0]);
}
