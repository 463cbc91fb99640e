//! What stands in exported files.

mod random_models;

use signbit_convert::{ConvertError, export};
use signbit_model::{Geometry, Model, ModelBuilder, Op, Padding, Shape, Tensor};

fn signs(shape: &[usize]) -> Tensor {
    let signs: Vec<i8> = (0..shape.iter().product::<usize>()).map(|i| if i * i % 7 < 3 { 1 } else { -1 }).collect();
    Tensor::bits_from_signs(shape, &signs).unwrap()
}

/// Sign, a hidden binary layer of 1024 x 1024 with thresholds, ten real outputs.
fn mlp() -> Model {
    let mut b = ModelBuilder::new(Shape::vector(1024));
    b.tensor("w", signs(&[1024, 1024])).tensor("t", Tensor::i32([1024], vec![3; 1024]).unwrap());
    b.tensor("f", signs(&[1, 1024])).tensor("out", Tensor::f32([10, 1024], vec![0.5; 10240]).unwrap());
    let x = b.node("sign", Op::Sign, &[b.input()]);
    let x = b.node("hidden", Op::BinaryDense { weight: "w".into() }, &[x]);
    let x = b.node("bits", Op::Threshold { threshold: "t".into(), flip: "f".into() }, &[x]);
    let x = b.node("real", Op::Unpack, &[x]);
    let x = b.node("logits", Op::Dense { weight: "out".into(), bias: None }, &[x]);
    b.classes(("0123456789").chars()).note("recipe", "mlp");
    b.finish(x).unwrap()
}

fn conv(groups: usize, padding: Padding) -> Model {
    let mut b = ModelBuilder::new(Shape::new(5, 5, 8));
    b.tensor("w", signs(&[4, 3, 3, 8 / groups]));
    let x = b.node("sign", Op::Sign, &[b.input()]);
    let geometry = Geometry::padded([3, 3], [2, 2], 1);
    let y = b.node("conv", Op::BinaryConv2d { weight: "w".into(), geometry, groups, padding }, &[x]);
    b.finish(y).unwrap()
}

/// One bit per weight: 128 KB of them, 40 KB of real weights, less than 16 KB of everything else.
#[test]
fn binary_weights_take_one_bit() {
    let model = mlp();
    let weights = 1024 * 1024 / 8 + 10 * 1024 * 4;
    let ours = signbit_model::file::to_bytes(&model).unwrap().len();
    let onnx = export::onnx::to_bytes(&model).unwrap().len();
    let tflite = export::tflite::to_bytes(&model).unwrap().len();
    for (format, bytes) in [("signbit", ours), ("ONNX", onnx), ("TFLite", tflite)] {
        assert!((weights..weights + (16 << 10)).contains(&bytes), "{format}: {bytes} bytes");
    }
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let model = mlp();
    assert_eq!(export::onnx::to_bytes(&model).unwrap(), export::onnx::to_bytes(&model).unwrap());
    assert_eq!(export::tflite::to_bytes(&model).unwrap(), export::tflite::to_bytes(&model).unwrap());
}

/// Every tensor's data begins at a multiple of 16 bytes: the engine reads them where they lie.
#[test]
fn tflite_data_are_aligned() {
    let float = 0.123_456_79_f32;
    for len in 1..9 {
        let mut b = ModelBuilder::new(Shape::vector(len));
        b.tensor("m", Tensor::f32([len], vec![float; len]).unwrap());
        b.tensor("a", Tensor::f32([len], vec![-float; len]).unwrap());
        let y = b.node("n".repeat(len), Op::MulAdd { mul: "m".into(), add: "a".into() }, &[b.input()]);
        let bytes = export::tflite::to_bytes(&b.finish(y).unwrap()).unwrap();
        assert_eq!(&bytes[4..8], b"TFL3");
        for number in [float, -float] {
            let at = bytes.windows(4).position(|w| w == number.to_le_bytes()).unwrap();
            assert_eq!(at % 16, 0, "{len} channels");
        }
    }
}

#[test]
fn what_an_engine_cannot_do_is_refused_by_name() {
    let Err(ConvertError::NotExpressible { node, operator, format, reason }) =
        export::tflite::to_bytes(&conv(2, Padding::Zero))
    else {
        panic!("groups of 4 channels were written");
    };
    assert_eq!((node.as_str(), operator, format), ("conv", "binary_conv2d", "TFLite"));
    assert!(reason.contains("4 input channels per group"), "{reason}");
    assert!(export::onnx::to_bytes(&conv(2, Padding::Zero)).is_ok());
    for padding in [Padding::Zero, Padding::One, Padding::MinusOne] {
        assert!(export::tflite::to_bytes(&conv(1, padding)).is_ok(), "{padding:?}");
    }
}

#[test]
fn an_invalid_model_is_refused() {
    let mut model = mlp();
    model.tensors.remove("w");
    assert!(matches!(export::onnx::to_bytes(&model), Err(ConvertError::Model(_))));
    assert!(matches!(export::tflite::to_bytes(&model), Err(ConvertError::Model(_))));
}

/// No random model is too odd for ONNX.
#[test]
fn onnx_takes_every_model() {
    for seed in 0..500 {
        let model = random_models::case(seed).model;
        assert!(export::onnx::to_bytes(&model).is_ok(), "{seed}");
    }
}
