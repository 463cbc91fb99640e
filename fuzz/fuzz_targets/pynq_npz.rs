//! Any bytes are the archive of a BNN-PYNQ network, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signbit_convert::pynq;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(imported) = pynq::read_npz(bytes) {
        imported.model.validate().expect("what is read is valid");
    }
});
