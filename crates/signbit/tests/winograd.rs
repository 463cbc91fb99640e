//! Real convolutions by minimal filtering, where a caller allows them.

mod common;

use common::Numbers;
use signbit::model::{Geometry, Model, ModelBuilder, Op, Padding, Shape};
use signbit::{Isa, Options, Session};

/// A stem, with a pooling or without, a second real convolution of stride 1, and binary layers.
fn network(input: Shape, pooled: bool) -> Model {
    let mut numbers = Numbers(7);
    let mut b = ModelBuilder::new(input);
    b.tensor("stem", numbers.f32_tensor(&[32, 7, 7, input.c]));
    b.tensor("bias", numbers.f32_tensor(&[32]));
    b.tensor("real", numbers.f32_tensor(&[48, 3, 3, 32]));
    b.tensor("bits", numbers.bit_tensor(&[64, 3, 3, 48]));
    let x = b.input();
    let geometry = Geometry::padded([7, 7], [2, 2], 3);
    let x = b.node("stem", Op::Conv2d { weight: "stem".into(), bias: Some("bias".into()), geometry, groups: 1 }, &[x]);
    let x = b.node("relu", Op::Relu, &[x]);
    let x = match pooled {
        true => b.node("pool", Op::MaxPool2d { geometry: Geometry::padded([3, 3], [2, 2], 1) }, &[x]),
        false => x,
    };
    let geometry = Geometry::padded([3, 3], [1, 1], 1);
    let x = b.node("real", Op::Conv2d { weight: "real".into(), bias: None, geometry, groups: 1 }, &[x]);
    let signs = b.node("sign", Op::Sign, &[x]);
    let conv = Op::BinaryConv2d { weight: "bits".into(), geometry, groups: 1, padding: Padding::One };
    let x = b.node("binary", conv, &[signs]);
    let x = b.node("scale", Op::Affine { mul: 1.0, add: 0.0 }, &[x]);
    let x = b.node("mean", Op::GlobalAvgPool, &[x]);
    b.finish(x).unwrap()
}

fn kernels(model: &Model, options: Options, x: &[f32]) -> Vec<&'static str> {
    let times = Session::new(model, options).unwrap().profile(x, 1).unwrap();
    times.into_iter().map(|step| step.kernel).filter(|kernel| kernel.starts_with("real")).collect()
}

#[test]
fn only_where_it_is_allowed() {
    let input = Shape::new(130, 150, 3);
    let model = network(input, true);
    let x = Numbers(1).reals(input.elements());
    let options = Options::default();
    assert_eq!(kernels(&model, options, &x), ["real, pooled", "real"]);
    assert_eq!(
        kernels(&model, Options { winograd: true, ..options }, &x),
        ["real, winograd, pooled", "real, winograd"]
    );
}

/// Near the interpreter's numbers, bits but for a few, and the same whatever the rest of the options.
#[test]
fn near_the_default_and_the_same_everywhere() {
    for (input, pooled) in [(Shape::new(130, 150, 3), true), (Shape::new(61, 47, 3), false)] {
        let model = network(input, pooled);
        let x = Numbers(2).reals(3 * input.elements());
        let run = |options| Session::new(&model, options).unwrap().run(&x, 3).unwrap().to_vec();
        let of_one = |node: &str, winograd: bool| {
            let options = Options { winograd, fuse: false, ..Options::default() };
            let (mut session, mut found) = (Session::new(&model, options).unwrap(), Vec::new());
            session
                .run_traced(&x[..input.elements()], 1, |at, value| {
                    if let (true, signbit::ValueView::F32 { data, .. }) = (at.name == node, value) {
                        found = data.to_vec();
                    }
                })
                .unwrap();
            found
        };
        for node in ["stem", "real"] {
            let (expected, found) = (of_one(node, false), of_one(node, true));
            let largest = expected.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            let apart = expected.iter().zip(&found).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(!expected.is_empty() && apart > 0.0 && apart < 1e-5 * largest, "{node}: {apart} of {largest}");
        }
        let expected = run(Options { winograd: true, ..Options::default() });
        let plain = run(Options::default());
        let apart = expected.iter().zip(&plain).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        // The mean of dot products of 432 bits: one bit that flips changes nine of them by 2.
        assert!(apart < 0.5, "{apart}");
        let threads: &[usize] = if cfg!(feature = "rayon") { &[1, 2, 3] } else { &[1] };
        for isa in Isa::all() {
            for &threads in threads {
                for (batch, fuse) in [(1, true), (3, true), (2, false)] {
                    let options = Options { isa, threads, batch, fuse, winograd: true, ..Options::default() };
                    let found = run(options);
                    assert!(
                        found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()),
                        "{}, {threads} threads, batch {batch}, fuse {fuse}",
                        isa.name()
                    );
                }
            }
        }
    }
}

/// Each thread's scratch counts.
#[cfg(feature = "rayon")]
#[test]
fn scratch_is_within_the_memory_limit() {
    let model = network(Shape::new(130, 150, 3), true);
    let fits = |threads, memory_limit| {
        let options = Options { winograd: true, threads, memory_limit, ..Options::default() };
        match Session::new(&model, options) {
            Ok(_) => true,
            Err(signbit::Error::MemoryLimit { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    };
    // The least that one thread is content with.
    let (mut low, mut high) = (0, Options::MEMORY_LIMIT);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if fits(1, middle) { high = middle } else { low = middle }
    }
    assert!(fits(1, high) && !fits(2, high) && fits(2, 2 * high), "{high}");
}
