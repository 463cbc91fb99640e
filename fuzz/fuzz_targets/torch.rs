//! Any bytes, as a state dict of a known network or of a fixed architecture, are a valid model or an error.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use signbit_convert::architecture::Architecture;
use signbit_convert::torch;
use signbit_train::recipe::Recipe;

/// A picture, with a shortcut and a flatten; and a vector.
static ARCHITECTURES: LazyLock<Vec<Architecture>> = LazyLock::new(|| {
    let picture = r#"
        input = [5, 4, 2]
        [[layer]]
        type = "conv2d"
        name = "a"
        padding = 1
        [[layer]]
        type = "rsign"
        name = "b"
        [[layer]]
        type = "conv2d"
        name = "c"
        weights = "scaled_sign"
        kernel = 1
        [[layer]]
        type = "add"
        from = ["a", "c"]
        [[layer]]
        type = "flatten"
        [[layer]]
        type = "dense"
        name = "d"
        weights = "sign"
    "#;
    let vector = r#"
        input = [1, 1, 3]
        [[layer]]
        type = "batch_norm"
        name = "a"
        [[layer]]
        type = "prelu"
        name = "b"
        [[layer]]
        type = "dense"
        name = "c"
    "#;
    [picture, vector].map(|text| Architecture::from_toml(text).expect("a right file")).into()
});
static RECIPE: LazyLock<Recipe> =
    LazyLock::new(|| Recipe::from_toml("network = \"mlp\"\nwidth = 2").expect("a right recipe"));

fuzz_target!(|bytes: &[u8]| {
    let read = ARCHITECTURES.iter().map(|architecture| torch::read(bytes, Some(architecture)));
    let others = [torch::read(bytes, None), torch::read_with_recipe(bytes, &RECIPE, None)];
    for imported in read.chain(others).flatten() {
        imported.model.validate().expect("what is read is valid");
    }
});
