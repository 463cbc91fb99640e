//! Files by PyTorch, by hand and by QONNX compute what ONNX Runtime or QONNX computes (`scripts/peers/onnx_cases.py`).

use std::path::{Path, PathBuf};

use signbit_convert::{ConvertError, onnx, passes};
use signbit_model::interpreter;

/// Largest difference, relative to the root mean square of the output.
const TOLERANCE: f32 = 1e-5;

fn cases() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx");
    let folders = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = folders.filter(|path| path.join("model.onnx").is_file()).collect();
    cases.sort();
    cases
}

/// The numbers and the first dimension of an `.npy` file of little-endian f32.
fn npy(path: &Path) -> (Vec<f32>, usize) {
    let bytes = std::fs::read(path).unwrap();
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"), "{header}");
    let (_, shape) = header.split_once('(').unwrap();
    let first = shape.split([',', ')']).next().unwrap().trim().parse().unwrap();
    let (words, rest) = bytes[end..].as_chunks::<4>();
    assert!(rest.is_empty());
    (words.iter().map(|&b| f32::from_le_bytes(b)).collect(), first)
}

#[test]
fn every_case_computes_what_its_peer_does() {
    let cases = cases();
    assert!(cases.len() >= 20, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let imported = match onnx::read(&std::fs::read(case.join("model.onnx")).unwrap()) {
            Ok(imported) => imported,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let (input, n) = npy(&case.join("input.npy"));
        let (expected, _) = npy(&case.join("output.npy"));
        let size = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt();
        let simple = passes::simplify(imported.clone()).unwrap();
        for (form, model) in [("read", imported.model), ("simplified", simple.model)] {
            let found = interpreter::run(&model, n, &input).unwrap();
            let interpreter::ValueData::F32(found) = &found.data else { panic!("{name} has no real output") };
            let far = expected.iter().zip(found).map(|(e, f)| (e - f).abs()).fold(0.0, f32::max) / size;
            if found.len() != expected.len() || far.is_nan() || far > TOLERANCE {
                wrong.push(format!("{name} as {form}: {far:e} apart, {} numbers of {}", found.len(), expected.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// A byte at a time of small files is changed, and files are cut: an error or a network, never a panic.
#[test]
fn damaged_files_are_errors_or_networks() {
    let mut refused = 0;
    let mut random = 1_u32;
    for case in cases() {
        let bytes = std::fs::read(case.join("model.onnx")).unwrap();
        for len in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            refused += usize::from(onnx::read(&bytes[..len]).is_err());
        }
        for _ in 0..400 {
            let mut damaged = bytes.clone();
            for _ in 0..2 {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                let at = random as usize % damaged.len();
                damaged[at] = match random >> 28 {
                    0..4 => (random >> 20) as u8,
                    4..8 => damaged[at].wrapping_add(1),
                    8..12 => 0xff,
                    _ => damaged[at] ^ (1 << (random >> 25 & 7)),
                };
            }
            match onnx::read(&damaged) {
                Err(ConvertError::Model(_) | ConvertError::Malformed { .. } | ConvertError::Unsupported { .. }) => {
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
                Ok(_) => {}
            }
        }
    }
    assert!(refused > 1000);
}
