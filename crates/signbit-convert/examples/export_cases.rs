//! Writes random models as ONNX and TFLite with an input and the interpreter's output, for
//! `scripts/peers/check_export.py` to compare with other systems.
//!
//! `cargo run -p signbit-convert --example export_cases -- FOLDER [COUNT] [FIRST_SEED]`

#[path = "../tests/random_models/mod.rs"]
mod random_models;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use signbit_convert::{ConvertError, export};
use signbit_model::Shape;

/// Samples of each input.
const SAMPLES: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let count: u64 = arguments.next().map_or(Ok(100), |n| n.parse())?;
    let first: u64 = arguments.next().map_or(Ok(0), |n| n.parse())?;
    fs::create_dir_all(&folder)?;
    let mut list = fs::File::create(folder.join("cases.jsonl"))?;
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    for seed in first..first + count {
        let case = random_models::case(seed);
        let (model, name) = (&case.model, format!("{seed:05}"));
        let input = random_models::input(model, SAMPLES, seed);
        let output = random_models::run(model, SAMPLES, &input);
        npy(&folder.join(format!("{name}.input.npy")), model.graph.input.shape, &input)?;
        npy(&folder.join(format!("{name}.output.npy")), model.output_type()?.shape, &output)?;
        signbit_model::file::save(model, folder.join(format!("{name}.signbit")))?;
        fs::write(folder.join(format!("{name}.onnx")), export::onnx::to_bytes(model)?)?;
        let tflite = match export::tflite::to_bytes(model) {
            Ok(bytes) => {
                fs::write(folder.join(format!("{name}.tflite")), bytes)?;
                true
            }
            Err(ConvertError::NotExpressible { operator, reason, .. }) => {
                let reason: String = reason.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
                *refused.entry(format!("{operator}: {reason}")).or_insert(0) += 1;
                false
            }
            Err(other) => return Err(other.into()),
        };
        let operators: Vec<&str> = model.graph.nodes.iter().map(|node| node.op.name()).collect();
        let exact = case.exact;
        writeln!(
            list,
            "{}",
            serde_json::json!({"name": name, "exact": exact, "tflite": tflite, "operators": operators})
        )?;
    }
    println!("{count} models in {}; not expressible as TFLite: {refused:?}", folder.display());
    Ok(())
}

/// A NumPy file of `[n, H, W, C]`, or `[n, C]` for vectors.
fn npy(path: &Path, shape: Shape, data: &[f32]) -> std::io::Result<()> {
    let n = data.len() / shape.elements();
    let Shape { h, w, c } = shape;
    let dims = if shape.is_vector() { format!("({n}, {c})") } else { format!("({n}, {h}, {w}, {c})") };
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {dims}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    let mut bytes = [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes()].concat();
    bytes.extend(data.iter().flat_map(|v| v.to_le_bytes()));
    fs::write(path, bytes)
}
