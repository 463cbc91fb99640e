//! Passes over rows of channels, in a fixed number of parts so that sums do not depend on the number of threads.

use pulp::Arch;
use rayon::prelude::*;

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

/// Two sums per channel over all rows of `x` (and `y`, row by row): `f(x, y, channel) -> (first, second)`.
pub(super) fn channel_sums(
    x: &[f32],
    y: &[f32],
    c: usize,
    f: impl Fn(f32, f32, usize) -> (f32, f32) + Sync,
) -> (Vec<f64>, Vec<f64>) {
    let part = (x.len() / c).div_ceil(PARTS).max(F32_ROWS) * c;
    let sums: Vec<_> = x
        .par_chunks(part)
        .zip(y.par_chunks(part))
        .map(|(x, y)| {
            let mut total = (vec![0.0f64; c], vec![0.0f64; c]);
            let (mut first, mut second) = (vec![0.0f32; c], vec![0.0f32; c]);
            for (x, y) in x.chunks(F32_ROWS * c).zip(y.chunks(F32_ROWS * c)) {
                Arch::new().dispatch(
                    #[inline(always)]
                    || {
                        first.fill(0.0);
                        second.fill(0.0);
                        for (x, y) in x.chunks_exact(c).zip(y.chunks_exact(c)) {
                            let sums = first.iter_mut().zip(second.iter_mut());
                            for (i, ((x, y), (first, second))) in x.iter().zip(y).zip(sums).enumerate() {
                                let (a, b) = f(*x, *y, i);
                                *first += a;
                                *second += b;
                            }
                        }
                    },
                );
                total.0.iter_mut().zip(&first).for_each(|(t, s)| *t += f64::from(*s));
                total.1.iter_mut().zip(&second).for_each(|(t, s)| *t += f64::from(*s));
            }
            total
        })
        .collect();
    let mut total = (vec![0.0; c], vec![0.0; c]);
    for (first, second) in sums {
        total.0.iter_mut().zip(first).for_each(|(t, s)| *t += s);
        total.1.iter_mut().zip(second).for_each(|(t, s)| *t += s);
    }
    total
}
