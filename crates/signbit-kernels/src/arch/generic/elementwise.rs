//! The elementwise operators: loops that the compiler vectorises, compiled once for each instruction set.
//!
//! A choice between `x` itself and something else would become a store under a mask, which some CPUs do one lane at a
//! time. So ReLU is a maximum (NaN gives 0) plus 0 (-0 becomes +0), PReLU a choice of factors.

use crate::elementwise::Elementwise;

#[inline(always)]
pub(crate) fn apply(op: &Elementwise<'_>, x: &mut [f32]) {
    match *op {
        Elementwise::MulAdd { mul, add } => by_channel([mul, add], x, |x, [mul, add]| x * mul + add),
        Elementwise::Affine { mul, add } => each(x, |x| x * mul + add),
        Elementwise::Relu => each(x, |x| x.max(0.0) + 0.0),
        Elementwise::PRelu { slope } => by_channel([slope], x, |x, [slope]| x * if x > 0.0 { 1.0 } else { slope }),
        Elementwise::RPRelu { shift_in, slope, shift_out } => {
            by_channel([shift_in, slope, shift_out], x, |x, [shift_in, slope, shift_out]| {
                let t = x - shift_in;
                (if x > shift_in { t } else { slope * t }) + shift_out
            });
        }
        Elementwise::Clip { min, max } => each(x, |x| clip(x, min, max)),
        Elementwise::Add(other) => x.iter_mut().zip(other).for_each(|(x, other)| *x += other),
        Elementwise::Mul(other) => x.iter_mut().zip(other).for_each(|(x, other)| *x *= other),
        Elementwise::MulChannel(factors) => by_channel([factors], x, |x, [factor]| x * factor),
        Elementwise::MulPixel(factors) => {
            for (x, factor) in x.chunks_exact_mut(x.len() / factors.len()).zip(factors) {
                x.iter_mut().for_each(|x| *x *= factor);
            }
        }
    }
}

/// Calls `f` with each element.
#[inline(always)]
fn each(x: &mut [f32], f: impl Fn(f32) -> f32) {
    let (blocks, rest) = x.as_chunks_mut::<16>();
    for x in blocks {
        let old = *x;
        *x = old.map(&f);
    }
    rest.iter_mut().for_each(|x| *x = f(*x));
}

/// Calls `f` with each element and the `N` numbers of its channel.
#[inline(always)]
fn by_channel<const N: usize>(numbers: [&[f32]; N], x: &mut [f32], f: impl Fn(f32, [f32; N]) -> f32) {
    match numbers[0].len() {
        channels if channels.is_multiple_of(16) => columns::<16, N>(numbers, channels, x, f),
        channels if channels.is_multiple_of(8) => columns::<8, N>(numbers, channels, x, f),
        channels => columns::<1, N>(numbers, channels, x, f),
    }
}

/// [`by_channel`], `W` channels at a time, whose numbers stay in registers from pixel to pixel.
#[inline(always)]
fn columns<const W: usize, const N: usize>(
    numbers: [&[f32]; N],
    channels: usize,
    x: &mut [f32],
    f: impl Fn(f32, [f32; N]) -> f32,
) {
    if W == 1 {
        let numbers = numbers.map(|numbers| &numbers[..channels]);
        for x in x.chunks_exact_mut(channels) {
            for c in 0..channels {
                x[c] = f(x[c], numbers.map(|numbers| numbers[c]));
            }
        }
        return;
    }
    for c in (0..channels).step_by(W) {
        // Loops: a closure for each array would be a call that is not inlined.
        let mut here = [[0.0; W]; N];
        for n in 0..N {
            here[n].copy_from_slice(&numbers[n][c..c + W]);
        }
        for pixel in x.chunks_exact_mut(channels) {
            if let Some(x) = pixel[c..].first_chunk_mut::<W>() {
                let old = *x;
                *x = core::array::from_fn(|i| f(old[i], here.map(|numbers| numbers[i])));
            }
        }
    }
}

/// Two choices, one after the other, that the compiler makes vectors of: NaN stays, and a -0.0 at a bound of 0.0 too.
#[inline(always)]
fn clip(x: f32, min: f32, max: f32) -> f32 {
    let x = if x < min { min } else { x };
    if x > max { max } else { x }
}
