//! A training on its way to disk: the checks before it, a checkpoint and a line of metrics after each epoch.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use signbit::Isa;
use signbit_train::checkpoint::{self, CheckpointError, EpochRecord, FILE_NAME, Header};
use signbit_train::data::DataSet;
use signbit_train::recipe::Recipe;
use signbit_train::trainer::{Event, Trainer};

use crate::failure::Failure;
use crate::output::{Out, percent};
use crate::progress::Progress;

/// The file of figures inside of a run's folder.
const METRICS: &str = "metrics.csv";

/// What to do with a folder that holds a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Refuse.
    New,
    /// Go on with it.
    Resume,
    /// Forget it.
    Anew,
}

/// What all trainings of one command share.
#[derive(Clone, Copy)]
pub(crate) struct Training<'d> {
    pub(crate) data: &'d DataSet,
    pub(crate) isa: Isa,
    pub(crate) threads: usize,
    pub(crate) out: Out,
    pub(crate) start: Start,
    /// Whether the recipe's number of epochs was asked for: only that may differ from a run that goes on.
    pub(crate) epochs_given: bool,
}

/// A training that has passed all checks and has written nothing yet.
pub(crate) struct Prepared<'d> {
    trainer: Trainer<'d>,
    run: PathBuf,
    out: Out,
    start: Start,
    label: &'static str,
    /// Wall time of each epoch's training steps; it goes into the metrics only.
    seconds: Vec<f64>,
}

impl<'d> Training<'d> {
    /// Builds the network, or reads the checkpoint.
    pub(crate) fn prepare(&self, recipe: Recipe, run: &Path) -> Result<Prepared<'d>, Failure> {
        let label = if recipe.twin { "twin" } else { "binary" };
        let there = run.join(FILE_NAME).exists();
        if there && self.start == Start::New {
            return Err(Failure::path(run, "there is a run already; --resume goes on with it, --force starts anew"));
        }
        // A twin that was not trained yet begins where its network goes on.
        let resume = self.start == Start::Resume && (there || !recipe.twin);
        let mut trainer = match resume {
            true => self.resumed(recipe, run)?,
            false => Trainer::new(recipe, self.data, self.threads)?,
        };
        trainer.network.set_isa(self.isa);
        let seconds = earlier_seconds(run, &trainer.header.history);
        Ok(Prepared { trainer, run: run.to_owned(), out: self.out, start: self.start, label, seconds })
    }

    fn resumed(&self, recipe: Recipe, run: &Path) -> Result<Trainer<'d>, Failure> {
        let mut loaded = checkpoint::load(run)?;
        let header = &mut loaded.header;
        let recipe = Recipe { epochs: if self.epochs_given { recipe.epochs } else { header.recipe.epochs }, ..recipe };
        if let Some(key) = first_change(&header.recipe, &recipe)? {
            let message = format!("the run was begun with another {key}; --resume can change --epochs only");
            return Err(Failure::path(run, message));
        }
        let done = header.history.len();
        if done > recipe.epochs as usize {
            return Err(Failure::path(run, format!("{done} epochs are done already, --epochs is {}", recipe.epochs)));
        }
        let (name, input) = (&self.data.name, self.data.train.shape);
        if header.data != *name || header.input != input || header.classes != self.data.classes {
            return Err(Failure::path(run, format!("the run was begun on {}, not on {name}", header.data)));
        }
        header.recipe = recipe;
        Ok(Trainer::from_loaded(loaded, self.data, self.threads)?)
    }
}

impl Prepared<'_> {
    /// Makes the folder and writes into it, so that a folder that cannot be written is known before the training.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        let run = &self.run;
        fs::create_dir_all(run).map_err(|e| Failure::path(run, format!("cannot make the run's folder: {e}")))?;
        if self.start == Start::Anew {
            forget(run)?;
        }
        write_metrics(run, &self.trainer.header.history, &self.seconds)
    }

    /// Trains what is left. Returns the figures of the last epoch.
    pub(crate) fn train(mut self) -> Result<EpochRecord, Failure> {
        let (epochs, batch) = (self.trainer.header.recipe.epochs, self.trainer.header.recipe.batch);
        let progress = Progress::new(epochs as usize, "steps");
        progress.prefix(self.label);
        self.tell_start()?;
        while !self.trainer.finished() {
            self.trainer.epoch(&mut |event| {
                if let Event::Epoch { seconds, .. } = event {
                    self.seconds.push(seconds);
                }
                progress.step(&event, epochs, batch);
            })?;
            let header = &self.trainer.header;
            write_metrics(&self.run, &header.history, &self.seconds)?;
            checkpoint::save(&self.run, header, &self.trainer.network, &*self.trainer.optimizer)?;
            progress.aside(|| self.tell())?;
        }
        progress.end();
        let last = self.trainer.header.history.last().cloned();
        let last = last.ok_or_else(|| Failure::path(&self.run, "the run has no epoch"))?;
        self.out.json_line(&json!({
            "event": "done", "network": self.label, "run": self.run.display().to_string(),
            "epochs": last.epoch, "test_accuracy": last.test_accuracy,
        }))?;
        Ok(last)
    }

    /// One line with the learning rate, which a twin has of its own.
    fn tell_start(&self) -> Result<(), Failure> {
        let learning_rate = self.trainer.header.recipe.learning_rate;
        let network = self.label;
        self.out.text(format_args!("{network}: learning rate {learning_rate}"))?;
        self.out.json_line(&Started { event: "start", network, learning_rate })
    }

    /// One line for the epoch that has ended.
    fn tell(&self) -> Result<(), Failure> {
        let Header { recipe, history, .. } = &self.trainer.header;
        let (Some(record), Some(seconds)) = (history.last(), self.seconds.last()) else { return Ok(()) };
        let EpochRecord { epoch, loss, train_accuracy, test_accuracy, .. } = *record;
        let (epochs, label) = (recipe.epochs, self.label);
        let width = epochs.to_string().len();
        let (train, test) = (percent(train_accuracy), percent(test_accuracy));
        self.out.text(format_args!(
            "{label} epoch {epoch:>width$}/{epochs}  loss {loss:.4}  train {train}  test {test}  {seconds:.2} s"
        ))?;
        self.out.json_line(&json!({
            "event": "epoch", "network": label, "epoch": epoch, "epochs": epochs, "loss": loss,
            "train_accuracy": train_accuracy, "test_accuracy": test_accuracy, "seconds": seconds,
        }))
    }
}

/// A training begins, or goes on. Not `json!`, which would widen the rate to an f64 of seventeen digits.
#[derive(Serialize)]
struct Started {
    event: &'static str,
    network: &'static str,
    learning_rate: f32,
}

/// Removes the files of an older run, and nothing else that may be in its folder.
fn forget(run: &Path) -> Result<(), Failure> {
    for folder in [run.to_owned(), run.join(checkpoint::TWIN_FOLDER)] {
        for file in [FILE_NAME, METRICS].map(|name| folder.join(name)) {
            match fs::remove_file(&file) {
                Err(e) if !matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                    return Err(Failure::path(&file, format!("cannot remove the older run: {e}")));
                }
                _ => (),
            }
        }
    }
    Ok(())
}

/// The name of the first choice in which two recipes differ, the number of epochs aside.
fn first_change(stored: &Recipe, wanted: &Recipe) -> Result<Option<String>, Failure> {
    let (stored, wanted) = (serde_json::to_value(stored)?, serde_json::to_value(wanted)?);
    let (Some(stored), Some(wanted)) = (stored.as_object(), wanted.as_object()) else { return Ok(None) };
    let changed = stored.iter().find(|(key, value)| *key != "epochs" && wanted.get(*key) != Some(value));
    Ok(changed.map(|(key, _)| key.replace('_', " ")))
}

fn write_metrics(run: &Path, history: &[EpochRecord], seconds: &[f64]) -> Result<(), Failure> {
    let mut csv = String::from("epoch,loss,train_accuracy,test_accuracy,seconds\n");
    for (EpochRecord { epoch, loss, train_accuracy, test_accuracy, .. }, seconds) in history.iter().zip(seconds) {
        // Writing to a string does not fail.
        let _ = writeln!(csv, "{epoch},{loss},{train_accuracy},{test_accuracy},{seconds:.3}");
    }
    let path = run.join(METRICS);
    let replaced = signbit_model::file::replace(&path, csv.as_bytes());
    Ok(replaced.map_err(|source| CheckpointError::Io { path, source })?)
}

/// The wall times of a run's epochs from its `metrics.csv`; 0 where they are not there.
fn earlier_seconds(run: &Path, history: &[EpochRecord]) -> Vec<f64> {
    let csv = fs::read_to_string(run.join(METRICS)).unwrap_or_default();
    let of = |record: &EpochRecord| {
        let line = csv.lines().skip(1).find(|line| line.split(',').next() == Some(&record.epoch.to_string()))?;
        line.rsplit(',').next()?.parse().ok()
    };
    history.iter().map(|record| of(record).unwrap_or(0.0)).collect()
}
