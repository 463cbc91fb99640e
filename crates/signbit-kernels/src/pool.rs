//! Pooling of bits and of real numbers.

use core::ops::Range;

use crate::{
    Isa, arch,
    bits::words,
    shape::{Conv, NUMBER, ShapeError, product, windows},
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
    /// Step between taps, vertical and horizontal.
    pub dilation: [usize; 2],
    /// Padding at the top, left, bottom, right.
    pub pads: [usize; 4],
}

impl Pool {
    /// Checks that the geometry is one that the kernels can run.
    ///
    /// # Errors
    /// [`ShapeError::Zero`] if a size other than `n` is 0, [`ShapeError::Window`] if the window is larger than the padded
    /// input, [`ShapeError::TooLarge`] if a buffer would not fit its integer.
    pub fn validate(&self) -> Result<(), ShapeError> {
        let Self { n, h, w, c, kernel: [kh, kw], stride: [sh, sw], dilation: [dh, dw], pads } = *self;
        if [h, w, c, kh, kw, sh, sw, dh, dw].contains(&0) {
            return Err(ShapeError::Zero);
        }
        let out_h = windows(h, [pads[0], pads[2]], kh, sh, dh)?;
        let out_w = windows(w, [pads[1], pads[3]], kw, sw, dw)?;
        let fits = [[n, h, w, c], [n, out_h, out_w, c]].iter().all(|sizes| product(sizes, NUMBER).is_some());
        if fits { Ok(()) } else { Err(ShapeError::TooLarge) }
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
        let Self { n, h, w, c, kernel, stride, dilation, pads } = *self;
        Conv { n, h, w, kernel, stride, dilation, pads, groups: c, ..Conv::dense(n, c, c) }
    }

    /// [`Pool::conv`] and the output pixels of `rows`. Panics unless the geometry is valid and `rows` lie inside.
    #[track_caller]
    fn check_rows(&self, rows: &Range<usize>) -> (Conv, usize) {
        if let Err(error) = self.validate() {
            panic!("{error}: {self:?}");
        }
        let conv = self.conv();
        assert!(rows.start <= rows.end && rows.end <= conv.rows(), "rows {rows:?} of {}", conv.rows());
        (conv, rows.len() * conv.out_w())
    }
}

/// What becomes of the real numbers in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// Their maximum: the first one, or a later one where that is greater.
    Max,
    /// Their sum, which starts at 0.0, divided by a count.
    Mean {
        /// The count, if it is not that of the taps inside of the input.
        count: Option<usize>,
    },
}

/// Maximum over each window, which for ±1 is OR of the bits. Taps in the padding are ignored; a window
/// wholly inside the padding gives bit 0.
///
/// `x` is `[n, h, w, words(c)]`, `out` is `[n, out_h, out_w, words(c)]`.
///
/// # Panics
/// If the geometry is not valid or a length does not fit it.
pub fn max_bits(isa: Isa, pool: &Pool, x: &[u64], out: &mut [u64]) {
    let (conv, pixels) = pool.check_rows(&(0..pool.n * pool.out_h()));
    let words = words(pool.c);
    assert!(x.len() == pool.n * pool.h * pool.w * words, "{} words for {pool:?}", x.len());
    assert!(out.len() == pixels * words, "{} output words for {pool:?}", out.len());
    match isa {
        Isa::Reference(_) => arch::reference::max_bits(&conv, x, out),
        Isa::Portable(_) => arch::portable::max_bits(&conv, x, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::max_bits(token, &conv, x, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx2::max_bits(token.into(), &conv, x, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx2::max_bits(token.into(), &conv, x, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::max_bits(&conv, x, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::max_bits(token, &conv, x, out),
    }
}

/// Pools real numbers for output `rows`, a range of `n * out_h`. Taps go `ky`, `kx` ascending, those in the padding are
/// left out; of a window wholly inside the padding the maximum is negative infinity.
///
/// `x` is `[n, h, w, c]`, `out` is `[rows, out_w, c]`.
///
/// # Panics
/// If the geometry is not valid, `rows` lie outside, or a length does not fit.
pub fn pool_f32(isa: Isa, pool: &Pool, pooling: Pooling, x: &[f32], rows: Range<usize>, out: &mut [f32]) {
    let (conv, pixels) = pool.check_rows(&rows);
    assert!(x.len() == pool.n * pool.h * pool.w * pool.c, "{} inputs for {pool:?}", x.len());
    assert!(out.len() == pixels * pool.c, "{} numbers for {pixels} pixels of {pool:?}", out.len());
    match isa {
        Isa::Reference(_) => arch::reference::pool(&conv, pooling, x, rows.start, out),
        Isa::Portable(_) => arch::generic::pool::pool(&conv, pooling, x, rows.start, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::pool(token, &conv, pooling, x, rows.start, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx2::pool(token.into(), &conv, pooling, x, rows.start, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx2::pool(token.into(), &conv, pooling, x, rows.start, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::generic::pool::pool(&conv, pooling, x, rows.start, out),
        // NEON is part of the architecture.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) => arch::generic::pool::pool(&conv, pooling, x, rows.start, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_sizes() {
        let pool =
            Pool { n: 1, h: 7, w: 8, c: 70, kernel: [3, 2], stride: [2, 2], dilation: [1, 1], pads: [1, 0, 1, 0] };
        assert_eq!((pool.out_h(), pool.out_w(), pool.validate()), (4, 4, Ok(())));
        let pool = Pool { dilation: [3, 7], ..pool };
        assert_eq!((pool.out_h(), pool.out_w(), pool.validate()), (2, 1, Ok(())));
        assert_eq!(Pool { dilation: [3, 8], ..pool }.validate(), Err(ShapeError::Window));
        assert_eq!(Pool { dilation: [0, 1], ..pool }.validate(), Err(ShapeError::Zero));
        assert_eq!(Pool { n: usize::MAX, ..pool }.validate(), Err(ShapeError::TooLarge));
    }
}
