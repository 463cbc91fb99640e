//! Layers, timed: bits in, bits out.

use alloc::{format, vec};

use signbit_kernels::{Conv, Isa, PackedWeights, Padding, Thresholds, bits::words, conv, isa::Portable, weights};

use crate::{
    cases::Rng,
    host::{line, now},
};

/// Milliseconds of one measurement. The first runs are slow: the engine still compiles.
const TOTAL: f64 = 500.0;

/// Milliseconds of one run, at least; the best counts.
const SHORTEST: f64 = 2.0;

pub(crate) fn all(isa: Isa) {
    line("  layer                     portable     simd128   ratio");
    for (size, channels) in [(56, 64), (28, 128), (14, 256), (7, 512)] {
        let conv =
            Conv { pads: [1; 4], padding: Padding::One, ..Conv::new([1, size, size, channels], channels, [3, 3]) };
        row(&format!("{size}x{size}x{channels} 3x3"), isa, &conv);
    }
    let zero = Conv { pads: [1; 4], ..Conv::new([1, 14, 14, 256], 256, [3, 3]) };
    row("14x14x256 3x3, zeros", isa, &zero);
    row("1x4096 dense 1024", isa, &Conv::dense(1, 4096, 1024));
}

fn row(name: &str, isa: Isa, conv: &Conv) {
    let [portable, vectors] = [Isa::Portable(Portable), isa].map(|isa| gmacs(isa, conv));
    line(&format!("  {name:22} {portable:6.1} GMAC/s {vectors:6.1} GMAC/s {:5.2} x", vectors / portable));
}

/// Billions of multiplications per second.
fn gmacs(isa: Isa, conv: &Conv) -> f64 {
    let mut rng = Rng(3);
    let acts = rng.rows(conv.h * conv.w * conv.n, conv.c_in);
    let rows = rng.rows(conv.c_out, conv.k());
    let mut storage = vec![0; weights::packed_len(isa, conv)];
    weights::pack(isa, conv, &rows, &mut storage);
    let packed = PackedWeights::new(isa, conv, &storage);
    let (t, flip) = (vec![0; conv.c_out], vec![0; words(conv.c_out)]);
    let limits = Thresholds { t: &t, flip: &flip };
    let pixels = conv.rows() * conv.out_w();
    let mut out = vec![0; pixels * words(conv.c_out)];
    let mut repeat = 1;
    let mut best = f64::INFINITY;
    let first = now();
    while now() < first + TOTAL {
        let start = now();
        for _ in 0..repeat {
            conv::bits(isa, conv, &acts, &packed, &limits, 0..conv.rows(), &mut out);
        }
        let took = now() - start;
        match took < SHORTEST {
            true => repeat *= 2,
            false => best = best.min(took / repeat as f64),
        }
    }
    (pixels * conv.c_out * conv.k()) as f64 / best / 1e6
}
