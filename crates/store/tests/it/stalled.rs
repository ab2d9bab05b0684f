//! A dump whose reader is slow or does not read on, as one is that goes to a bucket which hangs: the tenant goes on, and what is told is of one
//! moment.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use steward_base::{Clock, RecordId};
use steward_store::{Backend, Dump, Expect, UnitOfWork};

use crate::dumps::{assert_equal, bytes, load, picture, told};
use crate::support::{Bench, Thing, bench_at, postgres_backend, sqlite, until};

/// So many events are told of within the last moment, in more frames than wait for their reader.
const EVENTS: usize = 900;

async fn benches(clock: &Clock) -> Vec<Bench> {
    let dir = tempfile::tempdir().expect("a folder");
    let mut benches = vec![bench_at(clock.clone(), Backend::Sqlite { dir: dir.path().to_owned() }, "sqlite", Some(dir)).await];
    if let Some(backend) = postgres_backend() {
        benches.push(bench_at(clock.clone(), backend, "postgres", None).await);
    }
    benches
}

/// The first event.
async fn begin(bench: &Bench) {
    let unit = UnitOfWork::new().create(bench.store.mint_id(), &Thing::named("what was first"));
    bench.store.commit(&bench.ctx, unit).await.expect("creates");
}

async fn filled(bench: &Bench) -> Vec<RecordId> {
    let mut ids = Vec::new();
    while ids.len() < EVENTS {
        let some: Vec<RecordId> = (0..100).map(|_| bench.store.mint_id()).collect();
        let unit = some.iter().fold(UnitOfWork::new(), |unit, id| unit.create(*id, &Thing::named("as it was")));
        bench.store.commit(&bench.ctx, unit).await.expect("creates");
        ids.extend(some);
    }
    ids
}

/// A dump of what came after the first event, which stands within the last moment, and what was read of it.
async fn stalled(bench: &Bench) -> (Vec<Bytes>, Dump) {
    let mut dump = bench.store.dump(bench.ctx.tenant(), Some(1)).await.expect("begins");
    let mut frames = Vec::new();
    // The first frame is of before that moment.
    for _ in 0..2 {
        frames.push(dump.next().await.expect("goes on").expect("reads"));
    }
    (frames, dump)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_while_a_reader_stalls_is_not_told() {
    for bench in benches(&Clock::system()).await {
        let tenant = bench.ctx.tenant();
        begin(&bench).await;
        let whole = told(&bench.store, tenant, None).await;
        let ids = filled(&bench).await;
        let was = picture(&bench.store, &bench.ctx).await;
        let (mut frames, mut dump) = stalled(&bench).await;
        for (number, id) in ids.iter().enumerate().step_by(7) {
            let unit = UnitOfWork::new().put_model(*id, &Thing::named(&format!("as it became {number}")), Expect::Any);
            let unit = unit.create(bench.store.mint_id(), &Thing::named("what came"));
            bench.store.commit(&bench.ctx, unit).await.expect("nobody waits for the reader");
        }
        while let Some(frame) = dump.next().await {
            frames.push(frame.expect("reads"));
        }
        let to = sqlite().await;
        let mut loading = to.store.load(tenant).await.expect("begins");
        loading.apply(bytes(&whole)).await.expect("loads");
        let end = loading.apply(bytes(&frames)).await.expect("goes on from there");
        to.store.publish(loading).await.expect("is the tenant's");
        assert_eq!(end.position, 1 + EVENTS as i64, "{}", bench.engine);
        assert_eq!(picture(&to.store, &bench.ctx).await, was, "{}", bench.engine);
        to.close().await;
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_goes_on_holds_up_neither_commits_nor_the_log() {
    let clock = Clock::manual(Clock::system().now());
    for bench in benches(&clock).await {
        begin(&bench).await;
        let ids = filled(&bench).await;
        let (_, mut dump) = stalled(&bench).await;
        let large = Thing { status: Some("x".repeat(100_000)), ..Thing::named("large") };
        let commit = async || {
            let unit = UnitOfWork::new().put_model(ids[0], &large, Expect::Any).put_model(ids[1], &Thing::named("small"), Expect::Any);
            bench.store.commit(&bench.ctx, unit).await.expect("is acknowledged");
            let unit = UnitOfWork::new().put_model(ids[0], &Thing::named("small"), Expect::Any);
            bench.store.commit(&bench.ctx, unit).await.expect("is acknowledged");
        };
        if bench.engine == "sqlite" {
            // More than begins the log anew where nobody reads.
            while log(&bench) < 80 << 20 {
                commit().await;
            }
            clock.advance(Duration::from_secs(61));
            until(async || {
                let before = log(&bench);
                commit().await;
                log(&bench) == before
            })
            .await;
        } else {
            commit().await;
            // Within it for longer than it may be.
            clock.advance(Duration::from_secs(301));
        }
        // What waited may be read; then it says that it broke off.
        let mut frames = 0;
        let cut = loop {
            match dump.next().await.expect("it says why it ended") {
                Ok(_) => frames += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(cut.code(), "dump_cut", "{}", bench.engine);
        assert!(frames < 10, "{frames} frames of what waited");
        let to = sqlite().await;
        load(&to.store, bench.ctx.tenant(), &told(&bench.store, bench.ctx.tenant(), None).await).await.expect("loads");
        assert_equal(&to.store, &bench.store, &bench.ctx, bench.engine).await;
        to.close().await;
        bench.close().await;
    }
}

/// Bytes of the longest log.
fn log(bench: &Bench) -> u64 {
    fn logs(folder: &std::path::Path) -> Vec<u64> {
        let entries = std::fs::read_dir(folder).expect("lists").map(|entry| entry.expect("an entry").path());
        entries
            .flat_map(|path| match path.is_dir() {
                true => logs(&path),
                false if path.to_string_lossy().ends_with("-wal") => vec![path.metadata().map_or(0, |meta| meta.len())],
                false => Vec::new(),
            })
            .collect()
    }
    logs(bench.dir()).into_iter().max().unwrap_or(0)
}
