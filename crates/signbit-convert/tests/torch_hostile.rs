//! Damaged state dicts and architectures are errors, not panics.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use signbit_convert::architecture::Architecture;
use signbit_convert::torch;
use signbit_train::recipe::Recipe;

fn file(name: &str, file: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torch").join(name).join(file)).unwrap()
}

fn text(name: &str, which: &str) -> String {
    String::from_utf8(file(name, which)).unwrap()
}

/// The length of a file's header with the eight bytes before it.
fn header(bytes: &[u8]) -> usize {
    8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
}

/// Reads damaged files: cut short, and with bytes of the header changed.
fn damage(bytes: &[u8], step: usize, read: impl Fn(&[u8])) {
    let header = header(bytes);
    for n in (0..header).step_by(step).chain([header, bytes.len() - 1]) {
        read(&bytes[..n]);
    }
    let mut changed = bytes.to_vec();
    for i in (0..header).step_by(step) {
        for byte in [0, b'0', b'9', b'"', bytes[i] ^ 1, 255] {
            changed[i] = byte;
            read(&changed);
        }
        changed[i] = bytes[i];
    }
}

#[test]
fn damaged_files_with_an_architecture() {
    let architecture = Architecture::from_toml(&text("net_joined", "architecture.toml")).unwrap();
    damage(&file("net_joined", "model.safetensors"), 7, |bytes| {
        let _ = torch::read(bytes, Some(&architecture));
    });
}

#[test]
fn damaged_files_of_known_networks() {
    for name in ["reactnet_a", "reactnet_18", "bireal_18"] {
        damage(&file(name, "model.safetensors"), 97, |bytes| {
            let _ = torch::read(bytes, None);
        });
    }
}

#[test]
fn damaged_files_with_a_recipe() {
    for name in ["recipe_mlp", "recipe_small_cnn", "recipe_xnornet_small"] {
        let recipe = Recipe::from_toml(&text(name, "recipe.toml")).unwrap();
        damage(&file(name, "model.safetensors"), 29, |bytes| {
            let _ = torch::read_with_recipe(bytes, &recipe, None);
        });
    }
}

#[test]
fn damaged_architectures() {
    let bytes = file("net_joined", "model.safetensors");
    let toml = text("net_joined", "architecture.toml");
    let try_it = |toml: &str| {
        if let Ok(architecture) = Architecture::from_toml(toml) {
            let _ = torch::read(&bytes, Some(&architecture));
        }
    };
    for (i, _) in toml.char_indices() {
        try_it(&toml[..i]);
        for other in ["9", "0", "-", "\"", "[", "65535"] {
            try_it(&format!("{}{other}{}", &toml[..i], &toml[i + 1..]));
        }
    }
    // Every line away, and twice.
    let lines: Vec<&str> = toml.lines().collect();
    for i in 0..lines.len() {
        try_it(&[&lines[..i], &lines[i + 1..]].concat().join("\n"));
        try_it(&[&lines[..i], &lines[i..=i], &lines[i..]].concat().join("\n"));
    }
}

/// A few lines of TOML do not ask for more memory than the file has.
#[test]
fn small_files_stay_small() {
    let one = 1.0_f32.to_le_bytes();
    let views = [("a.weight", TensorView::new(Dtype::F32, vec![1], &one).unwrap())];
    let bytes = safetensors::serialize(views, None).unwrap();
    let read = |toml: &str| torch::read(&bytes, Some(&Architecture::from_toml(toml).unwrap()));
    let prelus = |c: usize, n: usize| {
        let layer = |i| format!("[[layer]]\ntype = \"prelu\"\nname = \"a\"\nid = \"{i}\"\n");
        format!("input = [1, 1, {c}]\n{}", (0..n).map(layer).collect::<String>())
    };
    assert!(read(&prelus(100, 3)).is_ok());
    assert!(read(&prelus(1 << 26, 1)).is_err());
    assert!(read(&prelus(60_000, 200)).is_err());
    // Channels that double forty times.
    let double = |i| format!("[[layer]]\ntype = \"concat\"\nid = \"c{i}\"\nfrom = [\"x{i}\", \"x{i}\"]\n");
    let relu = |i| format!("[[layer]]\ntype = \"relu\"\nid = \"x{}\"\n", i + 1);
    let layers: String = (0..40).map(|i| double(i) + &relu(i)).collect();
    let toml = format!("input = [1, 1, 9]\n[[layer]]\ntype = \"relu\"\nid = \"x0\"\n{layers}");
    assert!(read(&toml).is_err());
    let flat = toml.replace("[1, 1, 9]", "[3, 3, 2]").replacen("\"relu\"", "\"flatten\"", 1);
    assert!(read(&flat).is_err());
}
