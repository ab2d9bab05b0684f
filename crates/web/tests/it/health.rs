//! Readiness asks the parts seldom, however often it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use steward_base::{Clock, Error, ErrorKind};
use steward_testkit::Setup;

use crate::sample::{self, Levers};

#[tokio::test]
async fn many_who_ask_at_once_cost_one_look_and_a_second_later_one_more() {
    let clock = Clock::manual(Clock::system().now());
    let app = sample::start(Setup { clock: Some(clock.clone()), ..Setup::default() }, Levers::default()).await;
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    app.site.health().add("counted", move || {
        let look = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match look {
                0 => Ok(()),
                _ => Err(Error::new(ErrorKind::Unavailable, "counted_down", "Count again.")),
            }
        }
    });
    let answers = futures_util::future::join_all((0..50).map(|_| app.get("/readyz?verbose").send())).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text.contains("counted")), "{:?}", answers[0]);
    assert_eq!(looks.load(Ordering::SeqCst), 1);
    clock.advance(Duration::from_millis(999));
    let _ = app.get("/readyz").send().await.expect(200);
    clock.advance(Duration::from_millis(1));
    let failing = app.get("/readyz").send().await.expect(503);
    assert_eq!((failing.code().as_str(), failing.fields()), ("not_ready", vec![("/counted".to_owned(), "counted_down".to_owned())]));
    assert_eq!(looks.load(Ordering::SeqCst), 2);
}
