//! A process that stops anywhere and starts again.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use steward_telemetry::{Copied, Delivery, LogQuery, MetricBatch, MetricKind, SeriesQuery, Telemetry};
use tempfile::tempdir;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::copies::copies;
use crate::support::{batch, messages, open, options, points, tenant, time};

#[derive(Clone, Debug)]
enum Step {
    Append(u8, usize),
    Flush,
    Maintain,
    /// A segment of somebody else, whose rows have batches so far ahead.
    TakeIn(u64),
    Restart,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u8..3, 1usize..200).prop_map(|(tenant, rows)| Step::Append(tenant, rows)),
        1 => Just(Step::Flush),
        1 => Just(Step::Maintain),
        1 => (0u64..500).prop_map(Step::TakeIn),
        2 => Just(Step::Restart),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(crate::support::cases(24))]

    /// What was acknowledged is there once, in order, whatever was flushed, joined, dropped or closed in between.
    #[test]
    fn acknowledged_rows_survive_any_sequence_of_stops(steps in steps()) {
        let dir = tempdir().expect("a folder");
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let small = || { let mut options = options(dir.path()); options.compact_segments = 3; options };
            let mut telemetry = open(small()).await;
            let mut sent: Vec<Vec<String>> = vec![Vec::new(); 3];
            let (mut next, mut last, mut taken) = (0, 0, false);
            for step in steps {
                match step {
                    Step::Append(who, rows) => {
                        let texts: Vec<String> = (next..next + rows).map(|number| format!("row {number}")).collect();
                        next += rows;
                        let ack = telemetry.append_logs(tenant(who), None, batch(texts.iter().map(String::as_str))).await.expect("stored");
                        assert!(ack.rows as usize == rows && ack.batch > last);
                        last = ack.batch;
                        sent[usize::from(who)].extend(texts);
                    }
                    Step::Flush => telemetry.flush().await.expect("flushes"),
                    Step::Maintain => telemetry.maintain().await.expect("maintains"),
                    Step::TakeIn(ahead) => {
                        take_in(&telemetry, last + ahead).await;
                        (last, taken) = (last + ahead, true);
                    }
                    Step::Restart => { drop(telemetry); telemetry = reopen(small()).await; }
                    Step::Close => { telemetry.close().await.expect("closes"); drop(telemetry); telemetry = reopen(small()).await; }
                }
            }
            assert!(telemetry.health().damage.is_empty(), "{:?}", telemetry.health().damage);
            assert_eq!(messages(&telemetry, tenant(7)).await, vec!["from elsewhere"; usize::from(taken)]);
            for (who, sent) in (0..).zip(sent) {
                let mut found = messages(&telemetry, tenant(who)).await;
                let mut sent = sent;
                found.sort();
                sent.sort();
                assert_eq!(found, sent);
            }
        });
    }
}

/// Takes a segment of the tenant 7 in, whose rows have batches up to `highest`; the same one every time.
pub(crate) async fn take_in(telemetry: &Telemetry, highest: u64) {
    static SEGMENT: OnceCell<(Copied, Bytes)> = OnceCell::const_new();
    let made = SEGMENT.get_or_init(async || {
        let dir = tempdir().expect("a folder");
        let other = open(options(dir.path())).await;
        other.append_logs(tenant(7), None, batch(["from elsewhere"])).await.expect("stored");
        other.flush().await.expect("flushes");
        copies(&other, tenant(7)).await.0.remove(0)
    });
    let (copied, bytes) = made.await.clone();
    let mut arriving = telemetry.arriving(tenant(7));
    arriving.add(copied, bytes).await.expect("is stored");
    arriving.publish(highest).await.expect("is published");
}

/// Opens a folder whose former engine may still be letting go of it.
pub(crate) async fn reopen(options: steward_telemetry::Options) -> Telemetry {
    let opened = async {
        loop {
            match Telemetry::open(options.clone(), steward_base::Clock::system(), steward_base::Random::seeded(7)).await {
                Ok(telemetry) => return telemetry,
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opened).await.expect("the folder is free within a minute")
}

#[tokio::test]
async fn a_second_process_is_kept_out() {
    let dir = tempdir().expect("a folder");
    let _first = open(options(dir.path())).await;
    let second = Telemetry::open(options(dir.path()), steward_base::Clock::system(), steward_base::Random::seeded(1)).await;
    assert_eq!(second.expect_err("the folder is locked").code(), "telemetry_storage");
}

#[tokio::test]
async fn logs_and_metrics_share_the_log_and_come_back() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    telemetry.append_logs(tenant(1), None, batch(["one", "two"])).await.expect("stored");
    let mut metrics = MetricBatch::new();
    points(&mut metrics, "system.uptime", MetricKind::Gauge, &[], &[1.0, 2.0, 3.0]);
    telemetry.append_metrics(tenant(1), None, metrics).await.expect("stored");
    telemetry.append_logs(tenant(2), None, batch(["other"])).await.expect("stored");
    drop(telemetry);
    let telemetry = reopen(options(dir.path())).await;
    assert_eq!(messages(&telemetry, tenant(1)).await, ["one", "two"]);
    assert_eq!(messages(&telemetry, tenant(2)).await, ["other"]);
    let query = SeriesQuery {
        name: "system.uptime".into(),
        filter: None,
        from: time(0),
        to: time(60),
        step: Duration::from_secs(60),
        aggregate: steward_telemetry::Aggregate::Count,
        group_by: Vec::new(),
    };
    let set = telemetry.series(tenant(1), query).await.expect("answers");
    assert_eq!(set.series.iter().flat_map(|series| &series.points).map(|point| point.1).sum::<f64>(), 3.0);
}

#[tokio::test]
async fn row_ids_outlive_flush_and_restart() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    for text in ["a", "b", "c"] {
        telemetry.append_logs(tenant(1), None, batch([text, text])).await.expect("stored");
    }
    let ids = async |telemetry: &Telemetry| {
        let page = telemetry.logs(tenant(1), LogQuery { limit: 10, ..LogQuery::default() }).await.expect("answers");
        page.rows.into_iter().map(|row| (row.id, row.message)).collect::<Vec<_>>()
    };
    let before = ids(&telemetry).await;
    telemetry.flush().await.expect("flushes");
    assert_eq!(ids(&telemetry).await, before);
    drop(telemetry);
    assert_eq!(ids(&reopen(options(dir.path())).await).await, before);
}

#[tokio::test]
async fn a_delivery_that_comes_again_is_stored_once() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let delivery = Some(Delivery([5; 16]));
    let first = telemetry.append_logs(tenant(1), delivery, batch(["one"])).await.expect("stored");
    let again = telemetry.append_logs(tenant(1), delivery, batch(["one"])).await.expect("answered");
    assert_eq!((first.repeated, again.repeated, again.batch), (false, true, first.batch));
    // Another tenant's delivery of the same name is another delivery; so are both attempts at once.
    let twins = || telemetry.append_logs(tenant(2), delivery, batch(["other"]));
    let (left, right) = tokio::join!(twins(), twins());
    assert_ne!(left.expect("stored").repeated, right.expect("answered").repeated);
    telemetry.flush().await.expect("flushes");
    drop(telemetry);
    let telemetry = reopen(options(dir.path())).await;
    let late = telemetry.append_logs(tenant(1), delivery, batch(["one"])).await.expect("answered");
    assert!(late.repeated);
    assert_eq!(messages(&telemetry, tenant(1)).await, ["one"]);
    assert_eq!(messages(&telemetry, tenant(2)).await, ["other"]);
}
