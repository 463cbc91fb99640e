//! Bad input: one clear line on stderr, exit code 2, and nothing half-written.

mod common;

use std::hash::{DefaultHasher, Hasher};

use common::{Folder, le_bytes, npy, text};
use signbit_model::{Op, Tensor, file};
use signbit_train::checkpoint;

/// A run, its model, and files that are wrong in one way each.
fn setup() -> Folder {
    let folder = Folder::new();
    folder.run("train mlp --data digits --out r --width 16 --epochs 1");
    folder.run("train mlp --data digits --out other --width 16 --epochs 1 --seed 1");
    folder.run("train mlp --data digits --out wide --width 80 --epochs 1");
    for run in ["r", "other", "wide"] {
        folder.run(&format!("pack {run} -o {run}.signbit"));
    }
    let model = folder.read("r.signbit");
    let half = model.len() / 2;
    for length in [0, 7, 8, 100, half, model.len() - 1] {
        folder.write(&format!("cut-{length}.signbit"), &model[..length]);
    }
    folder.write("cut-half.signbit", &model[..half]);
    folder.write("cut-end.signbit", &model[..model.len() - 1]);
    for (name, at) in [("header", 200), ("body", model.len() - 10), ("length", 2)] {
        let mut bytes = model.clone();
        bytes[at] ^= 0x10;
        folder.write(&format!("flipped-{name}.signbit"), bytes);
    }
    let mut named = file::load(folder.path("r.signbit")).unwrap();
    named.classes[1] = "one".into();
    file::save(&named, folder.path("named.signbit")).unwrap();
    std::fs::create_dir(folder.path("named")).unwrap();
    let mut run = checkpoint::load(&folder.path("r")).unwrap();
    run.header.classes[1] = "one".into();
    checkpoint::save(&folder.path("named"), &run.header, &run.network, &*run.optimizer).unwrap();
    folder.write("text", "not a network\n");
    folder.write("good.npy", npy("<f4", "1, 8, 8, 1", &le_bytes(&[0.5; 64])));
    folder.write("size.npy", npy("<f4", "1, 9, 8, 1", &le_bytes(&[0.5; 72])));
    folder.write("rank.npy", npy("<f4", "64,", &le_bytes(&[0.5; 64])));
    folder.write("double.npy", npy("<f8", "1, 8, 8, 1", &[0; 512]));
    folder.write("short.npy", npy("<f4", "2, 8, 8, 1", &le_bytes(&[0.5; 64])));
    folder.write("huge.npy", npy("<f4", "4611686018427387904, 8, 8, 1", &[]));
    folder.write("broken.png", b"\x89PNG\r\n\x1a\nand no more");
    image::GrayImage::new(8, 8).save(folder.path("good.png")).unwrap();
    std::fs::create_dir(folder.path("empty")).unwrap();
    std::fs::create_dir(folder.path("bad-run")).unwrap();
    folder.write("bad-run/checkpoint.safetensors", &folder.read("r/checkpoint.safetensors")[..5000]);
    folder
}

/// Command, what stderr must say.
const CASES: &[(&str, &str)] = &[
    // Missing and damaged models.
    ("eval none.signbit --data digits", "none.signbit: cannot read the model"),
    ("eval r --data digits", "this is a folder"),
    ("eval text --data digits", "text: not a whole model"),
    ("eval cut-0.signbit --data digits", "not a whole model"),
    ("eval cut-7.signbit --data digits", "not a whole model"),
    ("eval cut-8.signbit --data digits", "not a whole model"),
    ("eval cut-100.signbit --data digits", "not a whole model"),
    ("summary cut-half.signbit", "not a whole model"),
    ("bench cut-end.signbit", "not a whole model"),
    ("run cut-end.signbit --input good.npy --output new.npy", "not a whole model"),
    ("summary flipped-length.signbit", "not a whole model"),
    ("summary flipped-header.signbit", "not a whole model"),
    ("verify r flipped-header.signbit --data digits", "not a whole model"),
    ("predict flipped-body.signbit good.png", "checksum"),
    ("summary none", "none: cannot read the model"),
    // Arrays and pictures.
    ("run r.signbit --input none.npy --output new.npy", "none.npy: cannot read the input"),
    ("run r.signbit --input size.npy --output new.npy", "the array is [1, 9, 8, 1], the model takes [N, 8, 8, 1]"),
    ("run r.signbit --input rank.npy --output new.npy", "the array is [64]"),
    ("run r.signbit --input double.npy --output new.npy", "'<f4'"),
    ("run r.signbit --input short.npy --output new.npy", "256 bytes follow"),
    ("run r.signbit --input huge.npy --output new.npy", "0 bytes follow"),
    ("run r.signbit --input text --output new.npy", "not a .npy file"),
    ("run r.signbit --input good.npy --output none/new.npy", "none/new.npy: cannot write"),
    ("run r.signbit --input good.npy --output empty", "empty: this is a folder"),
    ("run none.signbit --input none.npy --output ..", "..: this is a folder"),
    ("run r.signbit --input good.npy --output new/", "no file name"),
    ("run r.signbit --input good.npy --output new.npy --batch 0", "--batch"),
    ("predict r.signbit none.png", "none.png: cannot read the picture"),
    ("predict r.signbit broken.png", "broken.png: cannot read the picture"),
    ("predict r.signbit good.png text", "text: cannot read the picture: its content is not PNG, JPEG, BMP or WebP"),
    ("predict r.signbit", "<IMAGE>"),
    ("predict r.signbit good.png --top 0", "--top"),
    // Runs.
    ("pack none -o new.signbit", "none is not a training run"),
    ("pack empty -o new.signbit", "empty is not a training run"),
    ("pack text -o new.signbit", "text is not a training run"),
    ("pack bad-run -o new.signbit", "not a whole safetensors file"),
    ("pack r --twin -o new.signbit", "r/twin is not a training run"),
    ("pack r -o none/new.signbit", "none/new.signbit: "),
    ("pack r", "--output"),
    ("pack none -o .", ".: this is a folder"),
    ("pack r -o empty", "empty: this is a folder"),
    ("pack r -o new/", "new/: this has no file name"),
    ("pack \x1b[2Jr -o new.signbit", "\\u{1b}[2Jr is not a training run"),
    ("summary empty", "empty is not a training run"),
    ("verify none r.signbit --data digits", "none is not a training run"),
    ("verify r r.signbit --data digits --threads 1,0", "--threads"),
    ("verify r r.signbit --data digits --first 0", "--first"),
    // Recipes and options out of range.
    ("train lenet --data digits --out new", "the networks are mlp, small-cnn, binarynet, xnornet-small"),
    ("train mlp --data mnits --out new", "no data set \"mnits\""),
    ("train mlp --data empty --out new", "empty: the folder has no pictures"),
    ("train mlp --data digits --out text", "text: cannot make the run's folder"),
    ("train mlp --data digits --out text/new", "cannot make the run's folder"),
    ("train mlp --data digits --out r", "--resume goes on with it, --force starts anew"),
    ("train mlp --data digits --out r --twin", "--resume goes on with it, --force starts anew"),
    ("train mlp --data digits --out new --twin --batch 2000", "the data only 1438"),
    ("train mlp --data digits --out new --twin-learning-rate 0.01", "--twin"),
    ("train mlp --data digits --out new --twin --twin-learning-rate 100", "the twin: learning rate is 100"),
    ("train mlp --data digits --out new --resume", "new is not a training run"),
    ("train mlp --data digits --out r --resume --force", "cannot be used with"),
    ("train mlp --data digits --out r --resume --width 17", "another width"),
    ("train mlp --data digits --out r --resume --seed 9", "another seed"),
    ("train small-cnn --data digits --out r --resume", "another network"),
    ("train mlp --data digits --out new --quantizer signum", "ste_sign, approx_sign, swish_sign"),
    ("train mlp --data digits --out new --scale beta", "alpha_k"),
    ("train mlp --data digits --out new --optimizer lion", "adam"),
    ("train mlp --data digits --out new --loss hinge", "cross_entropy"),
    ("train mlp --data digits --out new --epochs 0", "epochs is 0"),
    ("train mlp --data digits --out new --epochs many", "--epochs"),
    ("train mlp --data digits --out new --batch 1", "batch is 1"),
    ("train mlp --data digits --out new --batch 2000", "the data only 1438"),
    ("train mlp --data digits --out new --width 0", "width is 0"),
    ("train mlp --data digits --out new --learning-rate -1", "learning rate is -1"),
    ("train mlp --data digits --out new --batch -5", "'-5'"),
    ("train mlp --data digits --out new --learning-rate 100", "learning rate is 100"),
    ("train mlp --data digits --out new --learning-rate nan", "learning rate is NaN"),
    ("train mlp --data digits --out new --warmup-epochs 99", "warm-up is 99"),
    ("train mlp --data digits --out new --momentum 0.9", "--momentum belongs to"),
    ("train mlp --data digits --out new --optimizer sgd --momentum 1", "momentum is 1"),
    ("train mlp --data digits --out new --decay-parts 2", "belong to --decay step"),
    ("train mlp --data digits --out new --decay step --decay-parts 0", "parts of the step decay is 0"),
    ("train mlp --data digits --out new --threads 0", "--threads"),
    ("train mlp --data digits --out new --threads 99999", "--threads"),
    ("train mlp --data digits", "--out"),
    // Data, instruction sets, words.
    ("eval r.signbit --data mnits", "no data set \"mnits\""),
    ("eval r.signbit --data none/mnist", "no data set"),
    ("eval r.signbit --data digits --isa sse9", "available here: reference portable"),
    ("verify r r.signbit --data digits --isa sse9", "available here: reference portable"),
    ("bench r.signbit --seconds 0", "--seconds"),
    ("bench r.signbit --batch 0", "--batch"),
    ("bench-train lenet", "the networks are mlp, small-cnn, binarynet, xnornet-small"),
    ("demo --out text", "cannot make the run's folder"),
    ("demo --out r", "r: the folder holds something else than this demo"),
    ("eval named.signbit --data digits", "class 1 of digits is \"1\", of the network \"one\""),
    ("verify named r.signbit --data digits", "class 1 of digits is \"1\", of the network \"one\""),
    ("trian mlp", "train"),
];

#[test]
fn one_line_says_what_is_wrong() {
    let folder = setup();
    let before = listing(&folder);
    let mut wrong = Vec::new();
    for &(words, expected) in CASES {
        let output = folder.output(words);
        let (stdout, stderr) = text(&output);
        let one_line = stderr.lines().count() == 1 && stderr.starts_with("signbit: ");
        let clear = one_line && stderr.contains(expected) && !stderr.contains("panicked");
        if output.status.code() != Some(2) || !clear || !stdout.is_empty() {
            wrong.push(format!("signbit {words}\n  {}: {stdout}{stderr}  expected: {expected}", output.status));
        }
        let after = listing(&folder);
        if after != before {
            wrong.push(format!("signbit {words}\n  left something behind: {after:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

/// Every file and folder, a file with a hash of its bytes.
fn listing(folder: &Folder) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.path("")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let mut hasher = DefaultHasher::new();
            if path.is_dir() {
                folders.push(path.clone());
            } else {
                hasher.write(&std::fs::read(&path).unwrap());
            }
            found.push((path.display().to_string(), hasher.finish()));
        }
    }
    found.sort();
    found
}

#[test]
fn an_unknown_isa_in_the_environment() {
    let folder = setup();
    for words in
        ["eval r.signbit --data digits", "verify r r.signbit --data digits", "train mlp --data digits --out new"]
    {
        let output = folder.command(words).env("SIGNBIT_ISA", "sse9").output().unwrap();
        let (stdout, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(2), "{words}: {stderr}");
        assert!(stderr.starts_with("signbit: SIGNBIT_ISA=sse9: ") && stderr.lines().count() == 1, "{stderr}");
        assert!(stdout.is_empty() && !folder.path("new").exists());
    }
}

#[test]
fn missing_data_is_named_with_its_place() {
    let folder = setup();
    let output = folder.command("eval r.signbit --data mnist").env("SIGNBIT_DATA", "nowhere").output().unwrap();
    let (_, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("nowhere/mnist; `signbit data fetch mnist`") && stderr.lines().count() == 1, "{stderr}");
}

/// The model of another run: exit code 1, and the first difference.
#[test]
fn a_difference_is_found() {
    let folder = setup();
    let cases = [
        ("verify r other.signbit --data digits", "differs: sample 0, layer norm1, row 0, column 0, channel "),
        ("verify r wide.signbit --data digits", "was it packed from this run?"),
    ];
    for (words, expected) in cases {
        let output = folder.output(words);
        let (stdout, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(1), "{words}: {stdout}{stderr}");
        assert!(stdout.contains(expected) && stderr.is_empty(), "{words}: {stdout}{stderr}");
    }
    let output = folder.output("verify r other.signbit --data digits --json");
    let found: serde_json::Value = serde_json::from_str(&text(&output).0).unwrap();
    assert_eq!((output.status.code(), &found["identical"]), (Some(1), &false.into()));
    assert_eq!(found["runs"][0]["first_difference"]["layer"], "norm1");
}

/// The smallest changes to a model, each in one channel: exit code 1, and the place.
#[test]
fn a_changed_bit_is_found() {
    let folder = setup();
    let packed = file::load(folder.path("r.signbit")).unwrap();
    let op = |name: &str| &packed.graph.nodes.iter().find(|node| node.name == name).unwrap().op;
    let Op::BinaryDense { weight } = op("dense2") else { panic!("{:?}", op("dense2")) };
    let Op::Threshold { threshold, .. } = op("norm2") else { panic!("{:?}", op("norm2")) };
    let Op::Threshold { flip, .. } = op("norm3") else { panic!("{:?}", op("norm3")) };
    let place = |layer: &str, channel: usize| format!("layer {layer}, row 0, column 0, channel {channel}: ");
    let changes = [
        // Sixteen inputs: a row is one word.
        (weight, place("norm2", 3), (|t| bits(t)[3] ^= 1 << 5) as fn(&mut Tensor)),
        (threshold, place("norm2", 6), |t| integers(t)[6] = i32::MAX),
        (flip, format!("sample 0, {}", place("norm3", 11)), |t| bits(t)[0] ^= 1 << 11),
    ];
    let mut wrong = Vec::new();
    for (tensor, place, change) in changes {
        let mut changed = packed.clone();
        change(changed.tensors.get_mut(tensor).unwrap());
        file::save(&changed, folder.path("changed.signbit")).unwrap();
        let output = folder.output("verify r changed.signbit --threads 1 --isa all");
        let (stdout, stderr) = text(&output);
        let found = stdout.starts_with("differs: sample ") && stdout.contains(&place) && stderr.is_empty();
        if output.status.code() != Some(1) || !found {
            wrong.push(format!("{tensor}: {stdout}{stderr}  expected: {place}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn bits(tensor: &mut Tensor) -> &mut [u64] {
    let Tensor::Bits { rows, .. } = tensor else { panic!("{:?}", tensor.dtype()) };
    rows
}

fn integers(tensor: &mut Tensor) -> &mut [i32] {
    let Tensor::I32 { data, .. } = tensor else { panic!("{:?}", tensor.dtype()) };
    data
}

#[test]
fn names_do_not_reach_the_terminal_as_they_are() {
    let folder = setup();
    folder.write("\x1b[2J.png", folder.read("good.png"));
    let said = folder.run("predict named.signbit \x1b[2J.png");
    assert!(said.starts_with("\\u{1b}[2J.png: ") && !said.contains('\x1b'), "{said:?}");
}

#[test]
fn help_and_version_are_not_errors() {
    let folder = Folder::new();
    for word in ["", "demo", "train", "pack", "verify", "eval", "predict", "run", "summary", "bench", "bench-train"] {
        let help = folder.run(&format!("{word} --help"));
        assert!(help.contains("EXAMPLE:"), "{help}");
    }
    assert_eq!(folder.run("--version").trim(), concat!("signbit ", env!("CARGO_PKG_VERSION")));
    assert_eq!(folder.output("").status.code(), Some(2));
}
