//! Live tail.

use std::time::Duration;

use futures_util::FutureExt as _;
use tempfile::tempdir;

use crate::support::{batch, logs, open, options, tenant};

#[tokio::test]
async fn a_tail_sees_what_passes_from_now_on_of_its_own_tenant() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    telemetry.append_logs(tenant(1), None, batch(["error before"])).await.expect("stored");
    let mut tail = telemetry.tail(tenant(1), logs("error").as_ref()).expect("subscribes");
    telemetry.append_logs(tenant(2), None, batch(["error of another"])).await.expect("stored");
    telemetry.append_logs(tenant(1), None, batch(["fine", "an Error", "fine"])).await.expect("stored");
    let seen = tail.next().await.expect("works").expect("open");
    assert_eq!(seen.rows.iter().map(|row| row.message.as_str()).collect::<Vec<_>>(), ["an Error"]);
    assert_eq!(seen.skipped, 0);
    telemetry.close().await.expect("closes");
    assert_eq!(tail.next().await.expect("works"), None);
}

#[tokio::test]
async fn a_slow_tail_is_told_how_many_rows_it_missed() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let mut tail = telemetry.tail(tenant(1), None).expect("subscribes");
    let batches = 40;
    for _ in 0..batches {
        telemetry.append_logs(tenant(1), None, batch(std::iter::repeat_n("row", 400))).await.expect("stored");
    }
    let (mut seen, mut skipped) = (0, 0);
    while seen + skipped < batches * 400 {
        let next = tokio::time::timeout(Duration::from_secs(60), tail.next()).await.expect("in time").expect("works").expect("open");
        seen += next.rows.len() as u64;
        skipped += next.skipped;
    }
    assert_eq!(seen + skipped, batches * 400);
    assert!(skipped >= 6000 && seen >= 9000, "seen {seen}, skipped {skipped}");
}

#[tokio::test]
async fn a_large_batch_comes_whole_even_to_a_listener_that_gives_up_in_between() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let mut tail = telemetry.tail(tenant(1), logs("row").as_ref()).expect("subscribes");
    // Larger than what may wait: it is the only one.
    let texts: Vec<String> = (0..12_000).map(|number| if number % 4 == 0 { "other".into() } else { format!("row {number}") }).collect();
    telemetry.append_logs(tenant(1), None, batch(texts.iter().map(String::as_str))).await.expect("stored");
    let mut seen = Vec::new();
    while seen.len() < 9000 {
        // Polled once and dropped, as by a timeout.
        let early = tail.next().now_or_never();
        let next = match early {
            Some(next) => next,
            None => tokio::time::timeout(Duration::from_secs(60), tail.next()).await.expect("in time"),
        };
        let next = next.expect("works").expect("open");
        assert!(next.rows.len() <= 500 && next.skipped == 0, "{} rows, {} skipped", next.rows.len(), next.skipped);
        seen.extend(next.rows.into_iter().map(|row| row.message));
    }
    assert!(seen.iter().eq(texts.iter().filter(|text| text.starts_with("row"))));
    telemetry.append_logs(tenant(1), None, batch(["row after"])).await.expect("stored");
    let next = tail.next().await.expect("works").expect("open");
    assert_eq!((next.rows.len(), next.rows[0].message.as_str()), (1, "row after"));
}
