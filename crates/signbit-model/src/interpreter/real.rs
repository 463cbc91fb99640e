//! Convolution, dense layer and activation scale on real numbers.

use super::window::{outputs, taps};
use super::{Value, ValueData};
use crate::error::NodeError;
use crate::{Geometry, ValueType};

pub(super) fn conv2d(
    x: &Value,
    ty: ValueType,
    weight: &[f32],
    bias: Option<&[f32]>,
    geometry: &Geometry,
    groups: usize,
) -> Result<ValueData, NodeError> {
    let data = x.f32()?;
    let (input, output) = (x.ty.shape, ty.shape);
    let c_group = input.c / groups;
    let [kh, kw] = geometry.kernel;
    let mut y = Vec::with_capacity(x.n * output.elements());
    for (sample, position) in outputs(x.n, output) {
        for o in 0..output.c {
            let first_channel = o / (output.c / groups) * c_group;
            let mut acc = 0.0;
            for (tap, pixel) in taps(geometry, input, position) {
                let Some(pixel) = pixel else { continue };
                for c in 0..c_group {
                    let at = (sample * input.h * input.w + pixel) * input.c + first_channel + c;
                    acc += data[at] * weight[(o * kh * kw + tap) * c_group + c];
                }
            }
            y.push(bias.map_or(acc, |bias| acc + bias[o]));
        }
    }
    Ok(ValueData::F32(y))
}

pub(super) fn dense(x: &Value, ty: ValueType, weight: &[f32], bias: Option<&[f32]>) -> Result<ValueData, NodeError> {
    let k = x.ty.shape.c;
    let mut y = Vec::with_capacity(x.n * ty.shape.c);
    for sample in x.f32()?.chunks_exact(k) {
        for (o, row) in weight.chunks_exact(k).enumerate() {
            let mut acc = 0.0;
            for (x, w) in sample.iter().zip(row) {
                acc += x * w;
            }
            y.push(bias.map_or(acc, |bias| acc + bias[o]));
        }
    }
    Ok(ValueData::F32(y))
}

pub(super) fn activation_scale(x: &Value, ty: ValueType, geometry: &Geometry) -> Result<ValueData, NodeError> {
    let input = x.ty.shape;
    let per_channel = 1.0 / input.c as f32;
    let mut mean = Vec::with_capacity(x.n * input.h * input.w);
    for pixel in x.f32()?.chunks_exact(input.c) {
        let mut p = [0.0_f32; 8];
        for (c, v) in pixel.iter().enumerate() {
            p[c % 8] += v.abs();
        }
        let sum = ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
        mean.push(sum * per_channel);
    }
    let [kh, kw] = geometry.kernel;
    let per_tap = 1.0 / (kh * kw) as f32;
    let mut y = Vec::with_capacity(x.n * ty.shape.elements());
    for (sample, position) in outputs(x.n, ty.shape) {
        let mut sum = 0.0;
        for (_, pixel) in taps(geometry, input, position) {
            let Some(pixel) = pixel else { continue };
            sum += mean[sample * input.h * input.w + pixel];
        }
        y.push(sum * per_tap);
    }
    Ok(ValueData::F32(y))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{f32s, real, run_op, signs};
    use crate::{Geometry, Op, Shape};

    fn conv(geometry: Geometry, groups: usize, bias: bool) -> Op {
        Op::Conv2d { weight: "w".into(), bias: bias.then(|| "b".into()), geometry, groups }
    }

    #[test]
    fn conv2d_skips_the_padding_and_adds_the_bias() {
        // Input 1 2 / 3 4, kernel 1 10 / 100 1000, one row and column of padding above and left.
        let geometry = Geometry { pads: [1, 1, 0, 0], ..Geometry::valid([2, 2], [1, 1], [1, 1]) };
        let tensors = vec![f32s("w", &[1, 2, 2, 1], &[1.0, 10.0, 100.0, 1000.0]), f32s("b", &[1], &[0.5])];
        let y = run_op(Shape::new(2, 2, 1), &[1.0, 2.0, 3.0, 4.0], conv(geometry, 1, true), tensors);
        assert_eq!(y, real(&[1000.5, 2100.5, 3010.5, 4321.5]));
    }

    #[test]
    fn conv2d_strides_and_dilates() {
        let geometry = Geometry::valid([1, 2], [1, 2], [1, 3]);
        let x: Vec<f32> = (0..6_u8).map(f32::from).collect();
        let y = run_op(Shape::new(1, 6, 1), &x, conv(geometry, 1, false), vec![f32s("w", &[1, 1, 2, 1], &[1.0, 10.0])]);
        assert_eq!(y, real(&[30.0, 52.0]));
    }

    #[test]
    fn conv2d_with_groups_reads_its_own_channels() {
        let geometry = Geometry::valid([1, 1], [1, 1], [1, 1]);
        let weight = f32s("w", &[4, 1, 1, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 0.0]);
        let y = run_op(Shape::new(1, 1, 4), &[1.0, 2.0, 3.0, 4.0], conv(geometry, 2, false), vec![weight]);
        assert_eq!(y, real(&[1.0, 2.0, 7.0, 6.0]));
    }

    #[test]
    fn conv2d_depthwise_with_signs() {
        let geometry = Geometry::valid([2, 1], [1, 1], [1, 1]);
        let weight = signs("w", &[2, 2, 1, 1], &[1, -1, -1, -1]);
        let y = run_op(Shape::new(2, 1, 2), &[1.5, 2.0, 4.0, 8.0], conv(geometry, 2, false), vec![weight]);
        assert_eq!(y, real(&[-2.5, -10.0]));
    }

    /// The order is part of the meaning: 1e8 + 1 - 1e8 is 0 from left to right, and the sum begins at 0.0.
    #[test]
    fn dense_sums_in_ascending_order_without_fusing() {
        let dense = |weight: &[f32], x: &[f32]| {
            let op = Op::Dense { weight: "w".into(), bias: None };
            run_op(Shape::vector(x.len()), x, op, vec![f32s("w", &[1, x.len()], weight)])
        };
        assert_eq!(dense(&[1e8, 1.0, -1e8], &[1.0, 1.0, 1.0]), real(&[0.0]));
        // (1 + 2^-12)^2 - 1 - 2^-11 is 2^-24 fused; the rounded product loses it.
        let a = 1.0 + 2.0_f32.powi(-12);
        assert_eq!(dense(&[-1.0 - 2.0_f32.powi(-11), a], &[1.0, a]), real(&[0.0]));
        assert_eq!(dense(&[-0.0], &[1.0]), real(&[0.0]));
    }

    #[test]
    fn dense_with_bias_and_signs() {
        let op = Op::Dense { weight: "w".into(), bias: Some("b".into()) };
        let tensors = vec![signs("w", &[2, 3], &[1, 1, -1, -1, 1, 1]), f32s("b", &[2], &[10.0, 20.0])];
        assert_eq!(run_op(Shape::vector(3), &[1.0, 2.0, 4.0], op, tensors), real(&[9.0, 25.0]));
    }

    #[test]
    fn activation_scale_averages_channels_then_the_window() {
        // Channel means of |x|: 2, 3, 6; a window of 3 with one pad on each side, divided by 3 everywhere.
        let geometry = Geometry { pads: [0, 1, 0, 1], ..Geometry::valid([1, 3], [1, 1], [1, 1]) };
        let x = [1.0, -3.0, -3.0, 3.0, 4.0, -8.0];
        let third = 1.0_f32 / 3.0;
        let y = run_op(Shape::new(1, 3, 2), &x, Op::ActivationScale { geometry }, vec![]);
        assert_eq!(y, real(&[5.0 * third, 11.0 * third, 9.0 * third]));
    }

    /// Channels 0 and 8 share a partial sum: 2^24 + 1 is rounded there, before the -1 of channel 1 joins.
    #[test]
    fn activation_scale_uses_eight_partial_sums() {
        let mut x = [0.0; 16];
        (x[0], x[8], x[1], x[9]) = (16_777_216.0, 1.0, 1.0, 1.0);
        let op = Op::ActivationScale { geometry: Geometry::valid([1, 1], [1, 1], [1, 1]) };
        let expected = (16_777_216.0_f32 + 2.0) / 16.0;
        assert_eq!(run_op(Shape::vector(16), &x, op, vec![]), real(&[expected]));
        let ascending = x.iter().fold(0.0_f32, |sum, v| sum + v) / 16.0;
        assert_ne!(ascending, expected);
    }
}
