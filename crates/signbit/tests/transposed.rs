//! Transposed convolutions of random shapes against the interpreter, exactly, on every instruction set.

mod common;

use common::{Numbers, same};
use signbit::model::interpreter::{self, Value, ValueData};
use signbit::model::{Model, ModelBuilder, Op, Shape, TransposedGeometry};
use signbit::{Error, Isa, Options, Session};

/// What follows the layer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Nothing,
    /// Stages on real numbers.
    Stages,
    /// Bits.
    Threshold,
}

fn random(numbers: &mut Numbers) -> (Model, String) {
    let mut two = |n, least| [numbers.below(n) + least, numbers.below(n) + least];
    let (kernel, stride, dilation, size) = (two(4, 1), two(3, 1), two(3, 1), two(5, 1));
    let (first, last, output_padding) = (two(4, 0), two(4, 0), two(3, 0));
    let pads = [first[0], first[1], last[0], last[1]];
    let geometry = TransposedGeometry { kernel, stride, dilation, pads, output_padding };
    let groups = [1, 1, 2, 3][numbers.below(4)];
    let c_group = [1, 2, 3, 7, 16, 33, 64, 65][numbers.below(8)];
    let c_out = groups * [1, 2, 5, 17, 33, 64][numbers.below(6)];
    let (c_group, c_out, groups) = if numbers.below(5) == 0 { (1, 20, 20) } else { (c_group, c_out, groups) };
    let (bits, bias) = (numbers.below(3) != 0, numbers.below(2) == 0);
    let then = [Then::Nothing, Then::Stages, Then::Threshold][numbers.below(3)];
    let shape = Shape::new(size[0], size[1], groups * c_group);
    let what = format!("{geometry:?} {shape} to {c_out} in {groups} groups, bits {bits}, bias {bias}, {then:?}");
    if geometry.output_size(shape.h, shape.w).is_err() {
        return random(numbers);
    }
    let mut b = ModelBuilder::new(shape);
    let weight = [c_out, kernel[0], kernel[1], c_group];
    b.tensor("w", if bits { numbers.bit_tensor(&weight) } else { numbers.f32_tensor(&weight) });
    let weight = "w".to_owned();
    let x = if bits {
        let x = b.node("sign", Op::Sign, &[b.input()]);
        b.node("up", Op::BinaryConv2dTranspose { weight, geometry, groups }, &[x])
    } else {
        if bias {
            b.tensor("b", numbers.f32_tensor(&[c_out]));
        }
        let bias = bias.then(|| "b".into());
        b.node("up", Op::Conv2dTranspose { weight, bias, geometry, groups }, &[b.input()])
    };
    let y = match then {
        Then::Threshold if bits => {
            b.tensor("t", numbers.thresholds(c_out)).tensor("f", numbers.bit_tensor(&[1, c_out]));
            b.node("t", Op::Threshold { threshold: "t".into(), flip: "f".into() }, &[x])
        }
        Then::Nothing => x,
        _ => {
            b.tensor("m", numbers.f32_tensor(&[c_out])).tensor("a", numbers.f32_tensor(&[c_out]));
            let x = b.node("mul_add", Op::MulAdd { mul: "m".into(), add: "a".into() }, &[x]);
            b.node("relu", Op::Relu, &[x])
        }
    };
    (b.finish(y).unwrap(), what)
}

fn numbers_of(value: &Value) -> Vec<f32> {
    match &value.data {
        ValueData::F32(data) => data.clone(),
        ValueData::I32(data) => data.iter().map(|&v| v as f32).collect(),
        ValueData::Bits(data) => data.iter().map(|&v| f32::from(v)).collect(),
    }
}

#[test]
fn random_shapes_equal_the_interpreter() {
    let mut numbers = Numbers(2026);
    let mut wrong = Vec::new();
    for _ in 0..250 {
        let (model, what) = random(&mut numbers);
        let n = numbers.below(3) + 1;
        let input = numbers.reals(n * model.graph.input.shape.elements());
        let expected = numbers_of(&interpreter::run(&model, n, &input).unwrap());
        for isa in Isa::all() {
            for (threads, fuse) in [(1, true), (3, true), (1, false)] {
                if threads > 1 && !cfg!(feature = "rayon") {
                    continue;
                }
                let options = Options { isa, threads, batch: 2, fuse, ..Options::default() };
                let mut session = Session::new_sharing_small_steps(&model, options).unwrap();
                let found = session.run(&input, n).unwrap();
                if found.len() != expected.len() || !found.iter().zip(&expected).all(|(&a, &b)| same(a, b)) {
                    wrong.push(format!("{} {threads} fuse {fuse}: {what}", isa.name()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
}

/// An output of 2^31 - 1 numbers at most is a valid graph, but not within the memory that is allowed.
#[test]
fn an_output_beyond_the_limit_is_refused_before_it_is_allocated() {
    let mut b = ModelBuilder::new(Shape::new(2, 2, 1));
    b.tensor("w", Numbers(1).bit_tensor(&[1, 1, 1, 1]));
    let geometry = TransposedGeometry::valid([1, 1], [32_767, 32_767], [1, 1]);
    let x = b.node("sign", Op::Sign, &[b.input()]);
    let y = b.node("up", Op::BinaryConv2dTranspose { weight: "w".into(), geometry, groups: 1 }, &[x]);
    let model = b.finish(y).unwrap();
    let options = Options { memory_limit: 1 << 20, ..Options::default() };
    match Session::new(&model, options) {
        Err(Error::MemoryLimit { layer, .. }) => assert_eq!(layer, "up"),
        other => panic!("{other:?}"),
    }
}
