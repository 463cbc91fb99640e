//! A training run on disk: one safetensors file with everything that is needed to go on, to pack and to verify.
//!
//! Tensors are f32: `param.NAME`, `state.NAME` (running statistics), `optimizer.NAME` (its averages, flat); two of
//! bytes, `epoch.signs` and `epoch.reached`, are there where an epoch was stopped half-way. Where a run keeps averages, these are what
//! `param` and `state` hold, and `trained.param.NAME`, `trained.state.NAME` the numbers that the training goes on with. The
//! one metadata key, `signbit_checkpoint`, holds eight hexadecimal digits of a checksum over everything, then a
//! [`Header`] as JSON. (One key, because safetensors writes several in no certain order, and equal seeds are to
//! give equal bytes.)

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};
use signbit_model::{Preprocessing, Shape};

use crate::average::averaged;
use crate::gradients;
use crate::latents;
use crate::network::Network;
use crate::optim::Optimizer;
use crate::params::{ParamInfo, Params};
use crate::recipe::Recipe;
use crate::zoo::{self, ZooError};

/// The file's name inside of a run's folder.
pub const FILE_NAME: &str = "checkpoint.safetensors";
/// The folder of the real-valued twin inside of a run's folder.
pub const TWIN_FOLDER: &str = "twin";
/// The folder of the epoch with the best test accuracy inside of a run's folder: a run of its own. It is there where the
/// recipe has [`Recipe::patience`].
pub const BEST_FOLDER: &str = "best";
/// Version of the layout that this crate writes.
const FORMAT: u32 = 2;
/// Key of the checksum and the header in the file's metadata.
const KEY: &str = "signbit_checkpoint";
/// The tensor of [`Underway::signs`].
const SIGNS: &str = "epoch.signs";
/// The tensor of [`Underway::reached`].
const REACHED: &str = "epoch.reached";
/// Digits of the checksum.
const DIGITS: usize = 8;

/// One epoch's figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: u32,
    /// Mean loss over the training samples, while they were trained on.
    pub loss: f64,
    /// Share of training samples classified right, while they were trained on.
    pub train_accuracy: f64,
    /// Share of test samples classified right at the end of the epoch, in evaluation mode.
    pub test_accuracy: f64,
    /// Mean loss over the test samples at the end of the epoch, in evaluation mode.
    pub test_loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f32,
    /// For each latent tensor, in the order of [`crate::params::Params::latents`]: the share of its bits that are other
    /// ones than at the beginning of the epoch.
    pub flips: Vec<f32>,
    /// How many latent weights lie in each of [`HISTOGRAM_BINS`] equal parts of [-1, 1].
    pub histogram: Vec<u64>,
    /// For each latent tensor, as in `flips`: the share of its weights whose gradient was 0 in every step of the epoch.
    /// Empty where it was not recorded, as by earlier versions.
    #[serde(default)]
    pub dead: Vec<f32>,
    /// For each latent tensor, as in `flips`: the share of its weights whose magnitude is at least 0.99 at the end of the
    /// epoch; they are clipped at 1. Empty where it was not recorded.
    #[serde(default)]
    pub saturated: Vec<f32>,
    /// L2 norm of the gradient by all parameters, the mean over the epoch's steps.
    #[serde(default)]
    pub gradient_norm: Option<f64>,
    /// L2 norm of the gradient in the epoch's last step, for each tensor of [`crate::params::Params::weights`]. Empty
    /// where it was not recorded.
    #[serde(default)]
    pub gradients: Vec<f32>,
}

/// Parts of the latent weights' histogram.
pub const HISTOGRAM_BINS: usize = 40;

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    format: u32,
    /// What was trained.
    pub recipe: Recipe,
    /// Name or path of the data.
    pub data: String,
    /// Shape of the pictures.
    pub input: Shape,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// From a picture to the network's input.
    pub preprocessing: Preprocessing,
    /// Checksum of the teacher's checkpoint, where there is a teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<u32>,
    /// One record for each epoch done.
    pub history: Vec<EpochRecord>,
    /// Optimiser steps done.
    pub steps: u64,
    /// Where an epoch was stopped half-way: what is done of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub underway: Option<Underway>,
}

/// What is done of an epoch that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Underway {
    /// Steps done.
    pub steps: usize,
    /// Sum of the loss over the samples of these steps.
    pub loss: f64,
    /// How many of them were classified right.
    pub right: usize,
    /// Bits of the latent weights at the beginning of the epoch; a tensor of the file, not of its header.
    #[serde(skip)]
    pub signs: Vec<u8>,
    /// Sum of the gradient's L2 norms over these steps.
    #[serde(default)]
    pub gradient_norms: Option<f64>,
    /// For each latent weight, whether its gradient was other than 0 in one of these steps; a tensor of the file. Empty
    /// where an earlier version has begun the epoch.
    #[serde(skip)]
    pub reached: Vec<u8>,
}

impl Header {
    /// The header of a run that has not begun.
    pub fn new(recipe: Recipe, data: String, input: Shape, classes: Vec<String>, preprocessing: Preprocessing) -> Self {
        let (teacher, history, steps, underway) = (None, vec![], 0, None);
        Self { format: FORMAT, recipe, data, input, classes, preprocessing, teacher, history, steps, underway }
    }

    /// The epoch with the highest test accuracy, the earliest of equal ones; `None` where none is done.
    pub fn best(&self) -> Option<&EpochRecord> {
        let better = |best: &'_ EpochRecord, next: &'_ EpochRecord| next.test_accuracy > best.test_accuracy;
        self.history.iter().reduce(|best, next| if better(best, next) { next } else { best })
    }

    /// Whether the training stops here, before its last epoch: for as many epochs as [`Recipe::patience`] says the test
    /// accuracy was not better than before.
    pub fn stopped_early(&self) -> bool {
        let done = self.history.len();
        let since = self.best().map_or(0, |best| done.saturating_sub(best.epoch as usize));
        let patience = self.recipe.patience as usize;
        patience > 0 && since >= patience && done < self.recipe.epochs as usize
    }
}

impl Underway {
    /// The beginning of an epoch.
    pub(crate) fn of(params: &Params) -> Self {
        Self {
            signs: latents::signs(params),
            gradient_norms: Some(0.0),
            reached: vec![0; gradients::latent_count(params)],
            ..Self::default()
        }
    }
}

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// There is none.
    #[error("{} is not a training run: it has no {FILE_NAME}", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a checkpoint.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The network of the checkpoint's recipe cannot be built.
    #[error("{}: {source}", path.display())]
    Zoo {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ZooError,
    },
}

/// Writes the checkpoint into folder `run`; the old one is replaced in one step.
///
/// # Errors
/// Where the file cannot be written.
pub fn save(run: &Path, header: &Header, network: &Network, optimizer: &dyn Optimizer) -> Result<(), CheckpointError> {
    let path = run.join(FILE_NAME);
    let mut params = network.params();
    let (steps, averages) = optimizer.state();
    let averaging;
    if params.average().is_some_and(|average| !average.in_use) {
        let mut copy = params.clone();
        copy.use_average(true);
        averaging = copy;
        params = &averaging;
    }
    let header = Header { steps, ..header.clone() };
    let of = |prefix: &str, info: &ParamInfo, numbers: &[f32]| -> (String, Vec<usize>, Vec<u8>) {
        (format!("{prefix}.{}", info.name), info.shape.clone(), bytes(&numbers[info.range.clone()]))
    };
    let (infos, states) = (params.infos(), params.state_infos());
    let mut tensors: Vec<_> = infos.iter().map(|i| of("param", i, params.values())).collect();
    tensors.extend(states.iter().map(|i| of("state", i, params.states())));
    if let Some(trained) = params.average() {
        tensors.extend(averaged(infos).map(|i| of("trained.param", i, &trained.values)));
        tensors.extend(states.iter().map(|i| of("trained.state", i, &trained.states)));
    }
    tensors.extend(averages.iter().map(|(name, a)| (format!("optimizer.{name}"), vec![a.len()], bytes(a))));
    let format = |reason: String| CheckpointError::Format { path: path.clone(), reason };
    let views = tensors
        .iter()
        .map(|(name, shape, data)| TensorView::new(Dtype::F32, shape.clone(), data).map(|v| (name.as_str(), v)))
        .chain(
            header
                .underway
                .iter()
                .flat_map(|u| [(SIGNS, &u.signs), (REACHED, &u.reached)])
                .filter(|(name, bytes)| *name == SIGNS || !bytes.is_empty())
                .map(|(name, bytes)| TensorView::new(Dtype::U8, vec![bytes.len()], bytes).map(|v| (name, v))),
        )
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format(e.to_string()))?;
    let json = serde_json::to_string(&header).map_err(|e| format(e.to_string()))?;
    let checksum = checksum(&json, views.iter().map(|(name, view)| (*name, view.clone())));
    let metadata = HashMap::from([(KEY.to_string(), checksum + &json)]);
    let file = serialize(views, Some(metadata)).map_err(|e| format(e.to_string()))?;
    signbit_model::file::replace(&path, &file).map_err(|source| CheckpointError::Io { path, source })
}

/// CRC-32 of the header, then of each tensor by name: its name, shape and bytes.
fn checksum<'a>(header: &str, tensors: impl Iterator<Item = (&'a str, TensorView<'a>)>) -> String {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header.as_bytes());
    for (name, tensor) in tensors.collect::<BTreeMap<_, _>>() {
        crc.update(name.as_bytes());
        tensor.shape().iter().for_each(|&d| crc.update(&(d as u64).to_le_bytes()));
        crc.update(tensor.data());
    }
    format!("{:08x}", crc.finalize())
}

/// A checkpoint read back: its header, the network with all its numbers, and the optimiser where it stopped.
pub struct Loaded {
    /// What the checkpoint says of itself.
    pub header: Header,
    /// The network, with the averages in use where the run keeps them.
    pub network: Network,
    /// The optimiser.
    pub optimizer: Box<dyn Optimizer>,
}

/// Reads the checkpoint of folder `run`.
///
/// # Errors
/// Where there is none, or it is not complete and consistent.
pub fn load(run: &Path) -> Result<Loaded, CheckpointError> {
    let path = run.join(FILE_NAME);
    let file = std::fs::read(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => CheckpointError::Missing(run.into()),
        _ => CheckpointError::Io { path: path.clone(), source },
    })?;
    from_bytes(&path, &file)
}

/// Parses a checkpoint; `path` is for messages.
///
/// # Errors
/// Where it is not complete and consistent. Nothing is allocated that the file is not large enough to fill.
pub fn from_bytes(path: &Path, file: &[u8]) -> Result<Loaded, CheckpointError> {
    let format = |reason: String| CheckpointError::Format { path: path.into(), reason };
    let damaged = |e: safetensors::SafeTensorError| format(format!("not a whole safetensors file: {e}"));
    let (_, metadata) = SafeTensors::read_metadata(file).map_err(damaged)?;
    let value = metadata.metadata().as_ref().and_then(|m| m.get(KEY)?.split_at_checked(DIGITS));
    let (announced, json) =
        value.ok_or_else(|| format("a safetensors file, but not a checkpoint of signbit".into()))?;
    let tensors = SafeTensors::deserialize(file).map_err(damaged)?;
    if announced != checksum(json, tensors.iter()) {
        return Err(format("the checkpoint is damaged: its checksum does not fit".into()));
    }
    let mut header: Header = serde_json::from_str(json).map_err(|e| format(format!("the checkpoint's header: {e}")))?;
    if header.format != FORMAT {
        return Err(format(format!("checkpoint format {}; this version reads {FORMAT}", header.format)));
    }
    let zoo = |source| CheckpointError::Zoo { path: path.into(), source };
    let parameters = zoo::parameters(&header.recipe, header.input, header.classes.len()).map_err(zoo)?;
    if parameters.saturating_mul(4) > file.len() as u128 {
        return Err(format(format!("the recipe has {parameters} parameters, the file is too small for them")));
    }
    let mut network = zoo::build(&header.recipe, header.input, header.classes.len()).map_err(zoo)?;
    let numbers = |name: &str, len: usize| -> Result<Vec<f32>, CheckpointError> {
        let view = tensors.tensor(name).map_err(|_| format(format!("the tensor {name} is missing")))?;
        if view.dtype() != Dtype::F32 || view.data().len() != 4 * len {
            return Err(format(format!("the tensor {name} does not have {len} f32 numbers")));
        }
        Ok(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    };
    let params = network.params_mut();
    for info in params.infos().to_vec() {
        let values = numbers(&format!("param.{}", info.name), info.range.len())?;
        params.values_mut()[info.range].copy_from_slice(&values);
    }
    for info in params.state_infos().to_vec() {
        let values = numbers(&format!("state.{}", info.name), info.range.len())?;
        params.states_mut()[info.range].copy_from_slice(&values);
    }
    if header.recipe.average > 0.0 {
        params.begin_average(header.recipe.average);
        params.use_average(true);
        let (infos, states) = (params.infos().to_vec(), params.state_infos().to_vec());
        if let Some(trained) = params.average_mut() {
            for info in averaged(&infos) {
                let values = numbers(&format!("trained.param.{}", info.name), info.range.len())?;
                trained.values[info.range.clone()].copy_from_slice(&values);
            }
            for info in states {
                let values = numbers(&format!("trained.state.{}", info.name), info.range.len())?;
                trained.states[info.range].copy_from_slice(&values);
            }
        }
    }
    if let Some(underway) = &mut header.underway {
        let signs = tensors.tensor(SIGNS).map_err(|_| format(format!("the tensor {SIGNS} is missing")))?;
        let epochs = header.history.len();
        if underway.steps == 0 || underway.steps as u64 > header.steps || epochs >= header.recipe.epochs as usize {
            return Err(format("the epoch that was stopped does not fit the steps done".into()));
        }
        if signs.dtype() != Dtype::U8 || signs.data().len() != latents::sign_bytes(params) {
            return Err(format(format!("the tensor {SIGNS} does not fit the latent weights")));
        }
        underway.signs = signs.data().to_vec();
        if let Ok(reached) = tensors.tensor(REACHED) {
            if reached.dtype() != Dtype::U8 || reached.data().len() != gradients::latent_count(params) {
                return Err(format(format!("the tensor {REACHED} does not fit the latent weights")));
            }
            underway.reached = reached.data().to_vec();
        }
    }
    let total = params.values().len();
    let mut optimizer = header.recipe.build_optimizer();
    if header.steps == 0 {
        // Before the first step there are no averages.
        return Ok(Loaded { header, network, optimizer });
    }
    let names: Vec<&str> = optimizer.state().1.iter().map(|(name, _)| *name).collect();
    let averages: Vec<(String, Vec<f32>)> = names
        .into_iter()
        .map(|name| Ok((name.to_string(), numbers(&format!("optimizer.{name}"), total)?)))
        .collect::<Result<_, CheckpointError>>()?;
    if !optimizer.restore(header.steps, &averages) {
        return Err(format("the optimiser's averages do not fit".into()));
    }
    Ok(Loaded { header, network, optimizer })
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What earlier versions wrote has fewer figures.
    #[test]
    fn records_of_earlier_versions_are_read() {
        let old = r#"{"epoch":1,"loss":0.5,"train_accuracy":0.5,"test_accuracy":0.25,"test_loss":1.0,
            "learning_rate":0.1,"flips":[0.5],"histogram":[1,2]}"#;
        let record: EpochRecord = serde_json::from_str(old).unwrap();
        assert_eq!((record.flips.as_slice(), record.gradient_norm), (&[0.5][..], None));
        assert!(record.dead.is_empty() && record.saturated.is_empty() && record.gradients.is_empty());
        let underway: Underway = serde_json::from_str(r#"{"steps":3,"loss":0.5,"right":7}"#).unwrap();
        assert_eq!((underway.steps, underway.gradient_norms), (3, None));
    }
}
