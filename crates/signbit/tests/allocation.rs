//! A run allocates nothing.

mod common;

use common::Numbers;
use signbit::model::{Geometry, Model, ModelBuilder, Op, Padding, Shape, TransposedGeometry};
use signbit::{Options, Session};

/// A network with fused and unfused steps, scratch, branches and bits of odd widths.
fn network() -> Model {
    let mut numbers = Numbers(7);
    let mut b = ModelBuilder::new(Shape::new(8, 8, 3));
    let geometry = Geometry::padded([3, 3], [1, 1], 1);
    b.tensor("stem", numbers.f32_tensor(&[20, 3, 3, 3]));
    b.tensor("w", numbers.bit_tensor(&[20, 3, 3, 20]));
    b.tensor("m", numbers.f32_tensor(&[20]));
    b.tensor("t", numbers.thresholds(20));
    b.tensor("f", numbers.bit_tensor(&[1, 20]));
    b.tensor("fc", numbers.f32_tensor(&[10, 8 * 8 * 40]));
    let conv = || Op::BinaryConv2d { weight: "w".into(), geometry, groups: 1, padding: Padding::Zero };
    let stem = Op::Conv2d { weight: "stem".into(), bias: None, geometry, groups: 1 };
    let stem = b.node("stem", stem, &[b.input()]);
    let scale = b.node("k", Op::ActivationScale { geometry }, &[stem]);
    let bits = b.node("rsign", Op::RSign { shift: "m".into() }, &[stem]);
    let dots = b.node("conv1", conv(), &[bits]);
    let bits = b.node("t1", Op::Threshold { threshold: "t".into(), flip: "f".into() }, &[dots]);
    // The same size again: 8 = 4 * 2.
    let pool = b.node("pool", Op::MaxPool2d { geometry: Geometry::valid([2, 2], [2, 2], [1, 1]) }, &[bits]);
    let geometry = TransposedGeometry { pads: [0, 0, 1, 1], ..TransposedGeometry::valid([3, 3], [2, 2], [1, 1]) };
    let up = b.node("up", Op::BinaryConv2dTranspose { weight: "w".into(), geometry, groups: 1 }, &[pool]);
    let bits = b.node("t2", Op::Threshold { threshold: "t".into(), flip: "f".into() }, &[up]);
    let up2 = b.node("up2", Op::BinaryConv2dTranspose { weight: "w".into(), geometry, groups: 1 }, &[pool]);
    let geometry = TransposedGeometry::valid([1, 1], [1, 1], [1, 1]);
    b.tensor("real_up", numbers.f32_tensor(&[20, 1, 1, 20]));
    let up = Op::Conv2dTranspose { weight: "real_up".into(), bias: Some("m".into()), geometry, groups: 1 };
    let stem = b.node("up3", up, &[stem]);
    let dots = b.node("conv2", conv(), &[bits]);
    let x = b.node("mul", Op::Mul, &[dots, scale]);
    let x = b.node("bn", Op::MulAdd { mul: "m".into(), add: "m".into() }, &[x]);
    let x = b.node("add", Op::Add, &[x, stem]);
    let up2 = b.node("relu", Op::Relu, &[up2]);
    let x = b.node("add2", Op::Add, &[x, up2]);
    let more = b.node("sign", Op::Sign, &[x]);
    let x = b.node("concat", Op::Concat, &[bits, more]);
    let x = b.node("flat", Op::Flatten, &[x]);
    let x = b.node("unpack", Op::Unpack, &[x]);
    let x = b.node("fc", Op::Dense { weight: "fc".into(), bias: None }, &[x]);
    let x = b.node("softmax", Op::Softmax, &[x]);
    b.finish(x).unwrap()
}

#[test]
fn a_run_on_one_thread_allocates_nothing() {
    let model = network();
    let mut numbers = Numbers(1);
    let input = numbers.reals(3 * 8 * 8 * 3);
    for fuse in [true, false] {
        let mut session = Session::new(&model, Options { batch: 3, fuse, ..Options::default() }).unwrap();
        let mut output = [0.0; 30];
        let count = allocation_counter::measure(|| {
            for n in [3, 1, 2] {
                session.run(&input[..n * 192], n).unwrap();
            }
            session.run_traced(&input, 3, |_, _| ()).unwrap();
            session.run_into(&input, 3, &mut output).unwrap();
        });
        assert_eq!(count.count_total, 0, "fuse: {fuse}");
    }
}

/// Samples beyond the planned batch need a longer output, once.
#[test]
fn a_longer_output_is_allocated_once() {
    let model = network();
    let input = Numbers(2).reals(5 * 192);
    let mut session = Session::new(&model, Options { batch: 2, ..Options::default() }).unwrap();
    let first = allocation_counter::measure(|| {
        session.run(&input, 5).unwrap();
    });
    let second = allocation_counter::measure(|| {
        session.run(&input, 5).unwrap();
    });
    assert_eq!((first.count_total, second.count_total), (1, 0));
}
