//! The written messages, decoded again.

use prost::Message as _;
use signbit_model::{Geometry, Model, ModelBuilder, Op, Padding, Shape, Tensor};

use super::{Layout, to_bytes, to_bytes_with};
use crate::onnx::proto::{Dimension, ModelProto, NodeProto, data_type};

fn decoded(bytes: &[u8]) -> ModelProto {
    ModelProto::decode(bytes).unwrap()
}

/// A binary convolution of 3 channels, padded with +1, and a flipped threshold.
fn model() -> Model {
    let mut b = ModelBuilder::new(Shape::new(4, 6, 3));
    b.tensor("w", Tensor::bits_from_signs([2, 1, 1, 3], &[1, -1, -1, -1, 1, 1]).unwrap());
    b.tensor("t", Tensor::i32([2], vec![1, i32::MAX]).unwrap());
    b.tensor("f", Tensor::bits_from_signs([1, 2], &[-1, 1]).unwrap());
    let x = b.node("sign", Op::Sign, &[b.input()]);
    let geometry = Geometry::padded([1, 1], [1, 1], 1);
    let op = Op::BinaryConv2d { weight: "w".into(), geometry, groups: 1, padding: Padding::One };
    let x = b.node("conv", op, &[x]);
    let y = b.node("bits", Op::Threshold { threshold: "t".into(), flip: "f".into() }, &[x]);
    b.note("accuracy", "0.9");
    b.finish(y).unwrap()
}

/// Every operand is the input, a constant or the value of a node before.
#[test]
fn names_are_unique_and_in_order() {
    let mut model = model();
    // Names that the exporter likes to give itself.
    for (node, name) in model.graph.nodes.iter_mut().zip(["input", "output", "conv.pad"]) {
        node.name = name.to_owned();
    }
    let graph = decoded(&to_bytes(&model).unwrap()).graph.unwrap();
    let mut known: Vec<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    known.push("input");
    for NodeProto { input, output, .. } in &graph.node {
        for name in input {
            assert!(known.contains(&name.as_str()), "{name} before its node");
        }
        for name in output {
            assert!(!known.contains(&name.as_str()), "{name} twice");
            known.push(name);
        }
    }
    assert_eq!(graph.node.last().unwrap().output, ["output"]);
}

#[test]
fn only_the_first_operators_and_the_batch_is_open() {
    let proto = decoded(&to_bytes(&model()).unwrap());
    assert_eq!((proto.ir_version, proto.opset_import[0].version, proto.opset_import[0].domain.as_str()), (7, 13, ""));
    assert_eq!((proto.metadata_props[0].key.as_str(), proto.metadata_props[0].value.as_str()), ("accuracy", "0.9"));
    let graph = proto.graph.unwrap();
    assert!(graph.node.iter().all(|node| node.domain.is_empty()));
    let dims = |layout| {
        let graph = decoded(&to_bytes_with(&model(), layout).unwrap()).graph.unwrap();
        let shape = graph.input[0].clone().r#type.unwrap().tensor_type.unwrap().shape.unwrap();
        shape.dim.into_iter().map(|d| d.value.unwrap()).collect::<Vec<_>>()
    };
    let expected = |sizes: [i64; 3]| {
        std::iter::once(Dimension::Name("N".into())).chain(sizes.map(Dimension::Size)).collect::<Vec<_>>()
    };
    assert_eq!(dims(Layout::Nhwc), expected([4, 6, 3]));
    assert_eq!(dims(Layout::Nchw), expected([3, 4, 6]));
}

/// Six weights are in one byte, the least significant bit first.
#[test]
fn weights_are_packed() {
    let graph = decoded(&to_bytes(&model()).unwrap()).graph.unwrap();
    let bits = graph.initializer.iter().find(|t| t.name == "w.bits").unwrap();
    assert_eq!((bits.data_type, bits.raw_data.as_slice()), (data_type::UINT8, [0b11_0001].as_slice()));
}

#[test]
fn a_flipped_channel_chooses_the_other_way_round() {
    let graph = decoded(&to_bytes(&model()).unwrap()).graph.unwrap();
    let reals = |name: &str| -> Vec<f32> {
        let tensor = graph.initializer.iter().find(|t| t.name == name).unwrap();
        tensor.raw_data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    assert_eq!(reals("bits.above"), [1.0, -1.0]);
    assert_eq!(reals("bits.below"), [-1.0, 1.0]);
    assert_eq!(reals("bits.threshold"), [1.0, 33_554_432.0]);
}
