//! Compares a network of Larq Compute Engine with its translation, operator by operator.
//!
//! ```text
//! cargo run -p signbit-convert --example parity -- MODEL.tflite INPUT.npy FOLDER
//! ```
//!
//! `FOLDER` holds the engine's own tensors for `INPUT.npy`, as `scripts/peers/lce_intermediates.py` writes them.
//! Fails where a bit differs, or a real number by more than 1e-5.

#[path = "../tests/npy/mod.rs"]
mod npy;
#[path = "../tests/parity/mod.rs"]
mod parity;

use std::path::Path;
use std::process::ExitCode;

use signbit::{Options, Session};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, input, folder] = &arguments[..] else {
        eprintln!("usage: parity MODEL.tflite INPUT.npy FOLDER");
        return ExitCode::from(2);
    };
    let bytes = std::fs::read(model).expect("the model can be read");
    let run = |model: &signbit_model::Model, n: usize, input: &[f32]| {
        let options = Options { batch: n, ..Options::default() };
        let mut session = Session::new(model, options).expect("an operator can be planned");
        session.run(input, n).expect("and run").to_vec()
    };
    let (found, skipped) = parity::compare(&bytes, Path::new(input), Path::new(folder), run);
    for c in &found {
        let verdict = if c.is_good() { "" } else { "  DIFFERS" };
        let (kind, dtype) = (&c.kind, c.dtype.to_string());
        println!(
            "{kind:18} {dtype:4} {:9} elements, {:7} not equal, worst {:.1e}  {}{verdict}",
            c.elements, c.unequal, c.worst, c.name
        );
    }
    let bad = found.iter().filter(|c| !c.is_good()).count();
    let bits = found.iter().filter(|c| c.dtype == signbit_model::DType::Bits);
    let (layers, flips) = bits.fold((0, 0), |(layers, flips), c| (layers + 1, flips + c.unequal));
    let worst = found.iter().map(|c| c.worst).fold(0.0, f32::max);
    println!(
        "{} operators, {layers} of bits with {flips} flips, worst real {worst:.1e}; {skipped} skipped",
        found.len()
    );
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
