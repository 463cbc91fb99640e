//! Files of Larq Compute Engine, against what the engine itself computes.

mod npy;

use std::path::{Path, PathBuf};

use signbit::{Options, Session};
use signbit_convert::tflite;

/// A folder of the shared samples, which are too large to be kept here; `None`, said aloud, where it is not there.
fn peer(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peers").join(name);
    if !folder.join("model.tflite").exists() {
        println!("skipped: there is no {}", folder.display());
        return None;
    }
    Some(folder)
}

/// How far a network's outputs are from the engine's.
#[derive(Debug)]
struct Agreement {
    samples: usize,
    same_class: usize,
    /// Median over all outputs of `|a - b| / max(|b|, largest |b| / 1000)`.
    median: f32,
    worst: f32,
}

fn agreement(found: &[f32], expected: &[f32], samples: usize) -> Agreement {
    assert_eq!(found.len(), expected.len());
    let classes = expected.len() / samples;
    let top = |scores: &[f32]| (0..classes).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let rows = found.chunks_exact(classes).zip(expected.chunks_exact(classes));
    let floor = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs())) / 1000.0;
    let mut distances: Vec<f32> = found.iter().zip(expected).map(|(a, b)| (a - b).abs() / b.abs().max(floor)).collect();
    distances.sort_by(f32::total_cmp);
    Agreement {
        samples,
        same_class: rows.filter(|(a, b)| top(a) == top(b)).count(),
        median: distances[distances.len() / 2],
        worst: distances[distances.len() - 1],
    }
}

fn run(folder: &Path, batch: usize) -> Agreement {
    let imported = tflite::read(&std::fs::read(folder.join("model.tflite")).unwrap()).unwrap();
    let input = npy::f32s(&folder.join(format!("input_b{batch}.npy")));
    let expected = npy::f32s(&folder.join(format!("output_b{batch}.npy")));
    let mut session = Session::new(&imported.model, Options { batch, ..Options::default() }).unwrap();
    agreement(session.run(&input.data, batch).unwrap(), &expected.data, batch)
}

fn agrees(name: &str, batches: &[usize]) {
    let Some(folder) = peer(name) else { return };
    for &batch in batches {
        let found = run(&folder, batch);
        println!("{name}: {found:?}");
        assert_eq!(found.same_class, found.samples, "{name}: {found:?}");
        assert!(found.median < 1e-5, "{name}: {found:?}");
    }
}

#[test]
fn dense_networks() {
    agrees("mlp_784", &[1, 4]);
    agrees("mlp_784_allbin", &[1, 4]);
}

#[test]
fn a_convolutional_network_without_padding() {
    agrees("convnet_28", &[1, 4]);
}

#[test]
fn a_network_with_groups_dilation_and_binary_pooling() {
    agrees("convnet_32_groups", &[1, 4]);
}

#[test]
fn networks_with_both_paddings() {
    agrees("convnet_32_padone", &[1, 4]);
    agrees("convnet_32_padzero", &[1, 4]);
}

#[test]
fn quicknet_small() {
    agrees("QuickNetSmall", &[1]);
}

#[test]
fn binary_resnet_e18() {
    agrees("BinaryResNetE18", &[1]);
}
