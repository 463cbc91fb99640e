//! Networks of features that are concatenated and sliced, which fusion reads where they lie.

mod common;

use common::{Numbers, differences};
use signbit::model::{Geometry, Model, ModelBuilder, Op, Padding, Shape, ValueId};

/// Blocks of a MeliusNet on `channels`, each with `new` channels made and improved. `cut` moves the slices by some
/// channels, so that they go through the parts.
fn network(channels: usize, new: usize, cut: usize) -> Model {
    let mut numbers = Numbers(channels as u64);
    let mut b = ModelBuilder::new(Shape::new(5, 4, channels));
    let mut layer = |b: &mut ModelBuilder, name: &str, x: ValueId, c: usize, out: usize| {
        let weight = format!("{name}.w");
        b.tensor(&weight, numbers.bit_tensor(&[out, 3, 3, c]));
        let bits = b.node(format!("{name}.sign"), Op::Sign, &[x]);
        let geometry = Geometry::padded([3, 3], [1, 1], 1);
        let conv = Op::BinaryConv2d { weight, geometry, groups: 1, padding: Padding::Zero };
        let dots = b.node(format!("{name}.conv"), conv, &[bits]);
        b.node(format!("{name}.scale"), Op::Affine { mul: 0.25, add: -0.5 }, &[dots])
    };
    let (mut x, mut c) = (b.input(), channels);
    for block in 0..3 {
        let made = layer(&mut b, &format!("make{block}"), x, c, new);
        let all = b.node(format!("all{block}"), Op::Concat, &[x, made]);
        let last = new + cut;
        let old = b.node(format!("old{block}"), Op::Slice { start: 0, end: c - cut }, &[all]);
        let latest = b.node(format!("latest{block}"), Op::Slice { start: c - cut, end: c + new }, &[all]);
        let better = layer(&mut b, &format!("improve{block}"), all, c + new, last);
        let better = b.node(format!("add{block}"), Op::Add, &[latest, better]);
        x = b.node(format!("block{block}"), Op::Concat, &[old, better]);
        c += new;
    }
    let pool = Op::MaxPool2d { geometry: Geometry::valid([2, 2], [2, 2], [1, 1]) };
    let x = b.node("pool", pool, &[x]);
    let x = b.node("mean", Op::GlobalAvgPool, &[x]);
    b.finish(x).unwrap()
}

#[test]
fn improved_features_equal_the_interpreter() {
    for (channels, new, cut) in [(64, 64, 0), (7, 5, 0), (70, 3, 0), (12, 8, 1)] {
        let model = network(channels, new, cut);
        let input = Numbers(9).reals(3 * 20 * channels);
        let wrong = differences(&model, 3, &input);
        assert!(wrong.is_empty(), "{channels} {new} {cut}: {wrong:#?}");
    }
}
