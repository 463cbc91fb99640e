//! A Keras `.h5` file of any bytes is a network or an error, with its own architecture or with another one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signbit_convert::keras;

const ARCHITECTURE: &str = include_str!("../../crates/signbit-convert/tests/data/keras/sequential.json");

fuzz_target!(|bytes: &[u8]| {
    let _ = keras::read(bytes, None);
    let _ = keras::read(bytes, Some(ARCHITECTURE));
});
