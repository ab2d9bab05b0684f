//! No text makes a cursor open that was not sealed, and none that was sealed is refused: the content is the fuzzer's own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steward_base::{RecordId, Timestamp};
use steward_web::cursor::{Bound, Cursors, Mark};

fuzz_target!(|text: &str| {
    let cursors = Cursors::new(&[7; 32]);
    let bound = Bound { tenant: RecordId::from_bytes([1; 16]).into(), operation: "devices.list", shape: &["name asc", text] };
    assert!(cursors.open::<serde_json::Value>(bound, text).is_err(), "nobody can make one");
    let mark = Mark { now: Timestamp::default(), after: text.to_owned() };
    let sealed = cursors.seal(bound, &mark).expect("is sealed");
    assert_eq!(cursors.open::<String>(bound, &sealed).expect("opens"), mark);
    let elsewhere = Bound { operation: "devices.export", ..bound };
    assert!(cursors.open::<String>(elsewhere, &sealed).is_err(), "it is good for its list only");
});
