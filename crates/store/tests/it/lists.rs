//! Lists, orders, cursors and counts, compared with sorting and filtering everything in memory.

use std::cmp::Ordering;

use serde_json::Value;
use steward_base::Timestamp;
use steward_base::filter::matches;
use steward_store::{Cursor, Direction, ListQuery, Order, Record, UnitOfWork};

use crate::support::{Bench, Place, Thing, filter, members, on_each};

const NAMES: [&str; 7] = ["alpha", "Beta", "gamma", "Äther", "zeta", "éclair", "beta"];

async fn fill(bench: &Bench, many: usize) -> Vec<Record> {
    let mut all = Vec::new();
    for chunk in (0..many).collect::<Vec<_>>().chunks(500) {
        let mut unit = UnitOfWork::new();
        for number in chunk {
            let thing = Thing {
                size: (number % 5 != 0).then_some((*number as i64 % 11) - 5),
                weight: (number % 3 != 0).then_some(*number as f64 / 4.0 - 3.0),
                active: Some(number % 2 == 0),
                seen: (number % 4 == 0).then(|| Timestamp::from_micros(1_700_000_000_000_000 + *number as i64 * 1_000)),
                tags: (0..number % 4).map(|tag| format!("tag{tag}")).collect(),
                place: Place { room: Some(format!("r{}", number % 50)), shelf: Some(*number as i64) },
                ..Thing::named(NAMES[number % NAMES.len()])
            };
            unit = unit.create(bench.store.mint_id(), &thing);
        }
        all.extend(bench.store.commit(&bench.ctx, unit).await.expect("creates").records);
    }
    all
}

/// Every page, with the cursor sent through its text form.
async fn walk(bench: &Bench, query: ListQuery) -> Vec<Record> {
    let mut records = Vec::new();
    let mut query = query;
    for _ in 0..10_000 {
        let page = bench.store.list(&bench.ctx, query.clone()).await.expect("lists");
        assert!(page.records.len() <= query.limit);
        records.extend(page.records);
        let Some(next) = page.next else { return records };
        let text = serde_json::to_string(&next).expect("writes");
        query.after = Some(serde_json::from_str::<Cursor>(&text).expect("reads"));
    }
    panic!("the pages never end");
}

fn query(bench: &Bench, text: Option<&str>, order: Vec<Order>, limit: usize) -> ListQuery {
    let filter = text.map(|text| filter(&bench.store, "thing", text));
    ListQuery { kind: "thing".into(), filter, order, limit, ..ListQuery::default() }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).expect("finite"),
        (Value::String(a), Value::String(b)) if a.parse::<Timestamp>().is_ok() => a.parse::<Timestamp>().ok().cmp(&b.parse().ok()),
        (Value::String(a), Value::String(b)) => steward_base::filter::fold(a).cmp(&steward_base::filter::fold(b)),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => panic!("{a} and {b} are of one type"),
    }
}

fn expected(all: &[Record], filter: Option<&steward_base::filter::Expr>, order: &[Order]) -> Vec<Record> {
    let passes = |record: &&Record| filter.is_none_or(|filter| matches(filter, &Value::Object(members(record))));
    let mut found: Vec<Record> = all.iter().filter(passes).cloned().collect();
    let direction = order.first().map_or(Direction::Ascending, |order| order.direction);
    found.sort_by(|a, b| {
        let by = match order.first().map(|order| order.field.as_str()) {
            None | Some("id") => Ordering::Equal,
            Some("created_at") => a.created_at.cmp(&b.created_at),
            Some(field) => compare(members(a).get(field).unwrap_or(&Value::Null), members(b).get(field).unwrap_or(&Value::Null)),
        };
        let by = by.then(a.id.cmp(&b.id));
        if direction == Direction::Ascending { by } else { by.reverse() }
    });
    found
}

#[tokio::test]
async fn every_order_and_filter_agrees_with_memory() {
    on_each(async |bench| {
        let all = fill(bench, 700).await;
        let filters = [
            None,
            Some("size = 3"),
            Some("size >= 2 AND active = true"),
            Some("NOT size:*"),
            Some("tags:tag1 AND size < 0"),
            Some("tags = tag2 OR name = BETA"),
            Some("name = beta"),
            Some("name > gamma"),
            Some("weight <= -2.5"),
            Some("weight = 7"),
            Some("place.room = r7"),
            Some("place.shelf > 690"),
            Some("place.shelf > 690 AND place.room = r42"),
            Some("seen < 2023-11-14T22:13:21Z"),
            Some("name = nobody"),
            Some("-active = true tags:tag0"),
        ];
        for text in filters {
            let checked = text.map(|text| filter(&bench.store, "thing", text));
            for field in ["id", "created_at", "name", "size", "weight", "active", "seen"] {
                for order in [Order::ascending(field), Order::descending(field)] {
                    let order = vec![order];
                    let got = walk(bench, query(bench, text, order.clone(), 97)).await;
                    let wanted = expected(&all, checked.as_ref(), &order);
                    let ids = |records: &[Record]| records.iter().map(|record| record.id).collect::<Vec<_>>();
                    let same = ids(&got) == ids(&wanted);
                    assert!(
                        same,
                        "{} by {order:?} under {text:?}: {} and not {} rows, or another order",
                        bench.engine,
                        got.len(),
                        wanted.len()
                    );
                }
            }
            let counted = bench.store.count(&bench.ctx, "thing", checked.clone()).await.expect("counts");
            assert_eq!(counted as usize, expected(&all, checked.as_ref(), &[]).len(), "{} counts {text:?}", bench.engine);
        }
        let got = walk(bench, query(bench, None, vec![Order::ascending("size")], 1)).await;
        assert_eq!(got.len(), 700, "pages of one");
        assert_eq!(got[0], *expected(&all, None, &[Order::ascending("size")]).first().expect("some"));
    })
    .await;
}

#[tokio::test]
async fn what_is_far_along_an_order_comes_in_that_order() {
    on_each(async |bench| {
        let all = fill(bench, 4_000).await;
        // More than are sorted at once, and none among the first 2,000 that were created.
        let text = "weight >= 500";
        let checked = filter(&bench.store, "thing", text);
        for order in ["created_at", "id", "name", "size"].into_iter().flat_map(|field| [Order::ascending(field), Order::descending(field)])
        {
            let order = vec![order];
            let got = walk(bench, query(bench, Some(text), order.clone(), 300)).await;
            let wanted = expected(&all, Some(&checked), &order);
            assert!(got == wanted && wanted.len() > 1_000, "{} by {order:?}: {} of {}", bench.engine, got.len(), wanted.len());
            let first = bench.store.list(&bench.ctx, query(bench, Some(text), order, 50)).await.expect("lists");
            assert_eq!(first.records, wanted[..50], "a page is full");
        }
    })
    .await;
}

#[tokio::test]
async fn words_look_into_searchable_fields() {
    on_each(async |bench| {
        fill(bench, 14).await;
        let found = walk(bench, query(bench, Some("ÄTH"), Vec::new(), 10)).await;
        assert_eq!(found.len(), 2);
        assert!(walk(bench, query(bench, Some("r1"), Vec::new(), 10)).await.is_empty(), "rooms are not searchable");
    })
    .await;
}

#[tokio::test]
async fn deleted_records_are_in_no_list() {
    on_each(async |bench| {
        let all = fill(bench, 20).await;
        let unit = all.iter().take(15).fold(UnitOfWork::new(), |unit, record| unit.delete("thing", record.id, steward_store::Expect::Any));
        bench.store.commit(&bench.ctx, unit).await.expect("deletes");
        for order in [Vec::new(), vec![Order::descending("size")], vec![Order::ascending("created_at")]] {
            assert_eq!(walk(bench, query(bench, None, order, 2)).await.len(), 5);
        }
        assert_eq!(bench.store.count(&bench.ctx, "thing", None).await.expect("counts"), 5);
    })
    .await;
}

#[tokio::test]
async fn a_filter_that_matches_rarely_ends_its_page_early() {
    on_each(async |bench| {
        let all = fill(bench, 20_500).await;
        let last = all.last().expect("some");
        let text = format!("place.shelf = {}", members(last)["place"]["shelf"]);
        let page = bench.store.list(&bench.ctx, query(bench, Some(&text), Vec::new(), 10)).await.expect("lists");
        assert!(page.records.is_empty() && page.next.is_some(), "20,000 rows were looked at in vain");
        let found = walk(bench, query(bench, Some(&text), Vec::new(), 10)).await;
        assert_eq!(found.iter().map(|record| record.id).collect::<Vec<_>>(), [last.id]);
        let counted = bench.store.count(&bench.ctx, "thing", Some(filter(&bench.store, "thing", &text))).await.expect("counts");
        assert_eq!(counted, 1, "a count looks at everything");
    })
    .await;
}

#[tokio::test]
async fn orders_and_cursors_that_make_no_sense_are_refused() {
    on_each(async |bench| {
        fill(bench, 5).await;
        let code = async |query| bench.store.list(&bench.ctx, query).await.map(|_| ()).map_err(|error| error.code());
        assert_eq!(code(query(bench, None, vec![Order::ascending("colour")], 2)).await, Err("order_unknown"));
        assert_eq!(code(query(bench, None, vec![Order::ascending("tags")], 2)).await, Err("order_unsupported"));
        assert_eq!(code(query(bench, None, vec![Order::ascending("place.shelf")], 2)).await, Err("order_unsupported"));
        assert_eq!(code(query(bench, None, vec![Order::ascending("size"), Order::ascending("name")], 2)).await, Err("order_unsupported"));
        assert_eq!(code(query(bench, None, vec![Order::ascending("size"), Order::ascending("id")], 2)).await, Ok(()));
        let page = bench.store.list(&bench.ctx, query(bench, None, Vec::new(), 2)).await.expect("lists");
        let other = ListQuery { after: page.next, ..query(bench, None, vec![Order::ascending("size")], 2) };
        assert_eq!(code(other).await, Err("cursor"));
    })
    .await;
}
