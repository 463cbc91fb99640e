//! The operators that take or make bits, on numbers +1 and -1.

use super::window::{outputs, taps};
use super::{Value, ValueData};
use crate::error::NodeError;
use crate::{Geometry, Padding, ValueType};

pub(super) fn conv2d(
    x: &Value,
    ty: ValueType,
    weight: &[i8],
    geometry: &Geometry,
    groups: usize,
    padding: Padding,
) -> Result<ValueData, NodeError> {
    let data = x.signs()?;
    let (input, output) = (x.ty.shape, ty.shape);
    let c_group = input.c / groups;
    let [kh, kw] = geometry.kernel;
    let padded = match padding {
        Padding::Zero => 0,
        Padding::One => 1,
        Padding::MinusOne => -1,
    };
    let mut y = Vec::with_capacity(x.n * output.elements());
    for (sample, position) in outputs(x.n, output) {
        for o in 0..output.c {
            let first_channel = o / (output.c / groups) * c_group;
            let mut dot = 0;
            for (tap, pixel) in taps(geometry, input, position) {
                for c in 0..c_group {
                    let a = pixel.map_or(padded, |pixel| {
                        data[(sample * input.h * input.w + pixel) * input.c + first_channel + c]
                    });
                    dot += i32::from(a) * i32::from(weight[(o * kh * kw + tap) * c_group + c]);
                }
            }
            y.push(dot);
        }
    }
    Ok(ValueData::I32(y))
}

pub(super) fn dense(x: &Value, ty: ValueType, weight: &[i8]) -> Result<ValueData, NodeError> {
    let k = x.ty.shape.c;
    let mut y = Vec::with_capacity(x.n * ty.shape.c);
    for sample in x.signs()?.chunks_exact(k) {
        for row in weight.chunks_exact(k) {
            y.push(sample.iter().zip(row).map(|(&a, &w)| i32::from(a) * i32::from(w)).sum());
        }
    }
    Ok(ValueData::I32(y))
}

/// +1 for true, -1 for false.
fn sign_of(positive: bool) -> i8 {
    if positive { 1 } else { -1 }
}

pub(super) fn sign(x: &Value) -> Result<ValueData, NodeError> {
    let signs = match &x.data {
        ValueData::I32(data) => data.iter().map(|&v| sign_of(v >= 0)).collect(),
        _ => x.f32()?.iter().map(|&v| sign_of(v >= 0.0)).collect(),
    };
    Ok(ValueData::Bits(signs))
}

pub(super) fn unpack(x: &Value) -> Result<ValueData, NodeError> {
    Ok(ValueData::F32(x.signs()?.iter().map(|&v| f32::from(v)).collect()))
}

pub(super) fn rsign(x: &Value, shift: &[f32]) -> Result<ValueData, NodeError> {
    let data = x.f32()?.iter().zip(shift.iter().cycle());
    Ok(ValueData::Bits(data.map(|(&v, &shift)| sign_of(v - shift >= 0.0)).collect()))
}

pub(super) fn threshold(x: &Value, threshold: &[i32], flip: &[i8]) -> Result<ValueData, NodeError> {
    let channels = threshold.iter().zip(flip).cycle();
    let bit = |(&v, (&t, &flip)): (&i32, (&i32, &i8))| sign_of((v >= t) != (flip == 1));
    Ok(ValueData::Bits(x.i32()?.iter().zip(channels).map(bit).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bits, f32s, i32s, ints, real, run_op, run_ops, signs};
    use crate::{Geometry, Op, Padding, Shape};

    fn conv(geometry: Geometry, groups: usize, padding: Padding) -> Vec<Op> {
        vec![Op::Sign, Op::BinaryConv2d { weight: "w".into(), geometry, groups, padding }]
    }

    #[test]
    fn sign_of_zero_is_plus_one_and_of_nan_minus_one() {
        let x = [0.0, -0.0, f32::NAN, -f32::MIN_POSITIVE, f32::INFINITY, -1e-45];
        assert_eq!(run_op(Shape::vector(6), &x, Op::Sign, vec![]), bits(&[1, 1, -1, -1, 1, -1]));
    }

    #[test]
    fn unpack_makes_real_signs() {
        let y = run_ops(Shape::vector(3), &[2.0, -0.0, -3.0], vec![Op::Sign, Op::Unpack], vec![]);
        assert_eq!(y, real(&[1.0, 1.0, -1.0]));
    }

    #[test]
    fn sign_of_an_integer() {
        let weight = signs("w", &[3, 2], &[1, 1, 1, -1, -1, -1]);
        let ops = vec![Op::Sign, Op::BinaryDense { weight: "w".into() }, Op::Sign];
        assert_eq!(run_ops(Shape::vector(2), &[1.0, 1.0], ops, vec![weight]), bits(&[1, 1, -1]));
    }

    #[test]
    fn binary_dense_counts_agreements_minus_differences() {
        let weight = signs("w", &[2, 3], &[1, 1, 1, -1, 1, -1]);
        let ops = vec![Op::Sign, Op::BinaryDense { weight: "w".into() }];
        assert_eq!(run_ops(Shape::vector(3), &[1.0, -2.0, 3.0], ops, vec![weight]), ints(&[1, -3]));
    }

    /// One row of four pixels + - - +, weights + + -, one pad on each side.
    #[test]
    fn binary_conv2d_with_every_padding() {
        let geometry = Geometry { pads: [0, 1, 0, 1], ..Geometry::valid([1, 3], [1, 1], [1, 1]) };
        let x = [1.0, -1.0, -1.0, 1.0];
        let y = |padding| {
            let weight = signs("w", &[1, 1, 3, 1], &[1, 1, -1]);
            run_ops(Shape::new(1, 4, 1), &x, conv(geometry, 1, padding), vec![weight])
        };
        assert_eq!(y(Padding::Zero), ints(&[2, 1, -3, 0]));
        assert_eq!(y(Padding::One), ints(&[3, 1, -3, -1]));
        assert_eq!(y(Padding::MinusOne), ints(&[1, 1, -3, 1]));
    }

    #[test]
    fn binary_conv2d_with_groups_stride_and_dilation() {
        // Two channels, five pixels; taps 2 apart, outputs 2 apart: pixels (0, 2) and (2, 4).
        let geometry = Geometry::valid([1, 2], [1, 2], [1, 2]);
        let x = [1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0];
        let weight = signs("w", &[2, 1, 2, 1], &[1, 1, 1, -1]);
        let y = run_ops(Shape::new(1, 5, 2), &x, conv(geometry, 2, Padding::Zero), vec![weight]);
        assert_eq!(y, ints(&[0, 0, -2, -2]));
    }

    #[test]
    fn a_window_in_the_padding_is_zero_or_a_sum_of_weights() {
        let geometry = Geometry { pads: [2, 0, 0, 0], ..Geometry::valid([1, 1], [1, 1], [1, 1]) };
        let y = |padding| {
            let weight = signs("w", &[1, 1, 1, 3], &[-1, -1, 1]);
            run_ops(Shape::new(1, 1, 3), &[-1.0; 3], conv(geometry, 1, padding), vec![weight])
        };
        assert_eq!(y(Padding::Zero), ints(&[0, 0, 1]));
        assert_eq!(y(Padding::One), ints(&[-1, -1, 1]));
        assert_eq!(y(Padding::MinusOne), ints(&[1, 1, 1]));
    }

    #[test]
    fn threshold_includes_the_tie_and_flips() {
        // Dot products of one activation: +1 for each channel.
        let ops = vec![
            Op::Sign,
            Op::BinaryDense { weight: "w".into() },
            Op::Threshold { threshold: "t".into(), flip: "f".into() },
        ];
        let tensors = vec![
            signs("w", &[6, 1], &[1; 6]),
            i32s("t", &[6], &[1, 2, 1, 2, i32::MIN, i32::MAX]),
            signs("f", &[1, 6], &[-1, -1, 1, 1, 1, 1]),
        ];
        assert_eq!(run_ops(Shape::vector(1), &[1.0], ops, tensors), bits(&[1, -1, -1, 1, -1, 1]));
    }

    #[test]
    fn rsign_shifts_and_keeps_the_tie() {
        let op = Op::RSign { shift: "s".into() };
        let x = [0.5, 0.5, 0.5, f32::NAN];
        let tensors = vec![f32s("s", &[4], &[0.5, 0.6, -0.5, 0.0])];
        assert_eq!(run_op(Shape::vector(4), &x, op, tensors), bits(&[1, -1, 1, -1]));
    }
}
