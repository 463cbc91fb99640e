//! Model to file to model: random models, written and read again, give the same outputs.

mod random_models;

use random_models::{Case, case, input, run};
use signbit_convert::{ConvertError, Imported, export, onnx, tflite};
use signbit_model::Model;

/// Samples of each input.
const SAMPLES: usize = 2;

/// What differs between a model and its copy, or nothing.
fn difference(case: &Case, seed: u64, copy: &Model) -> Option<String> {
    let x = input(&case.model, SAMPLES, seed);
    let (expected, found) = (run(&case.model, SAMPLES, &x), run(copy, SAMPLES, &x));
    let largest = expected.iter().fold(1e-6_f32, |m, v| m.max(v.abs()));
    let allowed = if case.exact { 0.0 } else { 1e-5 * largest };
    let same = expected.len() == found.len() && expected.iter().zip(&found).all(|(a, b)| (a - b).abs() <= allowed);
    (!same).then(|| format!("{expected:?} became {found:?}"))
}

/// How many models came back the same; those that did not, and those that the reader refuses, with the reasons.
#[derive(Debug, Default)]
struct Found {
    same: usize,
    different: Vec<String>,
    refused: Vec<String>,
}

fn round_trips(
    write: impl Fn(&Model) -> Result<Vec<u8>, ConvertError>,
    read: impl Fn(&[u8]) -> Result<Imported, ConvertError>,
) -> Found {
    let mut found = Found::default();
    for seed in 0..SEEDS as u64 {
        let case = case(seed);
        let bytes = match write(&case.model) {
            Err(ConvertError::NotExpressible { .. }) => continue,
            bytes => bytes.unwrap(),
        };
        match read(&bytes) {
            Ok(copy) => match difference(&case, seed, &copy.model) {
                None => found.same += 1,
                Some(difference) => found.different.push(format!("{seed}: {difference}")),
            },
            Err(e @ ConvertError::Unsupported { .. }) => found.refused.push(format!("{seed}: {e}")),
            Err(e) => panic!("{seed}: {e}"),
        }
    }
    found
}

/// Models of each test.
const SEEDS: usize = 300;

/// The reader refuses some windows over vectors, whose axes have no order any more.
#[test]
fn through_onnx() {
    for layout in [export::onnx::Layout::Nhwc, export::onnx::Layout::Nchw] {
        let found = round_trips(|model| export::onnx::to_bytes_with(model, layout), onnx::read);
        assert!(found.different.is_empty() && found.same > SEEDS * 19 / 20, "{layout:?}: {found:#?}");
    }
}

/// The reader refuses a constant per pixel, which stands behind a binary convolution whose padding is not the engine's.
#[test]
fn through_tflite() {
    let found = round_trips(export::tflite::to_bytes, tflite::read);
    assert!(found.different.is_empty() && found.same > SEEDS * 15 / 20, "{found:#?}");
}
