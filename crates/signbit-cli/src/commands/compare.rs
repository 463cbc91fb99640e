//! `signbit compare`: runs beside each other.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use signbit_model::file;
use signbit_train::recipe::Recipe;

use crate::args::JsonArg;
use crate::failure::Failure;
use crate::files;
use crate::output::{percent, table};
use crate::report::compare::{self, FIGURES, Run};

/// Show runs beside each other: accuracy, loss, size, time, what differs in their recipes, and their curves on a page
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit compare runs/a runs/b
  signbit compare runs/* -o runs.html

Sizes are those of the packed models, times those of the training steps. A run's twin is a run too: RUN/twin.")]
pub(crate) struct CompareArgs {
    /// Folders of runs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The page to write
    #[arg(short, long, value_name = "FILE", default_value = "compare.html")]
    output: PathBuf,
    #[command(flatten)]
    json: JsonArg,
}

/// The document for machines.
#[derive(Serialize)]
struct Document<'a> {
    runs: Vec<Figures<'a>>,
    /// Names of the choices in which the runs differ.
    differ: Vec<&'a str>,
    /// The run with the highest test accuracy.
    best: Option<&'a str>,
    page: String,
}

/// One run in it. Accuracies are shares of 1.
#[derive(Serialize)]
struct Figures<'a> {
    run: &'a str,
    data: &'a str,
    epochs: usize,
    best_epoch: u32,
    best_test_accuracy: f64,
    test_accuracy: f64,
    train_accuracy: f64,
    loss: f64,
    test_loss: f64,
    twin_test_accuracy: Option<f64>,
    gap_points: Option<f64>,
    file_bytes: Option<u64>,
    seconds: Option<f64>,
    recipe: &'a Recipe,
}

impl<'a> Figures<'a> {
    fn of(run: &'a Run) -> Self {
        Self {
            run: &run.name,
            data: &run.header.data,
            epochs: run.header.history.len(),
            best_epoch: run.best.epoch,
            best_test_accuracy: run.best.test_accuracy,
            test_accuracy: run.last.test_accuracy,
            train_accuracy: run.last.train_accuracy,
            loss: run.last.loss,
            test_loss: run.last.test_loss,
            twin_test_accuracy: run.twin,
            gap_points: run.gap(),
            file_bytes: run.bytes,
            seconds: run.seconds,
            recipe: &run.header.recipe,
        }
    }
}

pub(crate) fn run(args: &CompareArgs) -> Result<(), Failure> {
    let (out, output) = (args.json.out(), args.output.as_path());
    files::check_output(output)?;
    let runs = args.runs.iter().map(|path| Run::read(path)).collect::<Result<Vec<_>, _>>()?;
    let page = compare::write(&runs)?;
    file::replace(output, page.as_bytes()).map_err(|e| Failure::path(output, format!("cannot write: {e}")))?;
    let differences = compare::differences(&runs);
    out.headed(table(&FIGURES, 1, runs.iter().map(compare::figures)))?;
    if !differences.is_empty() {
        let names = runs.iter().map(|run| run.name.as_str());
        let head: Vec<&str> = std::iter::once("what differs").chain(names).collect();
        let rows = differences.iter().map(|d| std::iter::once(&d.choice).chain(&d.values).cloned().collect());
        out.text("")?;
        out.headed(table(&head, head.len(), rows))?;
    }
    let best = compare::best(&runs);
    if let (Some(best), true) = (best, runs.len() > 1) {
        let accuracy = percent(best.best.test_accuracy);
        out.text(format_args!("\nbest: {}, test accuracy {accuracy} after epoch {}", best.name, best.best.epoch))?;
    }
    out.text(format_args!("curves: {}", output.display()))?;
    out.json(&Document {
        runs: runs.iter().map(Figures::of).collect(),
        differ: differences.iter().map(|difference| difference.choice.as_str()).collect(),
        best: best.map(|run| run.name.as_str()),
        page: output.display().to_string(),
    })
}
