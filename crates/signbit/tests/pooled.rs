//! Large real convolutions whose pooling runs a few rows behind them.

mod common;

use common::{Numbers, differences};
use signbit::model::{Geometry, Model, ModelBuilder, Op, Shape, ValueId};
use signbit::{Options, Session};

/// A convolution of `c` channels, elementwise operators, a pooling, and one more behind it.
fn network(input: Shape, c: usize, conv: Geometry, pool: Op) -> Model {
    let mut numbers = Numbers(c as u64);
    let mut b = ModelBuilder::new(input);
    b.tensor("w", numbers.f32_tensor(&[c, conv.kernel[0], conv.kernel[1], input.c]));
    b.tensor("b", numbers.f32_tensor(&[c]));
    b.tensor("mul", numbers.f32_tensor(&[c]));
    b.tensor("add", numbers.f32_tensor(&[c]));
    let x = b.input();
    let conv = Op::Conv2d { weight: "w".into(), bias: Some("b".into()), geometry: conv, groups: 1 };
    let x = b.node("conv", conv, &[x]);
    let mul_add = |b: &mut ModelBuilder, name: &str, x: ValueId| {
        b.node(name, Op::MulAdd { mul: "mul".into(), add: "add".into() }, &[x])
    };
    let x = mul_add(&mut b, "norm1", x);
    let x = b.node("relu", Op::Relu, &[x]);
    let x = b.node("pool", pool, &[x]);
    let x = mul_add(&mut b, "norm2", x);
    b.finish(x).unwrap()
}

fn pooling(numbers: &mut Numbers) -> Op {
    let kernel = [1 + numbers.below(4), 1 + numbers.below(3)];
    let geometry = Geometry {
        kernel,
        stride: [1 + numbers.below(5), 1 + numbers.below(3)],
        dilation: [1 + numbers.below(2), 1],
        pads: [0, 1, 0, 1].map(|axis| numbers.below(kernel[axis])),
    };
    match numbers.below(3) {
        0 => Op::AvgPool2d { geometry, count_include_pad: numbers.below(2) == 1 },
        _ => Op::MaxPool2d { geometry },
    }
}

#[test]
fn random_shapes_equal_the_interpreter() {
    for seed in 0..12 {
        let mut numbers = Numbers(seed);
        let input = Shape::new(60 + numbers.below(40), 50 + numbers.below(30), 1 + numbers.below(2));
        let conv = Geometry::padded([2, 1 + numbers.below(2)], [1, 1], numbers.below(2));
        let c = [48, 64, 51][numbers.below(3)];
        let pool = pooling(&mut numbers);
        let model = network(input, c, conv, pool.clone());
        let n = 1 + numbers.below(2);
        let x = numbers.reals(n * input.elements());
        let kernels: Vec<_> = Session::new(&model, Options::default())
            .unwrap()
            .profile(&x, n)
            .unwrap()
            .into_iter()
            .map(|step| step.kernel)
            .collect();
        assert_eq!(kernels, ["real, pooled"], "{pool:?} was not fused");
        let wrong = differences(&model, n, &x);
        assert!(wrong.is_empty(), "{input:?} {conv:?} {pool:?}: {wrong:#?}");
    }
}

/// The convolution's output is the largest value of such a network, and is never whole.
#[test]
fn memory_for_a_few_rows() {
    let geometry = Geometry::padded([3, 3], [2, 2], 1);
    let model = network(Shape::new(112, 112, 1), 64, Geometry::padded([3, 3], [1, 1], 1), Op::MaxPool2d { geometry });
    let bytes =
        |fuse, batch| Session::new(&model, Options { fuse, batch, ..Options::default() }).unwrap().activation_bytes();
    let (whole, pooled, rows) = (112 * 112 * 64 * 4, 56 * 56 * 64 * 4, 300 * 1024);
    assert!(bytes(false, 1) > whole, "all of it: {}", bytes(false, 1));
    assert!(bytes(true, 1) < pooled + rows, "pooled, and a few rows: {}", bytes(true, 1));
    assert!(bytes(true, 8) < 8 * pooled + rows, "the rows of one sample at a time: {}", bytes(true, 8));
}
