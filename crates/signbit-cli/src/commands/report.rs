//! `signbit report`: a run as one page to look at.

use std::path::PathBuf;

use clap::Args;

use super::bench::seconds;
use crate::args::{IsaArg, JsonArg, ThreadsArg};
use crate::failure::Failure;
use crate::files;
use crate::output::{percent, short};
use crate::report::{self, Known, PAGE, Way};

/// Write a run down as one HTML page: curves, mistakes, filters, the bits themselves, sizes and speed
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit report runs/digits
  signbit report runs/digits -o digits.html --data digits

The page holds everything it shows and follows the reader's light or dark scheme. The run is packed in memory; its
figures are those of the packed network on the test pictures. Where a twin was trained, it stands beside it.")]
pub(crate) struct ReportArgs {
    /// Folder of the run
    run: PathBuf,
    /// File to write [default: RUN/report.html]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// digits, mnist, fashion-mnist, cifar10, a folder of pictures, IDX or CIFAR files, or a .npz file [default: the
    /// run's data]
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// How long to measure the speed
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    #[command(flatten)]
    isa: IsaArg,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let (out, way) = (args.json.out(), Way { isa: args.isa.isa()?, threads: args.threads.threads() });
    let output = args.output.clone().unwrap_or_else(|| args.run.join(PAGE));
    files::check_output(&output)?;
    let loaded = files::run(&args.run)?;
    let header = &loaded.header;
    let name = args.data.as_ref().unwrap_or(&header.data);
    let data = match (files::data(name, &header.recipe.data, Some(&header.preprocessing)), &args.data) {
        (Err(Failure::Input(error)), None) => {
            return Err(Failure::input(format!("the run's data cannot be opened: {error}; --data says where it is")));
        }
        (data, _) => data?,
    };
    let written = report::write(&args.run, &loaded, &output, &data, way, args.seconds, Known::default())?;
    let (accuracy, fast) = (percent(written.accuracy), short(written.times_as_fast));
    out.text(format_args!("{}: test accuracy {accuracy}, {fast} times as fast as f32", written.report))?;
    out.json(&written)
}
