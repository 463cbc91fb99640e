//! A training on its way to disk: the checks before it, a checkpoint, a line of metrics and an event for TensorBoard
//! after each epoch. The checkpoint is written first and decides: the other two are made from its history.

use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use serde_json::json;
use signbit::Isa;
use signbit_train::checkpoint::{self, BEST_FOLDER, CheckpointError, EpochRecord, FILE_NAME, Header, TWIN_FOLDER};
use signbit_train::data::DataSet;
use signbit_train::recipe::Recipe;
use signbit_train::trainer::{Event, Trainer};

use crate::failure::Failure;
use crate::files::RECIPE;
use crate::output::{Out, counted, percent};
use crate::progress::Progress;
use crate::ranks::Ranks;
use crate::tensorboard::{self, Events, Layers};

/// The file of figures inside of a run's folder.
const METRICS: &str = "metrics.csv";
/// Its columns; the shares of flipped bits and of dead and saturated weights are means over the binary layers. What was
/// not recorded is left out.
const COLUMNS: &str = "epoch,loss,train_accuracy,test_loss,test_accuracy,learning_rate,flip_ratio,dead,saturated,\
                       gradient_norm,seconds";
/// What a training writes into its folder.
const FILES: [&str; 4] = [FILE_NAME, METRICS, RECIPE, tensorboard::FILE_NAME];
/// Choices of a recipe that a run may change when it goes on.
const FREE: [&str; 2] = ["epochs", "patience"];
/// The file that a training keeps locked, so that no second one writes into the same folder.
const LOCK: &str = ".lock";

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
    /// The processes that share it, if there are several. The first one of them writes.
    pub(crate) ranks: Option<&'d Ranks>,
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
    events: Option<Events>,
    /// Locked as long as it is open.
    lock: Option<File>,
    /// Whether this process is the one that writes.
    writes: bool,
}

impl<'d> Training<'d> {
    /// Builds the network, or reads the checkpoint.
    pub(crate) fn prepare(&self, recipe: Recipe, run: &Path) -> Result<Prepared<'d>, Failure> {
        let label = if recipe.twin { "twin" } else { "binary" };
        let there = run.join(FILE_NAME).exists();
        // Before it is read: a training that is just ending must not be overwritten by what it was earlier.
        let writes = self.ranks.is_none_or(Ranks::is_first);
        let lock = if there && writes { Some(lock(run)?) } else { None };
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
        if let Some(ranks) = self.ranks {
            trainer.share(ranks.exchange().clone())?;
        }
        let seconds = earlier_seconds(run, &trainer.header.history);
        Ok(Prepared {
            trainer,
            run: run.to_owned(),
            out: self.out,
            start: self.start,
            label,
            seconds,
            events: None,
            lock,
            writes,
        })
    }

    fn resumed(&self, recipe: Recipe, run: &Path) -> Result<Trainer<'d>, Failure> {
        let mut loaded = checkpoint::load(run)?;
        let header = &mut loaded.header;
        let recipe = Recipe { epochs: if self.epochs_given { recipe.epochs } else { header.recipe.epochs }, ..recipe };
        if let Some(key) = first_change(&header.recipe, &recipe)? {
            let message =
                format!("the run was begun with another {key}; --resume can change --epochs and --patience only");
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
    /// What all processes of a training must begin with.
    pub(crate) fn fingerprint(&self) -> u32 {
        self.trainer.fingerprint()
    }

    /// Makes the folder, locks it and writes into it, so that a folder that cannot be written is known before the
    /// training.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        if !self.writes {
            return Ok(());
        }
        let run = &self.run;
        fs::create_dir_all(run).map_err(|e| Failure::path(run, format!("cannot make the run's folder: {e}")))?;
        if self.lock.is_none() {
            self.lock = Some(lock(run)?);
            if self.start != Start::Anew && run.join(FILE_NAME).exists() {
                return Err(Failure::path(run, "another training has begun in this folder; give another --out"));
            }
        }
        if self.start == Start::Anew {
            forget(run)?;
        }
        remove_leftovers(run);
        if self.trainer.optimizer.state().0 == 0 {
            // So that a training that is killed in its first epoch can go on too.
            checkpoint::save(run, &self.trainer.header, &self.trainer.network, &*self.trainer.optimizer)?;
        }
        write_metrics(run, &self.trainer.header.history, &self.seconds)?;
        let recipe = run.join(RECIPE);
        signbit_model::file::replace(&recipe, self.trainer.header.recipe.to_toml().as_bytes())
            .map_err(|e| Failure::path(&recipe, e))?;
        let layers = Layers::of(self.trainer.network.params());
        let events = Events::begin(run, layers, &self.trainer.header.history);
        self.events = Some(events.map_err(|e| Failure::path(&run.join(tensorboard::FILE_NAME), e))?);
        Ok(())
    }

    /// Trains what is left, or until `stop` says so: then a checkpoint is written inside of the epoch. Returns the
    /// figures of the last epoch.
    ///
    /// # Errors
    /// [`Failure::Stopped`] where `stop` did.
    pub(crate) fn train(mut self, stop: &Arc<AtomicBool>) -> Result<EpochRecord, Failure> {
        let (epochs, batch) = (self.trainer.header.recipe.epochs, self.trainer.header.recipe.batch);
        let progress = Progress::new(epochs as usize, "steps");
        progress.prefix(self.label);
        progress.begin_at(self.trainer.optimizer.state().0);
        progress.aside(|| self.tell_start())?;
        self.trainer.stop_on(stop.clone());
        while !self.trainer.finished() {
            if self.trainer.told_to_stop() {
                progress.end();
                return Err(Failure::Stopped(self.stopped()));
            }
            let test = self.trainer.header.history.last().map(|record| record.test_accuracy);
            let ended = self.trainer.epoch(&mut |event| {
                if let Event::Epoch { seconds, .. } = event {
                    self.seconds.push(seconds);
                }
                progress.step(&event, epochs, batch, test);
            })?;
            if !self.writes {
                continue;
            }
            if ended {
                self.keep_best()?;
            }
            let header = &self.trainer.header;
            checkpoint::save(&self.run, header, &self.trainer.network, &*self.trainer.optimizer).map_err(|e| {
                Failure::input(format!("{e}; the checkpoint before it is whole, --resume goes on from there"))
            })?;
            if ended {
                write_metrics(&self.run, &header.history, &self.seconds)?;
                if let (Some(events), Some(record)) = (&mut self.events, header.history.last()) {
                    events.add(record).map_err(|e| Failure::path(events.path(), e))?;
                }
                progress.aside(|| self.tell())?;
            }
        }
        progress.end();
        let last = self.trainer.header.history.last().cloned();
        let last = last.ok_or_else(|| Failure::path(&self.run, "the run has no epoch"))?;
        self.tell_best()?;
        self.out.json_line(&json!({
            "event": "done", "network": self.label, "run": self.run.display().to_string(),
            "epochs": last.epoch, "test_accuracy": last.test_accuracy,
            "stopped_early": self.trainer.header.stopped_early(),
        }))?;
        Ok(last)
    }

    /// Keeps the epoch that has ended as the best so far, if it is and the recipe asks for it. Before the run's own
    /// checkpoint: where a training is killed in between, the epoch is trained again, to the same bytes.
    fn keep_best(&self) -> Result<(), Failure> {
        let header = &self.trainer.header;
        if header.recipe.patience == 0 || header.best().map(|best| best.epoch as usize) != Some(header.history.len()) {
            return Ok(());
        }
        let folder = self.run.join(BEST_FOLDER);
        fs::create_dir_all(&folder).map_err(|e| Failure::path(&folder, format!("cannot make the folder: {e}")))?;
        Ok(checkpoint::save(&folder, header, &self.trainer.network, &*self.trainer.optimizer)?)
    }

    /// One line on why the training ended early, and where the best epoch is.
    fn tell_best(&self) -> Result<(), Failure> {
        let header = &self.trainer.header;
        let (Some(best), patience) = (header.best(), header.recipe.patience) else { return Ok(()) };
        if patience == 0 {
            return Ok(());
        }
        let (label, epochs, total) = (self.label, header.history.len(), header.recipe.epochs);
        let why = match header.stopped_early() {
            true => format!(
                "stopped after epoch {epochs} of {total}: no better test accuracy for {}; ",
                counted(patience.into(), "epoch")
            ),
            false => String::new(),
        };
        let (accuracy, folder) = (percent(best.test_accuracy), self.run.join(BEST_FOLDER));
        let epoch = best.epoch;
        self.out
            .text(format_args!("{label}: {why}the best, {accuracy} after epoch {epoch}, is in {}", folder.display()))
    }

    /// Where the training was stopped, and how it goes on.
    fn stopped(&self) -> String {
        let header = &self.trainer.header;
        let (epochs, total) = (header.history.len(), header.recipe.epochs);
        let place = match &header.underway {
            Some(underway) => format!("step {} of epoch {} of {total}", underway.steps, epochs + 1),
            None => format!("epoch {epochs} of {total}"),
        };
        format!("stopped after {place}; {} is saved, the same command with --resume goes on", self.run.display())
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
            "flip_ratio": mean(&record.flips), "dead": mean(&record.dead), "saturated": mean(&record.saturated),
            "gradient_norm": record.gradient_norm,
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
    for folder in [run.to_owned(), run.join(TWIN_FOLDER)].into_iter().flat_map(|run| [run.join(BEST_FOLDER), run]) {
        for file in FILES.map(|name| folder.join(name)) {
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

/// The name of the first choice in which two recipes differ, [`FREE`] ones aside.
fn first_change(stored: &Recipe, wanted: &Recipe) -> Result<Option<String>, Failure> {
    let (stored, wanted) = (serde_json::to_value(stored)?, serde_json::to_value(wanted)?);
    let (Some(stored), Some(wanted)) = (stored.as_object(), wanted.as_object()) else { return Ok(None) };
    let changed = stored.iter().find(|(key, value)| !FREE.contains(&key.as_str()) && wanted.get(*key) != Some(value));
    Ok(changed.map(|(key, _)| key.replace('_', " ")))
}

/// Keeps other trainings out of the folder until the file is closed, which the end of the process does too.
fn lock(run: &Path) -> Result<File, Failure> {
    let path = run.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|e| Failure::path(run, format!("cannot write into the run's folder: {e}")))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Failure::path(run, "another training is writing into this folder; wait for it, or give another --out"))
        }
        // A file system without locks is no reason not to train.
        _ => Ok(file),
    }
}

/// Removes what a training that was killed while it wrote has left behind: temporary files of this run's own.
fn remove_leftovers(run: &Path) {
    let own = FILES.map(|name| format!(".{name}."));
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".tmp") && own.iter().any(|prefix| name.starts_with(prefix)) {
            // It does no harm where it stays.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The mean over the layers; `None` where there is none.
pub(crate) fn mean(shares: &[f32]) -> Option<f64> {
    (!shares.is_empty()).then(|| shares.iter().map(|&share| f64::from(share)).sum::<f64>() / shares.len() as f64)
}

fn write_metrics(run: &Path, history: &[EpochRecord], seconds: &[f64]) -> Result<(), Failure> {
    let mut csv = format!("{COLUMNS}\n");
    for (record, seconds) in history.iter().zip(seconds) {
        let EpochRecord { epoch, loss, train_accuracy, test_accuracy, test_loss, learning_rate, .. } = record;
        let flips = mean(&record.flips).unwrap_or(0.0);
        let or_nothing = |figure: Option<f64>| figure.map(|figure| figure.to_string()).unwrap_or_default();
        let (dead, saturated) = (or_nothing(mean(&record.dead)), or_nothing(mean(&record.saturated)));
        let gradient_norm = or_nothing(record.gradient_norm);
        // Writing to a string does not fail.
        let _ = writeln!(
            csv,
            "{epoch},{loss},{train_accuracy},{test_loss},{test_accuracy},{learning_rate},{flips},{dead},{saturated},\
             {gradient_norm},{seconds:.3}"
        );
    }
    let path = run.join(METRICS);
    let replaced = signbit_model::file::replace(&path, csv.as_bytes());
    Ok(replaced.map_err(|source| CheckpointError::Io { path, source })?)
}

/// The wall times of a run's epochs from its `metrics.csv`; 0 where they are not there.
pub(crate) fn earlier_seconds(run: &Path, history: &[EpochRecord]) -> Vec<f64> {
    let csv = fs::read_to_string(run.join(METRICS)).unwrap_or_default();
    let of = |record: &EpochRecord| {
        let line = csv.lines().skip(1).find(|line| line.split(',').next() == Some(&record.epoch.to_string()))?;
        line.rsplit(',').next()?.parse().ok()
    };
    history.iter().map(|record| of(record).unwrap_or(0.0)).collect()
}
