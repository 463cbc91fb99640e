//! The transforms of minimal filtering that only gradients need, by the matrices of Lavin and Gray (2015, arXiv 1509.09308)
//! for the points 0, 1, -1, 2, -2 and infinity. The others are those of inference, [`signbit_kernels::winograd`].

use crate::ops::lanes::{LANES, V};

/// Stores an image's pixels where `at` says.
#[inline(always)]
pub(super) fn store<const M: usize>(image: [[V; M]; M], at: impl Fn(usize) -> usize, to: &mut [[f32; LANES]]) {
    for (y, row) in image.into_iter().enumerate() {
        for (x, value) in row.into_iter().enumerate() {
            to[at(y * M + x)] = value.0;
        }
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
