//! Models that the tests share.

#![allow(dead_code)] // Each test binary uses its part.

pub(crate) mod parts;

use signbit_model::{
    Geometry, Model, ModelBuilder, Op, Padding, Preprocessing, Resize, ResizeFilter, Shape, Tensor, TransposedGeometry,
    ValueId,
};

pub(crate) fn ones(shape: &[usize]) -> Tensor {
    let signs = vec![1; shape.iter().product()];
    Tensor::bits_from_signs(shape, &signs).unwrap()
}

/// +1 and -1 in an uneven pattern.
pub(crate) fn pattern(shape: &[usize]) -> Tensor {
    let signs: Vec<i8> = (0..shape.iter().product::<usize>()).map(|i| if i * i % 7 < 3 { 1 } else { -1 }).collect();
    Tensor::bits_from_signs(shape, &signs).unwrap()
}

pub(crate) fn reals(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    Tensor::f32(shape, (0..count).map(|i| (i % 11) as f32 * 0.1 - 0.45).collect()).unwrap()
}

pub(crate) fn integers(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    Tensor::i32(shape, (0..count).map(|i| i as i32 % 5 - 2).collect()).unwrap()
}

/// Two binary weights, a threshold, a real layer: a file of about a kilobyte.
pub(crate) fn small() -> Model {
    let mut b = ModelBuilder::new(Shape::vector(3));
    b.tensor("w", pattern(&[2, 3])).tensor("t", integers(&[2])).tensor("f", pattern(&[1, 2]));
    b.tensor("fc", reals(&[2, 3])).tensor("m", reals(&[2])).tensor("a", reals(&[2]));
    let s = b.node("sign", Op::Sign, &[b.input()]);
    let d = b.node("dot", Op::BinaryDense { weight: "w".into() }, &[s]);
    let op = Op::Threshold { threshold: "t".into(), flip: "f".into() };
    let h = b.node("hidden", op, &[d]);
    let u = b.node("unpack", Op::Unpack, &[h]);
    let r = b.node("real", Op::Dense { weight: "fc".into(), bias: None }, &[b.input()]);
    let r = b.node("scaled", Op::MulAdd { mul: "m".into(), add: "a".into() }, &[r]);
    let y = b.node("sum", Op::Add, &[u, r]);
    b.classes(["no", "yes"]).note("data", "none");
    b.finish(y).unwrap()
}

/// A model with every operator, tails and every optional field.
pub(crate) fn every_operator() -> Model {
    let mut b = ModelBuilder::new(Shape::new(6, 5, 3));
    let x = first_layers(&mut b);
    let same = Geometry::same(3, 3, [3, 3], [1, 1], [1, 1]);
    b.tensor("rsign", reals(&[67])).tensor("bin", pattern(&[67, 3, 3, 67]));
    b.tensor("thr", integers(&[67])).tensor("flip", pattern(&[1, 67]));
    b.tensor("mul", reals(&[67])).tensor("add", reals(&[67])).tensor("slope", reals(&[67]));
    let s = b.node("rsign", Op::RSign { shift: "rsign".into() }, &[x]);
    let conv = Op::BinaryConv2d { weight: "bin".into(), geometry: same, groups: 1, padding: Padding::Zero };
    let d = b.node("bin", conv.clone(), &[s]);
    let t = b.node("thr", Op::Threshold { threshold: "thr".into(), flip: "flip".into() }, &[d]);
    let d2 = b.node("bin2", with_padding(conv.clone(), Padding::One), &[t]);
    transposed(&mut b, x, t);
    let slice = Op::Slice { start: 2, end: 66 };
    let padded = b.node("pad_bits", Op::Pad { pads: [0, 1, 2, 0], value: -1.0 }, &[t]);
    b.node("slice_bits", slice.clone(), &[padded]);
    let d3 = b.node("bin3", with_padding(conv, Padding::MinusOne), &[t]);
    b.node("slice_i32", slice, &[d3]);
    let m = b.node("mul_add", Op::MulAdd { mul: "mul".into(), add: "add".into() }, &[d2]);
    let m = b.node("affine", Op::Affine { mul: 0.1, add: -3.0 }, &[m]);
    b.tensor("map", reals(&[3, 3]));
    let m = b.node("mul_map", Op::MulMap { map: "map".into() }, &[m]);
    let k = b.node("k", Op::ActivationScale { geometry: same }, &[x]);
    let scaled = b.node("scaled", Op::Mul, &[m, k]);
    let peak = b.node("squeeze", Op::GlobalMaxPool, &[x]);
    let gate = b.node("gate", Op::Sigmoid, &[peak]);
    let scaled = b.node("gated", Op::Mul, &[scaled, gate]);
    let padded = b.node("pad", Op::Pad { pads: [2, 0, 0, 1], value: 0.1 }, &[x]);
    b.node("slice", Op::Slice { start: 0, end: 1 }, &[padded]);
    let sum = b.node("sum", Op::Add, &[scaled, x]);
    let op = Op::RPRelu { shift_in: "rsign".into(), slope: "slope".into(), shift_out: "add".into() };
    let r = b.node("rprelu", op, &[sum]);
    let y = last_layers(&mut b, t, r, same);
    b.preprocessing(Preprocessing {
        channels: 3,
        height: 6,
        width: 5,
        resize: Some(Resize { filter: ResizeFilter::Lanczos3, crop: true }),
        scale: vec![0.1, 1.0 / 255.0, 1e-30],
        shift: vec![-0.5, -0.0, 3.4e38],
    });
    b.classes(["a", "b", "ü", "\"quoted\" \\"]).note("recipe", "two\nlines").note("accuracy", "0.5");
    b.finish(y).unwrap()
}

/// Transposed convolutions of reals and bits of 67 channels, which nobody reads.
fn transposed(b: &mut ModelBuilder, x: ValueId, bits: ValueId) {
    b.tensor("up", reals(&[2, 3, 2, 67])).tensor("up_bias", reals(&[2])).tensor("bin_up", pattern(&[67, 2, 2, 1]));
    let geometry = TransposedGeometry::valid([3, 2], [2, 1], [1, 2]);
    let geometry = TransposedGeometry { pads: [0, 1, 2, 0], output_padding: [0, 1], ..geometry };
    let op = Op::Conv2dTranspose { weight: "up".into(), bias: Some("up_bias".into()), geometry, groups: 1 };
    b.node("up", op, &[x]);
    let geometry = TransposedGeometry::valid([2, 2], [1, 1], [1, 1]);
    b.node("bin_up", Op::BinaryConv2dTranspose { weight: "bin_up".into(), geometry, groups: 67 }, &[bits]);
}

fn with_padding(op: Op, padding: Padding) -> Op {
    match op {
        Op::BinaryConv2d { weight, geometry, groups, .. } => Op::BinaryConv2d { weight, geometry, groups, padding },
        other => other,
    }
}

fn first_layers(b: &mut ModelBuilder) -> ValueId {
    b.tensor("stem", reals(&[67, 3, 3, 3])).tensor("stem_bias", reals(&[67]));
    b.tensor("dw", pattern(&[67, 1, 1, 1])).tensor("prelu", reals(&[67]));
    let geometry = Geometry::same(6, 5, [3, 3], [2, 2], [1, 1]);
    let op = Op::Conv2d { weight: "stem".into(), bias: Some("stem_bias".into()), geometry, groups: 1 };
    let x = b.node("stem", op, &[b.input()]);
    let geometry = Geometry::valid([1, 1], [1, 1], [1, 1]);
    let op = Op::Conv2d { weight: "dw".into(), bias: None, geometry, groups: 67 };
    let x = b.node("dw", op, &[x]);
    let x = b.node("prelu", Op::PRelu { slope: "prelu".into() }, &[x]);
    let x = b.node("clip", Op::Clip { min: -0.1, max: 6.0 }, &[x]);
    let x = b.node("relu", Op::Relu, &[x]);
    let geometry = Geometry { pads: [1, 1, 1, 1], ..Geometry::valid([3, 3], [1, 1], [1, 1]) };
    b.node("avg", Op::AvgPool2d { geometry, count_include_pad: false }, &[x])
}

/// From bits and reals of 3x3x67 to four classes.
fn last_layers(b: &mut ModelBuilder, bits: ValueId, x: ValueId, window: Geometry) -> ValueId {
    b.tensor("bd", pattern(&[4, 9 * 67])).tensor("fc", reals(&[4, 142])).tensor("fc_bias", reals(&[4]));
    let pooled = b.node("max", Op::MaxPool2d { geometry: window }, &[bits]);
    let signs = b.node("flat_bits", Op::Flatten, &[pooled]);
    let dots = b.node("bd", Op::BinaryDense { weight: "bd".into() }, &[signs]);
    let signs = b.node("sign", Op::Sign, &[dots]);
    let unpacked = b.node("unpack", Op::Unpack, &[signs]);
    let mean = b.node("mean", Op::GlobalAvgPool, &[x]);
    let peak = b.node("peak", Op::GlobalMaxPool, &[x]);
    let features = b.node("features", Op::Concat, &[mean, peak, unpacked, unpacked]);
    let flat = b.node("flat", Op::Flatten, &[features]);
    let op = Op::Dense { weight: "fc".into(), bias: Some("fc_bias".into()) };
    let logits = b.node("fc", op, &[flat]);
    b.node("softmax", Op::Softmax, &[logits])
}
