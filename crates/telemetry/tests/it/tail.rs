//! Live tail.

use std::time::Duration;

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
        let next = tokio::time::timeout(Duration::from_secs(10), tail.next()).await.expect("in time").expect("works").expect("open");
        seen += next.rows.len() as u64;
        skipped += next.skipped;
    }
    assert_eq!(seen + skipped, batches * 400);
    assert!(skipped >= 6000 && seen >= 9000, "seen {seen}, skipped {skipped}");
}
