//! `signbit convert` through the real binary, on networks that other systems made.

mod common;

use std::path::{Path, PathBuf};

use common::{Folder, le_bytes, npy, text};

/// The cases that the readers' own tests keep.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../signbit-convert/tests/data").join(name)
}

/// A folder with files of those cases.
fn folder(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    for (from, to) in files {
        let bytes = std::fs::read(data(from)).unwrap_or_else(|e| panic!("{from}: {e}"));
        folder.write(to, bytes);
    }
    folder
}

#[test]
fn a_network_comes_in_and_runs() {
    let folder = folder(&[
        ("tflite/net_concat/model.tflite", "net.tflite"),
        ("tflite/net_concat/input.npy", "x.npy"),
        ("keras/sequential.h5", "net.h5"),
        ("keras/sequential.input.npy", "xk.npy"),
    ]);
    let printed = folder.run("convert net.tflite -o net.signbit");
    for part in ["net.tflite: TensorFlow Lite, ", "operators: ", "LceBconv2d", "layers with weights: ", "net.signbit: "]
    {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    folder.run("run net.signbit --input x.npy --output y.npy");
    assert!(folder.read("y.npy").starts_with(b"\x93NUMPY"));
    let found = folder.json("convert net.h5 -o k.signbit");
    assert_eq!(found["source"]["system"], "Keras");
    assert_eq!(found["output"]["bytes"].as_u64().unwrap(), folder.read("k.signbit").len() as u64);
    assert!(found["layers"]["binary"].as_u64().unwrap() > 0, "{found}");
    folder.run("run k.signbit --input xk.npy --output yk.npy");
}

#[test]
fn a_network_goes_out_and_comes_in_again() {
    let folder = Folder::new();
    folder.run("train mlp --data digits --out r --width 32 --epochs 1");
    folder.run("pack r -o r.signbit");
    folder.run("convert r.signbit -o r.onnx");
    folder.run("convert r.signbit -o r.tflite");
    let pixels: Vec<f32> = (0..5 * 64_u16).map(|i| f32::from(i * 37 % 17) / 16.0).collect();
    folder.write("x.npy", npy("<f4", "5, 64", &le_bytes(&pixels)));
    let outputs = |model: &str| {
        folder.run(&format!("run {model}.signbit --input x.npy --output {model}.npy"));
        let bytes = folder.read(&format!("{model}.npy"));
        let numbers = bytes[bytes.len() - 5 * 10 * 4..].chunks_exact(4);
        numbers.map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<f32>>()
    };
    let expected = outputs("r");
    for ending in ["onnx", "tflite"] {
        folder.run(&format!("convert r.{ending} -o {ending}.signbit"));
        let found = outputs(ending);
        let far = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-4, "{ending}: {far}\n{expected:?}\n{found:?}");
    }
    assert!(expected.iter().any(|y| y.abs() > 0.1), "{expected:?}");
}

#[test]
fn pixels_and_names_are_said_beside() {
    let folder = folder(&[("tflite/net_concat/model.tflite", "net.tflite")]);
    let outputs = folder.json("convert net.tflite -o a.signbit")["output"].clone();
    assert!(outputs["bytes"].is_u64());
    let model = signbit_model::file::load(folder.path("a.signbit")).unwrap();
    let classes = model.output_type().unwrap().shape.elements();
    let names: Vec<String> = (0..classes).map(|i| format!("class {i}")).collect();
    folder.write("names.txt", names.join("\n"));
    let printed = folder.run("convert net.tflite --range -1,1 --classes names.txt -o net.signbit");
    assert!(printed.contains("next: signbit predict net.signbit photo.jpg"), "{printed}");
    let model = signbit_model::file::load(folder.path("net.signbit")).unwrap();
    assert_eq!(model.classes, names);
    let preprocessing = model.preprocessing.unwrap();
    assert_eq!(preprocessing.shift, vec![-1.0; preprocessing.channels]);
    assert_eq!(preprocessing.scale, vec![2.0 / 255.0; preprocessing.channels]);
}

#[test]
fn bad_input_is_one_line() {
    let folder = folder(&[
        ("tflite/net_concat/model.tflite", "net.tflite"),
        ("keras/sequential.weights.h5", "weights.h5"),
        ("torch/net_f16/model.safetensors", "net.safetensors"),
    ]);
    let whole = folder.read("net.tflite");
    folder.write("cut.tflite", &whole[..whole.len() / 3]);
    folder.write("text.tflite", "no network");
    folder.write("text.onnx", "no network at all");
    folder.write("text.h5", "no network");
    folder.write("empty.onnx", "");
    folder.write("pickle.pth", b"PK\x03\x04 data.pkl");
    folder.write("unknown.xyz", "?");
    folder.write("typo.toml", "input = [8, 8, 1]\n[[layer]]\ntyp = \"sign\"\n");
    folder.write("names.txt", "one\ntwo\n");
    std::fs::create_dir(folder.path("folder")).unwrap();
    let cases = [
        ("convert none.tflite -o a.signbit", "none.tflite: No such file"),
        ("convert cut.tflite -o a.signbit", "cut.tflite: not a whole TFLite file"),
        ("convert text.tflite -o a.signbit", "text.tflite: not a whole TFLite file"),
        ("convert text.onnx -o a.signbit", "text.onnx: not a whole ONNX file"),
        ("convert empty.onnx -o a.signbit", "empty.onnx: not a whole ONNX file"),
        ("convert text.h5 -o a.signbit", "text.h5: not a whole"),
        ("convert pickle.pth -o a.signbit", "save_file"),
        ("convert unknown.xyz -o a.signbit", "unknown.xyz: its ending says no kind of network"),
        ("convert folder -o a.signbit", "folder"),
        ("convert net.tflite -o a.bin", "a.bin: its ending says no format to write; give .signbit, .onnx or .tflite"),
        ("convert net.tflite", "--output"),
        ("convert weights.h5 -o a.signbit", "--architecture"),
        ("convert net.safetensors -o a.signbit", "give an architecture file or a recipe"),
        ("convert net.safetensors --architecture typo.toml -o a.signbit", "typo.toml: "),
        ("convert net.safetensors --architecture none.toml -o a.signbit", "none.toml: No such file"),
        ("convert net.tflite --architecture typo.toml -o a.signbit", "a .tflite file holds its own architecture"),
        ("convert net.tflite --classes names.txt -o a.signbit", "names.txt: 2 names for "),
        ("convert net.tflite --range 1,-1 -o a.signbit", "give two numbers, the smaller first"),
        ("convert net.tflite --range 1 -o a.signbit", "give two numbers, the smaller first"),
        ("convert net.tflite --mean 1,2 --std 1,2,3,4,5 -o a.signbit", "one per channel"),
        ("convert net.tflite --mean 0.5 -o a.signbit", "--std"),
        ("convert net.signbit -o a.onnx", "net.signbit: cannot read the model"),
    ];
    let mut wrong = Vec::new();
    for (words, says) in cases {
        let output = folder.output(words);
        let (stdout, stderr) = text(&output);
        let one_line = stderr.lines().count() == 1 && stdout.is_empty();
        if output.status.code() != Some(2) || !one_line || !stderr.contains(says) || folder.path("a.signbit").exists() {
            wrong.push(format!("{words}: {:?}, wanted {says:?}\n{stdout}{stderr}", output.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
