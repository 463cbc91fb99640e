//! CIFAR-10 records of any bytes are pictures with a label each, or an error.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use signbit_train::data::parse_records;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(pictures) = parse_records(Path::new("fuzz"), bytes) {
        assert_eq!(pictures.pixels.len(), pictures.len() * pictures.shape.elements());
    }
});
