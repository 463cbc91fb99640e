//! State dicts of PyTorch against PyTorch's own outputs (`scripts/peers/torch_cases.py` made them).

use std::fs;
use std::path::{Path, PathBuf};

use signbit_convert::architecture::Architecture;
use signbit_convert::passes::simplify;
use signbit_convert::{Imported, Warning, torch};
use signbit_model::Model;
use signbit_model::interpreter::{self, ValueData};
use signbit_train::data::npy::{self, Numbers};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torch").join(name)
}

fn floats(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let array = npy::parse(&fs::read(path).unwrap()).unwrap();
    match array.numbers {
        Numbers::F32(numbers) => (array.shape, numbers),
        other => panic!("{other:?}"),
    }
}

/// Multiples of 1/64 in [-2, 2), as the generator makes them.
fn pattern(n: usize) -> Vec<f32> {
    let one = |i: u32| ((i.wrapping_mul(2_654_435_761) >> 24) as f32 - 128.0) / 64.0;
    (0..n as u32).map(one).collect()
}

fn run(model: &Model, n: usize, input: &[f32]) -> Vec<f32> {
    match interpreter::run(model, n, input).unwrap().data {
        ValueData::F32(numbers) => numbers,
        other => panic!("{other:?}"),
    }
}

fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    found.iter().zip(expected).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

/// Reads a case, and checks its output before and after the passes.
fn check(name: &str, expected_warnings: usize) -> Imported {
    let folder = folder(name);
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let toml = fs::read_to_string(folder.join("architecture.toml")).ok();
    let architecture = toml.map(|text| Architecture::from_toml(&text).unwrap());
    let imported = torch::read(&bytes, architecture.as_ref()).unwrap();
    let (shape, expected) = floats(&folder.join("output.npy"));
    let input = match folder.join("input.npy") {
        path if path.exists() => floats(&path).1,
        _ => pattern(shape[0] * imported.model.graph.input.shape.elements()),
    };
    let found = run(&imported.model, shape[0], &input);
    let far = distance(&found, &expected);
    assert!(far < 1e-5, "{name}: {far:e}: {found:?} {expected:?}");
    assert_eq!(imported.warnings.len(), expected_warnings, "{name}: {:?}", imported.warnings);
    let simple = simplify(imported.clone()).unwrap();
    let names: Vec<_> = simple.model.graph.nodes.iter().map(|node| node.op.name()).collect();
    assert!(names.iter().any(|name| name.starts_with("binary_")), "{name}: {names:?}");
    let far = distance(&run(&simple.model, shape[0], &input), &expected);
    println!("{name}: {far:e} after the passes; {names:?}");
    assert!(far < 1e-5, "{name}: {far:e} after the passes");
    imported
}

#[test]
fn layers_in_a_row() {
    let imported = check("net_layers", 1);
    assert!(matches!(&imported.warnings[0], Warning::SignOfZero { node } if node == "sign3"));
    assert_eq!(imported.operators["conv2d"], 3);
}

#[test]
fn every_type_of_number() {
    for name in ["net_f16", "net_bf16", "net_f64"] {
        check(name, 1);
    }
}

#[test]
fn shortcuts_and_learned_channels() {
    check("net_joined", 1);
}

#[test]
fn reactnet_a() {
    let imported = check("reactnet_a", 1);
    assert_eq!(imported.model.preprocessing.as_ref().unwrap().resize.unwrap().crop, true);
    assert_eq!(imported.operators["rprelu"], 6);
}

#[test]
fn reactnet_18() {
    let imported = check("reactnet_18", 2);
    assert!(imported.warnings[1].to_string().contains("latent"));
}

#[test]
fn bireal_18() {
    check("bireal_18", 1);
}
