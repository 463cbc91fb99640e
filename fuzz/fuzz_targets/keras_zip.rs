//! A `.keras` file of any bytes is a network or an error; so is an architecture of any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signbit_convert::keras;

const WEIGHTS: &[u8] = include_bytes!("../../crates/signbit-convert/tests/data/keras/sequential.legacy.h5");

fuzz_target!(|bytes: &[u8]| {
    let _ = keras::read(bytes, None);
    // Checksums keep most changed archives from being opened: what is inside is tried on its own.
    if let Ok(architecture) = std::str::from_utf8(bytes) {
        let _ = keras::read(WEIGHTS, Some(architecture));
    }
});
