//! Real matrix products, behind one trait. A well-kept library does the work; here is only its safe door.
//!
//! This is the one file of the crate with `unsafe`: the `gemm` crate takes raw pointers.

mod small;

/// A read-only view of a matrix inside a slice, with any strides.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// A writable row-major matrix inside a slice; rows may be longer than the matrix is wide.
#[derive(Debug)]
pub struct MatMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

/// Whether a slice of `len` elements holds all that a matrix with these strides reaches.
fn fits(len: usize, rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> bool {
    let (Some(last_row), Some(last_col)) = (rows.checked_sub(1), cols.checked_sub(1)) else { return true };
    let reach = || last_row.checked_mul(row_stride)?.checked_add(last_col.checked_mul(col_stride)?);
    reach().is_some_and(|last| last < len)
}

impl<'a> Mat<'a> {
    /// A row-major matrix without gaps.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert!(fits(data.len(), rows, cols, cols, 1), "matrix {rows} x {cols} needs more than {} numbers", data.len());
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// Columns `first..first + cols` of a row-major matrix of `width` columns.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * width` or the columns are not all there.
    pub fn columns(data: &'a [f32], rows: usize, first: usize, cols: usize, width: usize) -> Self {
        let inside = first.checked_add(cols).is_some_and(|end| end <= width);
        assert!(inside && fits(data.len(), rows, width, width, 1), "{cols} columns from {first} of {width}");
        Self { data: &data[first.min(data.len())..], rows, cols, row_stride: width, col_stride: 1 }
    }

    /// The transposed view.
    pub fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

impl<'a> MatMut<'a> {
    /// A row-major matrix without gaps.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows start `row_stride` apart.
    ///
    /// # Panics
    /// If `data` is too short or the rows overlap.
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(row_stride >= cols, "rows of {cols} overlap at stride {row_stride}");
        assert!(fits(data.len(), rows, cols, row_stride, 1), "matrix {rows} x {cols} does not fit its slice");
        Self { data, rows, cols, row_stride }
    }
}

/// c = a b, or c += a b.
pub trait Gemm: Send + Sync {
    /// Computes `c = a * b`, or `c += a * b` with `accumulate`.
    /// `threads` is how many threads of the current rayon pool it may use; the result must not depend on it.
    ///
    /// # Panics
    /// If the shapes do not fit: `c` is `[m, n]`, `a` `[m, k]`, `b` `[k, n]`.
    fn product(&self, c: MatMut<'_>, a: Mat<'_>, b: Mat<'_>, accumulate: bool, threads: usize);
}

/// The `gemm` crate: pure Rust, AVX2, AVX-512 and NEON chosen at run time.
#[derive(Clone, Copy, Debug, Default)]
pub struct GemmCrate;

impl Gemm for GemmCrate {
    #[allow(unsafe_code, reason = "the gemm crate takes raw pointers")]
    fn product(&self, mut c: MatMut<'_>, a: Mat<'_>, b: Mat<'_>, accumulate: bool, threads: usize) {
        assert!(c.rows == a.rows && c.cols == b.cols && a.cols == b.rows, "matrix shapes do not fit");
        if small::product(&mut c, a, b, accumulate) {
            return;
        }
        for m in [&a, &b] {
            assert!(fits(m.data.len(), m.rows, m.cols, m.row_stride, m.col_stride));
        }
        let threads = if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
        // SAFETY: for each of the three matrices `fits` was checked against its slice (`a` and `b` above, `c` in
        // `MatMut::strided`), so every element that the strides address lies inside; `c` is borrowed mutably, so it overlaps
        // neither `a` nor `b`, and its rows do not overlap each other (`MatMut::strided`).
        unsafe {
            gemm::gemm(
                c.rows,
                c.cols,
                a.cols,
                c.data.as_mut_ptr(),
                1,
                c.row_stride as isize,
                accumulate,
                a.data.as_ptr(),
                a.col_stride as isize,
                a.row_stride as isize,
                b.data.as_ptr(),
                b.col_stride as isize,
                b.row_stride as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                threads,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 31) as f32 - 15.0).collect()
    }

    #[test]
    fn transposed_views_and_accumulation() {
        let (m, k, n) = (7, 5, 9);
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let at: Vec<f32> = (0..k * m).map(|i| a[(i % m) * k + i / m]).collect();
        let mut c = vec![1.0; m * n];
        GemmCrate.product(MatMut::new(&mut c, m, n), Mat::new(&at, k, m).t(), Mat::new(&b, k, n), true, 1);
        for i in 0..m {
            for j in 0..n {
                let dot: f32 = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
                assert_eq!(c[i * n + j], dot + 1.0, "row {i} column {j}");
            }
        }
    }

    /// Without packing: whole and part blocks of rows and columns, both orders of `a`, rows with gaps, sums and no sums.
    #[test]
    fn small_products() {
        for (m, k, n) in [(1, 1, 8), (6, 16, 16), (4, 3, 32), (17, 5, 24), (64, 64, 64), (13, 100, 48), (5, 0, 16)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * (n + 3), 2));
            let turned: Vec<f32> = (0..k * m).map(|i| a[(i % m) * k + i / m]).collect();
            for (a_view, accumulate) in [(Mat::new(&a, m, k), false), (Mat::new(&turned, k, m).t(), true)] {
                let mut c = vec![1.0; m * (n + 5)];
                let b_view = Mat::columns(&b, k, 2, n, n + 3);
                GemmCrate.product(MatMut::strided(&mut c, m, n, n + 5), a_view, b_view, accumulate, 1);
                for (i, row) in c.chunks_exact(n + 5).enumerate() {
                    for (j, &found) in row.iter().enumerate() {
                        let dot: f32 = (0..k).map(|p| a[i * k + p] * b[p * (n + 3) + (j + 2).min(n + 2)]).sum();
                        let expected = if j >= n { 1.0 } else { dot + f32::from(u8::from(accumulate)) };
                        assert_eq!(found, expected, "{m} x {k} x {n}: row {i} column {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_thread_count_does_not_change_a_bit() {
        let (m, k, n) = (100, 1024, 300);
        let (a, b): (Vec<f32>, Vec<f32>) =
            (numbers(m * k, 3).iter().map(|x| x / 7.0).collect(), numbers(k * n, 4).iter().map(|x| x / 3.0).collect());
        let mut one = vec![0.0; m * n];
        let mut two = vec![0.0; m * n];
        GemmCrate.product(MatMut::new(&mut one, m, n), Mat::new(&a, m, k), Mat::new(&b, k, n), false, 1);
        GemmCrate.product(MatMut::new(&mut two, m, n), Mat::new(&a, m, k), Mat::new(&b, k, n), false, 3);
        assert!(one.iter().zip(&two).all(|(x, y)| x.to_bits() == y.to_bits()));
    }

    #[test]
    #[should_panic(expected = "needs more than 0 numbers")]
    fn sizes_that_wrap_are_refused() {
        Mat::new(&[], 1 << 32, 1 << 32);
    }

    #[test]
    #[should_panic(expected = "does not fit its slice")]
    fn strides_that_wrap_are_refused() {
        MatMut::strided(&mut [0.0; 4], (1 << 33) + 1, 1, 1 << 31);
    }

    #[test]
    #[should_panic(expected = "columns from")]
    fn columns_that_wrap_are_refused() {
        Mat::columns(&[0.0; 4], 2, usize::MAX, 2, 2);
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn wrong_shapes_are_refused() {
        let (a, b) = ([0.0; 6], [0.0; 6]);
        GemmCrate.product(MatMut::new(&mut [0.0; 9], 3, 3), Mat::new(&a, 3, 2), Mat::new(&b, 3, 2), false, 1);
    }
}
