//! A run's figures as TensorBoard's event file: TFRecords of protocol-buffer `Event`s (tensorflow's
//! `core/util/event.proto`, `core/framework/summary.proto`, `core/lib/io/record_writer`), of which TensorBoard shows
//! scalars and histograms.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use signbit_train::checkpoint::EpochRecord;
use signbit_train::params::{ParamInfo, Params};

/// The file's name; TensorBoard reads every file with `tfevents` in its name.
pub(crate) const FILE_NAME: &str = "events.out.tfevents.0000000000.signbit";

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "5")]
    histo: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(double, tag = "1")]
    min: f64,
    #[prost(double, tag = "2")]
    max: f64,
    #[prost(double, tag = "3")]
    num: f64,
    #[prost(double, tag = "4")]
    sum: f64,
    #[prost(double, tag = "5")]
    sum_squares: f64,
    #[prost(double, repeated, tag = "6")]
    bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    bucket: Vec<f64>,
}

/// Names of the layers that have figures of their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    /// Those with latent weights, in the order of [`EpochRecord::flips`].
    pub(crate) latent: Vec<String>,
    /// Those with weights of either kind, in the order of [`EpochRecord::gradients`].
    pub(crate) weights: Vec<String>,
}

impl Layers {
    /// The layers of a network.
    pub(crate) fn of(params: &Params) -> Self {
        let name = |info: &ParamInfo| info.layer().to_owned();
        Self { latent: params.latents().map(name).collect(), weights: params.weights().map(name).collect() }
    }
}

/// An event file that grows by an epoch at a time.
pub(crate) struct Events {
    path: PathBuf,
    file: File,
    layers: Layers,
}

impl Events {
    /// Writes the file of `run` anew with the epochs so far, so that it never has an epoch twice.
    pub(crate) fn begin(run: &Path, layers: Layers, history: &[EpochRecord]) -> io::Result<Self> {
        let path = run.join(FILE_NAME);
        let version = Event { wall_time: now(), file_version: Some("brain.Event:2".into()), ..Event::default() };
        let mut bytes = record(&version);
        history.iter().for_each(|epoch| bytes.extend(record(&event(epoch, &layers))));
        signbit_model::file::replace(&path, &bytes)?;
        let file = fs::OpenOptions::new().append(true).open(&path)?;
        Ok(Self { path, file, layers })
    }

    /// Adds an epoch.
    pub(crate) fn add(&mut self, epoch: &EpochRecord) -> io::Result<()> {
        self.file.write_all(&record(&event(epoch, &self.layers)))?;
        self.file.flush()
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn event(epoch: &EpochRecord, layers: &Layers) -> Event {
    let scalar = |tag: &str, value: f64| Value { tag: tag.into(), simple_value: Some(value as f32), histo: None };
    let mut value = vec![
        scalar("loss/train", epoch.loss),
        scalar("loss/test", epoch.test_loss),
        scalar("accuracy/train", epoch.train_accuracy),
        scalar("accuracy/test", epoch.test_accuracy),
        scalar("learning_rate", epoch.learning_rate.into()),
    ];
    value.extend(epoch.gradient_norm.map(|norm| scalar("gradient_norm", norm)));
    let mut of_layers = |tag: &str, layers: &[String], figures: &[f32]| {
        let figures = layers.iter().zip(figures);
        value.extend(figures.map(|(layer, &figure)| scalar(&format!("{tag}/{layer}"), figure.into())));
    };
    of_layers("flip_ratio", &layers.latent, &epoch.flips);
    of_layers("dead", &layers.latent, &epoch.dead);
    of_layers("saturated", &layers.latent, &epoch.saturated);
    of_layers("gradient_norm_last_step", &layers.weights, &epoch.gradients);
    if !epoch.histogram.is_empty() {
        value.push(Value {
            tag: "latent_weights".into(),
            simple_value: None,
            histo: Some(histogram(&epoch.histogram)),
        });
    }
    Event { wall_time: now(), step: epoch.epoch.into(), file_version: None, summary: Some(Summary { value }) }
}

/// Equal parts of [-1, 1]; the sums are those of the parts' centres.
fn histogram(counts: &[u64]) -> Histogram {
    let parts = counts.len() as f64;
    let bucket: Vec<f64> = counts.iter().map(|&n| n as f64).collect();
    let centres = (0..counts.len()).map(|i| (2 * i + 1) as f64 / parts - 1.0);
    let total = |power: i32| bucket.iter().zip(centres.clone()).map(|(n, x)| n * x.powi(power)).sum();
    Histogram {
        min: -1.0,
        max: 1.0,
        num: total(0),
        sum: total(1),
        sum_squares: total(2),
        bucket_limit: (1..=counts.len()).map(|i| 2.0 * i as f64 / parts - 1.0).collect(),
        bucket,
    }
}

/// A TFRecord: length, its masked CRC-32C, the bytes, their masked CRC-32C; numbers are little endian.
fn record(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), &data, &masked(&data)].concat()
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a file, each record's sums checked.
    fn read(mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at(8);
            let n = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            assert_eq!(rest[..4], masked(length));
            let data = &rest[4..4 + n];
            assert_eq!(rest[4 + n..8 + n], masked(data));
            events.push(Event::decode(data).unwrap());
            bytes = &rest[8 + n..];
        }
        events
    }

    #[test]
    fn the_mask_is_that_of_tensorflow() {
        // crc32c("123456789") is 0xe3069283; rotated by 15 bits and moved by the constant.
        let expected = 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(masked(b"123456789"), expected.to_le_bytes());
    }

    #[test]
    fn epochs_come_back_once_each() {
        let folder = tempfile::tempdir().unwrap();
        let mut counts = vec![0; 40];
        counts[39] = 3;
        let epoch = |epoch| EpochRecord {
            epoch,
            loss: 0.5,
            flips: vec![0.25],
            saturated: vec![0.5],
            gradient_norm: Some(3.0),
            gradients: vec![2.0, 1.0],
            histogram: counts.clone(),
            ..EpochRecord::default()
        };
        let layers = Layers { latent: vec!["dense1".into()], weights: vec!["dense1".into(), "dense2".into()] };
        let mut events = Events::begin(folder.path(), layers.clone(), &[epoch(1)]).unwrap();
        events.add(&epoch(2)).unwrap();
        drop(events);
        Events::begin(folder.path(), layers, &[epoch(1), epoch(2)]).unwrap().add(&epoch(3)).unwrap();
        let found = read(&fs::read(folder.path().join(FILE_NAME)).unwrap());
        assert_eq!(found.iter().map(|e| e.step).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(found[0].file_version.as_deref(), Some("brain.Event:2"));
        let values = &found[3].summary.as_ref().unwrap().value;
        let scalar = |tag: &str| values.iter().find(|v| v.tag == tag).and_then(|v| v.simple_value);
        assert_eq!((scalar("loss/train"), scalar("flip_ratio/dense1")), (Some(0.5), Some(0.25)));
        assert_eq!((scalar("gradient_norm"), scalar("saturated/dense1")), (Some(3.0), Some(0.5)));
        assert_eq!(scalar("gradient_norm_last_step/dense2"), Some(1.0));
        assert_eq!(scalar("dead/dense1"), None, "it was not recorded");
        let histogram = values.iter().find_map(|v| v.histo.as_ref()).unwrap();
        assert_eq!((histogram.num, histogram.bucket_limit[39], histogram.bucket.len()), (3.0, 1.0, 40));
        assert!((histogram.sum - 3.0 * 0.975).abs() < 1e-12);
    }
}
