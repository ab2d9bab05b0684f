//! Write-ahead log, manifest, segments and side indexes as a broken disk might give them back: the first byte chooses the file, the rest is
//! its content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steward_fuzz::folder::open_with;

fuzz_target!(|data: &[u8]| {
    if let Some((file, bytes)) = data.split_first() {
        open_with(usize::from(*file), bytes);
    }
});
