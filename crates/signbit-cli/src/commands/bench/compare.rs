//! `signbit bench MODEL --compare RUN.json`: a measurement beside an earlier one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::record::{Record, Settings};
use crate::failure::Failure;
use crate::output::{Out, short, table};

/// Two measurements.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// The earlier record's file.
    file: PathBuf,
    /// The earlier record's date.
    date: String,
    /// The earlier record's version of signbit.
    version: String,
    /// What was different, so that the times say less.
    warnings: Vec<String>,
    layers: Vec<Line>,
    /// The sum of the steps.
    total: Line,
    /// A whole run, median.
    bits: Line,
    /// A whole run of the twin in f32, median.
    f32: Line,
    #[serde(skip)]
    ways: [String; 2],
}

/// The times of one thing.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    /// `None` where the earlier network, or the plan made of it, had no such step.
    before_ms: Option<f64>,
    /// `None` where the network has no such step now.
    now_ms: Option<f64>,
    /// Before over now: above 1 it has become faster.
    ratio: Option<f64>,
}

impl Line {
    fn new(name: &str, before_ms: Option<f64>, now_ms: Option<f64>) -> Self {
        let both = before_ms.zip(now_ms).filter(|(before, now)| *before > 0.0 && *now > 0.0);
        Self { name: name.to_owned(), before_ms, now_ms, ratio: both.map(|(before, now)| before / now) }
    }

    fn row(&self) -> Vec<String> {
        let ms = |ms: Option<f64>| ms.map(|ms| format!("{ms:.4}")).unwrap_or_default();
        let ratio = self.ratio.map(short).unwrap_or_default();
        vec![self.name.clone(), ms(self.before_ms), ms(self.now_ms), ratio]
    }
}

impl Comparison {
    pub(super) fn new(path: &Path, before: &Record, now: &Record) -> Self {
        let of_before: BTreeMap<_, _> = before.layers.iter().map(|layer| (layer.name.as_str(), layer.ms)).collect();
        let of_now: BTreeMap<_, _> = now.layers.iter().map(|layer| (layer.name.as_str(), layer.ms)).collect();
        let here = now.layers.iter().map(|l| Line::new(&l.name, of_before.get(l.name.as_str()).copied(), Some(l.ms)));
        let gone = before.layers.iter().filter(|layer| !of_now.contains_key(layer.name.as_str()));
        let gone = gone.map(|layer| Line::new(&layer.name, Some(layer.ms), None));
        let sum = |record: &Record| Some(record.layers.iter().map(|layer| layer.ms).sum());
        Self {
            file: path.to_owned(),
            date: before.settings.date.clone(),
            version: before.settings.version.clone(),
            warnings: warnings(&before.settings, &now.settings),
            layers: here.chain(gone).collect(),
            total: Line::new("total", sum(before), sum(now)),
            bits: Line::new("bits", Some(before.bits_ms.median), Some(now.bits_ms.median)),
            f32: Line::new("f32 ", Some(before.f32_ms.median), Some(now.f32_ms.median)),
            ways: [before.settings.way(), now.settings.way()],
        }
    }

    pub(super) fn tell(&self, out: Out) -> Result<(), Failure> {
        let rows = self.layers.iter().chain([&self.total]).map(Line::row);
        out.headed(table(&["layer", "before ms", "now ms", "times faster"], 1, rows))?;
        let file = self.file.display();
        out.text(format_args!("\nbefore: {}: {}, signbit {}; {}", file, self.date, self.version, self.ways[0]))?;
        out.text(format_args!("now:    {}:", self.ways[1]))?;
        for line in [&self.bits, &self.f32] {
            let ms = |ms: Option<f64>| ms.map(short).unwrap_or_default();
            let (before, now) = (ms(line.before_ms), ms(line.now_ms));
            let ratio = line.ratio.map(|ratio| format!(": {} times as fast as before", short(ratio)));
            out.text(format_args!("  {}  {before} ms, now {now} ms{}", line.name, ratio.unwrap_or_default()))?;
        }
        self.warnings.iter().try_for_each(|warning| out.text(format_args!("  warning: {warning}")))
    }

    /// The record of now with the comparison in it, for machines.
    pub(super) fn with(&self, now: &Record) -> Value {
        let mut document = json!(now);
        document["comparison"] = json!(self);
        document
    }
}

/// What differs between the settings of two measurements.
fn warnings(before: &Settings, now: &Settings) -> Vec<String> {
    let cpu = |of: &Settings| {
        let machine = &of.machine;
        format!("{} ({}, {})", machine.cpu.as_deref().unwrap_or("unknown processor"), machine.arch, machine.os)
    };
    let pairs = [
        ("machine", cpu(before), cpu(now)),
        ("instruction set", before.isa.clone(), now.isa.clone()),
        ("number of threads", before.threads.to_string(), now.threads.to_string()),
        ("batch", before.batch.to_string(), now.batch.to_string()),
    ];
    let mut warnings: Vec<_> = pairs
        .into_iter()
        .filter(|(_, before, now)| before != now)
        .map(|(what, before, now)| format!("another {what}: {before} before, {now} now"))
        .collect();
    let [old, new] = [&before.model, &now.model];
    if old.sha256 != new.sha256 {
        let start = |sha256: &str| sha256.chars().take(12).collect::<String>();
        let (from, to) = (start(&old.sha256), start(&new.sha256));
        warnings.push(format!("another model: {} (SHA-256 {from}) before, {} ({to}) now", old.name, new.name));
    }
    warnings
}
