//! Larq and Keras files: what the networks compute is what Keras or Larq Compute Engine computed of the same input.

use std::path::{Path, PathBuf};

use signbit::model::Model;
use signbit::{Model as Loaded, Options};
use signbit_convert::{ConvertError, keras};
use signbit_train::data::npy::{self, Numbers};

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peers")
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keras")
}

/// The numbers of an array, and its first dimension.
fn array(path: &Path) -> (Vec<f32>, usize) {
    let array = npy::parse(&std::fs::read(path).unwrap()).unwrap();
    match array.numbers {
        Numbers::F32(numbers) => (numbers, array.shape[0]),
        other => panic!("{}: {other:?}", path.display()),
    }
}

fn run(model: &Model, input: &[f32], n: usize) -> Vec<f32> {
    let model = Loaded::new(model.clone()).unwrap();
    model.session(Options { batch: n, ..Options::default() }).unwrap().run(input, n).unwrap().to_vec()
}

/// The top classes are the same, and the median relative difference is returned.
fn agreement(name: &str, found: &[f32], expected: &[f32], n: usize) -> f32 {
    assert_eq!(found.len(), expected.len(), "{name}");
    let top = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    for (found, expected) in found.chunks(found.len() / n).zip(expected.chunks(expected.len() / n)) {
        assert_eq!(top(found), top(expected), "{name}");
    }
    let mut differences: Vec<f32> =
        found.iter().zip(expected).map(|(a, b)| (a - b).abs() / b.abs().max(f32::MIN_POSITIVE)).collect();
    differences.sort_by(f32::total_cmp);
    println!("{name}: median relative difference {:.1e}", differences[differences.len() / 2]);
    differences[differences.len() / 2]
}

#[test]
fn samples_of_larq_compute_engine() {
    let Ok(folders) = std::fs::read_dir(shared()) else {
        println!("skipped: there are no shared samples");
        return;
    };
    for folder in folders.map(|entry| entry.unwrap().path()).filter(|folder| folder.join("keras.h5").exists()) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let imported = keras::read(&std::fs::read(folder.join("keras.h5")).unwrap(), None).unwrap();
        for batch in ["b1", "b4"] {
            let (input, n) = array(&folder.join(format!("input_{batch}.npy")));
            let (expected, _) = array(&folder.join(format!("output_{batch}.npy")));
            let found = run(&imported.model, &input, n);
            let difference = agreement(&format!("{name} {batch}"), &found, &expected, n);
            assert!(difference < 1e-5, "{name} {batch}: {difference:.1e}");
        }
    }
}

/// A network of the folder of small cases in one of its forms; `None` for the architecture where the file has it.
fn case(file: &str, architecture: Option<&str>) -> (String, Vec<u8>, Option<String>) {
    let name = file.split('.').next().unwrap().to_owned();
    let json = architecture.map(|file| std::fs::read_to_string(data().join(file)).unwrap());
    (name, std::fs::read(data().join(file)).unwrap(), json)
}

const CASES: [(&str, Option<&str>); 10] = [
    ("transposed.h5", None),
    ("transposed.keras", None),
    ("trunk.h5", None),
    ("trunk.keras", None),
    ("branches.h5", None),
    ("branches.keras", None),
    ("sequential.h5", None),
    ("sequential.keras", None),
    ("sequential.weights.h5", Some("sequential.json")),
    ("sequential.legacy.h5", Some("sequential.json")),
];

#[test]
fn small_networks_in_all_forms() {
    for (file, architecture) in CASES {
        let (name, bytes, json) = case(file, architecture);
        let imported = keras::read(&bytes, json.as_deref()).unwrap_or_else(|e| panic!("{file}: {e}"));
        let (input, n) = array(&data().join(format!("{name}.input.npy")));
        let (expected, _) = array(&data().join(format!("{name}.output.npy")));
        let found = run(&imported.model, &input, n);
        let difference = agreement(file, &found, &expected, n);
        assert!(difference < 1e-5, "{file}: {difference:.1e}");
        // No sign on the way has fallen to the other side.
        let all = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs().max(0.01));
        assert!(all, "{file}: {found:?} {expected:?}");
    }
}

#[test]
fn weights_without_an_architecture_say_what_is_missing() {
    for file in ["sequential.weights.h5", "sequential.legacy.h5"] {
        let error = keras::read(&std::fs::read(data().join(file)).unwrap(), None).unwrap_err();
        assert!(matches!(error, ConvertError::Architecture(_)), "{error:?}");
        let line = error.to_string();
        assert!(line.contains("--architecture model.json") && line.contains("to_json()"), "{line}");
    }
}

#[test]
fn weights_are_taken_by_their_order_where_the_names_differ() {
    let (_, bytes, json) = case("sequential.legacy.h5", Some("sequential.json"));
    // As a second model of the same session has its names.
    let mut json: serde_json::Value = serde_json::from_str(&json.unwrap()).unwrap();
    for layer in json["config"]["layers"].as_array_mut().unwrap() {
        let name = format!("{}_7", layer["config"]["name"].as_str().unwrap());
        layer["config"]["name"] = name.into();
    }
    let imported = keras::read(&bytes, Some(&json.to_string())).unwrap();
    let (input, n) = array(&data().join("sequential.input.npy"));
    let (expected, _) = array(&data().join("sequential.output.npy"));
    assert!(agreement("renamed", &run(&imported.model, &input, n), &expected, n) < 1e-5);
    // One layer more than the file has.
    json["config"]["layers"].as_array_mut().unwrap().push(serde_json::json!(
        {"class_name": "Dense", "config": {"name": "extra", "units": 3, "use_bias": false}}
    ));
    let error = keras::read(&bytes, Some(&json.to_string())).unwrap_err();
    assert!(matches!(error, ConvertError::MissingWeight { .. }), "{error:?}");
}

#[test]
fn what_the_graph_has_not_is_refused_by_name() {
    let (_, bytes, json) = case("sequential.legacy.h5", Some("sequential.json"));
    let json: serde_json::Value = serde_json::from_str(&json.unwrap()).unwrap();
    let refused = |layer: usize, key: &str, value: serde_json::Value| {
        let mut json = json.clone();
        let layer = &mut json["config"]["layers"][layer];
        if key == "class_name" {
            layer[key] = value
        } else {
            layer["config"][key] = value
        }
        keras::read(&bytes, Some(&json.to_string())).unwrap_err().to_string()
    };
    let conv = json["config"]["layers"].as_array().unwrap().iter().position(|l| l["class_name"] == "QuantConv2D");
    let conv = conv.unwrap();
    let cases = [
        ("class_name", serde_json::json!("QuantLocallyConnected2D"), "QuantLocallyConnected2D"),
        ("input_quantizer", serde_json::json!({"class_name": "DoReFa", "config": {"k_bit": 2}}), "DoReFa"),
        ("kernel_quantizer", serde_json::json!("ste_tern"), "ste_tern"),
        ("data_format", serde_json::json!("channels_first"), "channels_first"),
        ("activation", serde_json::json!("tanh"), "tanh"),
        ("padding", serde_json::json!("causal"), "causal"),
        ("filters", serde_json::json!(6), "[3, 3, 1, 6]"),
    ];
    for (key, value, word) in cases {
        let line = refused(conv, key, value);
        assert!(line.contains(word) && line.contains("quant_conv2d"), "{line}");
    }
}

/// A generator of test bytes (Steele et al. 2014, SplitMix64).
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ z >> 31) as usize
}

/// Broken files are errors or networks, and nothing else.
#[test]
fn broken_files_do_not_panic() {
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(120);
    let mut state = std::env::var("SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    for (file, architecture) in CASES {
        let (_, bytes, json) = case(file, architecture);
        let (mut errors, mut networks) = (0, 0);
        for round in 0..rounds {
            let mut bytes = bytes.clone();
            match round % 4 {
                0 => bytes.truncate(random(&mut state) % bytes.len()),
                // Where the structures stand, mostly: what is not zero.
                1 | 2 => {
                    for _ in 0..1 + random(&mut state) % 8 {
                        let start = random(&mut state) % bytes.len();
                        let at = (start..bytes.len()).find(|&i| bytes[i] != 0).unwrap_or(start);
                        bytes[at] = [0, 1, 0x7f, 0x80, 0xff, random(&mut state) as u8][random(&mut state) % 6];
                    }
                }
                _ => {
                    let at = random(&mut state) % (bytes.len() - 8);
                    bytes[at..at + 8].fill(0xff);
                }
            }
            match keras::read(&bytes, json.as_deref()) {
                Ok(_) => networks += 1,
                Err(error) => {
                    errors += 1;
                    assert!(!error.to_string().contains('\n'), "{error}");
                }
            }
        }
        println!("{file}: {errors} errors, {networks} networks");
        assert!(errors > 0, "{file}");
    }
}

/// The same with the architecture's JSON, one value at a time.
#[test]
fn broken_architectures_do_not_panic() {
    let (_, bytes, json) = case("sequential.legacy.h5", Some("sequential.json"));
    let json: serde_json::Value = serde_json::from_str(&json.unwrap()).unwrap();
    let values = [
        serde_json::json!(null),
        serde_json::json!(-1),
        serde_json::json!(0),
        serde_json::json!(u64::MAX),
        serde_json::json!(1e300),
        serde_json::json!([]),
        serde_json::json!([65536, 65536]),
        serde_json::json!({"class_name": "ReLU"}),
        serde_json::json!("x"),
    ];
    let mut paths = Vec::new();
    places(&json, &mut String::new(), &mut paths);
    let mut errors = 0;
    for path in &paths {
        for value in &values {
            let mut json = json.clone();
            *json.pointer_mut(path).unwrap() = value.clone();
            errors += usize::from(keras::read(&bytes, Some(&json.to_string())).is_err());
        }
    }
    println!("{errors} errors of {}", paths.len() * values.len());
    assert!(errors > paths.len());
}

/// The JSON pointers of all values.
fn places(value: &serde_json::Value, at: &mut String, paths: &mut Vec<String>) {
    paths.push(at.clone());
    let children: Vec<(String, &serde_json::Value)> = match value {
        serde_json::Value::Object(object) => object.iter().map(|(k, v)| (k.clone(), v)).collect(),
        serde_json::Value::Array(list) => list.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let length = at.len();
        at.push('/');
        at.push_str(&key);
        places(child, at, paths);
        at.truncate(length);
    }
}

#[test]
fn models_within_models_do_not_multiply() {
    // Each model calls the next one twice: 2^30 calls of a few hundred bytes each.
    let node = |from: &str| serde_json::json!([[[from, 0, 0, {}]]]);
    let mut model = serde_json::json!({"class_name": "ReLU", "config": {"name": "inner"}, "name": "inner"});
    for _ in 0..24 {
        model["inbound_nodes"] = serde_json::json!([[["x", 0, 0, {}]], [["inner", 0, 0, {}]]]);
        if model["class_name"] == "Functional" {
            model["inbound_nodes"] = serde_json::json!([[["x", 0, 0, {}]], [["inner", 1, 0, {}]]]);
        }
        let last = if model["class_name"] == "Functional" { 2 } else { 1 };
        let input = serde_json::json!({"class_name": "InputLayer", "name": "x", "inbound_nodes": [],
            "config": {"name": "x", "batch_input_shape": [null, 36]}});
        let end = serde_json::json!({"class_name": "ReLU", "name": "end", "config": {"name": "end"},
            "inbound_nodes": node("inner")});
        let mut end = end;
        end["inbound_nodes"][0][0][1] = last.into();
        model = serde_json::json!({"class_name": "Functional", "name": "inner", "config": {
            "name": "inner", "layers": [input, model, end],
            "input_layers": [["x", 0, 0]], "output_layers": [["end", 0, 0]]}});
    }
    let (_, bytes, _) = case("sequential.legacy.h5", None);
    let line = keras::read(&bytes, Some(&model.to_string())).unwrap_err().to_string();
    assert!(line.contains("layers and calls"), "{line}");
}

#[test]
#[ignore = "needs networks of larq-zoo in the folder ZOO"]
fn zoo() {
    let folder = std::env::var("ZOO").unwrap();
    for folder in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let json = std::fs::read_to_string(folder.join("model.json")).unwrap();
        for (file, json) in [("model.h5", None), ("model.keras", None), ("weights.h5", Some(&json))] {
            match keras::read(&std::fs::read(folder.join(file)).unwrap(), json.map(String::as_str)) {
                Ok(imported) => {
                    let (input, n) = array(&folder.join("input.npy"));
                    let (expected, _) = array(&folder.join("output.npy"));
                    let found = run(&imported.model, &input, n);
                    let difference = agreement(&format!("{name} {file}"), &found, &expected, n);
                    assert!(difference < 1e-3);
                }
                Err(error) => println!("{name} {file}: {error}"),
            }
        }
    }
}
