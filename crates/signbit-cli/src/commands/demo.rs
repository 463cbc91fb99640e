//! `signbit demo`: the whole way on digits that are inside the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use image::ColorType;
use serde_json::json;
use signbit::{Isa, Model};
use signbit_model::file;
use signbit_train::checkpoint::{self, EpochRecord, TWIN_FOLDER};
use signbit_train::data::{DataOptions, DataSet, Pictures};
use signbit_train::recipe::Recipe;

use super::bench::BASELINE;
use super::training::{Start, Training};
use super::verify::{self, Outcome};
use crate::args::{JsonArg, ThreadsArg, isa_from_env};
use crate::failure::Failure;
use crate::files;
use crate::interrupt;
use crate::output::{Out, counted, grouped, percent, short, table};
use crate::report::{self, Known, PAGE, Speeds, Way};

/// Channels of the network's first stage, and epochs: as many as train within seconds on two cores.
const WIDTH: usize = 32;
const EPOCHS: u32 = 25;
/// Pictures per step: there are few pictures, and more steps learn more from them.
const STEP: usize = 50;
/// Bits take a higher learning rate than real numbers: a latent weight has to cross 0 to change anything.
const LEARNING_RATE: f32 = 0.01;
const TWIN_LEARNING_RATE: f32 = 0.001;
/// Test pictures that are written, to be predicted.
const SAMPLES: usize = 3;
/// How long the speed is measured.
const SECONDS: f64 = 1.0;

/// Train, pack, verify and measure a small network and its real-valued twin, on digits inside the program
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit demo
  signbit demo --out /tmp/demo --threads 2 --json

The twin runs in f32 in signbit's own fixed-order kernels: no fused multiply-add, so that every instruction set
gives the same bits. A library of real matrix products may be faster.")]
pub(crate) struct DemoArgs {
    /// Folder for the run, the models, the pictures and report.html
    #[arg(long, value_name = "DIR", default_value = "signbit-demo")]
    out: PathBuf,
    /// Write into the folder even where something else is in it; a run in DIR/run is lost
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    json: JsonArg,
}

/// One of the two networks, on disk.
struct Candidate {
    name: &'static str,
    path: PathBuf,
    bytes: u64,
    accuracy: f64,
    outcome: Outcome,
    model: Model,
}

pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let (started, out, dir) = (Instant::now(), args.json.out().working_on(), args.out.as_path());
    let (isa, threads) = (isa_from_env()?, args.threads.threads());
    let data = DataSet::digits()?;
    let recipe = recipe()?;
    if !args.force {
        check_folder(dir, &recipe)?;
    }
    let training = Training {
        data: &data,
        isa,
        threads,
        out: out.of_parts(),
        start: Start::Anew,
        epochs_given: true,
        ranks: None,
    };
    let run = dir.join("run");
    let mut twin = training.prepare(recipe.as_twin(Some(TWIN_LEARNING_RATE)), &run.join(TWIN_FOLDER))?;
    let mut bits = training.prepare(recipe, &run)?;
    let stop = interrupt::raised()?;
    bits.begin()?;
    twin.begin()?;
    let (train, test) = (grouped(data.train.len() as u64), grouped(data.test.len() as u64));
    out.text(format_args!("digits: {train} pictures of 8x8 to train on, {test} to test; the network: small-cnn"))?;
    let (bits, twin) = (bits.train(&stop)?, twin.train(&stop)?);
    out.text("packing, and comparing every hidden bit and output with the trained network ...")?;
    let (test, model, f32_model) = (&data.test, dir.join("model.signbit"), dir.join("twin.signbit"));
    let twin = candidate(out, "twin (f32)", &run.join(TWIN_FOLDER), f32_model, twin, test, threads)?;
    let bits = candidate(out, "bits", &run, model, bits, test, threads)?;
    let way = Way { isa, threads };
    let speeds = report::speeds(&bits.model, &twin.model, test, way, SECONDS)?;
    let pictures = write_samples(dir, test)?;
    tell(out, &bits, &twin, &speeds, &pictures)?;
    let page = dir.join(PAGE);
    let known = Known { speeds: Some(speeds), verified: Some(bits.outcome.sentence.clone()) };
    report::write(&run, &files::run(&run)?, &page, &data, way, SECONDS, known)?;
    out.text(format_args!("look: {}", page.display()))?;
    let way = format!("{}, {}", isa.name(), counted(threads as u64, "thread"));
    out.text(format_args!("\n{:.1} s in all ({way})", started.elapsed().as_secs_f64()))?;
    let as_json = |candidate: &Candidate, rate: f64| {
        json!({
            "model": candidate.path.display().to_string(), "bytes": candidate.bytes,
            "accuracy": candidate.accuracy, "pictures_per_second": rate,
            "identical": candidate.outcome.identical, "verify": candidate.outcome.runs,
        })
    };
    out.json(&json!({
        "twin": as_json(&twin, speeds.twin), "bits": as_json(&bits, speeds.bits),
        "times_smaller": twin.bytes as f64 / bits.bytes as f64,
        "times_as_fast": speeds.ratio, "baseline": BASELINE, "isa": isa.name(), "threads": threads,
        "report": page.display().to_string(),
        "pictures": pictures.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "seconds": started.elapsed().as_secs_f64(),
    }))?;
    if bits.outcome.identical && twin.outcome.identical { Ok(()) } else { Err(Failure::Differs) }
}

/// What the demo trains.
fn recipe() -> Result<Recipe, Failure> {
    let base = Recipe::by_name("small-cnn")?;
    let data = DataOptions { source: "digits".into(), ..base.data };
    Ok(Recipe { width: WIDTH, epochs: EPOCHS, batch: STEP, learning_rate: LEARNING_RATE, data, ..base })
}

/// The folder is absent, empty, or that of an earlier demo: nothing else is overwritten.
fn check_folder(dir: &Path, recipe: &Recipe) -> Result<(), Failure> {
    // What cannot be listed is absent, or the training says that no folder can be made there.
    let Ok(mut entries) = fs::read_dir(dir) else { return Ok(()) };
    if entries.next().is_none() {
        return Ok(());
    }
    match checkpoint::load(&dir.join("run")) {
        Ok(loaded) if loaded.header.recipe == *recipe => Ok(()),
        _ => Err(Failure::path(dir, "the folder holds something else than this demo; give another, or --force")),
    }
}

/// Packs a run, reads the file back and compares it with the run on every instruction set.
fn candidate(
    out: Out,
    name: &'static str,
    run: &Path,
    path: PathBuf,
    trained: EpochRecord,
    pictures: &Pictures,
    threads: usize,
) -> Result<Candidate, Failure> {
    let mut loaded = files::run(run)?;
    file::save(&files::packed(&loaded)?, &path)?;
    let bytes = fs::metadata(&path).map_err(|e| Failure::path(&path, e))?.len();
    let model = files::model(&path)?;
    let ways: Vec<_> = Isa::all().map(|isa| verify::Way { isa, threads, limit: None }).collect();
    let outcome = verify::compare(out.silent(), &mut loaded, model.data(), pictures, &ways)?;
    Ok(Candidate { name, path, bytes, accuracy: trained.test_accuracy, outcome, model })
}

/// Writes a few test pictures into `dir`. Their names say what is on them.
fn write_samples(dir: &Path, test: &Pictures) -> Result<Vec<PathBuf>, Failure> {
    let (width, height) = (test.shape.w as u32, test.shape.h as u32);
    let write = |i: usize| {
        let path = dir.join(format!("test-{i}-is-{}.png", test.labels[i]));
        let saved = image::save_buffer(&path, test.picture(i), width, height, ColorType::L8);
        saved.map_err(|e| Failure::path(&path, e)).map(|()| path)
    };
    (0..SAMPLES).map(write).collect()
}

fn tell(out: Out, bits: &Candidate, twin: &Candidate, speeds: &Speeds, pictures: &[PathBuf]) -> Result<(), Failure> {
    let row = |candidate: &Candidate, rate: f64| {
        let smaller = twin.bytes as f64 / candidate.bytes as f64;
        let numbers = [percent(candidate.accuracy), grouped(candidate.bytes), short(smaller), short(rate)];
        std::iter::once(candidate.name.to_owned()).chain(numbers).collect()
    };
    let head = ["network", "accuracy", "bytes", "times smaller", "pictures/s"];
    out.text("")?;
    out.headed(format_args!("{}\n", table(&head, 1, [row(twin, speeds.twin), row(bits, speeds.bits)])))?;
    out.text(format_args!("bits are {} times as fast as {BASELINE}", short(speeds.ratio)))?;
    let isas: Vec<_> = Isa::all().map(Isa::name).collect();
    for candidate in [bits, twin] {
        if candidate.outcome.identical {
            out.text(format_args!("{}: {} ({})", candidate.name, candidate.outcome.sentence, isas.join(", ")))?;
        } else {
            out.text(format_args!("{}: {}", candidate.name, candidate.outcome.sentence))?;
        }
    }
    let pictures: Vec<_> = pictures.iter().map(|path| path.display().to_string()).collect();
    out.text(format_args!("next: signbit predict {} {}", bits.path.display(), pictures.join(" ")))
}

#[cfg(test)]
mod tests {
    use signbit_train::trainer::Trainer;

    use super::*;

    #[test]
    fn only_a_folder_of_its_own_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe { width: 2, ..recipe().unwrap() };
        let checked = |name: &str| check_folder(&folder.path().join(name), &recipe).is_ok();
        let data = DataSet::digits().unwrap();
        let mut wanted = vec![("absent", true)];
        for (name, stored, fits) in [
            ("own", recipe.clone(), true),
            ("other", Recipe { seed: 1, ..recipe.clone() }, false),
            ("twin", recipe.as_twin(None), false),
        ] {
            let run = folder.path().join(name).join("run");
            fs::create_dir_all(&run).unwrap();
            let mut trainer = Trainer::new(stored, &data, 1).unwrap();
            trainer.epoch(&mut |_| ()).unwrap();
            checkpoint::save(&run, &trainer.header, &trainer.network, &*trainer.optimizer).unwrap();
            wanted.push((name, fits));
        }
        fs::create_dir(folder.path().join("empty")).unwrap();
        fs::create_dir_all(folder.path().join("runs/digits")).unwrap();
        fs::create_dir_all(folder.path().join("damaged/run")).unwrap();
        fs::write(folder.path().join("damaged/run").join(checkpoint::FILE_NAME), "cut").unwrap();
        wanted.extend([("empty", true), ("runs", false), ("damaged", false)]);
        let found: Vec<_> = wanted.iter().map(|(name, _)| (*name, checked(name))).collect();
        assert_eq!(found, wanted);
    }
}
