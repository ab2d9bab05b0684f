//! No text makes the reader of minted strings panic, and what it takes is what it would write.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steward_auth::Minted;

fuzz_target!(|text: &str| {
    if let Some(minted) = Minted::parse(text) {
        assert_eq!(minted.reveal().expose(), text);
    }
});
