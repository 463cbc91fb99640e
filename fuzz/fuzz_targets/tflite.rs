//! A `.tflite` file of any bytes is a network or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signbit_convert::tflite;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(imported) = tflite::read(bytes) {
        imported.model.validate().expect("a network that was taken in is valid");
        let _ = tflite::operators(bytes);
    }
});
