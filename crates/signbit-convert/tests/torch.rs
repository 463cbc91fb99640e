//! State dicts of PyTorch against PyTorch's own outputs (`scripts/peers/torch_cases.py` made them).

use std::fs;
use std::path::{Path, PathBuf};

use signbit_convert::architecture::Architecture;
use signbit_convert::passes::simplify;
use signbit_convert::{ConvertError, Imported, Warning, torch};
use signbit_model::interpreter::{self, ValueData};
use signbit_model::{Model, Shape};
use signbit_train::data::npy::{self, Numbers};
use signbit_train::recipe::Recipe;

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
    assert!(imported.model.preprocessing.as_ref().unwrap().resize.unwrap().crop);
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

fn recipe(name: &str, input: Option<Shape>) -> Imported {
    let folder = folder(name);
    let recipe = Recipe::from_toml(&fs::read_to_string(folder.join("recipe.toml")).unwrap()).unwrap();
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    torch::read_with_recipe(&bytes, &recipe, input).unwrap()
}

#[test]
fn recipes() {
    let shapes =
        [("mlp", Shape::new(5, 5, 3)), ("small_cnn", Shape::new(12, 8, 3)), ("xnornet_small", Shape::new(12, 9, 3))];
    for (name, shape) in shapes {
        let name = format!("recipe_{name}");
        let imported = recipe(&name, Some(shape));
        assert_eq!(imported.warnings, [], "{name}");
        assert_eq!(imported.model.preprocessing.as_ref().unwrap().shape(), shape);
        let (n, expected) = floats(&folder(&name).join("output.npy"));
        let found = run(&imported.model, n[0], &floats(&folder(&name).join("input.npy")).1);
        let far = distance(&found, &expected);
        println!("{name}: {far:e}");
        assert!(far < 1e-5, "{name}: {far:e}: {found:?} {expected:?}");
    }
}

#[test]
fn the_input_of_a_recipe_is_deduced() {
    let deduced = |name| recipe(name, None).model.graph.input.shape;
    assert_eq!(deduced("recipe_mlp"), Shape::new(5, 5, 3));
    assert_eq!(deduced("recipe_xnornet_small"), Shape::new(32, 32, 3));
}

fn message(result: Result<Imported, ConvertError>) -> String {
    match result {
        Err(e) => e.to_string(),
        Ok(_) => panic!("read"),
    }
}

#[test]
fn what_cannot_be_read_says_what_is_needed() {
    let file = |name: &str| fs::read(folder(name).join("model.safetensors")).unwrap();
    let unknown = message(torch::read(&file("net_layers"), None));
    assert!(
        unknown.contains("\"0.bias\", \"0.weight\"") && unknown.contains("architecture file or a recipe"),
        "{unknown}"
    );
    for pickle in [&b"PK\x03\x04\x14\0\0\0\x08\x08"[..], b"\x80\x02}q\0(X\x0b\0\0\0"] {
        let message = message(torch::read(pickle, None));
        assert!(message.contains("pickle") && message.contains("save_file") && !message.contains('\n'), "{message}");
    }
    assert!(message(torch::read(b"", None)).contains("not a whole safetensors file"));

    let toml = fs::read_to_string(folder("net_layers").join("architecture.toml")).unwrap();
    let with = |from: &str, to: &str| {
        assert!(toml.contains(from), "{from}");
        torch::read(&file("net_layers"), Some(&Architecture::from_toml(&toml.replacen(from, to, 1)).unwrap()))
    };
    let cases = [
        ("name = \"17\"", "name = \"18\"", "there is no weight `18.weight`; did you mean `"),
        ("input = [9, 7, 3]", "input = [9, 7, 4]", "`0.weight` has shape [6, 3, 3, 3], it must be [O, 4, kh, kw]"),
        ("kernel = 2\nstride = 1", "kernel = 2", "it must be ["),
        ("groups = 2", "groups = 3", "8 channels do not divide into 3 groups"),
        ("type = \"flatten\"", "type = \"relu\"", "it must be ["),
        (
            "name = \"10\"",
            "name = \"0\"\nid = \"prelu\"",
            "the weight `0.weight` has shape [6, 3, 3, 3], it must be [4]",
        ),
        ("padding = 2", "padding = 2\nkernel = 5", "it must be [O, 4, 5, 5]"),
    ];
    for (from, to, expected) in cases {
        let message = message(with(from, to));
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let unread = with("[[layer]]\ntype = \"batch_norm\"\nname = \"15\"\n", "").unwrap();
    assert!(unread.warnings[1].to_string().contains("no layer reads 4 of the file's tensors, such as \"15.bias\""));
}

#[test]
fn a_recipe_that_does_not_fit_says_so() {
    let bytes = fs::read(folder("recipe_mlp").join("model.safetensors")).unwrap();
    let read = |toml: &str, input| message(torch::read_with_recipe(&bytes, &Recipe::from_toml(toml).unwrap(), input));
    let cases = [
        ("network = \"mlp\"\nwidth = 13", "`dense1.weight` has shape [12, 75], it must be [13, 75]"),
        ("network = \"mlp\"\nwidth = 9000", "the file is too small"),
        ("network = \"mlp\"\nwidth = 60000", "a width of 60000 gives 7205100004 parameters; at most"),
        ("network = \"small-cnn\"\nwidth = 3", "there is no weight `conv1.weight`"),
    ];
    for (toml, expected) in cases {
        let message = read(toml, None);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let huge = Shape::new(usize::MAX, usize::MAX, 3);
    assert!(read("network = \"mlp\"\nwidth = 12", Some(huge)).contains("parameters; at most"));
}
