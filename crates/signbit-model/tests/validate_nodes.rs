//! One test per way in which a node can be wrong.

mod common;

use common::{integers, ones, reals, small};
use signbit_model::{
    DType, Geometry, GeometryError, Model, ModelBuilder, ModelError, NodeError, Op, Padding, Shape, Tensor, ValueId,
    ValueType, limits, words,
};

type Named = (&'static str, Tensor);

/// The error of one node on inputs of the given types: F32 as it is, Bits by a sign before it, I32 by a
/// binary convolution with as many outputs.
fn node_error(inputs: &[ValueType], op: Op, tensors: Vec<Named>) -> NodeError {
    match try_node(inputs, op, tensors) {
        Err(ModelError::Node { node, source }) => {
            assert_eq!(node, "tested");
            source
        }
        other => panic!("{other:?}"),
    }
}

fn try_node(inputs: &[ValueType], op: Op, tensors: Vec<Named>) -> Result<Model, ModelError> {
    let mut b = ModelBuilder::new(inputs.first().map_or(Shape::vector(1), |ty| ty.shape));
    for (name, tensor) in tensors {
        b.tensor(name, tensor);
    }
    let mut operands = Vec::new();
    for (i, ty) in inputs.iter().enumerate() {
        let mut x = b.input();
        if ty.shape != inputs[0].shape {
            x = b.node(format!("shape{i}"), Op::GlobalAvgPool, &[x]);
            assert_eq!(ty.shape, Shape::vector(inputs[0].shape.c), "this helper can only pool");
        }
        if ty.dtype != DType::F32 {
            x = b.node(format!("sign{i}"), Op::Sign, &[x]);
        }
        if ty.dtype == DType::I32 {
            let (weight, geometry) = (format!("i{i}"), unit());
            b.tensor(&weight, ones(&[ty.shape.c, 1, 1, ty.shape.c]));
            let op = Op::BinaryConv2d { weight, geometry, groups: 1, padding: Padding::Zero };
            x = b.node(format!("conv{i}"), op, &[x]);
        }
        operands.push(x);
    }
    let y = b.node("tested", op, &operands);
    b.finish(y)
}

fn unit() -> Geometry {
    Geometry::valid([1, 1], [1, 1], [1, 1])
}

fn f32s(h: usize, w: usize, c: usize) -> ValueType {
    ValueType::new(Shape::new(h, w, c), DType::F32)
}

fn i32s(c: usize) -> ValueType {
    ValueType::new(Shape::vector(c), DType::I32)
}

fn bits(c: usize) -> ValueType {
    ValueType::new(Shape::vector(c), DType::Bits)
}

fn dense(weight: &str) -> Op {
    Op::Dense { weight: weight.into(), bias: None }
}

fn conv(groups: usize) -> Op {
    Op::Conv2d { weight: "w".into(), bias: None, geometry: unit(), groups }
}

#[test]
fn input_count() {
    let wrong = |expected, found| NodeError::InputCount { expected, found };
    let x = f32s(1, 1, 2);
    let mut failed = Vec::new();
    let rows = [
        (vec![], Op::Relu, wrong("1", 0)),
        (vec![x, x], Op::Sign, wrong("1", 2)),
        (vec![x], Op::Add, wrong("2", 1)),
        (vec![x, x, x], Op::Mul, wrong("2", 3)),
        (vec![], Op::Concat, wrong("at least 2", 0)),
        (vec![x], Op::Concat, wrong("at least 2", 1)),
        (vec![x, x], Op::Flatten, wrong("1", 2)),
    ];
    for (inputs, op, expected) in rows {
        let found = node_error(&inputs, op.clone(), vec![]);
        if found != expected {
            failed.push((op, found));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn not_topological() {
    for value in [1, 2, 7, u32::MAX] {
        let mut model = small();
        model.graph.nodes[0].inputs = vec![ValueId(value)];
        let result = model.validate();
        let expected = NodeError::NotTopological { value };
        assert!(matches!(&result, Err(ModelError::Node { source, .. }) if *source == expected), "{value}: {result:?}");
    }
}

#[test]
fn input_dtype() {
    let name = || "w".to_owned();
    let geometry = unit();
    let wrong = |expected, found| NodeError::InputDType { input: 0, expected, found };
    let x = f32s(1, 1, 2);
    let one = vec![("w", ones(&[1, 1, 1, 2]))];
    let binary = Op::BinaryConv2d { weight: name(), geometry, groups: 1, padding: Padding::Zero };
    let threshold = Op::Threshold { threshold: name(), flip: name() };
    let rows = [
        (x, binary, wrong("bits", DType::F32)),
        (x, Op::BinaryDense { weight: name() }, wrong("bits", DType::F32)),
        (x, threshold, wrong("i32", DType::F32)),
        (x, Op::Unpack, wrong("bits", DType::F32)),
        (bits(2), conv(1), wrong("f32", DType::Bits)),
        (i32s(2), dense("w"), wrong("f32", DType::I32)),
        (bits(2), Op::Sign, wrong("f32 or i32", DType::Bits)),
        (bits(2), Op::Affine { mul: 1.0, add: 0.0 }, wrong("f32 or i32", DType::Bits)),
        (bits(2), Op::MulAdd { mul: name(), add: name() }, wrong("f32 or i32", DType::Bits)),
        (i32s(2), Op::RSign { shift: name() }, wrong("f32", DType::I32)),
        (bits(2), Op::AvgPool2d { geometry, count_include_pad: true }, wrong("f32", DType::Bits)),
        (i32s(2), Op::GlobalAvgPool, wrong("f32", DType::I32)),
        (bits(2), Op::Relu, wrong("f32 or i32", DType::Bits)),
        (bits(2), Op::PRelu { slope: name() }, wrong("f32 or i32", DType::Bits)),
        (bits(2), Op::Clip { min: 0.0, max: 1.0 }, wrong("f32 or i32", DType::Bits)),
        (i32s(2), Op::Softmax, wrong("f32", DType::I32)),
        (bits(2), Op::Sigmoid, wrong("f32", DType::Bits)),
        (i32s(2), Op::Pad { pads: [1; 4], value: 0.0 }, wrong("f32 or bits", DType::I32)),
        (bits(2), Op::ActivationScale { geometry }, wrong("f32", DType::Bits)),
    ];
    let mut failed = Vec::new();
    for (input, op, expected) in rows {
        let found = node_error(&[input], op.clone(), one.clone());
        if found != expected {
            failed.push((op, found));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn input_dtype_of_the_second_operand() {
    let wrong = |expected, found| NodeError::InputDType { input: 1, expected, found };
    let x = f32s(1, 1, 2);
    assert_eq!(node_error(&[x, i32s(2)], Op::Add, vec![]), wrong("f32", DType::I32));
    assert_eq!(node_error(&[x, i32s(2)], Op::Mul, vec![]), wrong("f32", DType::I32));
    assert_eq!(node_error(&[x, bits(2)], Op::Concat, vec![]), wrong("f32", DType::Bits));
    assert_eq!(node_error(&[bits(2), i32s(2)], Op::Concat, vec![]), wrong("bits", DType::I32));
}

#[test]
fn input_shape() {
    let picture = f32s(2, 2, 3);
    let shape = |error| match error {
        NodeError::InputShape { input, found, .. } => (input, found),
        other => panic!("{other:?}"),
    };
    let error = node_error(&[picture], dense("w"), vec![("w", reals(&[1, 12]))]);
    assert_eq!(shape(error), (0, picture.shape));
    for op in [Op::Add, Op::Concat] {
        let error = node_error(&[picture, f32s(1, 1, 3)], op, vec![]);
        assert_eq!(shape(error), (1, Shape::vector(3)));
    }
}

/// One shape, one channel, or one pixel; nothing between, and not one number for all.
#[test]
fn shapes_of_a_factor() {
    let shape = Shape::new(2, 3, 4);
    let mut wrong = Vec::new();
    for (h, w, c) in (1..4).flat_map(|h| (1..5).flat_map(move |w| (1..6).map(move |c| (h, w, c)))) {
        let mut b = ModelBuilder::new(Shape::new(2, 3, 5));
        let x = b.node("x", Op::Slice { start: 0, end: 4 }, &[b.input()]);
        // A value of any shape: a window of the right size over a padded input.
        let k = b.node("pad", Op::Pad { pads: [0, 0, 2, 2], value: 0.0 }, &[b.input()]);
        let k = b.node("pool", Op::MaxPool2d { geometry: Geometry::valid([5 - h, 6 - w], [1, 1], [1, 1]) }, &[k]);
        let k = b.node("k", Op::Slice { start: 0, end: c }, &[k]);
        let y = b.node("y", Op::Mul, &[x, k]);
        let found = Shape::new(h, w, c);
        let valid = found == shape || found == Shape::new(2, 3, 1) || found == Shape::vector(4);
        match b.finish(y) {
            Ok(model) if valid && model.output_type().unwrap().shape == shape => {}
            Err(ModelError::Node { source: NodeError::InputShape { input: 1, expected, found: shape }, .. })
                if !valid && shape == found && expected == "2x3x4, 2x3x1 or 1x1x4" => {}
            other => wrong.push((found, other)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn missing_tensor() {
    let error = node_error(&[f32s(1, 1, 2)], dense("w"), vec![]);
    assert_eq!(error, NodeError::MissingTensor { tensor: "w".into() });
    let op = Op::Dense { weight: "w".into(), bias: Some("b".into()) };
    let error = node_error(&[f32s(1, 1, 2)], op, vec![("w", reals(&[3, 2]))]);
    assert_eq!(error, NodeError::MissingTensor { tensor: "b".into() });
}

#[test]
fn tensor_dtype() {
    let wrong = |tensor: &str, expected, found| NodeError::TensorDType { tensor: tensor.into(), expected, found };
    let x = f32s(1, 1, 2);
    let error = node_error(&[x], dense("w"), vec![("w", integers(&[3, 2]))]);
    assert_eq!(error, wrong("w", "f32 or bits", DType::I32));
    let op = Op::BinaryDense { weight: "w".into() };
    let error = node_error(&[bits(2)], op, vec![("w", reals(&[3, 2]))]);
    assert_eq!(error, wrong("w", "bits", DType::F32));
    let op = Op::PRelu { slope: "s".into() };
    assert_eq!(node_error(&[x], op, vec![("s", integers(&[2]))]), wrong("s", "f32", DType::I32));
    let op = || Op::Threshold { threshold: "t".into(), flip: "f".into() };
    let tensors = vec![("t", reals(&[2])), ("f", ones(&[1, 2]))];
    assert_eq!(node_error(&[i32s(2)], op(), tensors), wrong("t", "i32", DType::F32));
    let tensors = vec![("t", integers(&[2])), ("f", integers(&[1, 2]))];
    assert_eq!(node_error(&[i32s(2)], op(), tensors), wrong("f", "bits", DType::I32));
}

#[test]
fn tensor_shape() {
    let x = f32s(1, 1, 4);
    let name = || "w".to_owned();
    let bias = Op::Dense { weight: "v".into(), bias: Some("w".into()) };
    let rows: Vec<(ValueType, Op, Tensor)> = vec![
        (x, dense("w"), reals(&[3, 5])),
        (x, dense("w"), reals(&[3, 4, 1])),
        (x, dense("w"), reals(&[4])),
        (x, bias, reals(&[4])),
        (x, conv(1), reals(&[2, 1, 1, 3])),
        (x, conv(1), reals(&[2, 1, 2, 4])),
        (x, conv(2), reals(&[2, 1, 1, 4])),
        (x, conv(1), reals(&[2, 4])),
        (bits(4), Op::BinaryDense { weight: name() }, ones(&[3, 5])),
        (x, Op::PRelu { slope: name() }, reals(&[5])),
        (x, Op::PRelu { slope: name() }, reals(&[1, 4])),
        (x, Op::MulMap { map: name() }, reals(&[1])),
        (f32s(2, 3, 4), Op::MulMap { map: name() }, reals(&[3, 2])),
        (x, Op::RSign { shift: name() }, reals(&[3])),
        (i32s(4), Op::Threshold { threshold: "t".into(), flip: name() }, ones(&[4, 1])),
        (i32s(4), Op::Threshold { threshold: name(), flip: "f".into() }, integers(&[1])),
        (x, Op::MulAdd { mul: "m".into(), add: name() }, reals(&[1])),
    ];
    let mut failed = Vec::new();
    for (input, op, tensor) in rows {
        let found = tensor.shape().to_vec();
        let others = [("v", reals(&[3, 4])), ("t", integers(&[4])), ("f", ones(&[1, 4])), ("m", reals(&[4]))];
        let mut tensors = vec![("w", tensor)];
        tensors.extend(others.into_iter().filter(|(name, _)| op.tensors().contains(name)));
        match node_error(&[input], op.clone(), tensors) {
            NodeError::TensorShape { tensor, found: shape, .. } if tensor == "w" && shape == found => {}
            other => failed.push((op, other)),
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// The longest row that a layer may have, and one bit more.
#[test]
fn weight_row() {
    for (k, valid) in [(limits::MAX_ROW, true), (limits::MAX_ROW + 1, false)] {
        let weight = |shape: &[usize]| Tensor::bits(shape, vec![0; words(k)]).unwrap();
        let binary = Op::BinaryConv2d { weight: "w".into(), geometry: unit(), groups: 1, padding: Padding::Zero };
        let rows = [
            (f32s(1, 1, k), dense("w"), weight(&[1, k])),
            (f32s(1, 1, k), conv(1), weight(&[1, 1, 1, k])),
            (bits(k), Op::BinaryDense { weight: "w".into() }, weight(&[1, k])),
            (bits(k), binary, weight(&[1, 1, 1, k])),
        ];
        for (input, op, tensor) in rows {
            let name = op.name();
            let result = try_node(&[input], op, vec![("w", tensor)]);
            let expected = NodeError::WeightRow { tensor: "w".into(), found: k };
            match result {
                Ok(_) => assert!(valid, "{name}"),
                Err(ModelError::Node { source, .. }) => assert!(!valid && source == expected, "{name}: {source}"),
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
}

#[test]
fn groups() {
    let x = f32s(1, 1, 6);
    for (groups, c_out) in [(0, 6), (4, 8), (3, 4), (usize::MAX, 6)] {
        let error = node_error(&[x], conv(groups), vec![("w", reals(&[c_out, 1, 1, 2]))]);
        assert_eq!(error, NodeError::Groups { groups, c_in: 6, c_out });
    }
    assert!(try_node(&[x], conv(3), vec![("w", reals(&[9, 1, 1, 2]))]).is_ok());
}

#[test]
fn geometry() {
    let pool = |geometry| node_error(&[f32s(2, 2, 1)], Op::MaxPool2d { geometry }, vec![]);
    let too_large = Geometry::valid([3, 1], [1, 1], [1, 1]);
    let expected = GeometryError::KernelTooLarge { kernel: 3, padded: 2 };
    assert_eq!(pool(too_large), NodeError::Geometry(expected));
    let empty = Geometry { pads: [1, 0, 0, 0], ..unit() };
    assert_eq!(pool(empty), NodeError::Geometry(GeometryError::EmptyWindow));
    let zero = Geometry::valid([1, 1], [0, 1], [1, 1]);
    assert_eq!(pool(zero), NodeError::Geometry(GeometryError::Zero));
    let huge = Geometry::valid([1, usize::MAX], [1, 1], [1, usize::MAX]);
    assert_eq!(pool(huge), NodeError::Geometry(GeometryError::TooLarge));
}

#[test]
fn clip_bounds() {
    for (min, max) in [(1.0, 0.0), (f32::NAN, 0.0), (0.0, f32::NAN), (f32::NEG_INFINITY, 0.0)] {
        let error = node_error(&[f32s(1, 1, 1)], Op::Clip { min, max }, vec![]);
        assert!(matches!(error, NodeError::ClipBounds { .. }), "{min} {max}: {error:?}");
    }
}

#[test]
fn pad_value() {
    let (real, bit) = (f32s(1, 1, 1), bits(1));
    let op = |value| Op::Pad { pads: [1, 0, 0, 0], value };
    for (x, value) in [(real, f32::NAN), (real, f32::INFINITY), (bit, 0.0), (bit, 1.5), (bit, f32::NAN)] {
        let error = node_error(&[x], op(value), vec![]);
        assert!(matches!(error, NodeError::PadValue { dtype, .. } if dtype == x.dtype), "{value}: {error:?}");
    }
    for (x, value) in [(real, -0.0), (real, f32::MAX), (real, 1e-45), (bit, 1.0), (bit, -1.0)] {
        let output = try_node(&[x], op(value), vec![]).unwrap().output_type().unwrap();
        assert_eq!(output, ValueType::new(Shape::new(2, 1, 1), x.dtype));
    }
}

#[test]
fn pad_sizes() {
    let op = |pads| Op::Pad { pads, value: 0.0 };
    let output = |pads| try_node(&[f32s(2, 3, 4)], op(pads), vec![]).unwrap().output_type().unwrap().shape;
    assert_eq!(output([1, 2, 3, 4]), Shape::new(6, 9, 4));
    assert_eq!(output([0; 4]), Shape::new(2, 3, 4));
    assert_eq!(output([limits::MAX_GEOMETRY, 0, 0, 0]), Shape::new(limits::MAX_GEOMETRY + 2, 3, 4));
    for pads in [[0, 0, limits::MAX_GEOMETRY + 1, 0], [usize::MAX; 4]] {
        let error = node_error(&[f32s(2, 3, 4)], op(pads), vec![]);
        assert_eq!(error, NodeError::Geometry(GeometryError::TooLarge));
    }
    let error = node_error(&[f32s(2, 3, 4)], op([limits::MAX_GEOMETRY; 4]), vec![]);
    assert_eq!(error, NodeError::OutputTooLarge);
}

#[test]
fn slice_range() {
    for x in [f32s(2, 2, 3), i32s(3), bits(3)] {
        for (start, end) in [(0, 0), (2, 2), (2, 1), (0, 4), (3, 4), (usize::MAX, 1), (0, usize::MAX)] {
            let error = node_error(&[x], Op::Slice { start, end }, vec![]);
            assert_eq!(error, NodeError::Slice { start, end, channels: 3 });
        }
        for (start, end) in [(0, 3), (1, 3), (2, 3), (0, 1)] {
            let output = try_node(&[x], Op::Slice { start, end }, vec![]).unwrap().output_type().unwrap();
            assert_eq!(output, ValueType::new(Shape { c: end - start, ..x.shape }, x.dtype));
        }
    }
}

#[test]
fn output_too_large() {
    let mut b = ModelBuilder::new(Shape::new(1 << 10, 1 << 10, 1 << 10));
    let y = b.node("tested", Op::Concat, &[ValueId::INPUT, ValueId::INPUT]);
    let error = b.finish(y).unwrap_err();
    assert!(matches!(error, ModelError::Node { source: NodeError::OutputTooLarge, .. }), "{error:?}");
}

#[test]
fn errors_name_the_node_and_the_tensor() {
    let error = try_node(&[f32s(1, 1, 4)], dense("w"), vec![("w", reals(&[3, 5]))]).unwrap_err();
    assert_eq!(error.to_string(), "node `tested`: tensor `w` has shape [3, 5], it must be [O, 4]");
}

#[test]
fn an_affine_step_has_finite_numbers() {
    for (mul, add) in [(f32::NAN, 0.0), (1.0, f32::INFINITY)] {
        let error = node_error(&[f32s(1, 1, 1)], Op::Affine { mul, add }, vec![]);
        assert!(matches!(error, NodeError::AffineNumbers { .. }), "{mul} {add}: {error:?}");
    }
}
