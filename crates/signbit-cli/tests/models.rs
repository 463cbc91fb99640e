//! The trained models of the repository: they predict without data, know on the test set what their results say, and
//! their cards say what their results say.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Folder, text};
use image::{GrayImage, Luma};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Each model's file and its results.
fn models() -> Vec<(PathBuf, Value)> {
    let folders = std::fs::read_dir(root().join("models")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = folders.filter(|folder| folder.join("results.json").exists()).collect();
    found.sort();
    let read = |folder: PathBuf| {
        let results = std::fs::read(folder.join("results.json")).unwrap();
        (folder.join("model.signbit"), serde_json::from_slice(&results).unwrap())
    };
    found.into_iter().map(read).collect()
}

/// A one as one draws it: white on black, upright.
fn one() -> GrayImage {
    GrayImage::from_fn(28, 28, |x, y| Luma([if (12..15).contains(&x) && (4..24).contains(&y) { 255 } else { 0 }]))
}

#[test]
fn they_predict_on_a_fresh_clone() {
    let folder = Folder::new();
    one().save(folder.path("one.png")).unwrap();
    let models = models();
    assert!(!models.is_empty());
    for (model, results) in models {
        let model = model.display();
        assert_eq!(folder.json(&format!("summary {model}"))["file_bytes"], results["size"]["file_bytes"], "{model}");
        let said = folder.run(&format!("predict {model} one.png"));
        if results["data"] == "mnist" {
            assert!(said.contains("one.png: 1 "), "{model}: {said}");
        }
    }
}

#[test]
fn they_know_as_much_as_their_results_say() {
    for (model, results) in models() {
        let data = results["data"].as_str().unwrap();
        let at = root().join("data").join(data);
        if !at.exists() {
            println!("skipped: {}, for want of data/{data}", model.display());
            continue;
        }
        let folder = Folder::new();
        let found = folder.json(&format!("eval {} --data {}", model.display(), at.display()));
        assert_eq!(found["accuracy"], results["run"]["accuracy"], "{}", model.display());
    }
}

#[test]
fn cards_say_what_the_results_say() {
    let Ok(output) = Command::new("python3").arg(root().join("models/make.py")).args(["cards", "--check"]).output()
    else {
        println!("skipped: the cards, for want of python3");
        return;
    };
    assert!(output.status.success(), "{}", text(&output).1);
}
