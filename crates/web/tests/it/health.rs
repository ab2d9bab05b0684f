//! Readiness asks the parts seldom, however often it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use steward_base::{Clock, Error, ErrorKind};
use steward_testkit::Setup;
use steward_web::health::Need;

use crate::sample::{self, Levers};

#[tokio::test]
async fn many_who_ask_at_once_cost_one_look_and_a_second_later_one_more() {
    let clock = Clock::manual(Clock::system().now());
    let app = sample::start(Setup { clock: Some(clock.clone()), ..Setup::default() }, Levers::default()).await;
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    app.site.health().add("counted", Need::Always, move || {
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

#[tokio::test]
async fn a_part_that_may_be_down_makes_nothing_unready_and_holds_nobody_up() {
    let clock = Clock::manual(Clock::system().now());
    let app = sample::start(Setup { clock: Some(clock.clone()), ..Setup::default() }, Levers::default()).await;
    let (lever, position) = tokio::sync::watch::channel("down");
    app.site.health().add("mail", Need::Sometimes, move || {
        let mut position = position.clone();
        async move {
            let answer = *position.wait_for(|position| *position != "silent").await.expect("the lever is there");
            if answer == "up" { Ok(()) } else { Err(Error::new(ErrorKind::Unavailable, "mail_unavailable", "Start the mail server.")) }
        }
    });
    let line = async || {
        // A look is good for a second.
        clock.advance(Duration::from_secs(1));
        let told = app.get("/readyz?verbose").send().await.expect(200).json();
        assert_eq!(told["status"], "ready");
        told["parts"].as_array().expect("a list").iter().find(|part| part["name"] == "mail").expect("is listed").clone()
    };
    let down = serde_json::json!({ "name": "mail", "status": "down", "code": "mail_unavailable", "detail": "Start the mail server." });
    assert_eq!(line().await, down);
    let _ = app.get("/readyz").send().await.expect(200);

    lever.send_replace("up");
    assert_eq!(line().await["status"], "ready");
    // While it takes its time, what it said last counts, and then no longer.
    lever.send_replace("silent");
    assert_eq!(line().await["status"], "ready");
    assert_eq!(line().await["status"], "ready");
    assert_eq!(line().await["code"], "no_answer");
    lever.send_replace("up");
    assert_eq!(line().await["status"], "ready");
}
