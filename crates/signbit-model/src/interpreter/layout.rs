//! Operators that only move elements.

use super::{Value, ValueData};
use crate::error::NodeError;

pub(super) fn concat(inputs: &[&Value]) -> Result<ValueData, NodeError> {
    let channels: Vec<usize> = inputs.iter().map(|x| x.ty.shape.c).collect();
    Ok(match inputs.first().map(|x| &x.data) {
        Some(ValueData::I32(_)) => ValueData::I32(pixel_by_pixel(&collect(inputs, Value::i32)?, &channels)),
        Some(ValueData::Bits(_)) => ValueData::Bits(pixel_by_pixel(&collect(inputs, Value::signs)?, &channels)),
        _ => ValueData::F32(pixel_by_pixel(&collect(inputs, Value::f32)?, &channels)),
    })
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
