//! Random small models: round trip, size, the same results after loading, values of the inferred types.

mod common;

use std::slice::Iter;

use common::{integers, pattern, reals};
use proptest::collection::vec;
use proptest::prelude::*;
use signbit_model::interpreter::{ValueData, run, run_traced};
use signbit_model::{
    DType, Geometry, Model, ModelBuilder, Op, Padding, Shape, SizeTable, TransposedGeometry, ValueId, ValueType, file,
};

/// Choices from random bytes; all 0 behind their end, so that shrinking makes models simple.
struct Choices<'a>(Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % n
    }

    fn geometry(&mut self) -> Geometry {
        let mut two = |n, least| [self.below(n) + least, self.below(n) + least];
        let (kernel, stride, dilation) = (two(3, 1), two(2, 1), two(2, 1));
        let (first, second) = (two(3, 0), two(3, 0));
        Geometry { kernel, stride, dilation, pads: [first[0], first[1], second[0], second[1]] }
    }
}

fn model(bytes: &[u8]) -> Model {
    let mut choices = Choices(bytes.iter());
    let (h, w) = (choices.below(6) + 1, choices.below(6) + 1);
    let c = [1, 2, 3, 8, 12, 65][choices.below(6)];
    let mut b = ModelBuilder::new(Shape::new(h, w, c));
    let mut last = b.input();
    let mut ty = ValueType::new(Shape::new(h, w, c), DType::F32);
    for i in 0..choices.below(12) {
        let mut longer = b.clone();
        let y = add_node(&mut longer, &mut choices, (last, ty), i);
        // A window that does not fit would make the model wrong: then the node is left out.
        if let Ok(model) = longer.clone().finish(y) {
            ty = model.output_type().unwrap();
            (b, last) = (longer, y);
        }
    }
    b.note("bytes", format!("{bytes:?}"));
    b.finish(last).unwrap()
}

fn add_node(b: &mut ModelBuilder, choices: &mut Choices<'_>, x: (ValueId, ValueType), i: usize) -> ValueId {
    let name = |what: &str| format!("{what}{i}");
    let (last, ValueType { shape, dtype }) = x;
    let op = match (dtype, choices.below(12)) {
        (DType::F32 | DType::I32, 0 | 1) => Op::Sign,
        (DType::I32, 2..=4) => {
            b.tensor(name("t"), integers(&[shape.c])).tensor(name("f"), pattern(&[1, shape.c]));
            Op::Threshold { threshold: name("t"), flip: name("f") }
        }
        (DType::I32, 5 | 6) | (DType::F32, 2) => {
            b.tensor(name("m"), reals(&[shape.c])).tensor(name("a"), reals(&[shape.c]));
            Op::MulAdd { mul: name("m"), add: name("a") }
        }
        (DType::Bits, 0) => Op::Unpack,
        (DType::F32 | DType::Bits, 1..=5) => return convolution(b, choices, x, i),
        (_, 6) => Op::MaxPool2d { geometry: choices.geometry() },
        (_, 8) => {
            let start = choices.below(shape.c);
            Op::Slice { start, end: start + 1 + choices.below(shape.c - start) }
        }
        (DType::F32 | DType::Bits, 9) => {
            let value = if dtype == DType::Bits { [1.0, -1.0] } else { [0.1, -3.0] }[choices.below(2)];
            Op::Pad { pads: choices.geometry().pads, value }
        }
        (DType::F32, 10) => Op::Sigmoid,
        (DType::F32 | DType::I32, 11) => {
            let k = b.node(name("peak"), Op::GlobalMaxPool, &[b.input()]);
            return b.node(name("mul"), Op::Mul, &[last, k]);
        }
        (DType::F32, _) => Op::ActivationScale { geometry: choices.geometry() },
        _ => return b.node(name("concat"), Op::Concat, &[last, last]),
    };
    b.node(name("n"), op, &[last])
}

fn convolution(b: &mut ModelBuilder, choices: &mut Choices<'_>, (last, ty): (ValueId, ValueType), i: usize) -> ValueId {
    let geometry = choices.geometry();
    let c = ty.shape.c;
    let groups = [1, c, if c % 2 == 0 { 2 } else { 1 }][choices.below(3)];
    let c_out = groups * (choices.below(3) + 1);
    let weight = format!("w{i}");
    let shape = [c_out, geometry.kernel[0], geometry.kernel[1], c / groups];
    let Geometry { kernel, stride, dilation, pads } = geometry;
    let output_padding = [choices.below(2), choices.below(2)];
    let transposed = TransposedGeometry { kernel, stride, dilation, pads, output_padding };
    let op = if choices.below(3) == 1 {
        let bits = ty.dtype == DType::Bits;
        b.tensor(&weight, if bits { pattern(&shape) } else { reals(&shape) });
        match bits {
            true => Op::BinaryConv2dTranspose { weight, geometry: transposed, groups },
            false => Op::Conv2dTranspose { weight, bias: None, geometry: transposed, groups },
        }
    } else if ty.dtype == DType::Bits {
        b.tensor(&weight, pattern(&shape));
        let padding = [Padding::Zero, Padding::One, Padding::MinusOne][choices.below(3)];
        Op::BinaryConv2d { weight, geometry, groups, padding }
    } else {
        b.tensor(&weight, if choices.below(2) == 0 { reals(&shape) } else { pattern(&shape) });
        Op::Conv2d { weight, bias: None, geometry, groups }
    };
    b.node(format!("conv{i}"), op, &[last])
}

fn input(model: &Model, n: usize) -> Vec<f32> {
    let count = n * model.graph.input.shape.elements();
    (0..count).map(|i| (i * 37 % 101) as f32 * 0.02 - 1.0).collect()
}

#[test]
fn the_generator_makes_many_kinds_of_nodes() {
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..400_u64 {
        let byte = |i: u64| {
            let x = (seed * 200 + i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            ((x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8
        };
        for node in model(&(0..200).map(byte).collect::<Vec<_>>()).graph.nodes {
            *seen.entry(node.op.name()).or_insert(0) += 1;
        }
    }
    let kinds = ["binary_conv2d", "conv2d", "threshold", "max_pool2d", "concat", "unpack", "mul_add"];
    let kinds = kinds.iter().chain(&["slice", "pad", "sigmoid", "mul", "conv2d_transpose", "binary_conv2d_transpose"]);
    let rare: Vec<_> = kinds.filter(|kind| seen.get(*kind).is_none_or(|&n| n < 20)).collect();
    assert!(rare.is_empty(), "{rare:?} of {seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn round_trip(bytes in vec(any::<u8>(), 0..200)) {
        let model = model(&bytes);
        let written = file::to_bytes(&model).unwrap();
        let read = file::from_bytes(&written).unwrap();
        prop_assert_eq!(&read, &model);
        prop_assert_eq!(file::to_bytes(&read).unwrap(), written);
    }

    #[test]
    fn size_is_the_file_s(bytes in vec(any::<u8>(), 0..200)) {
        let model = model(&bytes);
        let table = SizeTable::of(&model).unwrap();
        prop_assert_eq!(table.packed_bytes + table.real_bytes + table.header_bytes, table.file_bytes);
        prop_assert_eq!(table.file_bytes, file::to_bytes(&model).unwrap().len() as u64);
    }

    #[test]
    fn values_have_the_inferred_types(bytes in vec(any::<u8>(), 0..200), n in 0..3_usize) {
        let model = model(&bytes);
        let types = model.validate().unwrap();
        let mut traced = vec![];
        let y = run_traced(&model, n, &input(&model, n), |_, value| traced.push(value.clone())).unwrap();
        prop_assert_eq!(y.ty, types[model.graph.output.index()]);
        for (value, ty) in traced.iter().zip(&types[1..]) {
            prop_assert_eq!(value.ty, *ty);
            let (len, dtype) = match &value.data {
                ValueData::F32(data) => (data.len(), DType::F32),
                ValueData::I32(data) => (data.len(), DType::I32),
                ValueData::Bits(data) => {
                    prop_assert!(data.iter().all(|&b| b == 1 || b == -1));
                    (data.len(), DType::Bits)
                }
            };
            prop_assert_eq!((len, dtype), (n * ty.shape.elements(), ty.dtype));
        }
    }

    #[test]
    fn a_loaded_model_computes_the_same(bytes in vec(any::<u8>(), 0..200)) {
        let model = model(&bytes);
        let read = file::from_bytes(&file::to_bytes(&model).unwrap()).unwrap();
        let x = input(&model, 1);
        prop_assert_eq!(run(&read, 1, &x).unwrap(), run(&model, 1, &x).unwrap());
    }

    #[test]
    fn a_batch_is_its_samples(bytes in vec(any::<u8>(), 0..200)) {
        let model = model(&bytes);
        let x = input(&model, 2);
        let (first, second) = x.split_at(x.len() / 2);
        let parts = [first, second].map(|x| run(&model, 1, x).unwrap().data);
        let joined = match parts {
            [ValueData::F32(a), ValueData::F32(b)] => ValueData::F32([a, b].concat()),
            [ValueData::I32(a), ValueData::I32(b)] => ValueData::I32([a, b].concat()),
            [ValueData::Bits(a), ValueData::Bits(b)] => ValueData::Bits([a, b].concat()),
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(run(&model, 2, &x).unwrap().data, joined);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..100), length in 0..120_u64) {
        let framed = [&length.to_le_bytes()[..], &bytes].concat();
        prop_assert!(file::from_bytes(&bytes).is_err());
        prop_assert!(file::from_bytes_unverified(&framed).is_err());
    }
}
