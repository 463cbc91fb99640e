//! Pooling of real numbers: loops that the compiler vectorises, compiled once for each instruction set. Lanes are channels,
//! whose numbers stay in registers from tap to tap.

use crate::{
    pool::Pooling,
    shape::Conv,
    window::{Pixels, Window},
};

/// Pools from output row `row` on, as far as `out` reaches.
#[inline(always)]
pub(crate) fn pool(conv: &Conv, pooling: Pooling, x: &[f32], row: usize, out: &mut [f32]) {
    match pooling {
        Pooling::Max => pixels::<true>(conv, None, x, row, out),
        Pooling::Mean { count } => pixels::<false>(conv, count, x, row, out),
    }
}

/// The maximum, or else the mean, of each window.
#[inline(always)]
fn pixels<const MAX: bool>(conv: &Conv, count: Option<usize>, x: &[f32], row: usize, out: &mut [f32]) {
    let mut windows = Pixels::from_row(conv, row);
    for out in out.chunks_exact_mut(conv.c_in) {
        // By hand: the call of a `zip` would not be inlined.
        let Some(window) = windows.next() else {
            return;
        };
        let mut c = 0;
        while c < conv.c_in {
            c += match conv.c_in - c {
                16.. => lanes::<16, MAX>(conv, x, &window, c, count, out),
                8.. => lanes::<8, MAX>(conv, x, &window, c, count, out),
                _ => lanes::<1, MAX>(conv, x, &window, c, count, out),
            };
        }
    }
}

/// `W` channels of one window, from channel `c` on. Returns `W`.
#[inline(always)]
fn lanes<const W: usize, const MAX: bool>(
    conv: &Conv,
    x: &[f32],
    window: &Window,
    c: usize,
    count: Option<usize>,
    out: &mut [f32],
) -> usize {
    let (rows, columns) = (window.ky(), window.kx());
    let mut all = [if MAX { f32::NEG_INFINITY } else { 0.0 }; W];
    if MAX && !rows.is_empty() && !columns.is_empty() {
        // Comparing it with itself changes nothing, so it may come again below.
        all.copy_from_slice(&x[window.input(conv, rows.start, columns.start) * conv.c_in + c..][..W]);
    }
    let step = conv.dilation[1] * conv.c_in;
    for ky in rows.clone() {
        let mut at = window.input(conv, ky, columns.start).wrapping_mul(conv.c_in).wrapping_add(c);
        for _ in columns.clone() {
            let x = &x[at..][..W];
            for i in 0..W {
                all[i] = match MAX {
                    true if x[i] > all[i] => x[i],
                    true => all[i],
                    false => all[i] + x[i],
                };
            }
            at = at.wrapping_add(step);
        }
    }
    if !MAX {
        let count = count.unwrap_or(rows.len() * columns.len()) as f32;
        all.iter_mut().for_each(|sum| *sum /= count);
    }
    out[c..c + W].copy_from_slice(&all);
    W
}
