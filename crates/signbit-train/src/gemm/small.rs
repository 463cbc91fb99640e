//! Products of few columns, without packing: their operands fit the caches as they lie.

use pulp::{Arch, Simd, WithSimd};

use super::{Mat, MatMut};

/// Most columns of the product, and most terms of a sum, up to which packing costs more than it gains.
const MOST: [usize; 2] = [64, 128];

/// Computes the product if it is one for this way, and says whether it was.
pub(super) fn product<'a>(c: &mut MatMut<'_>, a: Mat<'a>, b: Mat<'a>, accumulate: bool) -> bool {
    let fits = c.cols <= MOST[0] && a.cols <= MOST[1] && b.col_stride == 1;
    fits && a.cols > 0
        && (a.col_stride == 1 || a.row_stride == 1)
        && Arch::new().dispatch(Small { c, a, b, accumulate })
}

/// A product whose `b` has neighbouring columns and whose `a` has neighbouring columns or rows.
struct Small<'s, 'c, 'a> {
    c: &'s mut MatMut<'c>,
    a: Mat<'a>,
    b: Mat<'a>,
    accumulate: bool,
}

impl WithSimd for Small<'_, '_, '_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> bool {
        let (columns, lanes) = (self.c.cols, S::F32_LANES);
        if lanes < 4 || !columns.is_multiple_of(lanes) {
            return false;
        }
        let mut j = 0;
        while j + 2 * lanes <= columns {
            self.columns::<S, 2>(simd, j);
            j += 2 * lanes;
        }
        if j < columns {
            self.columns::<S, 1>(simd, j);
        }
        true
    }
}

impl Small<'_, '_, '_> {
    /// `N` vectors of columns from `j` on.
    #[inline(always)]
    fn columns<S: Simd, const N: usize>(&mut self, simd: S, j: usize) {
        let rows = self.c.rows;
        let mut i = 0;
        while i + 6 <= rows {
            self.block::<S, 6, N>(simd, i, j);
            i += 6;
        }
        if i + 4 <= rows {
            self.block::<S, 4, N>(simd, i, j);
            i += 4;
        }
        while i < rows {
            self.block::<S, 1, N>(simd, i, j);
            i += 1;
        }
    }

    /// `M` rows from `i` on of `N` vectors of columns from `j` on, whose sums are in registers.
    #[inline(always)]
    fn block<S: Simd, const M: usize, const N: usize>(&mut self, simd: S, i: usize, j: usize) {
        let (width, terms) = (N * S::F32_LANES, self.a.cols);
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        let b = &self.b.data[j..];
        if self.a.col_stride == 1 {
            let mut rows = [&self.a.data[..0]; M];
            for (m, row) in rows.iter_mut().enumerate() {
                *row = &self.a.data[(i + m) * self.a.row_stride..][..terms];
            }
            for p in 0..terms {
                let mut factors = [0.0; M];
                for (factor, row) in factors.iter_mut().zip(rows) {
                    *factor = row[p];
                }
                add(simd, &mut sums, factors, &b[p * self.b.row_stride..][..width]);
            }
        } else {
            let a = &self.a.data[i..];
            for p in 0..terms {
                let factors = *a[p * self.a.col_stride..].first_chunk().expect("inside of the matrix");
                add(simd, &mut sums, factors, &b[p * self.b.row_stride..][..width]);
            }
        }
        for (m, sums) in sums.into_iter().enumerate() {
            let (to, _) = S::as_mut_simd_f32s(&mut self.c.data[(i + m) * self.c.row_stride + j..][..width]);
            for (to, sum) in to.iter_mut().zip(sums) {
                *to = if self.accumulate { simd.add_f32s(*to, sum) } else { sum };
            }
        }
    }
}

/// Adds to each row of `sums` its factor times the row of `b`.
#[inline(always)]
fn add<S: Simd, const M: usize, const N: usize>(simd: S, sums: &mut [[S::f32s; N]; M], factors: [f32; M], b: &[f32]) {
    let b: &[S::f32s; N] = S::as_simd_f32s(b).0.first_chunk().expect("a row of the block");
    for (sums, factor) in sums.iter_mut().zip(factors) {
        let factor = simd.splat_f32s(factor);
        for (sum, b) in sums.iter_mut().zip(b) {
            *sum = simd.mul_add_e_f32s(factor, *b, *sum);
        }
    }
}
