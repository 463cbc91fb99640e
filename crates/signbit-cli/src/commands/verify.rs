//! `signbit verify`: the trained network against its bits, picture by picture.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use signbit::Isa;
use signbit_train::checkpoint::Loaded;
use signbit_train::data::Pictures;
use signbit_train::verify::{Report, VerifyError, verify};

use crate::args::{JsonArg, cores, count, isa_by_name, isa_from_env};
use crate::failure::Failure;
use crate::files;
use crate::output::{Out, counted, grouped};
use crate::packed_runner::SessionRunner;
use crate::progress::Progress;

/// How long an instruction set beside the best one may take where none was asked for. The interpreter would take hours.
const BESIDE: Duration = Duration::from_secs(10);

/// Prove that a model computes what its run trained: every hidden bit and every output, on all test pictures
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit verify runs/digits digits.signbit
  signbit verify runs/digits digits.signbit --data digits --isa portable --threads 1,2

EXIT CODE:
  0 identical, 1 a difference was found, 2 the comparison could not be made")]
pub(crate) struct VerifyArgs {
    /// Folder of the run
    run: PathBuf,
    /// The model that was packed from it
    model: PathBuf,
    /// digits, mnist, fashion-mnist, cifar10, a folder of pictures, IDX or CIFAR files, or a .npz file [default: the run's data]
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// Instruction set, or all: each on all pictures [default: $SIGNBIT_ISA, else the best of this CPU, and the others on
    /// as many pictures as they get through in ten seconds]
    #[arg(long, value_name = "NAME|all")]
    isa: Option<String>,
    /// Numbers of threads, with commas between [default: 1 and one per core]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = count(1024))]
    threads: Vec<usize>,
    /// Compare the first N test pictures only
    #[arg(long, value_name = "N", value_parser = count(u64::MAX))]
    first: Option<usize>,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let out = args.json.out();
    let best = isa_from_env()?;
    let isas = isas(args.isa.as_deref(), best)?;
    let mut loaded = files::run(&args.run)?;
    let model = files::model(&args.model)?.into_data();
    let header = &loaded.header;
    let data =
        files::data(args.data.as_ref().unwrap_or(&header.data), &header.recipe.data, Some(&header.preprocessing))?;
    files::check_fit(&data, header.input, header.classes.len(), &header.classes)?;
    let mut threads = match args.threads.is_empty() {
        true => vec![1, cores()],
        false => args.threads.clone(),
    };
    threads.dedup();
    let pictures = match args.first {
        Some(n) => first(&data.test, n),
        None => data.test,
    };
    let limit = |isa| (args.isa.is_none() && isa != best).then_some(BESIDE);
    let way = |isa, threads| Way { isa, threads, limit: limit(isa) };
    let ways: Vec<_> = isas.iter().flat_map(|&isa| threads.iter().map(move |&threads| way(isa, threads))).collect();
    let outcome = compare(out, &mut loaded, &model, &pictures, &ways)?;
    out.text(&outcome.sentence)?;
    out.json(&json!({ "identical": outcome.identical, "verdict": outcome.sentence, "runs": outcome.runs }))?;
    if outcome.identical { Ok(()) } else { Err(Failure::Differs) }
}

/// How a comparison runs.
pub(crate) struct Way {
    pub(crate) isa: Isa,
    pub(crate) threads: usize,
    /// About as long, on the first pictures, at least one.
    pub(crate) limit: Option<Duration>,
}

/// What a comparison on several instruction sets and numbers of threads has found.
pub(crate) struct Outcome {
    pub(crate) identical: bool,
    /// For people: the counts, or the first difference.
    pub(crate) sentence: String,
    /// For machines: one object per way.
    pub(crate) runs: Vec<Value>,
}

/// Compares on each instruction set and number of threads.
pub(crate) fn compare(
    out: Out,
    loaded: &mut Loaded,
    model: &signbit_model::Model,
    pictures: &Pictures,
    ways: &[Way],
) -> Result<Outcome, Failure> {
    let mut runs = Vec::new();
    let mut most = Report::default();
    loaded.network.set_isa(isa_from_env()?);
    if model.preprocessing.as_ref() != Some(&loaded.header.preprocessing) {
        let sentence = "differs: the model's preprocessing is not that of the run".to_owned();
        return Ok(Outcome { identical: false, sentence, runs });
    }
    for &Way { isa, threads, limit } in ways {
        let way = format!("{}, {}", isa.name(), counted(threads as u64, "thread"));
        let mut runner = SessionRunner::new(model, isa, threads)?;
        let preprocessing = loaded.header.preprocessing.clone();
        let report = within(limit, pictures, |pictures| {
            let progress = Progress::new(pictures.len(), "pictures");
            progress.prefix(&way);
            let report =
                verify(&mut loaded.network, &mut runner, pictures, &preprocessing, &mut |done| progress.done(done));
            progress.end();
            report
        });
        let report = match report {
            Ok(report) => report,
            Err(error @ (VerifyError::Layers(_) | VerifyError::Outputs { .. })) => {
                return Ok(Outcome { identical: false, sentence: format!("differs: {error}"), runs });
            }
            Err(error) => return Err(error.into()),
        };
        runs.push(as_json(isa, threads, &report));
        let counts = counted_in(&report);
        if let Some(difference) = &report.first {
            let sentence = format!("differs: {difference}; {counts} ({way})");
            return Ok(Outcome { identical: false, sentence, runs });
        }
        let all = grouped(pictures.len() as u64);
        let rest = match report.samples == pictures.len() {
            true => String::new(),
            false => format!(" (the first of {all}; all of them with --isa {})", isa.name()),
        };
        out.text(format_args!("{way}: {counts}{rest}"))?;
        if report.samples > most.samples {
            most = report;
        }
    }
    Ok(Outcome { identical: true, sentence: format!("identical: {}", counted_in(&most)), runs })
}

/// Compares the first pictures by `verify`, as many as it gets through in about the time of `limit`; all without one.
fn within<E>(
    limit: Option<Duration>,
    pictures: &Pictures,
    mut verify: impl FnMut(&Pictures) -> Result<Report, E>,
) -> Result<Report, E> {
    let Some(limit) = limit else { return verify(pictures) };
    let (begin, mut n) = (Instant::now(), 1);
    loop {
        let start = Instant::now();
        let report = if n < pictures.len() { verify(&first(pictures, n)) } else { verify(pictures) }?;
        let left = limit.saturating_sub(begin.elapsed());
        let more = (left.as_secs_f64() / start.elapsed().as_secs_f64()).min(16.0) as usize;
        if more < 2 || report.samples == pictures.len() || !report.identical() {
            return Ok(report);
        }
        n = report.samples * more;
    }
}

/// `1,234 bits and 3,590 outputs on 359 pictures, 0 differ`.
fn counted_in(report: &Report) -> String {
    let (bits, outputs) = (counted(report.bits, "bit"), counted(report.outputs, "output"));
    let pictures = counted(report.samples as u64, "picture");
    let differ = match report.identical() {
        true => "0 differ".to_owned(),
        false => format!(
            "{} and {} differ, {} changed",
            counted(report.differing_bits, "bit"),
            counted(report.differing_outputs, "output"),
            grouped(report.differing_classes) + if report.differing_classes == 1 { " class" } else { " classes" },
        ),
    };
    format!("{bits} and {outputs} on {pictures}, {differ}")
}

fn as_json(isa: Isa, threads: usize, report: &Report) -> Value {
    let first = report.first.as_ref().map(|d| {
        json!({
            "sample": d.sample, "layer": d.layer, "row": d.position.0, "column": d.position.1, "channel": d.channel,
            "trained": d.trained, "packed": d.packed,
        })
    });
    json!({
        "isa": isa.name(), "threads": threads, "identical": report.identical(), "pictures": report.samples,
        "layers": report.layers, "bits": report.bits, "differing_bits": report.differing_bits,
        "outputs": report.outputs, "differing_outputs": report.differing_outputs,
        "differing_classes": report.differing_classes, "right": report.right, "first_difference": first,
    })
}

/// The instruction sets of a name; without one `best` alone where the environment chose it, else before the others.
fn isas(name: Option<&str>, best: Isa) -> Result<Vec<Isa>, Failure> {
    let chosen = std::env::var_os("SIGNBIT_ISA").is_some_and(|name| !name.is_empty());
    match name {
        Some("all") => Ok(Isa::all().collect()),
        Some(name) => Ok(vec![isa_by_name(name)?]),
        None if chosen => Ok(vec![best]),
        None => Ok(std::iter::once(best).chain(Isa::all().filter(|&isa| isa != best)).collect()),
    }
}

/// The first `n` pictures, or all.
fn first(pictures: &Pictures, n: usize) -> Pictures {
    let n = n.min(pictures.len());
    Pictures {
        shape: pictures.shape,
        labels: pictures.labels[..n].to_vec(),
        pixels: pictures.pixels[..n * pictures.shape.elements()].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signbit_model::Shape;

    fn pictures(n: usize) -> Pictures {
        Pictures { shape: Shape::new(1, 1, 1), pixels: vec![0; n], labels: vec![0; n] }
    }

    fn report(pictures: &Pictures) -> Result<Report, ()> {
        Ok(Report { samples: pictures.len(), ..Report::default() })
    }

    /// Numbers of pictures that are tried in turn.
    fn tried(limit: Option<Duration>, all: usize, each: Duration) -> Vec<usize> {
        let mut tried = Vec::new();
        let found = within(limit, &pictures(all), |pictures| {
            std::thread::sleep(each * pictures.len() as u32);
            tried.push(pictures.len());
            report(pictures)
        });
        assert_eq!(found.unwrap().samples, *tried.last().unwrap());
        tried
    }

    #[test]
    fn as_many_pictures_as_the_time_allows() {
        assert_eq!(tried(None, 100, Duration::ZERO), [100]);
        assert_eq!(tried(Some(Duration::ZERO), 100, Duration::from_millis(1)), [1]);
        assert_eq!(tried(Some(Duration::from_secs(3600)), 100, Duration::ZERO), [1, 16, 100]);
        assert_eq!(tried(Some(Duration::from_secs(3600)), 0, Duration::ZERO), [0]);
        let some = tried(Some(Duration::from_millis(200)), 1_000_000, Duration::from_millis(5));
        assert!(some.len() > 1 && *some.last().unwrap() < 100, "{some:?}");
    }

    #[test]
    fn a_difference_is_enough() {
        let found = within(Some(Duration::from_secs(3600)), &pictures(9), |pictures| {
            report(pictures).map(|report| Report { differing_bits: 1, ..report })
        });
        assert_eq!(found.unwrap().samples, 1);
    }
}
