//! Passes over rows of channels, in a fixed number of parts so that sums do not depend on the number of threads.

use pulp::Arch;
use rayon::prelude::*;
use signbit_kernels::elementwise::{self, Elementwise};
use signbit_kernels::{Isa, bits};

use super::split::{Pair, Split};
use crate::ranks::{self, Ranks};
use crate::tensor::{BitTensor, Buffers, Tensor, Value};

/// Parts of a sum over rows.
const PARTS: usize = 32;
/// Rows that are summed in f32 before the sum goes on in f64.
const F32_ROWS: usize = 64;

/// Sum of f(x) with 16 partial sums.
pub(super) fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut partial = [0.0; 16];
    for chunk in x.chunks(16) {
        for (p, &x) in partial.iter_mut().zip(chunk) {
            *p += f(x);
        }
    }
    partial.iter().sum()
}

/// Rows per task of an elementwise pass over `rows` rows of `c` channels.
pub(super) fn per_task(rows: usize, c: usize) -> usize {
    (16 * 1024 / c.max(1)).clamp(1, rows.max(1))
}

/// The bits that `sign(x, bits)` makes of blocks of rows.
pub(super) fn signs(buffers: &mut Buffers, x: &Tensor, sign: impl Fn(&[f32], &mut [u64]) + Sync) -> Value {
    let (c, words, rows) = (x.shape.c, bits::words(x.shape.c), per_task(x.rows(), x.shape.c));
    let mut out = buffers.words(x.rows() * words);
    out.par_chunks_mut(rows * words).zip(x.data.par_chunks(rows * c)).for_each(|(out, x)| sign(x, out));
    Value::Bits(BitTensor::new(x.n, x.shape, out))
}

/// Bits that say where |x| <= `window`, one for each number.
pub(super) fn within(isa: Isa, window: f32, x: &[f32], out: &mut [u64]) {
    let mut inside = [0.0; 1024];
    for (x, out) in x.chunks(inside.len()).zip(out.chunks_mut(inside.len() / 64)) {
        let inside = &mut inside[..x.len()];
        // Not negative just there: the difference of neighbouring numbers is exact.
        inside.iter_mut().zip(x).for_each(|(inside, x)| *inside = window - x.abs());
        // The last task has fewer numbers than there is room for.
        bits::pack_signs(isa, inside, x.len(), &mut out[..bits::words(x.len())]);
    }
}

/// Sets to 0 the numbers whose bit in `passes` is 0.
pub(super) fn pass_where(passes: &[u64], numbers: &mut [f32]) {
    let kept =
        |number: f32, bits: u8, i: usize| f32::from_bits(number.to_bits() & (u32::from(bits) >> i & 1).wrapping_neg());
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (numbers, word) in numbers.chunks_mut(64).zip(passes) {
                for (numbers, bits) in numbers.chunks_mut(8).zip(word.to_le_bytes()) {
                    if let Ok(numbers) = <&mut [f32; 8]>::try_from(&mut *numbers) {
                        for i in 0..8 {
                            numbers[i] = kept(numbers[i], bits, i);
                        }
                    } else {
                        numbers.iter_mut().enumerate().for_each(|(i, number)| *number = kept(*number, bits, i));
                    }
                }
            }
        },
    );
}

/// The numbers that `f(x, y)` makes of blocks of rows.
pub(super) fn map(buffers: &mut Buffers, x: &Tensor, f: impl Fn(&[f32], &mut [f32]) + Sync) -> Value {
    let mut y = buffers.real(x.data.len());
    let rows = per_task(x.rows(), x.shape.c) * x.shape.c;
    y.par_chunks_mut(rows).zip(x.data.par_chunks(rows)).for_each(|(y, x)| f(x, y));
    Value::Real(Tensor::new(x.n, x.shape, y))
}

/// What the elementwise operator of the packed network makes of `x`.
pub(super) fn elementwise(isa: Isa, buffers: &mut Buffers, x: &Tensor, op: &Elementwise<'_>) -> Value {
    map(buffers, x, |x, y| {
        y.copy_from_slice(x);
        elementwise::apply(isa, op, y);
    })
}

/// Rows of the whole batch of which `x` is this rank's share.
pub(super) fn whole_rows(ranks: Option<&Ranks>, x: &Tensor) -> usize {
    x.rows() / x.n.max(1) * ranks::whole(ranks, x.n)
}

/// Two sums per channel over all rows of `x` and `y`, of all ranks, if there are several:
/// `f(x, y, channel) -> (first, second)`.
pub(super) fn channel_sums(
    ranks: Option<&Ranks>,
    x: &[f32],
    y: &[f32],
    c: usize,
    f: impl Fn(f32, f32, usize) -> (f32, f32) + Sync,
) -> Pair {
    let split = Split::new(ranks, x.len(), c, part_len);
    let (part, middle) = (split.part, split.middle());
    let sum = |x: &[f32], y: &[f32]| {
        let mut sums = Sums::new(c);
        for (x, y) in x.chunks(F32_ROWS * c).zip(y.chunks(F32_ROWS * c)) {
            sums.add(x, y, &f);
        }
        sums.total
    };
    let sums = x[middle.clone()].par_chunks(part).zip(y[middle].par_chunks(part)).map(|(x, y)| sum(x, y));
    split.total(sums.collect(), x, y, sum)
}

/// As [`channel_sums`], where `prepare(x, y)` rewrites each block of rows of `y` before it is summed.
pub(super) fn prepared_channel_sums(
    ranks: Option<&Ranks>,
    x: &[f32],
    y: &mut [f32],
    c: usize,
    prepare: impl Fn(&[f32], &mut [f32]) + Sync,
    f: impl Fn(f32, f32, usize) -> (f32, f32) + Sync,
) -> Pair {
    let split = Split::new(ranks, x.len(), c, part_len);
    let (part, middle) = (split.part, split.middle());
    let blocks = |x: &[f32], y: &mut [f32], sums: &mut Sums| {
        for (x, y) in x.chunks(F32_ROWS * c).zip(y.chunks_mut(F32_ROWS * c)) {
            prepare(x, y);
            sums.add(x, y, &f);
        }
    };
    for piece in [0..middle.start, middle.end..x.len()] {
        blocks(&x[piece.clone()], &mut y[piece], &mut Sums::new(c));
    }
    let sums = x[middle.clone()].par_chunks(part).zip(y[middle].par_chunks_mut(part)).map(|(x, y)| {
        let mut sums = Sums::new(c);
        blocks(x, y, &mut sums);
        sums.total
    });
    let sums = sums.collect();
    split.total(sums, x, y, |x, y| {
        let mut sums = Sums::new(c);
        for (x, y) in x.chunks(F32_ROWS * c).zip(y.chunks(F32_ROWS * c)) {
            sums.add(x, y, &f);
        }
        sums.total
    })
}

fn part_len(len: usize, c: usize) -> usize {
    (len / c).div_ceil(PARTS).max(F32_ROWS) * c
}

/// Sums of one part: f32 within a block of rows, f64 over the blocks.
struct Sums {
    total: Pair,
    block: (Vec<f32>, Vec<f32>),
}

impl Sums {
    fn new(c: usize) -> Self {
        Self { total: (vec![0.0; c], vec![0.0; c]), block: (vec![0.0; c], vec![0.0; c]) }
    }

    /// Adds a block of rows, four at a time: the partial sums then cost a quarter of the loads and stores.
    fn add(&mut self, x: &[f32], y: &[f32], f: &impl Fn(f32, f32, usize) -> (f32, f32)) {
        let c = self.total.0.len();
        let (first, second) = (&mut self.block.0[..], &mut self.block.1[..]);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                first.fill(0.0);
                second.fill(0.0);
                let (x4, y4) = (x.chunks_exact(4 * c), y.chunks_exact(4 * c));
                let (x_rest, y_rest) = (x4.remainder(), y4.remainder());
                for (x, y) in x4.zip(y4) {
                    let (x0, x1, x2, x3) = quarters(x, c);
                    let (y0, y1, y2, y3) = quarters(y, c);
                    let rows = x0.iter().zip(x1).zip(x2.iter().zip(x3));
                    let others = y0.iter().zip(y1).zip(y2.iter().zip(y3));
                    let sums = first.iter_mut().zip(second.iter_mut());
                    for (i, ((x, y), (first, second))) in rows.zip(others).zip(sums).enumerate() {
                        let (((x0, x1), (x2, x3)), ((y0, y1), (y2, y3))) = (x, y);
                        let (a0, b0) = f(*x0, *y0, i);
                        let (a1, b1) = f(*x1, *y1, i);
                        let (a2, b2) = f(*x2, *y2, i);
                        let (a3, b3) = f(*x3, *y3, i);
                        *first += (a0 + a1) + (a2 + a3);
                        *second += (b0 + b1) + (b2 + b3);
                    }
                }
                for (x, y) in x_rest.chunks_exact(c).zip(y_rest.chunks_exact(c)) {
                    let sums = first.iter_mut().zip(second.iter_mut());
                    for (i, ((x, y), (first, second))) in x.iter().zip(y).zip(sums).enumerate() {
                        let (a, b) = f(*x, *y, i);
                        *first += a;
                        *second += b;
                    }
                }
            },
        );
        self.total.0.iter_mut().zip(&self.block.0).for_each(|(t, s)| *t += f64::from(*s));
        self.total.1.iter_mut().zip(&self.block.1).for_each(|(t, s)| *t += f64::from(*s));
    }
}

/// Four rows of `c` numbers.
#[inline(always)]
fn quarters(x: &[f32], c: usize) -> (&[f32], &[f32], &[f32], &[f32]) {
    let (low, high) = x.split_at(2 * c);
    let (x0, x1) = low.split_at(c);
    let (x2, x3) = high.split_at(c);
    (x0, x1, x2, x3)
}
