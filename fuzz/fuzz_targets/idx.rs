//! An IDX file of any bytes is data of the announced length, or an error.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use signbit_train::data::parse_idx;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(idx) = parse_idx(Path::new("fuzz"), bytes) {
        assert_eq!(idx.dims.iter().product::<usize>(), idx.bytes.len());
    }
});
