//! Recipes through the real binary: written, changed, overridden, refused.

mod common;

use common::{Folder, text};

#[test]
fn a_written_recipe_trains_and_the_run_keeps_every_value() {
    let folder = Folder::new();
    let said = folder.run("init mlp -o my.toml");
    assert!(said.contains("signbit train my.toml"), "{said}");
    let recipe = String::from_utf8(folder.read("my.toml")).unwrap();
    folder.write("my.toml", recipe.replace("width = 1024", "width = 16").replace("epochs = 20", "epochs = 1"));
    folder.run("train my.toml --data digits --out r --set augmentation.shift=1 --set seed=5 --batch 50");
    let kept = String::from_utf8(folder.read("r/recipe.toml")).unwrap();
    for line in ["width = 16", "epochs = 1", "shift = 1", "seed = 5", "batch = 50", "source = \"digits\""] {
        assert!(kept.lines().any(|kept| kept == line), "{line}: {kept}");
    }
    // The kept recipe names its data: the same training again, to the same bytes.
    folder.run("train r/recipe.toml --out again");
    assert!(folder.read("r/checkpoint.safetensors") == folder.read("again/checkpoint.safetensors"));
    // A run that goes on needs neither a recipe nor data.
    folder.run("train --out r --resume --epochs 2");
    assert_eq!(String::from_utf8(folder.read("r/metrics.csv")).unwrap().lines().count(), 3);
}

/// Command, what stderr must say.
const CASES: &[(&str, &str)] = &[
    ("init", "recipe.toml: there is a file already; --force replaces it"),
    ("init lenet -o new.toml", "there is no network \"lenet\"; the networks are mlp"),
    ("init -o folder", "folder: this is a folder"),
    ("init -o none/new.toml", "none/new.toml: cannot write the recipe"),
    ("train typo.toml --data digits --out new", "typo.toml: line 2: there is no key \"epochz\"; did you mean epochs?"),
    ("train table.toml --data digits --out new", "did you mean augmentation.flip?"),
    (
        "train word.toml --data digits --out new",
        "word.toml: line 2: epochs: invalid type: string \"ten\", expected u32",
    ),
    ("train broken.toml --data digits --out new", "broken.toml: line 2: "),
    ("train bare.toml --data digits --out new", "bare.toml: there is no network; write network = \"NAME\""),
    ("train range.toml --data digits --out new", "range.toml: width is 0; it must be from 1 to 65536"),
    ("train none.toml --data digits --out new", "none.toml: cannot read the recipe"),
    ("train folder/ --data digits --out new", "folder/: cannot read the recipe"),
    ("train binary.toml --data digits --out new", "binary.toml: cannot read the recipe"),
    ("train mlpp --data digits --out new", "there is no network \"mlpp\"; the networks are mlp, small-cnn"),
    ("train mlp --out new", "there is no data: give --data NAME|PATH, or data.source in the recipe"),
    ("train --data digits --out new", "name what is to be trained"),
    (
        "train mlp --data digits --out new --set wdith=3",
        "--set wdith=3: there is no key \"wdith\"; did you mean width?",
    ),
    ("train mlp --data digits --out new --set width", "--set width: write KEY=VALUE"),
    ("train mlp --data digits --out new --set width=wide", "--set width=wide: width: invalid type"),
    ("train mlp --data digits --out new --set data.test_share=1", "test share is 1; it must be above 0 and below 1"),
    ("train mlp --data digits --out new --set network=small-cnn", "the network is that of the recipe"),
    (
        "train mlp --data digits --out new --set init=nowhere",
        "init: nowhere is not a training run: it has no checkpoint",
    ),
    (
        "train mlp --data digits --out new --set distillation.teacher=folder",
        "distillation.teacher: folder is not a training run",
    ),
    ("train mlp --data digits --out new --set label_smoothing=1", "label smoothing is 1; it must be from 0 to below 1"),
    ("train mlp --data digits --out new --set teacher=r", "did you mean distillation.teacher?"),
    ("train mlp --data digits --out new --set brightness=1", "did you mean augmentation.brightness?"),
    ("train mlp --data digits --out new --weight-quantizer signum", "there is no quantizer \"signum\""),
    (
        "train mlp --data digits --out new --quantizer dorefa(2)",
        "dorefa: activations of k bits, from 0 to 1, cannot be packed",
    ),
    ("train mlp --data digits --out new --quantizer libra_pb", "libra_pb is a quantizer of weights"),
    ("train mlp --data digits --out new --weight-quantizer rsign", "rsign is a quantizer of activations"),
    ("train mlp --data digits --out new --quantizer swish_sign(0)", "the setting in parentheses is the steepness"),
    (
        "train xnornet-small --data digits --out new --weight-quantizer libra_pb",
        "scale: libra_pb has a scale factor of its own; write scale = \"none\"",
    ),
];

#[test]
fn a_wrong_recipe_is_one_line_and_nothing_is_written() {
    let folder = Folder::new();
    folder.run("init");
    std::fs::create_dir(folder.path("folder")).unwrap();
    for (name, body) in [
        ("typo", "network = \"mlp\"\nepochz = 3\n"),
        ("table", "network = \"mlp\"\n[augmentation]\nflipp = true\n"),
        ("word", "network = \"mlp\"\nepochs = \"ten\"\n"),
        ("broken", "network = \"mlp\"\nwidth = \n"),
        ("bare", "width = 3\n"),
        ("range", "network = \"mlp\"\nwidth = 0\n"),
    ] {
        folder.write(&format!("{name}.toml"), body);
    }
    folder.write("binary.toml", [0xff, 0xfe, 0, 1]);
    let mut wrong = Vec::new();
    for (words, expected) in CASES {
        let output = folder.output(words);
        let (stdout, stderr) = text(&output);
        let good = output.status.code() == Some(2)
            && stdout.is_empty()
            && stderr.contains(expected)
            && stderr.trim_end().lines().count() == 1;
        if !good || folder.path("new").exists() || folder.path("new.toml").exists() {
            wrong.push(format!("{words}: {:?}\n  {stdout}{stderr}  expected {expected:?}", output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
