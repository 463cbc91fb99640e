//! Elementwise operators on real numbers, in place: the epilogue of a layer. A caller runs them on a piece of
//! the layer's output that is still in the cache.
//!
//! Each element sees the operations in the order that its operator states, each with its own rounding.

use crate::{Isa, arch};

/// An elementwise operator on whole pixels, `[pixels, channels]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elementwise<'a> {
    /// `x * mul[c] + add[c]`.
    MulAdd {
        /// Factor by channel.
        mul: &'a [f32],
        /// Summand by channel.
        add: &'a [f32],
    },
    /// `x * mul + add`.
    Affine {
        /// Factor.
        mul: f32,
        /// Summand.
        add: f32,
    },
    /// `x > 0 ? x : 0`.
    Relu,
    /// `x > 0 ? x : slope[c] * x`.
    PRelu {
        /// Slope by channel.
        slope: &'a [f32],
    },
    /// With `t = x - shift_in[c]`: `(x > shift_in[c] ? t : slope[c] * t) + shift_out[c]` (Liu et al. 2020,
    /// ReActNet, arXiv 2003.03488, equation 4).
    RPRelu {
        /// Subtracted first, by channel.
        shift_in: &'a [f32],
        /// Slope of the negative side, by channel.
        slope: &'a [f32],
        /// Added last, by channel.
        shift_out: &'a [f32],
    },
    /// `x < min ? min : x > max ? max : x`.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// `x + other`, element by element.
    Add(&'a [f32]),
    /// `x * other`, element by element.
    Mul(&'a [f32]),
    /// `x * factors[c]`.
    MulChannel(&'a [f32]),
    /// `x * factors[pixel]`.
    MulPixel(&'a [f32]),
}

/// Applies `op` to `x`, which holds whole pixels.
///
/// # Panics
/// If the operand of [`Elementwise::Add`] or [`Elementwise::Mul`] is not as long as `x`, if the numbers by
/// channel are none, differ in length or do not divide `x`, or if the factors of [`Elementwise::MulPixel`] do not.
pub fn apply(isa: Isa, op: &Elementwise<'_>, x: &mut [f32]) {
    use Elementwise::*;
    let by_channel = |numbers: &[&[f32]]| {
        let c = numbers[0].len();
        let same = numbers.iter().all(|numbers| numbers.len() == c);
        assert!(c > 0 && same && x.len().is_multiple_of(c), "numbers of {c} channels for {} numbers", x.len());
    };
    match op {
        MulAdd { mul, add } => by_channel(&[mul, add]),
        PRelu { slope } => by_channel(&[slope]),
        RPRelu { shift_in, slope, shift_out } => by_channel(&[shift_in, slope, shift_out]),
        MulChannel(factors) => by_channel(&[factors]),
        Add(other) | Mul(other) => assert!(other.len() == x.len(), "{} numbers for {}", other.len(), x.len()),
        MulPixel(factors) => {
            let pixels = factors.len();
            assert!(pixels > 0 && x.len().is_multiple_of(pixels), "{pixels} factors for {} numbers", x.len());
        }
        Affine { .. } | Relu | Clip { .. } => {}
    }
    match isa {
        Isa::Reference(_) | Isa::Portable(_) => arch::generic::elementwise::apply(op, x),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::elementwise(token, op, x),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx2::elementwise(token.into(), op, x),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx2::elementwise(token.into(), op, x),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::elementwise(token, op, x),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::elementwise(op, x),
    }
}
