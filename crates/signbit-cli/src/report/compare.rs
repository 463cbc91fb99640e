//! Several runs side by side: what is read of each, in which choices they differ, and the page that plots them.

use std::path::Path;

use maud::{Markup, html};
use signbit_model::SizeTable;
use signbit_train::checkpoint::{self, EpochRecord, FILE_NAME, Header, TWIN_FOLDER};

use super::curves::{curve, plot};
use super::plot::{Paint, Scale};
use super::{again, page};
use crate::commands::training::earlier_seconds;
use crate::failure::Failure;
use crate::files;
use crate::output::{counted, grouped, percent, short};

/// Runs that are drawn, as many as there are colours.
const DRAWN: usize = 8;

/// What is compared of a run.
pub(crate) struct Run {
    /// Its path, as it was given.
    pub(crate) name: String,
    pub(crate) header: Header,
    pub(crate) best: EpochRecord,
    pub(crate) last: EpochRecord,
    /// The twin's last test accuracy, where one was trained.
    pub(crate) twin: Option<f64>,
    /// Length of the packed model's file, where the run can be packed.
    pub(crate) bytes: Option<u64>,
    /// Wall time of all training steps, where it is known.
    pub(crate) seconds: Option<f64>,
    /// Every choice of the recipe, and the data, by name.
    choices: Vec<(String, String)>,
}

impl Run {
    /// Reads the checkpoint of a folder and what stands beside it.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let loaded = files::run(path)?;
        let header = loaded.header.clone();
        let (Some(best), Some(last)) = (header.best().cloned(), header.history.last().cloned()) else {
            return Err(Failure::path(path, "the run has no epoch yet; there is nothing to compare"));
        };
        let folder = path.join(TWIN_FOLDER);
        let twin = match folder.join(FILE_NAME).exists() {
            true => checkpoint::load(&folder)?.header.history.last().map(|record| record.test_accuracy),
            false => None,
        };
        let mut choices = again::choices(&header.recipe)?;
        choices.retain(|(name, _)| name != "data.source");
        choices.push(("data".to_owned(), header.data.clone()));
        let seconds: f64 = earlier_seconds(path, &header.history).iter().sum();
        Ok(Self {
            name: path.display().to_string(),
            best,
            last,
            twin,
            // A run that cannot be packed can still be compared.
            bytes: files::packed(&loaded).ok().and_then(|model| SizeTable::of(&model).ok()).map(|size| size.file_bytes),
            seconds: (seconds > 0.0).then_some(seconds),
            choices,
            header,
        })
    }

    fn choice(&self, name: &str) -> Option<&str> {
        self.choices.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// What the run costs beside its twin in percentage points.
    pub(crate) fn gap(&self) -> Option<f64> {
        self.twin.map(|twin| 100.0 * (twin - self.last.test_accuracy))
    }
}

/// The run with the highest test accuracy in any of its epochs, the first of equal ones.
pub(crate) fn best(runs: &[Run]) -> Option<&Run> {
    runs.iter().reduce(|best, run| if run.best.test_accuracy > best.best.test_accuracy { run } else { best })
}

/// A choice with its value in each run.
pub(crate) struct Difference {
    pub(crate) choice: String,
    pub(crate) values: Vec<String>,
}

/// The choices in which not all runs are the same.
pub(crate) fn differences(runs: &[Run]) -> Vec<Difference> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in runs.iter().flat_map(|run| &run.choices) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.retain(|name| runs.iter().any(|run| run.choice(name) != runs[0].choice(name)));
    let value = |run: &Run, name: &str| run.choice(name).filter(|value| !value.is_empty()).unwrap_or("–").to_owned();
    let row =
        |name: &str| Difference { choice: name.to_owned(), values: runs.iter().map(|run| value(run, name)).collect() };
    names.into_iter().map(row).collect()
}

/// Names of the figures of [`figures`].
pub(crate) const FIGURES: [&str; 9] =
    ["run", "epochs", "best test", "at epoch", "last test", "loss", "gap to twin", "bytes", "seconds"];

/// The figures of a run, for people.
pub(crate) fn figures(run: &Run) -> Vec<String> {
    let or_dash = |figure: Option<String>| figure.unwrap_or_else(|| "–".to_owned());
    vec![
        run.name.clone(),
        run.header.history.len().to_string(),
        percent(run.best.test_accuracy),
        run.best.epoch.to_string(),
        percent(run.last.test_accuracy),
        format!("{:.4}", run.last.loss),
        or_dash(run.gap().map(|gap| format!("{gap:.2}"))),
        or_dash(run.bytes.map(grouped)),
        or_dash(run.seconds.map(short)),
    ]
}

/// The page.
pub(crate) fn write(runs: &[Run]) -> Result<String, Failure> {
    let title = format!("{} compared", counted(runs.len() as u64, "run"));
    let head = html! {
        header { div.inner {
            p.kind { "signbit compare" }
            h1 { (title) }
            @if let Some(best) = best(runs) {
                p { "The highest test accuracy is " (percent(best.best.test_accuracy)) ", of " (best.name) " after epoch " (best.best.epoch) "." }
            }
        } }
    };
    let body = html! { (learning(runs)?) (table(runs)) (choices(runs)) };
    Ok(page::whole(&title, head, body, ""))
}

fn learning(runs: &[Run]) -> Result<Markup, Failure> {
    let mut drawn: Vec<&Run> = runs.iter().collect();
    if drawn.len() > DRAWN {
        drawn.sort_by(|a, b| b.best.test_accuracy.total_cmp(&a.best.test_accuracy));
        drawn.truncate(DRAWN);
    }
    let of = |title: &str, y_name: &str, scale: Scale, value: fn(&EpochRecord) -> f64| {
        let curves = drawn.iter().enumerate().map(|(i, run)| {
            curve(run.name.as_str(), &format!("layer{i}"), Paint::layer(i), &run.header.history, value)
        });
        plot(title, y_name, scale, curves.collect())
    };
    // A record of an earlier version has no test loss.
    let test_loss = |record: &EpochRecord| if record.test_loss > 0.0 { record.test_loss } else { f64::NAN };
    let body = html! { div.pair {
        (of("Test accuracy", "right answers", Scale::Shares, |r| r.test_accuracy)?)
        (of("Training loss", "mean loss", Scale::Numbers, |r| r.loss)?)
        (of("Training accuracy", "right answers", Scale::Shares, |r| r.train_accuracy)?)
        (of("Test loss", "mean loss", Scale::Numbers, test_loss)?)
    } };
    let about = match drawn.len() < runs.len() {
        true => format!("The {DRAWN} runs with the highest test accuracy are drawn."),
        false => "Epoch by epoch; training figures are means over the epoch, while the weights moved.".to_owned(),
    };
    Ok(page::section("learning", "Learning", &about, body))
}

fn table(runs: &[Run]) -> Markup {
    let body = html! { div.card { div.scroll { table.figures {
        thead { tr { @for (i, name) in FIGURES.iter().enumerate() { th.n[i > 0] scope="col" { (name) } } } }
        tbody { @for run in runs {
            tr { @for (i, figure) in figures(run).iter().enumerate() {
                @if i == 0 { th scope="row" { (figure) } } @else { td.n { (figure) } }
            } }
        } }
    } } } };
    let about = "Loss: the last epoch's on the training pictures. Gap: percentage points of test accuracy below the run's real-valued twin. \
                 Bytes: the packed model's file. Seconds: of all training steps.";
    page::section("figures", "Figures", about, body)
}

fn choices(runs: &[Run]) -> Markup {
    let differences = differences(runs);
    let body = html! { @if !differences.is_empty() { div.card { div.scroll { table.figures {
        thead { tr { th scope="col" { "choice" } @for run in runs { th scope="col" { (run.name) } } } }
        tbody { @for Difference { choice, values } in &differences {
            tr { th scope="row" { (choice) } @for value in values { td { (value) } } }
        } }
    } } } } };
    let about = match differences.is_empty() {
        true => "The recipes and the data are the same.",
        false => "The choices in which the runs differ; all others are the same.",
    };
    page::section("choices", "What differs", about, body)
}
