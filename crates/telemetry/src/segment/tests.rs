//! A segment written and read back: its rows, its order, its filters, and how runs are joined.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use steward_base::Timestamp;
use steward_base::filter::fold;

use super::grams::{Building, to_object};
use super::merge::merge_logs;
use super::{Grams, LOG_GROUP_ROWS, Wanted, write};
use crate::columns::{PAYLOAD_AT, decode_logs};
use crate::query::row_of;
use crate::rows::Places;
use crate::{AttributeValue, LogBatch, LogFields, Signal};

/// Rows of these times, with ten bytes of text each.
fn rows(batch: u64, times: impl Iterator<Item = usize>) -> RecordBatch {
    let mut rows = LogBatch::new();
    for time in times {
        rows.attribute("place", AttributeValue::Text("four"));
        let message = format!("{time:06}");
        rows.push(&LogFields { time: Timestamp::from_micros(time as i64), message: &message, ..LogFields::default() });
    }
    decode_logs(Bytes::from(rows.encode().frame).slice(PAYLOAD_AT..), batch).expect("decodes")
}

#[test]
fn runs_are_in_order_and_never_beyond_a_row_group_or_their_bytes() {
    let count = 70_000;
    let in_order = [rows(1, 0..30_000), rows(2, 30_000..count)];
    let mixed = [rows(1, (0..count).filter(|time| time % 3 == 0)), rows(2, (0..count).filter(|time| time % 3 != 0))];
    for batches in [in_order, mixed] {
        for (run_bytes, most) in [(usize::MAX, LOG_GROUP_ROWS), (100_000, 10_000), (1, 1)] {
            // One row a run is slow: a few will do.
            let batches = batches.clone().map(|batch| if most == 1 { batch.slice(batch.num_rows() - 20, 20) } else { batch });
            let runs = merge_logs(&batches, run_bytes).expect("merges");
            let (last, full) = runs.split_last().expect("rows");
            assert!(full.iter().all(|run| run.num_rows() == most) && last.num_rows() <= most);
            let times: Vec<i64> = runs.iter().flat_map(|run| Places::of(run).time.to_vec()).collect();
            assert!(times.is_sorted() && times.len() == batches.iter().map(RecordBatch::num_rows).sum::<usize>());
            let messages = runs.iter().flat_map(|run| run["message"].as_string::<i32>().iter().map(|text| text.expect("text").to_owned()));
            assert!(messages.eq(times.iter().map(|time| format!("{time:06}"))));
        }
    }
}

/// Texts of a few letters, so that pieces of one are often in another; some fold to more or fewer bytes.
fn text() -> impl Strategy<Value = String> {
    let letter = prop::sample::select(vec!['a', 'b', 'A', 'B', '1', ' ', 'ß', 'É', 'e', '\u{301}', 'İ', '漢']);
    proptest::collection::vec(letter, 0..40).prop_map(|letters| letters.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// What a brute-force search finds, the filter never denies, whatever the needle's place in the text, case and composition.
    #[test]
    fn a_filter_never_denies_a_text_it_has(texts in proptest::collection::vec(text(), 1..20), needle in text(), from in any::<prop::sample::Index>(), cut in any::<(prop::sample::Index, prop::sample::Index)>()) {
        let mut building = Building::new();
        texts.iter().for_each(|text| building.text(text));
        let grams = Grams::from_object(Bytes::from(to_object(&[building.finish()]))).expect("reads back");
        let letters: Vec<char> = from.get(&texts).chars().collect();
        let (one, other) = (cut.0.index(letters.len() + 1), cut.1.index(letters.len() + 1));
        let piece: String = letters[one.min(other)..one.max(other)].iter().collect();
        for needle in [needle, piece] {
            let found = texts.iter().any(|text| fold(text).contains(&fold(&needle)));
            let denied = Wanted::text(&needle).is_some_and(|wanted| !grams.may_hold(0, &wanted));
            prop_assert!(!(found && denied), "{needle:?} in {texts:?}");
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A segment's rows are those that were written, whatever runs and lists their dictionaries hold.
    #[test]
    fn rows_come_back_as_they_were_written(stretches in proptest::collection::vec((0usize..40, 0usize..6, 1usize..60), 1..30)) {
        let mut batch = LogBatch::new();
        let mut time = 0;
        for (service, attributes, rows) in stretches {
            for row in 0..rows {
                // Every third stretch changes its service with each row.
                let service = format!("service {}", if service % 3 == 0 { service + row % 11 } else { service });
                for number in 0..attributes {
                    let key = format!("key {}", (number + row * (service.len() % 2)) % 7);
                    batch.attribute(&key, AttributeValue::Int(number as i64));
                }
                time += 1;
                batch.push(&LogFields { time: Timestamp::from_micros(time), service: &service, message: &key_of(time), ..LogFields::default() });
            }
        }
        let rows = decode_logs(Bytes::from(batch.encode().frame).slice(PAYLOAD_AT..), 1).expect("decodes");
        let parquet = write(Signal::Logs, std::slice::from_ref(&rows)).expect("writes").expect("rows").parquet;
        let mut back = ParquetRecordBatchReaderBuilder::try_new(parquet).expect("opens").with_batch_size(LOG_GROUP_ROWS).build().expect("reads");
        let back = back.next().expect("a group").expect("reads");
        prop_assert_eq!(back.num_rows(), rows.num_rows());
        for row in 0..rows.num_rows() {
            prop_assert_eq!(row_of(&back, row), row_of(&rows, row));
        }
    }
}

fn key_of(time: i64) -> String {
    format!("message {time}")
}

#[test]
fn a_filter_denies_what_it_does_not_have_and_damage_denies_nothing() {
    let mut building = Building::new();
    (0..20_000u64).for_each(|number| building.text(&format!("request {:016x} finished", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
    building.id(&[7; 16]);
    let object = to_object(&[building.finish()]);
    let grams = Grams::from_object(Bytes::from(object.clone())).expect("reads back");
    assert!(grams.bytes() < 1 << 20, "{} bytes", grams.bytes());
    let wrong =
        (0..1000).filter(|number| grams.may_hold(0, &Wanted::text(&format!("order-{number:08}-missing")).expect("long enough"))).count();
    assert!(wrong < 10, "{wrong} of 1000 are held to be there");
    assert!(grams.may_hold(0, &Wanted::id(&[7; 16])) && !grams.may_hold(0, &Wanted::id(&[8; 16])));
    assert!(Wanted::text("seven c").is_none(), "too short to tell");
    for at in [0, 9, 12, 17, 100, object.len() - 1] {
        let mut harmed = object.clone();
        harmed[at] ^= 1;
        assert!(Grams::from_object(Bytes::from(harmed)).is_none(), "byte {at}");
    }
    assert!(Grams::from_object(Bytes::from(object).slice(..500)).is_none());
}
