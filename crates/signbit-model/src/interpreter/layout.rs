//! Operators that only move elements.

use super::{Value, ValueData, window};
use crate::error::NodeError;
use crate::{Geometry, ValueType};

pub(super) fn concat(inputs: &[&Value]) -> Result<ValueData, NodeError> {
    let channels: Vec<usize> = inputs.iter().map(|x| x.ty.shape.c).collect();
    Ok(match inputs.first().map(|x| &x.data) {
        Some(ValueData::I32(_)) => ValueData::I32(pixel_by_pixel(&collect(inputs, Value::i32)?, &channels)),
        Some(ValueData::Bits(_)) => ValueData::Bits(pixel_by_pixel(&collect(inputs, Value::signs)?, &channels)),
        _ => ValueData::F32(pixel_by_pixel(&collect(inputs, Value::f32)?, &channels)),
    })
}

pub(super) fn pad(x: &Value, ty: ValueType, pads: [usize; 4], value: f32) -> Result<ValueData, NodeError> {
    Ok(match &x.data {
        ValueData::Bits(data) => ValueData::Bits(framed(data, x, ty, pads, if value > 0.0 { 1 } else { -1 })),
        _ => ValueData::F32(framed(x.f32()?, x, ty, pads, value)),
    })
}

/// Each pixel of the output is the input's under a window of one element, or outside of it `value`.
fn framed<T: Copy>(data: &[T], x: &Value, ty: ValueType, pads: [usize; 4], value: T) -> Vec<T> {
    let frame = Geometry { pads, ..Geometry::valid([1, 1], [1, 1], [1, 1]) };
    let input = x.ty.shape;
    let mut y = Vec::with_capacity(x.n * ty.shape.elements());
    for (sample, position) in window::outputs(x.n, ty.shape) {
        for (_, pixel) in window::taps(&frame, input, position) {
            match pixel {
                Some(pixel) => y.extend_from_slice(&data[(sample * input.h * input.w + pixel) * input.c..][..input.c]),
                None => y.extend(std::iter::repeat_n(value, input.c)),
            }
        }
    }
    y
}

pub(super) fn slice(x: &Value, start: usize, end: usize) -> ValueData {
    let c = x.ty.shape.c;
    match &x.data {
        ValueData::F32(data) => ValueData::F32(channels(data, c, start, end)),
        ValueData::I32(data) => ValueData::I32(channels(data, c, start, end)),
        ValueData::Bits(data) => ValueData::Bits(channels(data, c, start, end)),
    }
}

/// Of each pixel of `c` channels, those from `start` to `end`.
fn channels<T: Copy>(data: &[T], c: usize, start: usize, end: usize) -> Vec<T> {
    data.chunks_exact(c).flat_map(|pixel| &pixel[start..end]).copied().collect()
}

fn collect<'a, T>(
    inputs: &[&'a Value],
    get: impl Fn(&'a Value) -> Result<&'a [T], NodeError>,
) -> Result<Vec<&'a [T]>, NodeError> {
    inputs.iter().map(|&x| get(x)).collect()
}

/// Of each pixel, the channels of every part.
fn pixel_by_pixel<T: Copy>(parts: &[&[T]], channels: &[usize]) -> Vec<T> {
    let pixels = parts[0].len() / channels[0];
    let mut y = Vec::with_capacity(pixels * channels.iter().sum::<usize>());
    for pixel in 0..pixels {
        for (part, &c) in parts.iter().zip(channels) {
            y.extend_from_slice(&part[pixel * c..][..c]);
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bits, ints, real, run_ops};
    use super::super::{ValueData, run};
    use crate::{DType, ModelBuilder, Op, Shape, Tensor, ValueType};

    /// Concatenates `op(x)` with itself for a picture of 1 x 2 pixels.
    fn twice(ops: &[Op], c: usize, x: &[f32]) -> ValueData {
        let mut b = ModelBuilder::new(Shape::new(1, 2, c));
        let mut last = b.input();
        for (i, op) in ops.iter().enumerate() {
            if let Op::BinaryConv2d { weight, .. } = op {
                b.tensor(weight, Tensor::bits_from_signs([1, 1, 1, c], &vec![1; c]).unwrap());
            }
            last = b.node(format!("n{i}"), op.clone(), &[last]);
        }
        let y = b.node("concat", Op::Concat, &[last, last]);
        run(&b.finish(y).unwrap(), 1, x).unwrap().data
    }

    #[test]
    fn concat_goes_pixel_by_pixel_for_every_type() {
        let conv = Op::BinaryConv2d {
            weight: "w".into(),
            geometry: crate::Geometry::valid([1, 1], [1, 1], [1, 1]),
            groups: 1,
            padding: crate::Padding::Zero,
        };
        let x = [1.0, 2.0, -3.0, -4.0];
        assert_eq!(twice(&[], 2, &x), real(&[1.0, 2.0, 1.0, 2.0, -3.0, -4.0, -3.0, -4.0]));
        assert_eq!(twice(&[Op::Sign], 2, &x), bits(&[1, 1, 1, 1, -1, -1, -1, -1]));
        assert_eq!(twice(&[Op::Sign, conv], 2, &x), ints(&[2, 2, -2, -2]));
    }

    #[test]
    fn pad_puts_a_frame_around_each_sample() {
        // One row of two pixels in two samples; one row above, one column on the left, two on the right.
        let op = |value| Op::Pad { pads: [1, 1, 0, 2], value };
        let shape = Shape::new(1, 2, 1);
        let y = run_ops(shape, &[1.0, -2.0, 3.0, -4.0], vec![op(0.5)], vec![]);
        let [f, g] = [[0.5; 5], [0.5, 1.0, -2.0, 0.5, 0.5]];
        assert_eq!(y, real(&[f, g, f, [0.5, 3.0, -4.0, 0.5, 0.5]].concat()));
        let y = run_ops(shape, &[1.0, -2.0], vec![Op::Sign, op(-1.0)], vec![]);
        assert_eq!(y, bits(&[-1, -1, -1, -1, -1, -1, 1, -1, -1, -1]));
        let y = run_ops(shape, &[1.0, -2.0], vec![Op::Sign, op(1.0)], vec![]);
        assert_eq!(y, bits(&[1, 1, 1, 1, 1, 1, 1, -1, 1, 1]));
    }

    #[test]
    fn slice_takes_channels_of_every_pixel() {
        let (shape, slice) = (Shape::new(1, 2, 3), Op::Slice { start: 1, end: 3 });
        let x = [1.0, 2.0, -3.0, 4.0, -5.0, 6.0];
        assert_eq!(run_ops(shape, &x, vec![slice.clone()], vec![]), real(&[2.0, -3.0, -5.0, 6.0]));
        assert_eq!(run_ops(shape, &x, vec![Op::Sign, slice], vec![]), bits(&[1, -1, -1, 1]));
    }

    #[test]
    fn flatten_keeps_the_order_of_memory() {
        let shape = Shape::new(2, 1, 2);
        let y = run_ops(shape, &[1.0, 2.0, 3.0, 4.0], vec![Op::Flatten], vec![]);
        assert_eq!(y, real(&[1.0, 2.0, 3.0, 4.0]));
        let y = run_ops(shape, &[1.0, -2.0, 3.0, -4.0], vec![Op::Sign, Op::Flatten], vec![]);
        assert_eq!(y, bits(&[1, -1, 1, -1]));
        let mut b = ModelBuilder::new(shape);
        let y = b.node("flatten", Op::Flatten, &[b.input()]);
        let ty = b.finish(y).unwrap().output_type().unwrap();
        assert_eq!(ty, ValueType::new(Shape::vector(4), DType::F32));
    }
}
