//! `signbit pack`: a run becomes a file of bits.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use signbit_model::{SizeTable, file};
use signbit_train::checkpoint::{BEST_FOLDER, FILE_NAME, TWIN_FOLDER};

use crate::args::JsonArg;
use crate::failure::Failure;
use crate::files;
use crate::output::{grouped, short};

/// Pack a run into a model: one bit per binary weight, batch norm as thresholds
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit pack runs/digits -o digits.signbit
  signbit pack runs/digits --twin -o digits-f32.signbit
  signbit pack runs/digits --best -o digits.signbit")]
pub(crate) struct PackArgs {
    /// Folder of the run
    run: PathBuf,
    /// The model's file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Pack the real-valued twin, RUN/twin
    #[arg(long)]
    twin: bool,
    /// Pack the epoch with the best test accuracy instead of the last; a training with patience keeps it, in RUN/best
    #[arg(long)]
    best: bool,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &PackArgs) -> Result<(), Failure> {
    files::check_output(&args.output)?;
    let mut run = if args.twin { args.run.join(TWIN_FOLDER) } else { args.run.clone() };
    if args.best {
        let best = run.join(BEST_FOLDER);
        if run.join(FILE_NAME).exists() && !best.join(FILE_NAME).exists() {
            return Err(Failure::path(&run, "the best epoch was not kept; train with --patience N to keep it"));
        }
        run = best;
    }
    let loaded = files::run(&run)?;
    let model = files::packed(&loaded)?;
    let size = SizeTable::of(&model)?;
    file::save(&model, &args.output)?;
    let (out, path) = (args.json.out(), args.output.display());
    let (bytes, f32_bytes, ratio) = (grouped(size.file_bytes), grouped(size.f32_bytes), short(size.ratio));
    out.text(format_args!("{path}: {bytes} bytes, {ratio} times smaller than in f32 ({f32_bytes} bytes)"))?;
    out.text(format_args!("next: signbit verify {} {path}", run.display()))?;
    out.json(&json!({
        "model": path.to_string(), "bytes": size.file_bytes, "f32_bytes": size.f32_bytes, "ratio": size.ratio,
        "binary_params": size.binary_params, "real_params": size.real_params,
    }))
}
