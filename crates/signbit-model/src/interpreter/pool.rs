//! Poolings.

use super::window::{outputs, taps};
use super::{Value, ValueData};
use crate::error::NodeError;
use crate::{Geometry, Shape, ValueType};

pub(super) fn max(x: &Value, ty: ValueType, geometry: &Geometry) -> ValueData {
    let (input, output) = (x.ty.shape, ty.shape);
    match &x.data {
        ValueData::F32(data) => ValueData::F32(max_of(data, x.n, input, output, geometry)),
        ValueData::I32(data) => ValueData::I32(max_of(data, x.n, input, output, geometry)),
        ValueData::Bits(data) => ValueData::Bits(max_of(data, x.n, input, output, geometry)),
    }
}

fn max_of<T: Copy + PartialOrd>(data: &[T], n: usize, input: Shape, output: Shape, geometry: &Geometry) -> Vec<T> {
    let mut y = Vec::with_capacity(n * output.elements());
    for (sample, position) in outputs(n, output) {
        for c in 0..output.c {
            let pixels = taps(geometry, input, position).filter_map(|(_, pixel)| pixel);
            let window = pixels.map(|pixel| data[(sample * input.h * input.w + pixel) * input.c + c]);
            y.extend(greatest(window));
        }
    }
    y
}

/// The first element, replaced by each later one that is greater.
pub(super) fn greatest<T: PartialOrd>(elements: impl Iterator<Item = T>) -> Option<T> {
    elements.reduce(|max, v| if v > max { v } else { max })
}

pub(super) fn avg(
    x: &Value,
    ty: ValueType,
    geometry: &Geometry,
    count_include_pad: bool,
) -> Result<ValueData, NodeError> {
    let data = x.f32()?;
    let (input, output) = (x.ty.shape, ty.shape);
    let [kh, kw] = geometry.kernel;
    let mut y = Vec::with_capacity(x.n * output.elements());
    for (sample, position) in outputs(x.n, output) {
        for c in 0..output.c {
            let (mut sum, mut inside) = (0.0, 0);
            for (_, pixel) in taps(geometry, input, position) {
                let Some(pixel) = pixel else { continue };
                sum += data[(sample * input.h * input.w + pixel) * input.c + c];
                inside += 1;
            }
            let count = if count_include_pad { kh * kw } else { inside };
            y.push(sum / count as f32);
        }
    }
    Ok(ValueData::F32(y))
}

pub(super) fn global_avg(x: &Value) -> Result<ValueData, NodeError> {
    let Shape { h, w, c } = x.ty.shape;
    let mut y = Vec::with_capacity(x.n * c);
    for sample in x.f32()?.chunks_exact(h * w * c) {
        for c in 0..c {
            let mut sum = 0.0;
            for pixel in sample.chunks_exact(x.ty.shape.c) {
                sum += pixel[c];
            }
            y.push(sum / (h * w) as f32);
        }
    }
    Ok(ValueData::F32(y))
}

pub(super) fn global_max(x: &Value) -> ValueData {
    fn max_of<T: Copy + PartialOrd>(data: &[T], shape: Shape) -> Vec<T> {
        let column = |sample: &[T], c| greatest(sample.iter().skip(c).step_by(shape.c).copied());
        let samples = data.chunks_exact(shape.elements());
        samples.flat_map(|sample| (0..shape.c).filter_map(move |c| column(sample, c))).collect()
    }
    match &x.data {
        ValueData::F32(data) => ValueData::F32(max_of(data, x.ty.shape)),
        ValueData::I32(data) => ValueData::I32(max_of(data, x.ty.shape)),
        ValueData::Bits(data) => ValueData::Bits(max_of(data, x.ty.shape)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bits, ints, real, run_op, run_ops, signs};
    use super::super::{ValueData, run};
    use crate::{Geometry, Op, Shape};

    fn one_pad() -> Geometry {
        Geometry { pads: [0, 1, 0, 1], ..Geometry::valid([1, 3], [1, 2], [1, 1]) }
    }

    #[test]
    fn max_pool_ignores_the_padding() {
        let op = Op::MaxPool2d { geometry: one_pad() };
        let x = [-5.0, -1.0, -7.0, -2.0, -6.0, -3.0];
        assert_eq!(run_op(Shape::new(1, 3, 2), &x, op, vec![]), real(&[-5.0, -1.0, -6.0, -2.0]));
    }

    #[test]
    fn max_pool_keeps_the_first_of_equals_and_a_leading_nan() {
        let pool = |x: [f32; 2]| {
            let op = Op::MaxPool2d { geometry: Geometry::valid([1, 2], [1, 1], [1, 1]) };
            match run_op(Shape::new(1, 2, 1), &x, op, vec![]) {
                ValueData::F32(y) => y[0].to_bits(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(pool([-0.0, 0.0]), (-0.0_f32).to_bits());
        assert_eq!(pool([0.0, -0.0]), 0.0_f32.to_bits());
        assert_eq!(pool([f32::NAN, 1.0]), f32::NAN.to_bits());
        assert_eq!(pool([1.0, f32::NAN]), 1.0_f32.to_bits());
    }

    #[test]
    fn max_pool_of_bits_is_their_or() {
        let ops = vec![Op::Sign, Op::MaxPool2d { geometry: Geometry::valid([2, 2], [2, 2], [1, 1]) }];
        let x = [-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 1.0, -1.0];
        assert_eq!(run_ops(Shape::new(2, 4, 1), &x, ops, vec![]), bits(&[-1, 1]));
    }

    #[test]
    fn max_pools_of_integers() {
        let conv = Op::BinaryConv2d {
            weight: "w".into(),
            geometry: Geometry::valid([1, 1], [1, 1], [1, 1]),
            groups: 1,
            padding: crate::Padding::Zero,
        };
        let x = [1.0, 1.0, -1.0, 1.0, -1.0, -1.0];
        for op in [Op::GlobalMaxPool, Op::MaxPool2d { geometry: Geometry::valid([1, 2], [1, 1], [1, 1]) }] {
            let shorter = op == Op::GlobalMaxPool;
            let weight = signs("w", &[1, 1, 1, 2], &[-1, -1]);
            let y = run_ops(Shape::new(1, 3, 2), &x, vec![Op::Sign, conv.clone(), op], vec![weight]);
            assert_eq!(y, if shorter { ints(&[2]) } else { ints(&[0, 2]) });
        }
    }

    #[test]
    fn avg_pool_counts_with_or_without_the_padding() {
        let pool = |count_include_pad| {
            let op = Op::AvgPool2d { geometry: one_pad(), count_include_pad };
            run_op(Shape::new(1, 3, 1), &[3.0, 6.0, 12.0], op, vec![])
        };
        assert_eq!(pool(true), real(&[3.0, 6.0]));
        assert_eq!(pool(false), real(&[4.5, 9.0]));
    }

    #[test]
    fn global_poolings_are_per_channel() {
        let x = [1.0, 10.0, 2.0, 40.0, 6.0, 10.0];
        let shape = Shape::new(3, 1, 2);
        assert_eq!(run_op(shape, &x, Op::GlobalAvgPool, vec![]), real(&[3.0, 20.0]));
        assert_eq!(run_op(shape, &x, Op::GlobalMaxPool, vec![]), real(&[6.0, 40.0]));
        let x = [-1.0, -1.0, -1.0, 1.0, -1.0, -1.0];
        assert_eq!(run_ops(shape, &x, vec![Op::Sign, Op::GlobalMaxPool], vec![]), bits(&[-1, 1]));
    }

    #[test]
    fn a_window_in_the_padding_is_refused() {
        let geometry = Geometry { pads: [2, 0, 0, 0], ..Geometry::valid([2, 1], [1, 1], [1, 1]) };
        let mut b = crate::ModelBuilder::new(Shape::new(2, 2, 1));
        let y = b.node("pool", Op::MaxPool2d { geometry }, &[b.input()]);
        assert!(b.finish(y).is_err());
        let model = super::super::testing::model_of(Shape::new(1, 1, 1), Op::GlobalAvgPool, vec![]);
        assert!(run(&model, 1, &[1.0]).is_ok());
    }
}
