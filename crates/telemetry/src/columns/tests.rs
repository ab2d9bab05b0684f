//! Payloads that were harmed.

use bytes::Bytes;
use proptest::prelude::*;
use steward_base::Timestamp;

use super::*;
use crate::Severity;
use crate::query::row_of;

fn logs() -> Vec<u8> {
    let mut batch = LogBatch::new();
    for row in 0..5 {
        batch.attribute("key", AttributeValue::Int(row));
        batch.attribute("text", AttributeValue::Text("value"));
        batch.push(&LogFields {
            time: Timestamp::from_micros(row),
            severity: Severity::INFO,
            message: "Straße",
            service: "app",
            ..LogFields::default()
        });
    }
    batch.encode().frame.split_off(PAYLOAD_AT)
}

fn metrics() -> Vec<u8> {
    let mut batch = MetricBatch::new();
    let fields = SeriesFields { name: "m", unit: "1", kind: MetricKind::Gauge, service: "", scope: Scope::default() };
    for host in ["a", "b"] {
        let series = batch.series(&fields, &[("host", AttributeValue::Text(host))]);
        batch.point(series, Timestamp::from_micros(5), Timestamp::default(), 1.5);
    }
    batch.encode().frame.split_off(PAYLOAD_AT)
}

#[test]
fn whole_numbers_are_kept_as_they_print() {
    for number in [0, 1, -1, 9, 10, 404, -9_999, i64::MAX, i64::MIN] {
        let mut texts = text::Texts::default();
        texts.push_int(number);
        assert_eq!(texts.get(0), number.to_string().as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever the bytes are, decoding fails or gives rows that can be read.
    #[test]
    fn harmed_payloads_never_panic(harm in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), cut in any::<Option<prop::sample::Index>>()) {
        for (payload, of_logs) in [(logs(), true), (metrics(), false)] {
            let mut payload = payload;
            for (place, byte) in &harm {
                let at = place.index(payload.len());
                payload[at] = *byte;
            }
            if let Some(cut) = &cut {
                payload.truncate(cut.index(payload.len()));
            }
            if of_logs {
                if let Ok(rows) = decode_logs(Bytes::from(payload), 1) {
                    (0..rows.num_rows()).for_each(|row| drop(row_of(&rows, row)));
                }
            } else if let Ok(rows) = decode_metrics(Bytes::from(payload), 1) {
                drop(crate::segment::merge(crate::Signal::Metrics, &[rows]));
            }
        }
    }
}
