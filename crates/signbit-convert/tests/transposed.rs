//! Transposed convolutions through the passes, and out of the crate and in again.

mod common;

use common::{described, draft, outputs};
use signbit_convert::{export, onnx, passes, tflite};
use signbit_model::{Model, ModelBuilder, Op, Shape, Tensor, TransposedGeometry};

fn geometry(pads: [usize; 4], output_padding: [usize; 2]) -> TransposedGeometry {
    TransposedGeometry { pads, output_padding, ..TransposedGeometry::valid([3, 2], [2, 3], [1, 1]) }
}

fn signs(shape: &[usize]) -> Vec<i8> {
    (0..shape.iter().product::<usize>()).map(|i| if i * i % 7 < 3 { 1 } else { -1 }).collect()
}

/// A real one, or one of bits.
fn model(bits: bool, groups: usize, geometry: TransposedGeometry) -> Model {
    let mut b = ModelBuilder::new(Shape::new(3, 2, 4));
    let shape = [6, 3, 2, 4 / groups];
    let weight = "w".to_owned();
    let y = if bits {
        b.tensor("w", Tensor::bits_from_signs(shape, &signs(&shape)).unwrap());
        let x = b.node("sign", Op::Sign, &[b.input()]);
        b.node("up", Op::BinaryConv2dTranspose { weight, geometry, groups }, &[x])
    } else {
        let data = (0..shape.iter().product::<usize>()).map(|i| (i * 5 % 17) as f32 - 8.0).collect::<Vec<_>>();
        b.tensor("w", Tensor::f32(shape, data).unwrap());
        b.tensor("b", Tensor::f32([6], vec![0.5, -1.0, 0.0, 2.0, 3.0, 4.0]).unwrap());
        let op = Op::Conv2dTranspose { weight, bias: Some("b".into()), geometry, groups };
        b.node("up", op, &[b.input()])
    };
    b.finish(y).unwrap()
}

fn reals(model: &Model) -> Vec<f32> {
    use signbit_model::interpreter::ValueData;
    match outputs(model) {
        ValueData::F32(data) => data,
        ValueData::I32(data) => data.into_iter().map(|v| v as f32).collect(),
        ValueData::Bits(data) => data.into_iter().map(f32::from).collect(),
    }
}

#[test]
fn through_onnx() {
    for (bits, groups, geometry) in [
        (false, 1, geometry([0; 4], [0; 2])),
        (false, 2, geometry([1, 0, 0, 1], [1, 2])),
        (false, 1, TransposedGeometry { dilation: [2, 1], ..geometry([0, 1, 2, 0], [0; 2]) }),
        (true, 1, geometry([1, 1, 1, 0], [0, 1])),
        (true, 2, geometry([0; 4], [0; 2])),
    ] {
        let model = model(bits, groups, geometry);
        let copy = passes::simplify(onnx::read(&export::onnx::to_bytes(&model).unwrap()).unwrap()).unwrap().model;
        assert_eq!(reals(&copy), reals(&model), "bits {bits}, {groups} groups, {geometry:?}");
        let name = if bits { "binary_conv2d_transpose" } else { "conv2d_transpose" };
        assert!(copy.graph.nodes.iter().any(|node| node.op.name() == name), "{:?}", described(&copy));
    }
}

/// The pads of `VALID` and of `SAME`: of one row too many, the last is cut off.
#[test]
fn through_tflite() {
    for (bits, geometry) in [
        (false, geometry([0; 4], [0; 2])),
        (false, geometry([0; 4], [1, 0])),
        (false, geometry([0, 0, 1, 0], [0, 1])),
        (true, geometry([0; 4], [0; 2])),
    ] {
        let model = model(bits, 1, geometry);
        let copy = passes::simplify(tflite::read(&export::tflite::to_bytes(&model).unwrap()).unwrap()).unwrap().model;
        assert_eq!(reals(&copy), reals(&model), "bits {bits}, {geometry:?}");
        let name = if bits { "binary_conv2d_transpose" } else { "conv2d_transpose" };
        assert!(copy.graph.nodes.iter().any(|node| node.op.name() == name), "{:?}", described(&copy));
    }
    let grouped = export::tflite::to_bytes(&model(false, 2, geometry([0; 4], [0; 2])));
    assert!(grouped.unwrap_err().to_string().contains("groups"));
}

/// Sign, weights of +-1/2, batch norm, sign: bits, an integer dot product, thresholds.
#[test]
fn passes_make_bits_and_thresholds() {
    let mut d = draft(3, 2, 4);
    let x = d.sign("a", d.input()).unwrap();
    let shape = [6, 3, 2, 4];
    let data = signs(&shape).into_iter().map(|s| f32::from(s) * 0.5).collect();
    let weight = d.f32("w", shape, data).unwrap();
    let bias = Some(d.f32("b", [6], vec![0.25, -1.0, 0.0, 2.0, -3.0, 0.5]).unwrap());
    let op = Op::Conv2dTranspose { weight, bias, geometry: geometry([1, 0, 0, 0], [0, 2]), groups: 1 };
    let x = d.node("up", op, &[x]).unwrap();
    let mul = d.f32("m", [6], vec![1.0, -2.0, 0.5, -0.25, 1.0, 1.0]).unwrap();
    let add = d.f32("s", [6], vec![0.5, 0.0, -1.0, 2.0, 0.0, 1.0]).unwrap();
    let x = d.node("bn", Op::MulAdd { mul, add }, &[x]).unwrap();
    let x = d.sign("b", x).unwrap();
    let imported = d.finish(x).unwrap();
    let before = imported.model.clone();
    let after = passes::simplify(imported).unwrap().model;
    let nodes = described(&after);
    assert_eq!(reals(&after), reals(&before), "{nodes:?}");
    assert!(nodes.iter().any(|node| node.contains("binary_conv2d_transpose")), "{nodes:?}");
    assert!(nodes.iter().any(|node| node.contains(": threshold")), "{nodes:?}");
}
