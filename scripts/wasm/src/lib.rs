//! Compares the kernels of WebAssembly's vectors with the reference kernels, word by word, and measures their
//! speed beside the portable ones. The host (`run.mjs`) gives a clock and prints lines.
#![no_std]

extern crate alloc;

mod cases;
mod compare;
mod heap;
mod host;
mod speed;

use signbit_kernels::Isa;

/// The vectors' instruction set. A module that was built without it has nothing to compare.
fn vectors() -> Isa {
    Isa::by_name("wasm-simd128").expect("the module is built with +simd128")
}

/// Compares over the fixed list and `random` random geometries. Returns how many words differ, and prints the number
/// of compared ones. `spoil`: a single weight bit of the vectors' kernels is inverted in each geometry, which has to be found.
#[unsafe(no_mangle)]
pub extern "C" fn compare(random: u32, spoil: bool) -> f64 {
    compare::all(vectors(), random, spoil) as f64
}

/// Prints the speed of some layers.
#[unsafe(no_mangle)]
pub extern "C" fn speed() {
    speed::all(vectors());
}

/// Fails if the best instruction set is not that of the vectors.
#[unsafe(no_mangle)]
pub extern "C" fn best_is_vectors() -> bool {
    Isa::best() == vectors()
}
