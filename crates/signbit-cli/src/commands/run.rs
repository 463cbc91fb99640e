//! `signbit run`: numbers in, numbers out.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;
use signbit::{Model, Options, Session};
use signbit_model::{Shape, file};
use signbit_train::data::npy::{self, Array, Numbers};

use crate::args::{IsaArg, JsonArg, ThreadsArg, WinogradArg, count};
use crate::failure::Failure;
use crate::files::{self, BATCH};
use crate::output::{counted, short};
use crate::progress::Progress;

/// Run a model on the arrays of a .npy file
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit run digits.signbit --input x.npy --output y.npy

INPUT:
  float32 [N, H, W, C], or [N, C] where the model takes a vector: the network's input as it is.
  uint8 of the same shape: pixels from 0 to 255, which go through the model's preprocessing.")]
pub(crate) struct RunArgs {
    /// The model's file
    model: PathBuf,
    /// The input, a .npy file
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// The output, a .npy file of float32: [N, H, W, C], or [N, C] where the model gives a vector
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Samples that run at once
    #[arg(long, value_name = "N", default_value_t = BATCH, value_parser = count(65_536))]
    batch: usize,
    #[command(flatten)]
    isa: IsaArg,
    #[command(flatten)]
    winograd: WinogradArg,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    files::check_output(&args.output)?;
    let (isa, threads) = (args.isa.isa()?, args.threads.threads());
    let model = files::model(&args.model)?;
    let (n, input) = read(&args.input, &model)?;
    let batch = args.batch.min(n.max(1));
    let mut session =
        model.session(Options { isa, threads, batch, winograd: args.winograd.winograd, ..Options::default() })?;
    let start = Instant::now();
    let output = all(&mut session, &input, n, batch)?;
    let seconds = start.elapsed().as_secs_f64();
    let Shape { h, w, c } = model.data().output_type()?.shape;
    let shape = if h == 1 && w == 1 { vec![n, c] } else { vec![n, h, w, c] };
    let bytes = npy::to_bytes(&shape, &output);
    file::replace(&args.output, &bytes).map_err(|e| Failure::path(&args.output, format!("cannot write: {e}")))?;
    let (out, samples) = (args.json.out(), counted(n as u64, "sample"));
    let (path, way) = (args.output.display(), counted(threads as u64, "thread"));
    out.text(format_args!("{path}: {shape:?}, {samples} in {} ms ({}, {way})", short(seconds * 1e3), isa.name()))?;
    out.json(&json!({
        "output": path.to_string(), "shape": shape, "seconds": seconds, "isa": isa.name(), "threads": threads,
    }))
}

/// The output for `n` samples, `batch` at once.
fn all(session: &mut Session, input: &[f32], n: usize, batch: usize) -> Result<Vec<f32>, Failure> {
    let sample = session.input_type().shape.elements();
    let mut output = Vec::new();
    let progress = Progress::new(n, "samples");
    for (i, input) in input.chunks(batch * sample).enumerate() {
        output.extend_from_slice(session.run(input, input.len() / sample)?);
        progress.done(n.min((i + 1) * batch));
    }
    progress.end();
    Ok(output)
}

/// The number of samples in a file and the network's input for them.
fn read(path: &Path, model: &Model) -> Result<(usize, Vec<f32>), Failure> {
    let bytes = fs::read(path).map_err(|e| Failure::path(path, format!("cannot read the input: {e}")))?;
    let Array { shape, descr, numbers } = npy::parse(&bytes).map_err(|e| Failure::path(path, e))?;
    let expected = model.data().graph.input.shape;
    let n = match shape[..] {
        [n, h, w, c] if Shape::new(h, w, c) == expected => n,
        // A picture may come flattened: row by row, its channels together.
        [n, elements] if elements == expected.elements() => n,
        _ => {
            let Shape { h, w, c } = expected;
            let elements = expected.elements();
            let message = format!("the array is {shape:?}, the model takes [N, {h}, {w}, {c}] or [N, {elements}]");
            return Err(Failure::path(path, message));
        }
    };
    let input = match numbers {
        Numbers::F32(numbers) => numbers,
        Numbers::F64(_) | Numbers::Integers(_) => {
            let message = format!("the numbers are {descr:?}, they must be float32 ('<f4') or uint8 ('|u1')");
            return Err(Failure::path(path, message));
        }
        Numbers::U8(pixels) => {
            let preprocessing = model.data().preprocessing.as_ref();
            let preprocessing = preprocessing.ok_or_else(|| {
                Failure::path(path, "the model has no preprocessing for uint8; give float32, the network's own input")
            })?;
            let mut input = vec![0.0; pixels.len()];
            let sample = expected.elements();
            for (pixels, out) in pixels.chunks_exact(sample).zip(input.chunks_exact_mut(sample)) {
                preprocessing.apply(pixels, out)?;
            }
            input
        }
    };
    Ok((n, input))
}
