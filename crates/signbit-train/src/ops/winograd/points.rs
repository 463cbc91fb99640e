//! The transforms of minimal filtering: an image's columns, then its rows, by the matrices of Lavin and Gray (2015,
//! arXiv 1509.09308) for the points 0, 1, -1, 2, -2 and infinity.

use crate::ops::lanes::{LANES, V};

/// Applies `transform` to the columns and then to the rows of an image of N x N.
#[inline(always)]
pub(super) fn both<const N: usize, const M: usize>(
    transform: impl Fn([V; N]) -> [V; M],
    pixel: impl Fn(usize, usize) -> V,
) -> [[V; M]; M] {
    let mut columns = [[V::ZERO; N]; M];
    for x in 0..N {
        let mut column = [V::ZERO; N];
        for (y, value) in column.iter_mut().enumerate() {
            *value = pixel(y, x);
        }
        for (columns, value) in columns.iter_mut().zip(transform(column)) {
            columns[x] = value;
        }
    }
    let mut image = [[V::ZERO; M]; M];
    for (row, columns) in image.iter_mut().zip(columns) {
        *row = transform(columns);
    }
    image
}

/// Stores an image's pixels where `at` says.
#[inline(always)]
pub(super) fn store<const M: usize>(image: [[V; M]; M], at: impl Fn(usize) -> usize, to: &mut [[f32; LANES]]) {
    for (y, row) in image.into_iter().enumerate() {
        for (x, value) in row.into_iter().enumerate() {
            to[at(y * M + x)] = value.0;
        }
    }
}

/// The transform of a patch: B^T of Lavin and Gray.
#[inline(always)]
pub(super) fn patch() -> impl Fn([V; 6]) -> [V; 6] + Copy {
    #[inline(always)]
    |[d0, d1, d2, d3, d4, d5]| {
        let (a, b) = (d4 - d2 * 4.0, d3 - d1 * 4.0);
        let (c, d) = (d4 - d2, (d3 - d1) * 2.0);
        [d0 * 4.0 - d2 * 5.0 + d4, a + b, a - b, c + d, c - d, d1 * 4.0 - d3 * 5.0 + d5]
    }
}

/// The transform of three weights: G.
#[inline(always)]
pub(super) fn three_points() -> impl Fn([V; 3]) -> [V; 6] + Copy {
    #[inline(always)]
    |[g0, g1, g2]| {
        let (a, b) = ((g0 + g2) * (-1.0 / 6.0), g1 * (1.0 / 6.0));
        let (c, d) = (g0 * (1.0 / 24.0) + g2 * (1.0 / 6.0), g1 * (1.0 / 12.0));
        [g0 * 0.25, a - b, a + b, c + d, c - d, g2]
    }
}

/// The transform of four numbers of dy: A.
#[inline(always)]
pub(super) fn four_points() -> impl Fn([V; 4]) -> [V; 6] + Copy {
    #[inline(always)]
    |[y0, y1, y2, y3]| {
        let (a, b) = (y0 + y2, y1 + y3);
        let (c, d) = (y0 + y2 * 4.0, y1 * 2.0 + y3 * 8.0);
        [y0, a + b, a - b, c + d, c - d, y3]
    }
}

/// Back to the gradient of a patch: B.
#[inline(always)]
pub(super) fn from_patch() -> impl Fn([V; 6]) -> [V; 6] + Copy {
    #[inline(always)]
    |[m0, m1, m2, m3, m4, m5]| {
        let (a, b, c, d) = (m1 + m2, m1 - m2, m3 + m4, (m3 - m4) * 2.0);
        [m0 * 4.0, m5 * 4.0 - b * 4.0 - d, m0 * -5.0 - a * 4.0 - c, b + d - m5 * 5.0, m0 + a + c, m5]
    }
}

/// Back to the gradient of three weights: G^T.
#[inline(always)]
pub(super) fn to_three() -> impl Fn([V; 6]) -> [V; 3] + Copy {
    #[inline(always)]
    |[m0, m1, m2, m3, m4, m5]| {
        let (a, b) = ((m1 + m2) * (-1.0 / 6.0), (m2 - m1) * (1.0 / 6.0));
        let (c, d) = (m3 + m4, (m3 - m4) * (1.0 / 12.0));
        [m0 * 0.25 + a + c * (1.0 / 24.0), b + d, a + c * (1.0 / 6.0) + m5]
    }
}

/// Back to four outputs: A^T.
#[inline(always)]
pub(super) fn to_four() -> impl Fn([V; 6]) -> [V; 4] + Copy {
    #[inline(always)]
    |[m0, m1, m2, m3, m4, m5]| {
        let (a, b, c, d) = (m1 + m2, m1 - m2, m3 + m4, m3 - m4);
        [m0 + a + c, b + d * 2.0, a + c * 4.0, b + d * 8.0 + m5]
    }
}
