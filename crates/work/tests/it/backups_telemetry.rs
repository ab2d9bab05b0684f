//! Logs and metrics in backups: copied once, beside those who send them, and read back so that they answer as before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use steward_base::{TenantId, Timestamp};
use steward_telemetry::{
    Aggregate, LogBatch, LogFields, LogQuery, LogRow, MetricBatch, MetricKind, Order, Scope, SeriesFields, SeriesQuery, SeriesSet,
    Telemetry,
};
use steward_work::backup;

use crate::place::{Backed, Place, copies, create, refused, write};

const START: i64 = 1_760_000_000_000_000;

fn time(seconds: usize) -> Timestamp {
    Timestamp::from_micros(START + seconds as i64 * 1_000_000)
}

async fn log(telemetry: &Telemetry, tenant: TenantId, number: usize) {
    let mut lines = LogBatch::new();
    lines.push(&LogFields { time: time(number), message: &format!("line {number}"), service: "app", ..LogFields::default() });
    telemetry.append_logs(tenant, None, lines).await.expect("is stored");
    let mut metrics = MetricBatch::new();
    let fields = SeriesFields { name: "lines", unit: "1", kind: MetricKind::Gauge, service: "app", scope: Scope::default() };
    let series = metrics.series(&fields, &[]);
    metrics.point(series, time(number), Timestamp::default(), number as f64);
    telemetry.append_metrics(tenant, None, metrics).await.expect("is stored");
}

async fn lines(telemetry: &Telemetry, tenant: TenantId) -> Vec<LogRow> {
    let mut query = LogQuery { order: Order::Oldest, limit: 500, ..LogQuery::default() };
    let mut rows = Vec::new();
    loop {
        let page = telemetry.logs(tenant, query.clone()).await.expect("answers");
        rows.extend(page.rows);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return rows,
        }
    }
}

async fn points(telemetry: &Telemetry, tenant: TenantId) -> SeriesSet {
    let query = SeriesQuery {
        name: "lines".to_owned(),
        filter: None,
        from: time(0),
        to: time(5_000),
        step: Duration::from_secs(10),
        aggregate: Aggregate::Max,
        group_by: Vec::new(),
    };
    telemetry.series(tenant, query).await.expect("answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_backup_began_is_in_it_once() {
    let Backed { place, folder: _folder, backups, ctx } = Backed::new().await;
    let tenant = ctx.tenant();
    let (ends, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let sender = tokio::spawn({
        let (telemetry, ends, acked) = (place.telemetry.clone(), ends.clone(), acked.clone());
        async move {
            for number in 0.. {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                log(&telemetry, tenant, number).await;
                acked.store(number + 1, Ordering::Release);
            }
        }
    });
    let mut made = Vec::new();
    for _ in 0..3 {
        let before = acked.load(Ordering::Acquire);
        let more = async {
            while acked.load(Ordering::Acquire) < before + 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), more).await.expect("goes on");
        let known = acked.load(Ordering::Acquire);
        made.push((known, create(&place, &backups, &ctx).await));
    }
    ends.store(true, Ordering::Release);
    sender.await.expect("no panic");
    let sent = lines(&place.telemetry, tenant).await;
    for (known, made) in &made {
        assert!(backup::verify(&backups, made).await.expect("holds").segments > 0);
        let other = Place::new().await;
        backup::restore_tenant(other.all(), &backups, made, tenant).await.expect("restores");
        let found = lines(&other.telemetry, tenant).await;
        assert!(found.len() >= *known, "{} of {known}", found.len());
        assert_eq!(found, sent[..found.len()], "each once, in order, with its id");
        other.store.close().await;
    }
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_copied_once_and_answer_as_before() {
    let Backed { place, folder, backups, ctx } = Backed::new().await;
    let tenant = ctx.tenant();
    write(&place.store, &ctx, 1).await;
    for number in 0..50 {
        log(&place.telemetry, tenant, number).await;
    }
    let first = create(&place, &backups, &ctx).await;
    let (was, had) = (lines(&place.telemetry, tenant).await, points(&place.telemetry, tenant).await);
    let copied = copies(&folder, "backup-telemetry");
    assert_eq!((copied.len(), was.len()), (2, 50), "of logs and of metrics");
    let again = create(&place, &backups, &ctx).await;
    assert_eq!((copies(&folder, "backup-telemetry"), again.length()), (copied.clone(), first.length()), "nothing came");
    log(&place.telemetry, tenant, 50).await;
    let second = create(&place, &backups, &ctx).await;
    assert!(
        copies(&folder, "backup-telemetry").len() == 4 && copies(&folder, "backup-telemetry").is_superset(&copied),
        "what is there is not copied again"
    );
    let became = (lines(&place.telemetry, tenant).await, points(&place.telemetry, tenant).await);
    // Erasing the tenant takes nothing from the backups.
    place.telemetry.erase(tenant).await.expect("erases");
    backups.erase(tenant.into()).await.expect("erases");

    for (made, (lines_then, points_then)) in [(&first, (was, had)), (&second, became)] {
        // Into one that has others' lines.
        let other = Place::new().await;
        let neighbour = other.tenant().await.tenant();
        log(&other.telemetry, neighbour, 7).await;
        backup::restore_tenant(other.all(), &backups, made, tenant).await.expect("restores");
        log(&other.telemetry, neighbour, 8).await;
        assert_eq!(lines(&other.telemetry, tenant).await, lines_then);
        assert_eq!(points(&other.telemetry, tenant).await, points_then);
        assert_eq!(lines(&other.telemetry, neighbour).await.len(), 2);
        log(&other.telemetry, tenant, 60).await;
        assert_eq!(lines(&other.telemetry, tenant).await.len(), lines_then.len() + 1);
        other.store.close().await;
    }
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_missing_or_torn_is_found_and_nothing_is_restored() {
    let Backed { place, folder, backups, ctx } = Backed::new().await;
    let tenant = ctx.tenant();
    write(&place.store, &ctx, 1).await;
    place.put(tenant, "a-file", "that comes before").await;
    log(&place.telemetry, tenant, 1).await;
    let made = create(&place, &backups, &ctx).await;
    let copy = copies(&folder, "backup-telemetry").pop_last().expect("one");
    let id = copy.extension().expect("an id").to_string_lossy().into_owned();
    let assert_found = async |code: &str, what: &str| {
        for error in refused(&backups, &made, tenant).await {
            assert!(error.code() == code && error.detail().contains(&id), "{what}: {}", error.detail());
        }
    };
    let whole = std::fs::read(&copy).expect("is a file");
    std::fs::write(&copy, &whole[..whole.len() - 1]).expect("is written");
    assert_found("backup_damaged", "torn").await;
    std::fs::write(&copy, [&whole[1..], b"!"].concat()).expect("is written");
    assert_found("backup_damaged", "changed").await;
    std::fs::remove_file(&copy).expect("is removed");
    assert_found("backup_missing", "missing").await;
    std::fs::write(&copy, &whole).expect("is written");
    backup::verify(&backups, &made).await.expect("holds");
    place.store.close().await;
}
