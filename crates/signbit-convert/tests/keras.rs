//! Larq and Keras files: what the networks compute is what Keras or Larq Compute Engine computed of the same input.

use std::path::{Path, PathBuf};

use signbit::model::Model;
use signbit::{Model as Loaded, Options};
use signbit_convert::keras;
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

const CASES: [(&str, Option<&str>); 8] = [
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
        let difference = agreement(file, &run(&imported.model, &input, n), &expected, n);
        assert!(difference < 1e-5, "{file}: {difference:.1e}");
    }
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
