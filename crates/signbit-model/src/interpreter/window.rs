//! Walking over windows.

use crate::{Geometry, Shape};

/// The taps of the window of output `(y, x)`, `ky` and `kx` ascending: the tap's number
/// `ky * kw + kx`, and the number `row * W + column` of the input pixel it reads, `None` in the padding.
pub(super) fn taps(
    geometry: &Geometry,
    input: Shape,
    (y, x): (usize, usize),
) -> impl Iterator<Item = (usize, Option<usize>)> {
    let [kh, kw] = geometry.kernel;
    (0..kh).flat_map(move |ky| {
        (0..kw).map(move |kx| {
            let row = geometry.row(y, ky, input.h);
            let column = geometry.column(x, kx, input.w);
            let pixel = row.zip(column).map(|(row, column)| row * input.w + column);
            (ky * kw + kx, pixel)
        })
    })
}

/// All pixels of a batch of `n` outputs, in the order of memory: sample, row, column.
pub(super) fn outputs(n: usize, output: Shape) -> impl Iterator<Item = (usize, (usize, usize))> {
    (0..n).flat_map(move |sample| (0..output.h).flat_map(move |y| (0..output.w).map(move |x| (sample, (y, x)))))
}
