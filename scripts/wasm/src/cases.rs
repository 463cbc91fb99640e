//! The geometries that are compared, and pseudo-random numbers to fill them.

use alloc::{vec, vec::Vec};

use signbit_kernels::{Conv, Padding, bits::words};

/// Knuth's 64-bit linear congruential generator.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 32
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.bits() as usize % end
    }

    pub(crate) fn float(&mut self) -> f32 {
        self.bits() as f32 / (1u64 << 31) as f32 - 1.0
    }

    /// Rows of `channels` random bits, those behind the last 0.
    pub(crate) fn rows(&mut self, rows: usize, channels: usize) -> Vec<u64> {
        let mut out = vec![0; rows * words(channels)];
        for (i, word) in out.iter_mut().enumerate() {
            let len = (channels - i % words(channels) * 64).min(64);
            *word = (self.bits() | self.bits() << 32) >> (64 - len);
        }
        out
    }
}

/// Channel counts around the widths of bytes, words and blocks.
const SIZES: [usize; 18] = [1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 63, 64, 65, 100, 128, 130];

/// Every kind of padding.
const PADDINGS: [Padding; 3] = [Padding::Zero, Padding::One, Padding::MinusOne];

/// Geometries at the limits of the kernel: dot products beyond 16 bits, parts of K, tails of every kind.
pub(crate) fn fixed() -> Vec<Conv> {
    let mut all = vec![
        Conv::dense(1, 1, 16),
        Conv::dense(3, 15_360, 33),
        Conv::dense(3, 15_361, 33),
        Conv::dense(5, 70_001, 17),
        Conv::dense(2, 140_000, 8),
        Conv::new([1, 3, 4, 8000], 18, [3, 3]),
        Conv::new([1, 9, 9, 64], 64, [5, 5]),
        // By minimal filtering: a stem, and one of stride 1.
        Conv { stride: [2, 2], pads: [3; 4], ..Conv::new([1, 40, 45, 3], 20, [7, 7]) },
        Conv { pads: [1; 4], ..Conv::new([1, 19, 22, 17], 33, [3, 3]) },
    ];
    for padding in PADDINGS {
        let conv = Conv { pads: [1; 4], padding, ..Conv::new([1, 4, 5, 8001], 24, [3, 3]) };
        all.push(conv);
        all.push(Conv { pads: [2, 1, 1, 2], ..Conv { c_in: 30, c_out: 60, groups: 3, ..conv } });
        all.push(Conv { stride: [2, 2], dilation: [2, 1], h: 14, w: 15, c_in: 256, c_out: 40, ..conv });
        all.push(Conv { c_in: 150, c_out: 150, groups: 150, ..conv });
        all.push(Conv { c_in: 80, c_out: 80, groups: 10, ..conv });
        all.push(Conv { c_in: 75, c_out: 50, groups: 25, ..conv });
        // Taps that lie outside at every pixel.
        all.push(Conv { h: 1, w: 2, c_in: 70, c_out: 20, pads: [4; 4], kernel: [2, 5], ..conv });
    }
    all
}

/// A random geometry that the kernels can run.
pub(crate) fn random(rng: &mut Rng) -> Conv {
    loop {
        let channels = |rng: &mut Rng| match rng.below(2) {
            0 => 1 + rng.below(40),
            _ => SIZES[rng.below(SIZES.len())],
        };
        let groups = [1, 1, 2, 3][rng.below(4)];
        let conv = Conv {
            n: rng.below(3),
            h: 1 + rng.below(9),
            w: 1 + rng.below(12),
            c_in: groups * channels(rng),
            c_out: groups * channels(rng),
            kernel: [1 + rng.below(3), 1 + rng.below(4)],
            stride: [1 + rng.below(2), 1 + rng.below(2)],
            dilation: [1 + rng.below(2), 1 + rng.below(2)],
            pads: [rng.below(3), rng.below(3), rng.below(3), rng.below(3)],
            padding: PADDINGS[rng.below(3)],
            groups,
        };
        if conv.validate().is_ok() {
            return conv;
        }
    }
}
