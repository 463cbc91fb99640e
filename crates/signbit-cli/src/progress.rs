//! Progress bars: on stderr, and only where that is a terminal and nobody asked for `--quiet`.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};
use signbit_train::trainer::Event;

use crate::failure::Failure;
use crate::output;

/// A bar over something countable; nothing at all where stderr is not a terminal, or with `--quiet`.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `total` of something.
    pub(crate) fn new(total: usize, what: &'static str) -> Self {
        if output::is_quiet() || !stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new(total as u64);
        let template = format!("{{prefix}}[{{bar:12}}] {{pos}}/{{len}} {what}, ETA {{eta}}{{wide_msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar }
    }

    /// What stands in front of the bar.
    pub(crate) fn prefix(&self, prefix: &str) {
        self.bar.set_prefix(format!("{prefix} "));
    }

    /// So many were done before: they do not count as speed.
    pub(crate) fn begin_at(&self, done: u64) {
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    /// So many are done.
    pub(crate) fn done(&self, done: usize) {
        self.bar.set_position(done as u64);
    }

    /// Calls `print`, which writes lines, without the bar in between.
    pub(crate) fn aside(&self, print: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        if self.bar.is_hidden() { print() } else { self.bar.suspend(print) }
    }

    /// Takes the bar away.
    pub(crate) fn end(self) {
        self.bar.finish_and_clear();
    }

    /// A step of a training; `test` is the accuracy on the test pictures after the last epoch.
    pub(crate) fn step(&self, event: &Event<'_>, epochs: u32, batch: usize, test: Option<f64>) {
        let Event::Step { epoch, step, steps, loss, accuracy } = *event else { return };
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_length(u64::from(epochs) * steps as u64);
        self.bar.set_position(u64::from(epoch - 1) * steps as u64 + step as u64);
        let rate = self.bar.per_sec() * batch as f64;
        let accuracy = 100.0 * accuracy;
        let test = test.map_or(String::new(), |test| format!(", test {:.1} %", 100.0 * test));
        let message =
            format!(" epoch {epoch}/{epochs}, loss {loss:.3}, train {accuracy:.1} %{test}, {rate:.0} pictures/s");
        self.bar.set_message(message);
    }
}
