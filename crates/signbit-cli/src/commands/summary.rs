//! `signbit summary`: the size table.

use std::path::PathBuf;

use clap::Args;
use signbit_model::SizeTable;

use crate::args::JsonArg;
use crate::failure::Failure;
use crate::files;

/// Show each layer's parameters, bytes and multiply-accumulates, and the totals to the byte
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit summary digits.signbit
  signbit summary runs/digits")]
pub(crate) struct SummaryArgs {
    /// A model's file, or the folder of a run
    #[arg(value_name = "RUN|MODEL")]
    path: PathBuf,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &SummaryArgs) -> Result<(), Failure> {
    let model = match args.path.is_dir() {
        true => files::packed(&files::run(&args.path)?)?,
        false => files::model(&args.path)?.into_data(),
    };
    let size = SizeTable::of(&model)?;
    args.json.out().headed(&size)?;
    args.json.out().json(&size)
}
