//! Every operator by name, against the interpreter, exactly.

mod common;

use common::{Numbers, differences, integers, single};
use signbit::model::{Geometry, Model, ModelBuilder, Op, Padding, Shape, TransposedGeometry, ValueId};

const ODD: Geometry = Geometry { kernel: [3, 2], stride: [2, 1], dilation: [1, 2], pads: [2, 0, 1, 1] };
const SAME: Geometry = Geometry::padded([3, 3], [1, 1], 1);
const POOL: Geometry = Geometry { kernel: [3, 2], stride: [2, 2], dilation: [1, 1], pads: [1, 0, 1, 1] };
const DILATED: Geometry = Geometry { kernel: [2, 2], stride: [1, 2], dilation: [2, 3], pads: [1, 1, 1, 0] };

/// A network around one operator: `f` gets the builder, numbers, the input and its channels.
fn case(input: Shape, f: impl FnOnce(&mut ModelBuilder, &mut Numbers, ValueId) -> ValueId) -> Model {
    let mut numbers = Numbers(input.c as u64);
    single(input, |b| {
        let x = b.input();
        f(b, &mut numbers, x)
    })
}

fn binary_conv(c_in: usize, c_out: usize, groups: usize, geometry: Geometry, padding: Padding) -> Model {
    case(Shape::new(6, 7, c_in), |b, numbers, x| {
        let [kh, kw] = geometry.kernel;
        b.tensor("w", numbers.bit_tensor(&[c_out, kh, kw, c_in / groups]));
        let x = b.node("sign", Op::Sign, &[x]);
        b.node("y", Op::BinaryConv2d { weight: "w".into(), geometry, groups, padding }, &[x])
    })
}

fn real_conv(c_in: usize, c_out: usize, groups: usize, geometry: Geometry, bits: bool, bias: bool) -> Model {
    case(Shape::new(6, 7, c_in), |b, numbers, x| {
        let shape = [c_out, geometry.kernel[0], geometry.kernel[1], c_in / groups];
        b.tensor("w", if bits { numbers.bit_tensor(&shape) } else { numbers.f32_tensor(&shape) });
        if bias {
            b.tensor("b", numbers.f32_tensor(&[c_out]));
        }
        let bias = bias.then(|| "b".into());
        b.node("y", Op::Conv2d { weight: "w".into(), bias, geometry, groups }, &[x])
    })
}

const UP: TransposedGeometry =
    TransposedGeometry { kernel: [3, 2], stride: [2, 3], dilation: [2, 1], pads: [1, 0, 2, 1], output_padding: [1, 0] };

fn transposed(c_in: usize, c_out: usize, groups: usize, bits: bool) -> Model {
    case(Shape::new(4, 3, c_in), |b, numbers, x| {
        let shape = [c_out, 3, 2, c_in / groups];
        b.tensor("w", if bits { numbers.bit_tensor(&shape) } else { numbers.f32_tensor(&shape) });
        let weight = "w".to_owned();
        if bits {
            let x = b.node("sign", Op::Sign, &[x]);
            return b.node("y", Op::BinaryConv2dTranspose { weight, geometry: UP, groups }, &[x]);
        }
        b.tensor("b", numbers.f32_tensor(&[c_out]));
        b.node("y", Op::Conv2dTranspose { weight, bias: Some("b".into()), geometry: UP, groups }, &[x])
    })
}

fn dense(k: usize, o: usize, bits: bool, bias: bool) -> Model {
    case(Shape::vector(k), |b, numbers, x| {
        b.tensor("w", if bits { numbers.bit_tensor(&[o, k]) } else { numbers.f32_tensor(&[o, k]) });
        if bias {
            b.tensor("b", numbers.f32_tensor(&[o]));
        }
        let bias = bias.then(|| "b".into());
        b.node("y", Op::Dense { weight: "w".into(), bias }, &[x])
    })
}

fn binary_dense(k: usize, o: usize) -> Model {
    case(Shape::vector(k), |b, numbers, x| {
        b.tensor("w", numbers.bit_tensor(&[o, k]));
        let x = b.node("sign", Op::Sign, &[x]);
        b.node("y", Op::BinaryDense { weight: "w".into() }, &[x])
    })
}

/// Dot products, then thresholds, fused or (with a second reader) not.
fn threshold(c: usize, also_read: bool) -> Model {
    case(Shape::new(3, 4, c), |b, numbers, x| {
        let x = integers(b, numbers, x, c, c + 1);
        b.tensor("t", numbers.thresholds(c + 1));
        b.tensor("f", numbers.bit_tensor(&[1, c + 1]));
        let y = b.node("y", Op::Threshold { threshold: "t".into(), flip: "f".into() }, &[x]);
        if also_read {
            b.node("reader", Op::Sign, &[x]);
        }
        y
    })
}

/// A unary operator on the input, on integers or on bits.
fn on(kind: &str, input: Shape, op: Op) -> Model {
    case(input, |b, numbers, x| {
        let x = match kind {
            "i32" => integers(b, numbers, x, input.c, input.c),
            "bits" => b.node("bits", Op::Sign, &[x]),
            _ => x,
        };
        for name in op.tensors() {
            b.tensor(name, numbers.f32_tensor(&[input.c]));
        }
        b.node("y", op, &[x])
    })
}

/// The values of three branches (1, 2 and `c` channels) joined.
fn concat(kind: &str, c: usize) -> Model {
    case(Shape::new(3, 2, c), |b, numbers, x| {
        let mut parts = vec![x];
        for (name, channels) in [("one", 1), ("two", 2)] {
            b.tensor(name, numbers.f32_tensor(&[channels, 1, 1, c]));
            let geometry = Geometry::valid([1, 1], [1, 1], [1, 1]);
            let op = Op::Conv2d { weight: name.into(), bias: None, geometry, groups: 1 };
            parts.insert(0, b.node(name, op, &[x]));
        }
        if kind == "bits" {
            let sign = |(i, x): (usize, &ValueId)| b.node(format!("bits{i}"), Op::Sign, &[*x]);
            parts = parts.iter().enumerate().map(sign).collect();
        }
        if kind == "i32" {
            let dots = integers(b, numbers, x, c, 5);
            parts = vec![dots, dots];
        }
        b.node("y", Op::Concat, &parts)
    })
}

fn mul(kind: &str, channels: usize) -> Model {
    case(Shape::new(3, 2, 5), |b, numbers, x| {
        b.tensor("k", numbers.f32_tensor(&[channels, 1, 1, 5]));
        let geometry = Geometry::valid([1, 1], [1, 1], [1, 1]);
        let k = b.node("k", Op::Conv2d { weight: "k".into(), bias: None, geometry, groups: 1 }, &[x]);
        let x = if kind == "i32" { integers(b, numbers, x, 5, 5) } else { x };
        b.node("y", Op::Mul, &[x, k])
    })
}

/// One factor per position, on pieces that end within a sample and across samples.
fn mul_map(kind: &str, channels: usize) -> Model {
    let input = Shape::new(3, 2, channels);
    case(input, |b, numbers, x| {
        b.tensor("map", numbers.f32_tensor(&[3, 2]));
        let x = if kind == "i32" { integers(b, numbers, x, channels, channels) } else { x };
        b.node("y", Op::MulMap { map: "map".into() }, &[x])
    })
}

/// A squeeze-and-excite gate: one factor per channel and sample, on a value of any shape.
fn gate(kind: &str, input: Shape) -> Model {
    case(input, |b, numbers, x| {
        let k = b.node("mean", Op::GlobalAvgPool, &[x]);
        let k = b.node("gate", Op::Sigmoid, &[k]);
        let x = if kind == "i32" { integers(b, numbers, x, input.c, input.c) } else { x };
        b.node("y", Op::Mul, &[x, k])
    })
}

/// A padding with stages behind it.
fn pad_and_stages(input: Shape, pads: [usize; 4]) -> Model {
    case(input, |b, _, x| {
        let x = b.node("pad", Op::Pad { pads, value: -0.75 }, &[x]);
        let y = b.node("relu", Op::Relu, &[x]);
        b.node("y", Op::Sigmoid, &[y])
    })
}

fn add() -> Model {
    case(Shape::new(3, 2, 5), |b, _, x| {
        let relu = b.node("relu", Op::Relu, &[x]);
        b.node("y", Op::Add, &[x, relu])
    })
}

/// A sum fused behind each kernel that makes real numbers; the summand has a branch of its own.
fn sums() -> Vec<(&'static str, Model)> {
    let shape = Shape::new(4, 4, 3);
    let point = Geometry::valid([1, 1], [1, 1], [1, 1]);
    let w = || "w".into();
    let ops = [
        Op::Concat,
        Op::Softmax,
        Op::Unpack,
        Op::ActivationScale { geometry: SAME },
        Op::MaxPool2d { geometry: SAME },
        Op::AvgPool2d { geometry: SAME, count_include_pad: true },
        Op::Conv2d { weight: w(), bias: None, geometry: point, groups: 1 },
        Op::MulAdd { mul: "m".into(), add: "m".into() },
    ];
    let sum = |op: Op| {
        case(shape, |b, numbers, x| {
            let inputs = match op {
                Op::Concat => vec![x, x],
                Op::Unpack => vec![b.node("bits", Op::Sign, &[x])],
                Op::MulAdd { .. } => vec![integers(b, numbers, x, 3, 3)],
                _ => vec![x],
            };
            if matches!(op, Op::Conv2d { .. }) {
                b.tensor("w", numbers.f32_tensor(&[3, 1, 1, 3]));
            }
            if matches!(op, Op::MulAdd { .. }) {
                b.tensor("m", numbers.f32_tensor(&[3]));
            }
            let channels = match op {
                Op::Concat => 6,
                Op::ActivationScale { .. } => 1,
                _ => 3,
            };
            b.tensor("other", numbers.f32_tensor(&[channels, 1, 1, 3]));
            let other = Op::Conv2d { weight: "other".into(), bias: None, geometry: point, groups: 1 };
            let other = b.node("other", other, &[x]);
            let y = b.node("y", op, &inputs);
            let y = b.node("sum", Op::Add, &[other, y]);
            b.node("product", Op::Mul, &[y, other])
        })
    };
    ops.map(|op| (op.name(), sum(op))).into()
}

fn weights() -> Vec<(&'static str, Model)> {
    vec![
        ("conv2d", real_conv(3, 5, 1, SAME, false, true)),
        ("conv2d", real_conv(6, 40, 2, ODD, false, false)),
        ("conv2d", real_conv(17, 17, 17, SAME, false, true)),
        ("conv2d", real_conv(4, 6, 1, ODD, true, true)),
        ("dense", dense(70, 13, false, true)),
        ("dense", dense(5, 33, true, false)),
        ("binary_conv2d", binary_conv(3, 5, 1, SAME, Padding::Zero)),
        ("binary_conv2d", binary_conv(64, 33, 1, SAME, Padding::One)),
        ("binary_conv2d", binary_conv(130, 64, 2, ODD, Padding::Zero)),
        ("binary_conv2d", binary_conv(9, 9, 9, ODD, Padding::One)),
        ("binary_conv2d", binary_conv(64, 33, 1, SAME, Padding::MinusOne)),
        ("binary_conv2d", binary_conv(9, 9, 9, ODD, Padding::MinusOne)),
        ("conv2d_transpose", transposed(3, 5, 1, false)),
        ("conv2d_transpose", transposed(17, 17, 17, false)),
        ("binary_conv2d_transpose", transposed(67, 33, 1, true)),
        ("binary_conv2d_transpose", transposed(9, 9, 9, true)),
        ("binary_dense", binary_dense(3, 2)),
        ("binary_dense", binary_dense(200, 65)),
        ("threshold", threshold(5, false)),
        ("threshold", threshold(64, true)),
        ("activation_scale", on("f32", Shape::new(5, 4, 11), Op::ActivationScale { geometry: ODD })),
    ]
}

fn elementwise() -> Vec<(&'static str, Model)> {
    let shape = Shape::new(3, 2, 7);
    let mul_add = || Op::MulAdd { mul: "m".into(), add: "a".into() };
    let rprelu = Op::RPRelu { shift_in: "a".into(), slope: "b".into(), shift_out: "c".into() };
    vec![
        ("mul_add", on("f32", shape, mul_add())),
        ("mul_add", on("i32", shape, mul_add())),
        ("sign", on("f32", Shape::new(2, 2, 65), Op::Sign)),
        ("sign", on("i32", Shape::new(2, 2, 65), Op::Sign)),
        ("unpack", on("bits", Shape::new(2, 3, 70), Op::Unpack)),
        ("rsign", on("f32", Shape::new(2, 3, 70), Op::RSign { shift: "s".into() })),
        ("add", add()),
        ("mul", mul("f32", 5)),
        ("mul", mul("f32", 1)),
        ("mul", mul("i32", 5)),
        ("mul", mul("i32", 1)),
        ("mul", gate("f32", Shape::new(3, 4, 5))),
        ("mul", gate("i32", Shape::new(3, 4, 67))),
        ("mul", gate("f32", Shape::new(3, 4, 1))),
        ("mul", gate("f32", Shape::vector(5))),
        ("mul_map", mul_map("f32", 5)),
        ("mul_map", mul_map("f32", 4000)),
        ("mul_map", mul_map("i32", 67)),
        ("sigmoid", on("f32", shape, Op::Sigmoid)),
        ("relu", on("f32", shape, Op::Relu)),
        ("relu", on("i32", shape, Op::Relu)),
        ("prelu", on("f32", shape, Op::PRelu { slope: "s".into() })),
        ("prelu", on("i32", shape, Op::PRelu { slope: "s".into() })),
        ("rprelu", on("f32", shape, rprelu.clone())),
        ("rprelu", on("i32", shape, rprelu)),
        ("clip", on("f32", shape, Op::Clip { min: -0.5, max: 1.0 })),
        ("clip", on("i32", shape, Op::Clip { min: -2.0, max: 1.0 })),
        ("affine", on("f32", shape, Op::Affine { mul: -0.7, add: 0.3 })),
        ("affine", on("i32", shape, Op::Affine { mul: -1.0, add: 9.0 })),
        ("softmax", on("f32", shape, Op::Softmax)),
    ]
}

fn pooling_and_layout() -> Vec<(&'static str, Model)> {
    let mut cases = Vec::new();
    for kind in ["f32", "i32", "bits"] {
        for (shape, geometry) in [(Shape::new(6, 7, 5), POOL), (Shape::new(5, 8, 66), DILATED)] {
            cases.push(("max_pool2d", on(kind, shape, Op::MaxPool2d { geometry })));
        }
        cases.push(("global_max_pool", on(kind, Shape::new(3, 5, 67), Op::GlobalMaxPool)));
        cases.push(("flatten", on(kind, Shape::new(3, 2, 5), Op::Flatten)));
        cases.push(("flatten", on(kind, Shape::new(2, 2, 64), Op::Flatten)));
        cases.push(("flatten", on(kind, Shape::vector(70), Op::Flatten)));
        for (c, start, end) in [(5, 0, 5), (5, 2, 3), (70, 0, 64), (70, 64, 70), (200, 3, 197), (130, 63, 65)] {
            cases.push(("slice", on(kind, Shape::new(3, 2, c), Op::Slice { start, end })));
        }
        cases.push(("concat", concat(kind, 3)));
        cases.push(("concat", concat(kind, 70)));
    }
    for pads in [[0; 4], [1, 2, 3, 4], [0, 1, 2, 0], [3, 0, 0, 0]] {
        for c in [1, 5, 64, 67] {
            cases.push(("pad", on("f32", Shape::new(3, 2, c), Op::Pad { pads, value: 0.3 })));
            for value in [1.0, -1.0] {
                cases.push(("pad", on("bits", Shape::new(3, 2, c), Op::Pad { pads, value })));
            }
        }
        cases.push(("pad", pad_and_stages(Shape::new(2, 3, 5), pads)));
    }
    for count_include_pad in [false, true] {
        let op = Op::AvgPool2d { geometry: POOL, count_include_pad };
        cases.push(("avg_pool2d", on("f32", Shape::new(6, 7, 5), op)));
    }
    cases.push(("global_avg_pool", on("f32", Shape::new(3, 5, 9), Op::GlobalAvgPool)));
    cases
}

#[test]
fn every_operator_equals_the_interpreter() {
    let cases = [weights(), elementwise(), pooling_and_layout(), sums()].concat();
    let mut wrong = Vec::new();
    for (i, (name, model)) in cases.iter().enumerate() {
        assert!(model.graph.nodes.iter().any(|node| node.op.name() == *name), "case {i} is not {name}");
        for n in [1, 3] {
            let input = Numbers(i as u64).reals(n * model.graph.input.shape.elements());
            wrong.extend(differences(model, n, &input).into_iter().map(|line| format!("{i} {name}: {line}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let covered = |name: &&str| cases.iter().any(|(covered, _)| covered == name);
    let missing: Vec<_> = Op::NAMES.iter().filter(|name| !covered(name)).collect();
    assert!(missing.is_empty(), "operators without a case: {missing:?}");
}

/// Infinities and NaN take the same way through every operator that compares.
#[test]
fn special_numbers() {
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, f32::MIN_POSITIVE / 2.0];
    let mut wrong = Vec::new();
    for (i, (name, model)) in [elementwise(), pooling_and_layout()].concat().iter().enumerate() {
        let mut numbers = Numbers(i as u64);
        let len = model.graph.input.shape.elements();
        let input: Vec<f32> = (0..len)
            .map(|_| if numbers.below(3) == 0 { special[numbers.below(special.len())] } else { numbers.real() })
            .collect();
        wrong.extend(differences(model, 1, &input).into_iter().map(|line| format!("{i} {name}: {line}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
