//! An ONNX file of any bytes is a network or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signbit_convert::onnx;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(imported) = onnx::read(bytes) {
        imported.model.validate().expect("a network that was taken in is valid");
    }
});
