//! `signbit eval`: how often a model is right.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use signbit::{Model, Options, Session};
use signbit_train::data::{DataSet, Pictures};
use signbit_train::loss::classes_of;
use signbit_train::tensor::Tensor;

use crate::args::{IsaArg, JsonArg, ThreadsArg};
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
    /// digits, mnist, fashion-mnist, or a folder with the four IDX files
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    #[command(flatten)]
    isa: IsaArg,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    let (out, isa, threads) = (args.json.out(), args.isa.isa()?, args.threads.threads());
    let model = files::model(&args.model)?;
    let data = DataSet::open(&args.data)?;
    let mut session = model.session(Options { isa, threads, batch: BATCH, fuse: true })?;
    let evaluation = evaluate(&model, &mut session, &data)?;
    let (right, pictures) = (evaluation.right(), data.test.len());
    let (accuracy, rate) = (right as f64 / pictures as f64, pictures as f64 / evaluation.seconds);
    let (share, of) = (percent(accuracy), counted(pictures as u64, "picture"));
    let way = format!("{}, {}", isa.name(), counted(threads as u64, "thread"));
    out.text(format_args!("accuracy {share} ({} of {of}), {} pictures/s ({way})", grouped(right), short(rate)))?;
    out.json(&json!({
        "accuracy": accuracy, "right": right, "pictures": pictures, "pictures_per_second": rate,
        "isa": isa.name(), "threads": threads, "classes": evaluation.names,
        "confusion": evaluation.confusion,
    }))
}

/// What a model makes of test pictures.
pub(crate) struct Evaluation {
    /// Row: the class; column: what the model says.
    confusion: Vec<Vec<u64>>,
    names: Vec<String>,
    /// Time of the runs, without the preparation of the pictures.
    seconds: f64,
}

impl Evaluation {
    fn right(&self) -> u64 {
        self.confusion.iter().enumerate().map(|(i, row)| row[i]).sum()
    }
}

fn evaluate(model: &Model, session: &mut Session, data: &DataSet) -> Result<Evaluation, Failure> {
    let outputs = session.output_type().shape;
    files::check_fit(data, session.input_type().shape, outputs.elements())?;
    let numbered = || (0..outputs.elements()).map(|class| class.to_string()).collect();
    let names = if model.data().classes.is_empty() { numbered() } else { model.data().classes.clone() };
    let classes = outputs.elements();
    let mut evaluation = Evaluation { confusion: vec![vec![0; classes]; classes], names, seconds: 0.0 };
    let progress = Progress::new(data.test.len(), "pictures");
    let all: Vec<usize> = (0..data.test.len()).collect();
    for indices in all.chunks(BATCH) {
        let input = prepared(model, &data.test, indices)?;
        let start = Instant::now();
        let output = session.run(&input, indices.len())?.to_vec();
        evaluation.seconds += start.elapsed().as_secs_f64();
        let output = Tensor::new(indices.len(), outputs, output);
        for (&i, class) in indices.iter().zip(classes_of(&output)) {
            evaluation.confusion[data.test.labels[i] as usize][class as usize] += 1;
        }
        progress.done(indices[0] + indices.len());
    }
    progress.end();
    Ok(evaluation)
}

/// Pictures as the model's input.
pub(crate) fn prepared(model: &Model, pictures: &Pictures, indices: &[usize]) -> Result<Vec<f32>, Failure> {
    let preprocessing = model.data().preprocessing.as_ref().ok_or(signbit::Error::NoPreprocessing)?;
    let mut input = vec![0.0; indices.len() * pictures.shape.elements()];
    pictures.write(indices, preprocessing, &mut input)?;
    Ok(input)
}
