//! Counters, sequences, cursors and the inbox.

use std::time::Duration;

use steward_store::{Bounds, ListQuery, UnitOfWork};

use crate::support::{Thing, on_each};

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_stays_within_its_bounds_however_many_count() {
    on_each(async |bench| {
        let seats = Bounds { min: 0, max: 10 };
        let take = async || bench.store.commit(&bench.ctx, UnitOfWork::new().add("seats", 1, seats)).await;
        let taken = futures_util::future::join_all((0..25).map(|_| take())).await;
        assert_eq!(taken.iter().filter(|answer| answer.is_ok()).count(), 10);
        let refused = taken.into_iter().find_map(Result::err).expect("some are refused");
        assert_eq!(refused.code(), "counter_bound");
        assert_eq!(bench.store.counter(&bench.ctx, "seats").await.expect("reads"), 10);
        // A smaller limit throws nobody out, and the way back is open.
        let smaller = Bounds { min: 0, max: 5 };
        bench.store.commit(&bench.ctx, UnitOfWork::new().add("seats", -1, smaller)).await.expect("gives back");
        let over = bench.store.commit(&bench.ctx, UnitOfWork::new().add("seats", 1, smaller)).await.expect_err("is over");
        assert!(over.detail().contains('5'), "{}", over.detail());
        assert_eq!(bench.store.counter(&bench.ctx, "others").await.expect("reads"), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_has_no_gap_whatever_is_refused() {
    on_each(async |bench| {
        let create = async |at: usize| {
            // Every third is refused by its own body's unique key.
            let serial = at.is_multiple_of(3).then(|| "taken".to_owned());
            let id = bench.store.mint_id();
            let thing = Thing { serial, ..Thing::named("numbered") };
            bench.store.commit(&bench.ctx, UnitOfWork::new().create(id, &thing).number("things", id, "size")).await
        };
        let done = futures_util::future::join_all((0..60).map(create)).await;
        assert_eq!(done.iter().filter(|answer| answer.is_ok()).count(), 41);
        let query = ListQuery { kind: "thing".into(), limit: 100, ..ListQuery::default() };
        let page = bench.store.list(&bench.ctx, query).await.expect("lists");
        let mut numbers: Vec<i64> =
            page.records.iter().map(|record| record.decode::<Thing>().expect("decodes").size.expect("is numbered")).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=41).collect::<Vec<i64>>());
        let wanted = ListQuery {
            kind: "thing".into(),
            filter: Some(crate::support::filter(&bench.store, "thing", "size = 7")),
            ..ListQuery::default()
        };
        assert_eq!(bench.store.list(&bench.ctx, wanted).await.expect("finds").records.len(), 1, "the index knows the number");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_takes_effect_once() {
    on_each(async |bench| {
        let handle = async |from: i64, to: i64| {
            let effect = UnitOfWork::new().create(bench.store.mint_id(), &Thing::named("effect"));
            bench.store.commit(&bench.ctx, effect.advance("mailer", from, to)).await
        };
        let done = futures_util::future::join_all((0..8).map(|_| handle(0, 3))).await;
        assert_eq!(done.iter().filter(|answer| answer.is_ok()).count(), 1, "eight that saw the same event");
        assert!(done.into_iter().filter_map(Result::err).all(|error| error.code() == "cursor_moved"));
        handle(3, 4).await.expect("goes on");
        assert_eq!(bench.store.cursor(&bench.ctx, "mailer").await.expect("reads"), 4);
        assert_eq!(bench.store.count(&bench.ctx, "thing", None).await.expect("counts"), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_from_outside_is_taken_once_until_it_is_forgotten() {
    on_each(async |bench| {
        let now = bench.store.clock().now();
        let receive = |until| UnitOfWork::new().create(bench.store.mint_id(), &Thing::named("x")).receive("mailbox", "m-1", until);
        bench.store.commit(&bench.ctx, receive(now.plus(Duration::from_secs(60)))).await.expect("is new");
        let again = bench.store.commit(&bench.ctx, receive(now.plus(Duration::from_secs(60)))).await.expect_err("was seen");
        assert_eq!(again.code(), "already_received");
        let other = UnitOfWork::new().receive("elsewhere", "m-1", now);
        bench.store.commit(&bench.ctx, other).await.expect("another source");
        bench.store.commit(&bench.ctx, UnitOfWork::new().receive("elsewhere", "m-1", now)).await.expect("is forgotten");
        assert_eq!(bench.store.count(&bench.ctx, "thing", None).await.expect("counts"), 1);
    })
    .await;
}
