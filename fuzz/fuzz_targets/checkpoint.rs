//! A checkpoint of any bytes is a network or an error.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use signbit_train::checkpoint;

fuzz_target!(|bytes: &[u8]| {
    let _ = checkpoint::from_bytes(Path::new("fuzz"), bytes);
});
