//! A model file of any bytes is a model or an error. What is accepted is written again as the same model, and runs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signbit::{Model, Options};
use signbit_model::{file, interpreter};

/// A graph larger than this is not run: fuzzing looks for faults, not for patience.
const MAX_WORK: usize = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    // The checksum would hide everything behind it from the fuzzer.
    let Ok(model) = file::from_bytes_unverified(bytes) else { return };
    let written = file::to_bytes(&model).expect("an accepted model can be written");
    // Bytes are compared, not models: a NaN in a tensor is not equal to itself.
    let again = file::to_bytes(&file::from_bytes(&written).expect("and read")).expect("and written again");
    assert!(written == again, "written, read and written again, the bytes differ");
    let types = model.validate().expect("it was validated");
    if types.iter().map(|t| t.shape.elements()).sum::<usize>() > MAX_WORK || bytes.len() > MAX_WORK {
        return;
    }
    let input = vec![0.5; model.graph.input.shape.elements()];
    let _ = interpreter::run(&model, 1, &input);
    if let Ok(model) = Model::new(model) {
        let _ = model.session(Options::default()).and_then(|mut s| s.run(&input, 1).map(<[f32]>::to_vec));
    }
});
