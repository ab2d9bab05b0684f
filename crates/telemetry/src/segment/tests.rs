//! A segment written and read back: its rows, its order, its side index, and how runs are joined.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use bytes::Bytes;
use steward_base::Timestamp;

use super::GROUP_ROWS;
use super::merge::merge_logs;
use crate::columns::{PAYLOAD_AT, decode_logs};
use crate::rows::Places;
use crate::{LogBatch, LogFields};

/// Rows of these times, with ten bytes of text each.
fn rows(batch: u64, times: impl Iterator<Item = usize>) -> RecordBatch {
    let mut rows = LogBatch::new();
    for time in times {
        rows.attribute("place", crate::AttributeValue::Text("four"));
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
        for (run_bytes, most) in [(usize::MAX, GROUP_ROWS), (250_000, 25_000), (1, 1)] {
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
