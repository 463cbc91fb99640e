//! `signbit predict`: what is on a picture?

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use signbit::{Options, Prediction};
use signbit_model::picture;

use crate::args::{IsaArg, JsonArg, WinogradArg, count};
use crate::failure::Failure;
use crate::files;
use crate::output::percent;
use crate::progress::Progress;

/// Classify pictures: PNG, JPEG, BMP or WebP
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit predict digits.signbit picture.png
  signbit predict digits.signbit *.png --top 1 --json")]
pub(crate) struct PredictArgs {
    /// The model's file
    model: PathBuf,
    /// The pictures
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// How many classes to show
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count(1_000_000))]
    top: usize,
    #[command(flatten)]
    isa: IsaArg,
    #[command(flatten)]
    winograd: WinogradArg,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &PredictArgs) -> Result<(), Failure> {
    let (out, isa) = (args.json.out(), args.isa.isa()?);
    let model = files::model(&args.model)?;
    let mut session = model.session(Options { isa, winograd: args.winograd.winograd, ..Options::default() })?;
    let mut all = Vec::with_capacity(args.images.len());
    let progress = Progress::new(args.images.len(), "pictures");
    for path in &args.images {
        let image = picture::open(path).map_err(|e| Failure::path(path, e))?;
        let mut list = session.classify_image(&image).map_err(|e| Failure::path(path, e))?;
        list.truncate(args.top);
        all.push((path.display().to_string(), list));
        progress.done(all.len());
    }
    progress.end();
    for (path, list) in &all {
        let said = list.iter().map(|p| format!("{} ({})", p.name, percent(f64::from(p.probability))));
        out.text(format_args!("{path}: {}", said.collect::<Vec<_>>().join(", ")))?;
    }
    out.json(&all.iter().map(as_json).collect::<Vec<_>>())
}

fn as_json((path, list): &(String, Vec<Prediction>)) -> Value {
    let class =
        |p: &Prediction| json!({ "index": p.index, "name": p.name, "score": p.score, "probability": p.probability });
    json!({ "image": path, "predictions": list.iter().map(class).collect::<Vec<_>>() })
}
