//! Transposed convolutions, seen from the output: each gathers the inputs that add to it.

use super::window::outputs;
use super::{Value, ValueData};
use crate::error::NodeError;
use crate::{Shape, TransposedGeometry, ValueType};

pub(super) fn real(
    x: &Value,
    ty: ValueType,
    weight: &[f32],
    bias: Option<&[f32]>,
    geometry: &TransposedGeometry,
    groups: usize,
) -> Result<ValueData, NodeError> {
    let data = x.f32()?;
    let mut y = Vec::with_capacity(x.n * ty.shape.elements());
    each_output(x, ty.shape, geometry, groups, |o, products| {
        let mut acc = 0.0;
        for (at, w) in products {
            acc += data[at] * weight[w];
        }
        y.push(bias.map_or(acc, |bias| acc + bias[o]));
    });
    Ok(ValueData::F32(y))
}

pub(super) fn binary(
    x: &Value,
    ty: ValueType,
    weight: &[i8],
    geometry: &TransposedGeometry,
    groups: usize,
) -> Result<ValueData, NodeError> {
    let data = x.signs()?;
    let mut y = Vec::with_capacity(x.n * ty.shape.elements());
    each_output(x, ty.shape, geometry, groups, |_, products| {
        y.push(products.map(|(at, w)| i32::from(data[at]) * i32::from(weight[w])).sum());
    });
    Ok(ValueData::I32(y))
}

/// Calls `f` for each output, in the order of memory, with its channel and the products to be summed in their
/// order: the input's place and the weight's.
fn each_output(
    x: &Value,
    output: Shape,
    geometry: &TransposedGeometry,
    groups: usize,
    mut f: impl FnMut(usize, &mut dyn Iterator<Item = (usize, usize)>),
) {
    let input = x.ty.shape;
    let c_group = input.c / groups;
    let [kh, kw] = geometry.kernel;
    for (sample, position) in outputs(x.n, output) {
        for o in 0..output.c {
            let first_channel = o / (output.c / groups) * c_group;
            let mut products = taps(geometry, input, position).flat_map(|(tap, pixel)| {
                (0..c_group).map(move |c| {
                    let at = (sample * input.h * input.w + pixel) * input.c + first_channel + c;
                    (at, (o * kh * kw + tap) * c_group + c)
                })
            });
            f(o, &mut products);
        }
    }
}

/// The taps under which output `(y, x)` reads an input, `ky` and `kx` descending, so that rows and columns ascend:
/// the tap's number `ky * kw + kx`, and the number `row * W + column` of the input pixel.
fn taps(
    geometry: &TransposedGeometry,
    input: Shape,
    (y, x): (usize, usize),
) -> impl Iterator<Item = (usize, usize)> + use<> {
    let geometry = *geometry;
    let [kh, kw] = geometry.kernel;
    (0..kh).rev().flat_map(move |ky| {
        (0..kw).rev().filter_map(move |kx| {
            let (row, column) = (geometry.row(y, ky, input.h)?, geometry.column(x, kx, input.w)?);
            Some((ky * kw + kx, row * input.w + column))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{f32s, ints, real, run_op, run_ops, signs};
    use crate::{Op, Shape, TransposedGeometry};

    /// Two pixels, three taps, steps of 2: the middle output gets both.
    #[test]
    fn overlapping_outputs_are_summed() {
        let geometry = TransposedGeometry::valid([1, 3], [1, 2], [1, 1]);
        let op = Op::Conv2dTranspose { weight: "w".into(), bias: Some("b".into()), geometry, groups: 1 };
        let tensors = || vec![f32s("w", &[1, 1, 3, 1], &[1.0, 10.0, 100.0]), f32s("b", &[1], &[0.5])];
        let y = run_op(Shape::new(1, 2, 1), &[1.0, 2.0], op, tensors());
        assert_eq!(y, real(&[1.5, 10.5, 102.5, 20.5, 200.5]));
        let geometry = TransposedGeometry { pads: [0, 1, 0, 0], output_padding: [0, 2], ..geometry };
        let op = Op::Conv2dTranspose { weight: "w".into(), bias: Some("b".into()), geometry, groups: 1 };
        let y = run_op(Shape::new(1, 2, 1), &[1.0, 2.0], op, tensors());
        assert_eq!(y, real(&[10.5, 102.5, 20.5, 200.5, 0.5, 0.5]));
    }

    /// The sum runs over input rows ascending: 1 is lost beside 2^24, unless it comes behind what cancels it.
    #[test]
    fn the_order_is_that_of_the_input() {
        let geometry = TransposedGeometry::valid([3, 1], [1, 1], [1, 1]);
        let geometry = TransposedGeometry { pads: [2, 0, 2, 0], ..geometry };
        let big = 16_777_216.0;
        for (x, sum) in [([1.0, big, -big], 0.0), ([big, -big, 1.0], 1.0)] {
            let op = Op::Conv2dTranspose { weight: "w".into(), bias: None, geometry, groups: 1 };
            let y = run_op(Shape::new(3, 1, 1), &x, op, vec![f32s("w", &[1, 3, 1, 1], &[1.0; 3])]);
            assert_eq!(y, real(&[sum]));
        }
    }

    /// Between the outputs that are reached lies 0, and the sums know no padding of +1 or -1.
    #[test]
    fn binary_with_groups_and_gaps() {
        let geometry = TransposedGeometry::valid([1, 1], [1, 3], [1, 1]);
        let op = || Op::BinaryConv2dTranspose { weight: "w".into(), geometry, groups: 2 };
        let weight = signs("w", &[2, 1, 1, 1], &[1, -1]);
        let y = run_ops(Shape::new(1, 2, 2), &[1.0, 1.0, -1.0, -1.0], vec![Op::Sign, op()], vec![weight]);
        assert_eq!(y, ints(&[1, -1, 0, 0, 0, 0, -1, 1]));
    }
}
