//! Pooling of bits.

use crate::{
    Isa, arch,
    bits::words,
    shape::{Conv, ShapeError},
};

/// A two-dimensional pooling of an `[n, h, w, c]` input to `[n, out_h, out_w, c]`. Taps in the
/// padding are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Batch size; may be 0.
    pub n: usize,
    /// Input height.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Step between windows, vertical and horizontal.
    pub stride: [usize; 2],
    /// Padding at the top, left, bottom, right.
    pub pads: [usize; 4],
}

impl Pool {
    /// Checks that the geometry is one that the kernels can run.
    ///
    /// # Errors
    /// As [`Conv::validate`]; there are no groups.
    pub fn validate(&self) -> Result<(), ShapeError> {
        self.conv().validate()
    }

    /// Output height; 0 if the window does not fit.
    pub fn out_h(&self) -> usize {
        self.conv().out_h()
    }

    /// Output width; 0 if the window does not fit.
    pub fn out_w(&self) -> usize {
        self.conv().out_w()
    }

    /// The depthwise convolution with the same windows.
    pub(crate) fn conv(&self) -> Conv {
        let Self { n, h, w, c, kernel, stride, pads } = *self;
        Conv { n, h, w, kernel, stride, pads, groups: c, ..Conv::dense(n, c, c) }
    }
}

/// Maximum over each window, which for ±1 is OR of the bits. Taps in the padding are ignored; a window
/// wholly inside the padding gives bit 0.
///
/// `x` is `[n, h, w, words(c)]`, `out` is `[n, out_h, out_w, words(c)]`.
///
/// # Panics
/// If the geometry is not valid or a length does not fit it.
pub fn max_bits(isa: Isa, pool: &Pool, x: &[u64], out: &mut [u64]) {
    let conv = pool.conv();
    let pixels = conv.check_rows(&(0..conv.rows()));
    let words = words(pool.c);
    assert!(x.len() == pool.n * pool.h * pool.w * words, "{} words for {pool:?}", x.len());
    assert!(out.len() == pixels * words, "{} output words for {pool:?}", out.len());
    match isa {
        Isa::Reference(_) => arch::reference::max_bits(&conv, x, out),
        Isa::Portable(_) => arch::portable::max_bits(&conv, x, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::max_bits(token, &conv, x, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx512::max_bits(token, &conv, x, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx512::max_bits(token.into(), &conv, x, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::max_bits(&conv, x, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_sizes() {
        let pool = Pool { n: 1, h: 7, w: 8, c: 70, kernel: [3, 2], stride: [2, 2], pads: [1, 0, 1, 0] };
        assert_eq!((pool.out_h(), pool.out_w(), pool.validate()), (4, 4, Ok(())));
    }
}
