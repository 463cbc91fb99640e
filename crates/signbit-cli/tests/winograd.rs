//! `--winograd`: a model with a large stem, by every word that has the option.

mod common;

use common::{Folder, le_bytes, npy};
use signbit::model::{Geometry, ModelBuilder, Op, Shape, Tensor, file};

/// A 7x7 stem of stride 2 and the mean of its outputs.
fn setup() -> Folder {
    let folder = Folder::new();
    let wave = |len: usize| (0..len).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<f32>>();
    let mut b = ModelBuilder::new(Shape::new(64, 64, 3));
    b.tensor("w", Tensor::F32 { shape: vec![16, 7, 7, 3], data: wave(16 * 147) });
    let geometry = Geometry::padded([7, 7], [2, 2], 3);
    let x = b.input();
    let x = b.node("stem", Op::Conv2d { weight: "w".into(), bias: None, geometry, groups: 1 }, &[x]);
    let x = b.node("relu", Op::Relu, &[x]);
    let x = b.node("mean", Op::GlobalAvgPool, &[x]);
    file::save(&b.finish(x).unwrap(), folder.path("m.signbit")).unwrap();
    folder.write("x.npy", npy("<f4", "2, 64, 64, 3", &le_bytes(&wave(2 * 64 * 64 * 3))));
    folder
}

#[test]
fn numbers_next_to_the_default() {
    let folder = setup();
    let output = |options: &str| {
        folder.run(&format!("run m.signbit --input x.npy --output y.npy {options}"));
        let bytes = folder.read("y.npy");
        let (_, numbers) = bytes.split_at(bytes.len() - 2 * 16 * 4);
        numbers.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect::<Vec<f32>>()
    };
    let (plain, winograd) = (output(""), output("--winograd"));
    let largest = plain.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let apart = plain.iter().zip(&winograd).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(apart > 0.0 && apart < 1e-5 * largest, "{apart} of {largest}");
    assert_eq!(output("--winograd --threads 2 --batch 1"), winograd);
    assert_eq!(output("--winograd --isa portable"), winograd);
}

#[test]
fn the_kernel_is_named() {
    let folder = setup();
    let kernel = |options: &str| {
        let found = folder.json(&format!("bench m.signbit --seconds 0.02 --threads 1 {options}"));
        found["layers"][0]["kernel"].as_str().unwrap().to_owned()
    };
    assert_eq!([kernel(""), kernel("--winograd")], ["real", "real, winograd"]);
}
