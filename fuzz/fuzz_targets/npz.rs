//! Any bytes are an array or an archive of labelled pictures whose lengths fit, or an error.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use signbit_train::data::npy::{self, Numbers};
use signbit_train::data::{DataOptions, parse_npz};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(array) = npy::parse(bytes) {
        let length = match &array.numbers {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::F64(numbers) => numbers.len(),
            Numbers::U8(numbers) => numbers.len(),
            Numbers::Integers(numbers) => numbers.len(),
        };
        assert_eq!(array.shape.iter().product::<usize>(), length);
    }
    if let Ok(data) = parse_npz(Path::new("fuzz"), bytes, &DataOptions::default()) {
        for part in [&data.train, &data.test] {
            assert_eq!(part.pixels.len(), part.len() * part.shape.elements());
            assert!(part.labels.iter().all(|&label| (label as usize) < data.classes.len()));
        }
    }
});
