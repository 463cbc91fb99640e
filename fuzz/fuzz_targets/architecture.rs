//! Any text is an architecture whose network, with fixed weights, is a valid model, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signbit_convert::architecture::Architecture;
use signbit_convert::torch;

const WEIGHTS: &[u8] = include_bytes!("../../crates/signbit-convert/tests/data/torch/net_joined/model.safetensors");

fuzz_target!(|text: &str| {
    if let Ok(architecture) = Architecture::from_toml(text)
        && let Ok(imported) = torch::read(WEIGHTS, Some(&architecture))
    {
        imported.model.validate().expect("what is read is valid");
    }
});
