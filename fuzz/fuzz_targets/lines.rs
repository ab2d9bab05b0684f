//! No body makes the reader of JSON lines fail.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steward_fuzz::served::served;

fuzz_target!(|body: &[u8]| {
    served().post("/ingest/v1/fuzzed", &[("content-type", "application/x-ndjson")], body);
});
