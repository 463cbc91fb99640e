//! `signbit eval`: how often a model is right.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use signbit::{Model, Options, Session};
use signbit_train::data::{DataSet, Pictures};
use signbit_train::loss::classes_of;
use signbit_train::tensor::Tensor;

use crate::args::{IsaArg, JsonArg, ThreadsArg, WinogradArg};
use crate::failure::Failure;
use crate::files::{self, BATCH};
use crate::output::{counted, grouped, percent, short};
use crate::progress::Progress;

/// Measure a model's accuracy on the test pictures of a data set
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit eval digits.signbit --data digits
  signbit eval digits.signbit --data digits --json")]
pub(crate) struct EvalArgs {
    /// The model's file
    model: PathBuf,
    /// digits, mnist, fashion-mnist, cifar10, a folder of pictures, IDX or CIFAR files, or a .npz file
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    #[command(flatten)]
    isa: IsaArg,
    #[command(flatten)]
    winograd: WinogradArg,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    let (out, isa, threads) = (args.json.out(), args.isa.isa()?, args.threads.threads());
    let model = files::model(&args.model)?;
    let data = files::data_of_model(&args.data, model.data())?;
    let mut session = model.session(Options {
        isa,
        threads,
        batch: BATCH,
        winograd: args.winograd.winograd,
        ..Options::default()
    })?;
    let evaluation = evaluate(&model, &mut session, &data)?;
    let (right, pictures) = (evaluation.right(), data.test.len());
    let (accuracy, rate) = (right as f64 / pictures as f64, pictures as f64 / evaluation.seconds);
    let (share, of) = (percent(accuracy), counted(pictures as u64, "picture"));
    let way = format!("{}, {}", isa.name(), counted(threads as u64, "thread"));
    out.text(format_args!("accuracy {share} ({} of {of}), {} pictures/s ({way})", grouped(right), short(rate)))?;
    if evaluation.without_class > 0 {
        let without = counted(evaluation.without_class, "picture");
        out.text(format_args!("without a class, as no output is a number: {without}"))?;
    }
    out.json(&json!({
        "accuracy": accuracy, "right": right, "pictures": pictures, "without_class": evaluation.without_class,
        "pictures_per_second": rate,
        "isa": isa.name(), "threads": threads, "classes": evaluation.names,
        "confusion": evaluation.rows().collect::<Vec<_>>(),
    }))
}

/// What a model makes of test pictures.
pub(crate) struct Evaluation {
    /// `[classes of the data, outputs]`. Row: the class; column: what the model says.
    confusion: Vec<u64>,
    outputs: usize,
    /// Pictures for which no output is a number: wrong, and not in the table.
    without_class: u64,
    names: Vec<String>,
    /// Time of the runs, without the preparation of the pictures.
    seconds: f64,
}

impl Evaluation {
    fn right(&self) -> u64 {
        self.rows().enumerate().map(|(class, row)| row[class]).sum()
    }

    fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.confusion.chunks_exact(self.outputs)
    }
}

fn evaluate(model: &Model, session: &mut Session, data: &DataSet) -> Result<Evaluation, Failure> {
    let outputs = session.output_type().shape;
    let n = outputs.elements();
    files::check_fit(data, session.input_type().shape, n, &model.data().classes)?;
    let numbered = || (0..n).map(|class| class.to_string()).collect();
    let names = if model.data().classes.is_empty() { numbered() } else { model.data().classes.clone() };
    let confusion = confusion(data.classes.len(), n)?;
    let mut evaluation = Evaluation { confusion, outputs: n, without_class: 0, names, seconds: 0.0 };
    let progress = Progress::new(data.test.len(), "pictures");
    evaluation.seconds = each_batch(model, session, &data.test, |indices, scores| {
        let output = Tensor::new(indices.len(), outputs, scores.to_vec());
        for (&i, class) in indices.iter().zip(classes_of(&output)) {
            match class as usize {
                class if class < n => evaluation.confusion[data.test.labels[i] as usize * n + class] += 1,
                _ => evaluation.without_class += 1,
            }
        }
        progress.done(indices[0] + indices.len());
    })?;
    progress.end();
    Ok(evaluation)
}

/// Runs a model on all `pictures`, [`BATCH`] at a time; `seen` gets their indices and the model's outputs. Returns the
/// seconds of the runs, without the preparation of the pictures.
pub(crate) fn each_batch(
    model: &Model,
    session: &mut Session,
    pictures: &Pictures,
    mut seen: impl FnMut(&[usize], &[f32]),
) -> Result<f64, Failure> {
    let mut seconds = 0.0;
    let all: Vec<usize> = (0..pictures.len()).collect();
    for indices in all.chunks(BATCH) {
        let input = prepared(model, pictures, indices)?;
        let start = Instant::now();
        let scores = session.run(&input, indices.len())?;
        seconds += start.elapsed().as_secs_f64();
        seen(indices, scores);
    }
    Ok(seconds)
}

/// A table without counts. A model may announce more outputs than there is memory for.
fn confusion(classes: usize, outputs: usize) -> Result<Vec<u64>, Failure> {
    let too_large = || Failure::input(format!("a table of {classes} classes and {outputs} outputs is too large"));
    let cells = classes.checked_mul(outputs).ok_or_else(too_large)?;
    let mut table = Vec::new();
    table.try_reserve_exact(cells).map_err(|_| too_large())?;
    table.resize(cells, 0);
    Ok(table)
}

/// Pictures as the model's input.
pub(crate) fn prepared(model: &Model, pictures: &Pictures, indices: &[usize]) -> Result<Vec<f32>, Failure> {
    let preprocessing = model.data().preprocessing.as_ref().ok_or(signbit::Error::NoPreprocessing)?;
    let mut input = vec![0.0; indices.len() * pictures.shape.elements()];
    pictures.write(indices, preprocessing, &mut input)?;
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_does_not_fit_is_an_error() {
        assert_eq!(confusion(2, 3).unwrap(), [0; 6]);
        for (classes, outputs) in [(usize::MAX, 2), (1 << 31, 1 << 31)] {
            assert!(matches!(confusion(classes, outputs), Err(Failure::Input(line)) if line.contains("too large")));
        }
    }

    #[test]
    fn rows_are_classes() {
        let confusion = vec![5, 1, 2, 0, 7, 3];
        let evaluation = Evaluation { confusion, outputs: 3, without_class: 4, names: vec![], seconds: 0.0 };
        assert_eq!(evaluation.right(), 5 + 7);
        assert_eq!(evaluation.rows().collect::<Vec<_>>(), [[5, 1, 2], [0, 7, 3]]);
    }
}
