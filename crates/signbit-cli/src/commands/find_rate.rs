//! `signbit find-rate`: a learning rate by trying.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use signbit_model::file;
use signbit_train::trainer::{FoundRate, RateRange, Trainer, TriedRate};

use super::train::{named_recipe, overridden, source};
use crate::args::{JsonArg, ThreadsArg, isa_from_env};
use crate::failure::Failure;
use crate::files;
use crate::output::table;
use crate::progress::Progress;
use crate::report::rates;

/// Rows of the table.
const ROWS: usize = 12;

/// Find a learning rate: some hundred steps whose rate rises, and what the loss does meanwhile
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit find-rate mlp --data digits
  signbit find-rate recipe.toml --data mnist --steps 400 -o rates.html

The weights are thrown away and no run is touched. The method is the range test of Smith 2017 (arXiv 1506.01186). The
suggestion lies half-way (by logarithm) between the rate at which the loss falls fastest and the one at which it is
lowest. It is a place to begin: try half and twice of it too.")]
pub(crate) struct FindRateArgs {
    /// A network (mlp, small-cnn, binarynet, xnornet-small) or a recipe's file.toml
    recipe: String,
    /// digits, mnist, fashion-mnist, cifar10, a folder of pictures, IDX or CIFAR files, or a .npz file [default: the
    /// recipe's data.source]
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// Any value of the recipe, as in width=32
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The first learning rate
    #[arg(long, value_name = "X", default_value_t = RateRange::default().low)]
    from: f32,
    /// The last
    #[arg(long, value_name = "X", default_value_t = RateRange::default().high)]
    to: f32,
    /// Steps from the one to the other; fewer where the loss runs away
    #[arg(long, value_name = "N", default_value_t = RateRange::default().steps)]
    steps: usize,
    /// The page to write
    #[arg(short, long, value_name = "FILE", default_value = "rates.html")]
    output: PathBuf,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    json: JsonArg,
}

/// The document for machines. Not `json!`, which would widen the rates to f64s of seventeen digits.
#[derive(Serialize)]
struct Document {
    suggested: Option<f32>,
    /// Where the smoothed loss fell fastest.
    fastest: Option<f32>,
    /// Where it was lowest.
    lowest: Option<f32>,
    steps: Vec<Step>,
    page: String,
}

#[derive(Serialize)]
struct Step {
    learning_rate: f32,
    loss: f64,
    smoothed_loss: f64,
}

pub(crate) fn run(args: &FindRateArgs) -> Result<(), Failure> {
    let (out, output) = (args.json.out(), args.output.as_path());
    let isa = isa_from_env()?;
    files::check_output(output)?;
    let base = named_recipe(&args.recipe)?;
    let recipe = args.set.iter().try_fold(base, |recipe, set| overridden(&recipe, set))?;
    recipe.validate()?;
    let range = RateRange { low: args.from, high: args.to, steps: args.steps };
    range.validate()?;
    let name = source(args.data.as_deref(), &recipe)?.to_owned();
    let data = files::data(&name, &recipe.data, None)?;
    let mut trainer = Trainer::new(recipe.clone(), &data, args.threads.threads())?;
    trainer.network.set_isa(isa);
    let progress = Progress::new(range.steps, "steps");
    let found = trainer.find_rate(&range, &mut |done| progress.done(done))?;
    progress.end();
    let page = rates::write(&recipe, &data.name, &found)?;
    file::replace(output, page.as_bytes()).map_err(|e| Failure::path(output, format!("cannot write: {e}")))?;
    let every = found.tried.len().div_ceil(ROWS).max(1);
    let rows = found.tried.iter().step_by(every).map(|t| vec![rounded(t.rate).to_string(), format!("{:.4}", t.smooth)]);
    out.headed(table(&["learning rate", "loss"], 0, rows))?;
    let suggested = found.suggested().map(rounded);
    match (suggested, found.range) {
        (Some(rate), Some((fastest, lowest))) => out.text(format_args!(
            "\nsuggested learning rate: {rate}, between {} (the loss falls fastest) and {} (it is lowest)",
            rounded(fastest),
            rounded(lowest)
        ))?,
        _ => out.text("\nno suggestion: the loss fell nowhere; try other rates, or more steps")?,
    }
    out.text(format_args!("curve: {}", output.display()))?;
    if let Some(rate) = suggested {
        let set: String = args.set.iter().map(|set| format!(" --set {set}")).collect();
        let recipe = &args.recipe;
        out.text(format_args!("next: signbit train {recipe} --data {name}{set} --learning-rate {rate} --out RUN"))?;
    }
    out.json(&document(&found, output.display().to_string()))
}

fn document(found: &FoundRate, page: String) -> Document {
    let step = |t: &TriedRate| Step { learning_rate: t.rate, loss: t.loss, smoothed_loss: t.smooth };
    Document {
        suggested: found.suggested().map(rounded),
        fastest: found.range.map(|range| rounded(range.0)),
        lowest: found.range.map(|range| rounded(range.1)),
        steps: found.tried.iter().map(step).collect(),
        page,
    }
}

/// A rate with two digits: no more can be known of it.
fn rounded(rate: f32) -> f32 {
    format!("{rate:.1e}").parse().unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_two_digits() {
        assert_eq!([0.003_456, 1.0, 2.549e-5, 0.096].map(rounded), [0.0035, 1.0, 2.5e-5, 0.096]);
    }
}
