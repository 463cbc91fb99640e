//! A short training on MNIST, compared with its bits on all 10,000 test pictures. Skipped where MNIST is not there.

mod common;

use std::path::PathBuf;

use common::Folder;

#[test]
fn mnist() {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data"));
    let data = std::env::var_os("SIGNBIT_DATA").map_or_else(beside, PathBuf::from);
    let mnist = data.join("mnist");
    if !mnist.is_dir() {
        eprintln!("skipped: {} is not there; scripts/get-data mnist gets it", mnist.display());
        return;
    }
    let data = mnist.canonicalize().unwrap();
    let data = data.to_str().unwrap();
    let folder = Folder::new();
    folder.run(&format!("train mlp --data {data} --out r --width 128 --epochs 1"));
    folder.run("pack r -o m.signbit");
    let verified = folder.json(&format!("verify r m.signbit --data {data} --threads 2"));
    assert_eq!(verified["identical"], true, "{verified}");
    // The best instruction set on all pictures, the others on what ten seconds allow.
    let runs = verified["runs"].as_array().unwrap();
    assert_eq!(runs[0]["pictures"], 10_000, "{verified}");
    for run in runs {
        let pictures = run["pictures"].as_u64().unwrap();
        assert!(pictures > 0 && run["bits"] == pictures * 3 * 128, "{run}");
    }
    let found = folder.json(&format!("eval m.signbit --data {data}"));
    assert!(found["accuracy"].as_f64().unwrap() > 0.8, "{found}");
}
