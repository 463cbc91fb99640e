//! The report of a run: one HTML page that holds everything it shows, needs no network and no script, and follows
//! the reader's light or dark scheme.
//!
//! This file gathers the facts; [`page`] writes them down. Beside them: [`answers`] (the packed network on the test
//! pictures), [`speed`], [`plot`] (curves), [`pictures`] (PNG inside of the page), [`again`] (the commands that
//! repeat the run). [`compare`] is a page of its own, with several runs side by side; [`rates`] that of a search for a learning rate.

mod again;
mod answers;
pub(crate) mod compare;
mod curves;
mod page;
mod pictures;
mod plot;
pub(crate) mod rates;
mod seen;
mod speed;

use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;
use signbit::{Isa, Model, f32_twin};
use signbit_model::{SizeTable, file};
use signbit_train::checkpoint::{self, EpochRecord, FILE_NAME, Header, Loaded, TWIN_FOLDER};
use signbit_train::data::DataSet;

use crate::commands::bench::BASELINE;
use crate::failure::Failure;
use crate::files;
use crate::tensorboard::Layers;
use answers::Answers;
pub(crate) use speed::{Speeds, speeds};

/// The page's name inside of a run's folder.
pub(crate) const PAGE: &str = "report.html";

/// What the network runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) isa: Isa,
    pub(crate) threads: usize,
}

/// What a command has found out already.
#[derive(Default)]
pub(crate) struct Known {
    /// The speeds; they are measured where they are not known.
    pub(crate) speeds: Option<Speeds>,
    /// What `verify` said; nothing is claimed where it was not run.
    pub(crate) verified: Option<String>,
}

/// The figures of a report that was written.
#[derive(Serialize)]
pub(crate) struct Written {
    pub(crate) report: String,
    /// Share of right answers on the test pictures.
    pub(crate) accuracy: f64,
    pictures: usize,
    twin_accuracy: Option<f64>,
    file_bytes: u64,
    times_smaller: f64,
    pub(crate) times_as_fast: f64,
    baseline: &'static str,
    isa: &'static str,
    threads: usize,
}

/// The real-valued twin of the run.
struct Twin {
    history: Vec<EpochRecord>,
    learning_rate: f32,
    /// Its share of right answers on the test pictures, in f32.
    accuracy: f64,
    file_bytes: u64,
}

/// Everything that the page says.
struct Facts<'a> {
    run: &'a Path,
    data: &'a DataSet,
    header: &'a Header,
    layers: Layers,
    saved: SystemTime,
    model: &'a signbit_model::Model,
    size: SizeTable,
    answers: Answers,
    twin: Option<Twin>,
    speeds: Speeds,
    verified: Option<String>,
    way: Way,
}

impl Facts<'_> {
    /// What the network is called.
    fn label(&self) -> &'static str {
        if self.header.recipe.twin { "real-valued network" } else { "binary network" }
    }

    /// How many times smaller the model's file is than that of the twin, or than the same parameters in f32.
    fn times_smaller(&self) -> f64 {
        self.twin.as_ref().map_or(self.size.ratio, |twin| twin.file_bytes as f64 / self.size.file_bytes as f64)
    }
}

/// Packs a run, whose checkpoint is `loaded`, in memory, runs it on the test pictures of `data` and writes the page. Speeds are measured for so
/// many seconds unless they are known.
pub(crate) fn write(
    run: &Path,
    loaded: &Loaded,
    output: &Path,
    data: &DataSet,
    way: Way,
    seconds: f64,
    known: Known,
) -> Result<Written, Failure> {
    let header = &loaded.header;
    if header.history.is_empty() {
        return Err(Failure::path(run, "the run has no epoch yet; there is nothing to report"));
    }
    files::check_fit(data, header.input, header.classes.len(), &header.classes)?;
    let model = Model::new(files::packed(loaded)?)?;
    let answers = answers::of(&model, data, way)?;
    let (twin, twin_model) = twin(run, data, way)?.unzip();
    let speeds = match known.speeds {
        Some(speeds) => speeds,
        None => {
            let other = twin_model.map_or_else(|| f32_twin(model.data()), Ok)?;
            speeds(&model, &other, &data.test, way, seconds)?
        }
    };
    let path = run.join(FILE_NAME);
    let saved = path.metadata().and_then(|m| m.modified()).map_err(|e| Failure::path(&path, e))?;
    let facts = Facts {
        run,
        data,
        header,
        layers: Layers::of(loaded.network.params()),
        saved,
        size: SizeTable::of(model.data())?,
        model: model.data(),
        answers,
        twin,
        speeds,
        verified: known.verified,
        way,
    };
    let page = page::write(&facts)?;
    file::replace(output, page.as_bytes()).map_err(|e| Failure::path(output, format!("cannot write: {e}")))?;
    Ok(Written {
        report: output.display().to_string(),
        accuracy: facts.answers.accuracy(),
        pictures: data.test.len(),
        twin_accuracy: facts.twin.as_ref().map(|twin| twin.accuracy),
        file_bytes: facts.size.file_bytes,
        times_smaller: facts.times_smaller(),
        times_as_fast: facts.speeds.ratio,
        baseline: BASELINE,
        isa: way.isa.name(),
        threads: way.threads,
    })
}

/// The twin of a run and its model, if it was trained at least for an epoch.
fn twin(run: &Path, data: &DataSet, way: Way) -> Result<Option<(Twin, Model)>, Failure> {
    let folder = run.join(TWIN_FOLDER);
    if !folder.join(FILE_NAME).exists() {
        return Ok(None);
    }
    let loaded = checkpoint::load(&folder)?;
    let header = loaded.header.clone();
    if header.history.is_empty() {
        return Ok(None);
    }
    files::check_fit(data, header.input, header.classes.len(), &header.classes)?;
    let model = Model::new(files::packed(&loaded)?)?;
    let twin = Twin {
        learning_rate: header.recipe.learning_rate,
        accuracy: answers::of(&model, data, way)?.accuracy(),
        file_bytes: SizeTable::of(model.data())?.file_bytes,
        history: header.history,
    };
    Ok(Some((twin, model)))
}
