//! Files of Larq Compute Engine, against what the engine itself computes.

mod npy;
mod parity;

use std::path::{Path, PathBuf};

use signbit::{Options, Session};
use signbit_convert::{ConvertError, passes, tflite};
use signbit_model::interpreter::{self, ValueData};
use signbit_model::{DType, Model};

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
    let imported = passes::simplify(imported).unwrap();
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

/// The small samples beside this file; `tests/data/tflite/README.md` says what they are.
fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tflite");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.join("model.tflite").exists());
    found.sort();
    assert!(found.len() > 15, "{found:?}");
    found
}

fn name_of(sample: &Path) -> &str {
    sample.file_name().unwrap().to_str().unwrap()
}

/// A network on a batch, by the interpreter.
fn interpret(model: &Model, n: usize, input: &[f32]) -> Vec<f32> {
    match interpreter::run(model, n, input).unwrap().data {
        ValueData::F32(data) => data,
        ValueData::I32(data) => data.into_iter().map(|v| v as f32).collect(),
        ValueData::Bits(data) => data.into_iter().map(f32::from).collect(),
    }
}

/// The samples that cannot be taken in, and why: a PReLU with a slope for each pixel, a padding that mirrors.
const REFUSED: [(&str, &str, &str); 2] =
    [("net_real_conv_options", "PRELU", "[3, 4, 8]"), ("builtin_mirrored", "MIRROR_PAD", "nothing like it")];

fn is_taken(sample: &Path) -> bool {
    REFUSED.iter().all(|(name, _, _)| *name != name_of(sample))
}

#[test]
fn every_operator_of_the_samples_is_the_engine_s() {
    let (mut operators, mut of_bits) = (0, 0);
    for sample in samples().iter().filter(|s| is_taken(s)) {
        let bytes = std::fs::read(sample.join("model.tflite")).unwrap();
        let (input, tensors) = (sample.join("input.npy"), sample.join("intermediates"));
        let (found, _) = parity::compare(&bytes, &input, &tensors, interpret);
        for c in &found {
            let what =
                format!("{}, {} `{}`: {} of {} unequal", sample.display(), c.kind, c.name, c.unequal, c.elements);
            assert!(c.is_good(), "{what}, worst {:e} of {:e}", c.worst, c.allowed);
        }
        operators += found.len();
        of_bits += found.iter().filter(|c| c.dtype == DType::Bits).count();
    }
    println!("{operators} operators, {of_bits} of bits");
    assert!(operators > 80 && of_bits > 30, "{operators} operators, {of_bits} of bits");
}

#[test]
fn the_samples_from_end_to_end() {
    for sample in samples().iter().filter(|s| is_taken(s) && !name_of(s).contains("int8")) {
        let imported = tflite::read(&std::fs::read(sample.join("model.tflite")).unwrap()).unwrap();
        assert_eq!(imported.warnings, [], "{}", sample.display());
        let input = npy::f32s(&sample.join("input.npy"));
        let expected = npy::f32s(&sample.join("output.npy"));
        let n = input.shape[0];
        // As it is read, and with thresholds and folded layers.
        let simplified = passes::simplify(imported.clone()).unwrap();
        for model in [imported.model, simplified.model] {
            let found = agreement(&interpret(&model, n, &input.data), &expected.data, n);
            assert!(found.median < 1e-5 && found.worst < 1e-4, "{}: {found:?}", sample.display());
        }
    }
}

#[test]
fn a_scaled_kernel_that_the_graph_computes_becomes_bits() {
    let sample = samples().into_iter().find(|s| name_of(s) == "folded_kernel").unwrap();
    let imported = tflite::read(&std::fs::read(sample.join("model.tflite")).unwrap()).unwrap();
    assert!(imported.operators.contains_key("ABS"), "{:?}", imported.operators);
    let imported = passes::simplify(imported).unwrap();
    assert_eq!(imported.warnings, []);
    let ops: Vec<&str> = imported.model.graph.nodes.iter().map(|node| node.op.name()).collect();
    assert!(ops.contains(&"binary_conv2d") && !ops.contains(&"conv2d"), "{ops:?}");
}

#[test]
fn a_network_of_int8_becomes_real_and_says_so() {
    let sample = samples().into_iter().find(|s| name_of(s).contains("int8")).unwrap();
    let imported = tflite::read(&std::fs::read(sample.join("model.tflite")).unwrap()).unwrap();
    let [warning] = &imported.warnings[..] else { panic!("{:?}", imported.warnings) };
    assert!(warning.to_string().contains("int8 tensors became real numbers"), "{warning}");
    assert!(imported.operators.contains_key("QUANTIZE"), "{:?}", imported.operators);
}

#[test]
fn what_has_no_counterpart_is_refused_by_name() {
    for (name, kind, why) in REFUSED {
        let sample = samples().into_iter().find(|s| name_of(s) == name).unwrap();
        let error = tflite::read(&std::fs::read(sample.join("model.tflite")).unwrap()).unwrap_err();
        assert!(matches!(&error, ConvertError::Unsupported { operator, .. } if operator == kind), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn names_and_counts_are_the_file_s() {
    let sample = samples().into_iter().find(|s| name_of(s) == "net_binary_max_pool").unwrap();
    let imported = tflite::read(&std::fs::read(sample.join("model.tflite")).unwrap()).unwrap();
    let counts: Vec<(&str, usize)> = imported.operators.iter().map(|(name, &n)| (name.as_str(), n)).collect();
    assert_eq!(counts, [("CONV_2D", 1), ("LceBMaxPool2d", 2), ("LceBconv2d", 3), ("LceQuantize", 1)]);
    let names: Vec<&str> = imported.model.graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert!(names.iter().any(|name| name.starts_with("model/") && name.ends_with(".dot")), "{names:?}");
}

#[test]
fn no_change_of_a_file_is_more_than_an_error() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        // xorshift64, Marsaglia 2003.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 16) as usize % below
    };
    let (mut refused, mut taken) = (0, 0);
    for sample in samples() {
        let whole = std::fs::read(sample.join("model.tflite")).unwrap();
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..=next(4) {
                let (at, value) = (next(bytes.len()), next(256) as u8);
                // Small numbers and the largest ones lead astray more often than any others.
                bytes[at] = [value, value & 3, 0xff, 0x7f][next(4)];
            }
            if next(8) == 0 {
                bytes.truncate(next(bytes.len()));
            }
            match tflite::operators(&bytes).and_then(|_| tflite::read(&bytes)) {
                Ok(_) => taken += 1,
                Err(_) => refused += 1,
            }
        }
    }
    println!("{refused} refused, {taken} taken");
    assert!(refused > 500 && taken > 500, "{refused} refused, {taken} taken");
}

#[test]
fn a_file_of_another_kind_is_refused() {
    for bytes in [&b""[..], b"TFL3", b"\x08\0\0\0TFL3", b"\x89HDF\r\n\x1a\n\0\0\0\0\0\0\0\0", &[0xff; 64]] {
        let error = tflite::read(bytes).unwrap_err();
        assert!(matches!(error, ConvertError::Malformed { format: "TFLite", .. }), "{error}");
    }
}
