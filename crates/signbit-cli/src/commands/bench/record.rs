//! The record of a measurement: what `--json` prints, `--out` writes and `--compare` reads.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use signbit::{Isa, StepTime};
use signbit_model::file;

use super::clock::{Spread, spread};
use super::model::BASELINE;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::output::counted;
use crate::when;

/// The name of the format.
const KIND: &str = "signbit bench";
/// Its version; it rises where a key changes its meaning.
const FORMAT: u32 = 1;
/// The longest record that is read; a step takes some 300 bytes.
const MAX_BYTES: u64 = 64 << 20;

/// What was measured, when, where and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    /// [`KIND`].
    record: String,
    /// [`FORMAT`].
    format: u32,
    /// The version of signbit.
    pub(super) version: String,
    pub(super) date: String,
    /// The words of the command.
    command: Vec<String>,
    pub(super) machine: Hardware,
    pub(super) model: ModelFile,
    pub(super) isa: String,
    pub(super) threads: usize,
    pub(super) batch: usize,
}

/// The machine of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Hardware {
    /// The processor's name, where the system says it.
    pub(super) cpu: Option<String>,
    pub(super) arch: String,
    pub(super) os: String,
}

/// The model of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ModelFile {
    /// The file's name, without its folder.
    pub(super) name: String,
    pub(super) sha256: String,
}

impl Settings {
    /// This machine and command, now.
    pub(super) fn of(model: &Path, isa: Isa, threads: usize, batch: usize) -> Result<Self, Failure> {
        let bytes = fs::read(model).map_err(|e| Failure::path(model, format!("cannot read the model: {e}")))?;
        let name = model.file_name().unwrap_or(model.as_os_str()).to_string_lossy().into_owned();
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            record: KIND.to_owned(),
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: when::date(SystemTime::now()),
            command: std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect(),
            machine: Hardware {
                cpu: Machine::look().cpu,
                arch: std::env::consts::ARCH.to_owned(),
                os: std::env::consts::OS.to_owned(),
            },
            model: ModelFile { name, sha256 },
            isa: isa.name().to_owned(),
            threads,
            batch,
        })
    }

    /// How the model ran, in words.
    pub(super) fn way(&self) -> String {
        format!("{}, {}, batch {}", self.isa, counted(self.threads as u64, "thread"), self.batch)
    }
}

/// One step of the binary network, and what its layers take in f32. Times are those of the whole batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Layer {
    #[serde(rename = "layer")]
    pub(super) name: String,
    pub(super) kernel: String,
    pub(super) isa: String,
    pub(super) ms: f64,
    pub(super) share: f64,
    pub(super) macs: u64,
    pub(super) weight_bytes: u64,
    pub(super) activation_bytes: u64,
    /// 10^9 multiply-accumulates per second; `None` where the step has none.
    pub(super) gmac_per_second: Option<f64>,
    pub(super) f32_ms: f64,
}

impl Layer {
    /// `step`, which took `ms` of the `total`.
    pub(super) fn new(step: &StepTime, ms: f64, total: f64, f32_ms: f64) -> Self {
        let macs = step.macs_1bit + step.macs_32bit;
        Self {
            name: step.nodes.join(" + "),
            kernel: step.kernel.to_owned(),
            isa: step.isa.to_owned(),
            ms,
            share: ms / total,
            macs,
            weight_bytes: step.weight_bytes,
            activation_bytes: step.activation_bytes,
            gmac_per_second: Self::rate(macs, ms),
            f32_ms,
        }
    }

    /// 10^9 multiply-accumulates per second.
    pub(super) fn rate(macs: u64, ms: f64) -> Option<f64> {
        (macs > 0 && ms > 0.0).then(|| macs as f64 / ms / 1e6)
    }

    /// The packed weights, and the values that it reads and writes.
    pub(super) fn bytes(&self) -> u64 {
        self.weight_bytes.saturating_add(self.activation_bytes)
    }
}

/// A whole measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) settings: Settings,
    pub(super) rounds: u64,
    baseline: String,
    pub(super) bits_ms: Spread,
    pub(super) f32_ms: Spread,
    pub(super) ratio: Spread,
    /// One thread's time over that of all, in turns; `None` where there is one only.
    #[serde(default)]
    pub(super) threads_ratio: Option<Spread>,
    pub(super) bits_per_second: f64,
    pub(super) f32_per_second: f64,
    pub(super) layers: Vec<Layer>,
}

impl Record {
    /// Of the times of bits and twin in ms, round by round, and of those of all threads and one.
    pub(super) fn new(
        settings: Settings,
        pairs: &[(f64, f64)],
        threads: Option<&[(f64, f64)]>,
        layers: Vec<Layer>,
    ) -> Self {
        let (bits_ms, f32_ms) = (spread(pairs.iter().map(|p| p.0)), spread(pairs.iter().map(|p| p.1)));
        let rate = |ms: Spread| settings.batch as f64 * 1e3 / ms.median;
        Self {
            rounds: pairs.len() as u64,
            baseline: BASELINE.to_owned(),
            ratio: spread(pairs.iter().map(|p| p.1 / p.0)),
            threads_ratio: threads.map(|pairs| spread(pairs.iter().map(|p| p.1 / p.0))),
            bits_per_second: rate(bits_ms),
            f32_per_second: rate(f32_ms),
            bits_ms,
            f32_ms,
            layers,
            settings,
        }
    }

    /// Reads a record from a file.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let no_record = |why: String| {
            let hint = "`signbit bench MODEL --out FILE` writes one";
            Failure::path(path, format!("not a record of signbit bench: {why}; {hint}"))
        };
        if path.is_dir() {
            return Err(no_record("this is a folder".to_owned()));
        }
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|e| Failure::path(path, format!("cannot read the record: {e}")))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(no_record(format!("it is longer than {} MiB", MAX_BYTES >> 20)));
        }
        // The format is asked first: what is of another kind is not told which key it lacks.
        let kind: Kind = serde_json::from_slice(&bytes).map_err(|e| no_record(e.to_string()))?;
        match kind {
            Kind { record: Some(record), format: Some(FORMAT) } if record == KIND => {}
            Kind { record: Some(record), format: Some(format) } if record == KIND && format > FORMAT => {
                return Err(no_record(format!("its format is {format}, and this version reads {FORMAT}")));
            }
            Kind { .. } => return Err(no_record(format!("it has no `\"record\": {KIND:?}`"))),
        }
        let record: Self = serde_json::from_slice(&bytes).map_err(|e| no_record(e.to_string()))?;
        match record.wrong_time() {
            Some(what) => Err(no_record(format!("a time is no number above or at 0 ({what})"))),
            None => Ok(record),
        }
    }

    /// Where a time of a record from a file cannot be one.
    fn wrong_time(&self) -> Option<String> {
        let totals = [("bits_ms", self.bits_ms.median), ("f32_ms", self.f32_ms.median)];
        let totals = totals.into_iter().map(|(key, ms)| (key.to_owned(), ms));
        let layers = self.layers.iter().map(|layer| (format!("ms of layer {:?}", layer.name), layer.ms));
        totals.chain(layers).find(|(_, ms)| *ms < 0.0).map(|(what, ms)| format!("{what} is {ms}"))
    }

    /// Writes the record, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        file::replace(path, json.as_bytes()).map_err(|e| Failure::path(path, format!("cannot write the record: {e}")))
    }
}

/// What tells a record from other JSON.
#[derive(Deserialize)]
struct Kind {
    record: Option<String>,
    format: Option<u32>,
}
