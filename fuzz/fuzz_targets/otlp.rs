//! No OTLP body makes the server fail: the first byte chooses signal and encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steward_fuzz::served::served;

fuzz_target!(|data: &[u8]| {
    let Some((kind, body)) = data.split_first() else { return };
    let (path, media_type) = match kind {
        b'J' => ("/otlp/v1/logs", "application/json"),
        b'j' => ("/otlp/v1/metrics", "application/json"),
        b'P' => ("/otlp/v1/logs", "application/x-protobuf"),
        _ => ("/otlp/v1/metrics", "application/x-protobuf"),
    };
    served().post(path, &[("content-type", media_type)], body);
});
