//! Queries against a model: the same rows as JSON, asked with the reference evaluator.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;
use steward_base::filter::{Expr, Row, check, matches, parse};
use steward_telemetry::{
    AttributeValue, HistogramQuery, LogBatch, LogFields, LogQuery, LogRow, Order, Scope, Severity, Telemetry, log_registry,
};
use tempfile::tempdir;
use tokio::runtime::Runtime;

use crate::support::{START, open, options, tenant, time};

#[derive(Clone, Debug)]
struct Sent {
    second: i64,
    severity: u8,
    service: &'static str,
    message: String,
    device: &'static str,
    trace: u8,
    attributes: Vec<(&'static str, Value)>,
}

const MESSAGES: [&str; 6] = ["Connection refused by peer", "user logged in", "", "Straße gesperrt", "CAFÉ opened", "disk 90% full"];

fn sent() -> impl Strategy<Value = Sent> {
    let value = prop_oneof![
        (-3i64..4).prop_map(|number| json!(number)),
        Just(json!(1.5)),
        Just(json!(true)),
        Just(json!("peer")),
        Just(json!("2")),
        Just(json!(["a", "b"])),
        Just(json!({"inner": 7})),
    ];
    let attribute = (prop::sample::select(vec!["http.status", "user", "list"]), value);
    (
        0i64..600,
        1u8..25,
        prop::sample::select(vec!["", "app", "DB"]),
        prop::sample::select(MESSAGES.to_vec()),
        prop::sample::select(vec!["", "dev_1", "dev_2"]),
        0u8..3,
        proptest::collection::vec(attribute, 0..3),
    )
        .prop_map(|(second, severity, service, message, device, trace, mut attributes)| {
            attributes.sort_by_key(|(key, _)| *key);
            attributes.dedup_by_key(|(key, _)| *key);
            Sent { second, severity, service, message: message.to_owned(), device, trace, attributes }
        })
}

fn build(rows: &[Sent]) -> LogBatch {
    let mut batch = LogBatch::new();
    for row in rows {
        for (key, value) in &row.attributes {
            let text = value.to_string();
            batch.attribute(
                key,
                match value {
                    Value::String(text) => AttributeValue::Text(text),
                    Value::Bool(truth) => AttributeValue::Bool(*truth),
                    Value::Number(number) if number.is_i64() => AttributeValue::Int(number.as_i64().expect("whole")),
                    Value::Number(number) => AttributeValue::Float(number.as_f64().expect("a number")),
                    _ => AttributeValue::Json(&text),
                },
            );
        }
        batch.push(&LogFields {
            time: time(row.second),
            severity: Severity::from_number(i32::from(row.severity)),
            service: row.service,
            message: &row.message,
            scope: Scope { device_id: row.device, ..Scope::default() },
            trace_id: [row.trace; 16],
            ..LogFields::default()
        });
    }
    batch
}

/// The row as the reference evaluator reads it. Its text is the message, the service and the text attributes.
fn document(row: &Sent) -> Value {
    let absent = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    let attributes: serde_json::Map<String, Value> = row.attributes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({
        "time": time(row.second).to_string(),
        "severity_number": row.severity,
        "service": absent(row.service),
        "message": absent(&row.message),
        "device_id": absent(row.device),
        "trace_id": if row.trace == 0 { Value::Null } else { json!(format!("{:02x}", row.trace).repeat(16)) },
        "attributes": attributes,
    })
}

struct Model<'a>(&'a Value);

impl Row for Model<'_> {
    fn value(&self, path: &steward_base::filter::FieldPath) -> steward_base::filter::Value<'_> {
        self.0.value(path)
    }

    fn text_contains(&self, word: &str) -> bool {
        let attributes = self.0["attributes"].as_object().expect("an object").values().filter(|value| value.is_string());
        [&self.0["message"], &self.0["service"]].into_iter().chain(attributes).any(|text| text.text_contains(word))
    }
}

const FILTERS: [&str; 30] = [
    "",
    "severity_number >= 13",
    "refused",
    "CONNECTION",
    "strasse",
    "straße",
    "\"by peer\"",
    "café",
    "peer",
    "db",
    "service = app",
    "service = APP OR service = db",
    "service != app",
    "NOT service = app",
    "service:*",
    "service = null",
    "message:\"logged in\"",
    "message = \"user logged in\"",
    "NOT message:*",
    "device_id = dev_1 -refused",
    "attributes.http.status = 2",
    "attributes.http.status >= 1",
    "attributes.user = 2 OR attributes.user = true",
    "attributes.list = a",
    "attributes.list:*",
    "attributes.list.inner > 5",
    "attributes:user",
    "NOT attributes.user != peer",
    "trace_id = \"01010101010101010101010101010101\"",
    "time >= 2025-10-09T08:55:00Z refused",
];

fn expected<'a>(rows: &'a [Sent], filter: Option<&Expr>) -> Vec<&'a Sent> {
    rows.iter().filter(|row| filter.is_none_or(|filter| matches(filter, &Model(&document(row))))).collect()
}

async fn pages(telemetry: &Telemetry, query: LogQuery) -> Vec<LogRow> {
    let (mut query, mut rows) = (query, Vec::new());
    loop {
        let page = telemetry.logs(tenant(1), query.clone()).await.expect("answers");
        assert!(page.rows.len() <= query.limit);
        rows.extend(page.rows);
        match page.next {
            Some(next) => query.after = Some(next.to_string().parse().expect("reads back")),
            None => return rows,
        }
    }
}

proptest! {
    #![proptest_config(crate::support::cases(32))]

    /// Whatever is in memory, joined, flushed or compacted: the answer is that of the reference evaluator, in order, page by page.
    #[test]
    fn queries_agree_with_the_reference(batches in proptest::collection::vec(proptest::collection::vec(sent(), 1..30), 1..6), limit in 1usize..40, flush_after in 0usize..6) {
        let dir = tempdir().expect("a folder");
        Runtime::new().expect("a runtime").block_on(async {
            let telemetry = open(options(dir.path())).await;
            for (at, rows) in batches.iter().enumerate() {
                telemetry.append_logs(tenant(1), None, build(rows)).await.expect("stored");
                if at == flush_after {
                    telemetry.flush().await.expect("flushes");
                }
            }
            telemetry.append_logs(tenant(2), None, build(&batches[0])).await.expect("stored");
            let rows: Vec<Sent> = batches.concat();
            for filter in FILTERS {
                let filter = if filter.is_empty() { None } else { Some(check(parse(filter).expect("parses"), &log_registry(), time(0)).expect("checks")) };
                let mut wanted: Vec<(i64, String)> = expected(&rows, filter.as_ref()).into_iter().map(|row| (row.second, row.message.clone())).collect();
                for order in [Order::Newest, Order::Oldest] {
                    let found = pages(&telemetry, LogQuery { filter: filter.clone(), order, limit, ..LogQuery::default() }).await;
                    let times: Vec<i64> = found.iter().map(|row| row.time.micros()).collect();
                    assert!(if order == Order::Newest { times.is_sorted_by(|a, b| a >= b) } else { times.is_sorted() });
                    let mut got: Vec<(i64, String)> = found.into_iter().map(|row| ((row.time.micros() - START) / 1_000_000, row.message)).collect();
                    got.sort();
                    wanted.sort();
                    assert_eq!(got, wanted, "{filter:?}");
                }
                let (from, to) = (time(100), time(400));
                let histogram = telemetry.histogram(tenant(1), HistogramQuery { from, to, filter: filter.clone(), step: Duration::from_secs(60) }).await.expect("answers");
                let counted: u64 = histogram.buckets.iter().flat_map(|bucket| bucket.counts).sum();
                let inside = wanted.iter().filter(|(second, _)| (100..400).contains(second)).count();
                assert_eq!(counted as usize, inside, "{filter:?}");
            }
        });
    }
}

#[tokio::test]
async fn a_row_comes_back_as_it_was_sent() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let rows = [Sent {
        second: 5,
        severity: 17,
        service: "app",
        message: "Straße".to_owned(),
        device: "dev_1",
        trace: 2,
        attributes: vec![("a", json!("1")), ("b", json!(1)), ("c", json!(1.5)), ("d", json!(false)), ("e", json!({"f": [1, null]}))],
    }];
    telemetry.append_logs(tenant(1), None, build(&rows)).await.expect("stored");
    for _ in 0..2 {
        let page = telemetry.logs(tenant(1), LogQuery { limit: 1, ..LogQuery::default() }).await.expect("answers");
        let row = &page.rows[0];
        assert_eq!((row.time, row.severity.name(), row.service.as_str(), row.message.as_str()), (time(5), "error", "app", "Straße"));
        assert_eq!((row.device_id.as_str(), row.organization_id.as_str()), ("dev_1", ""));
        assert_eq!((row.trace_id.as_str(), row.span_id.as_str()), ("02".repeat(16).as_str(), ""));
        assert_eq!(Value::Object(row.attributes.clone()), json!({"a": "1", "b": 1, "c": 1.5, "d": false, "e": {"f": [1, null]}}));
        telemetry.flush().await.expect("flushes");
    }
}

#[tokio::test]
async fn levels_are_ordered_by_how_bad_they_are() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let mut batch = LogBatch::new();
    for number in 1..=24 {
        crate::support::row(&mut batch, i64::from(number), "app", Severity::from_number(number), "text");
    }
    telemetry.append_logs(tenant(1), None, batch).await.expect("stored");
    for (filter, count) in [
        ("severity >= warn", 12),
        ("severity > warn", 8),
        ("severity < info", 8),
        ("severity <= info", 12),
        ("severity = Warning", 4),
        ("severity != critical", 20),
        ("severity = error OR severity = fatal", 8),
    ] {
        let found = telemetry.logs(tenant(1), LogQuery { filter: crate::support::logs(filter), limit: 100, ..LogQuery::default() }).await;
        assert_eq!(found.expect("answers").rows.len(), count, "{filter}");
    }
    let refused =
        telemetry.logs(tenant(1), LogQuery { filter: crate::support::logs("severity > tuesday"), limit: 1, ..LogQuery::default() }).await;
    assert_eq!(refused.expect_err("not a level").code(), "filter_type");
}
