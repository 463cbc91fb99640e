//! What a training builds on: another run's weights, or another run as its teacher.

use std::fmt::Display;
use std::path::Path;

use signbit_model::{DType, Shape};

use crate::checkpoint::{self, CheckpointError, FILE_NAME, Header, Loaded};
use crate::data::DataSet;
use crate::network::Network;
use crate::op::Mode;
use crate::params::Role;
use crate::tensor::{Tensor, Value};

/// Another run that a training cannot build on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct BuildsOnError {
    /// The key of the recipe that names the run.
    pub key: &'static str,
    /// What is wrong.
    pub reason: String,
}

/// Key of the run whose weights are the first.
const INIT: &str = "init";
/// Key of the teacher's run.
const TEACHER: &str = "distillation.teacher";

/// Key of the layers whose attention maps are compared.
const MAPS: &str = "distillation.maps";

/// Reads a run by its folder or its checkpoint; and the checksum of the checkpoint.
fn open(key: &'static str, run: &str) -> Result<(Loaded, u32), BuildsOnError> {
    let error = |reason: &dyn Display| BuildsOnError { key, reason: reason.to_string() };
    let path = Path::new(run);
    let path = if path.is_file() { path.to_owned() } else { path.join(FILE_NAME) };
    if !path.exists() {
        return Err(error(&CheckpointError::Missing(run.into())));
    }
    let file = std::fs::read(&path).map_err(|source| error(&CheckpointError::Io { path: path.clone(), source }))?;
    let loaded = checkpoint::from_bytes(&path, &file).map_err(|e| error(&e))?;
    if loaded.header.history.is_empty() {
        return Err(error(&format!("{run} has not finished an epoch; train it first")));
    }
    Ok((loaded, crc32fast::hash(&file)))
}

/// Gives a network the numbers of the run `run`, an average's where it keeps one. Latent weights take those of the same
/// layer's real weights too, cut off at ±1: the second step of a training in two (Martinez et al. 2020, arXiv
/// 2003.11535, section 4.1).
///
/// # Errors
/// Where the run has not all tensors of this network in their shapes.
pub(crate) fn take_weights(network: &mut Network, run: &str) -> Result<(), BuildsOnError> {
    let (from, _) = open(INIT, run)?;
    let from = from.network.params();
    let missing = |name: &str, shape: &[usize]| BuildsOnError {
        key: INIT,
        reason: format!("{run} has no {name} of shape {shape:?}; it must be a run of the same network and classes"),
    };
    let to = network.params_mut();
    for info in to.infos().to_vec() {
        let real = info.name.strip_suffix(".latent").map(|layer| format!("{layer}.weight"));
        let fits = |name: &str| from.infos().iter().find(|i| i.name == *name && i.shape == info.shape);
        let found = fits(&info.name).or_else(|| real.as_deref().and_then(fits));
        let found = found.ok_or_else(|| missing(&info.name, &info.shape))?;
        let values = &mut to.values_mut()[info.range];
        values.copy_from_slice(&from.values()[found.range.clone()]);
        if info.role == Role::Latent {
            values.iter_mut().for_each(|w| *w = w.clamp(-1.0, 1.0));
        }
    }
    for info in to.state_infos().to_vec() {
        let found = from.state_infos().iter().find(|i| i.name == info.name && i.shape == info.shape);
        let found = found.ok_or_else(|| missing(&info.name, &info.shape))?;
        to.states_mut()[info.range].copy_from_slice(&from.states()[found.range.clone()]);
    }
    Ok(())
}

/// A network's output, and those of the layers `maps`.
pub(crate) fn seen(
    network: &mut Network,
    input: Tensor,
    mode: Mode,
    maps: &[String],
) -> (Tensor, Vec<(String, Tensor)>) {
    let mut found = Vec::new();
    let output = network.forward_traced(input, mode, &mut |name, value| {
        if let (true, Value::Real(tensor)) = (maps.iter().any(|map| map == name), value) {
            found.push((name.to_owned(), tensor.clone()));
        }
    });
    (output, found)
}

/// The network that a training learns from.
pub(crate) struct Teacher {
    network: Network,
}

impl Teacher {
    /// The teacher of the training of `header`, if it has one; the header keeps its checksum.
    ///
    /// # Errors
    /// Where it is another than when the run was begun, or does not fit the data.
    pub(crate) fn of(header: &mut Header, network: &Network, data: &DataSet) -> Result<Option<Self>, BuildsOnError> {
        let run = &header.recipe.distillation.teacher;
        if run.is_empty() {
            return Ok(None);
        }
        let wrong = |reason: String| BuildsOnError { key: TEACHER, reason };
        let (teacher, checksum) = open(TEACHER, run)?;
        if header.teacher.is_some_and(|begun| begun != checksum) {
            return Err(wrong(format!("{run} has changed since this run was begun")));
        }
        let (own, shape) = (&teacher.header, data.train.shape);
        if own.input != shape {
            let (taken, name) = (own.input, &data.name);
            return Err(wrong(format!("{run} takes pictures of {taken}, those of {name} are {shape}")));
        }
        if own.classes != data.classes {
            let reason = match own.classes.iter().zip(&data.classes).position(|(a, b)| a != b) {
                Some(i) => {
                    format!("class {i} of {run} is {:?}, of {} {:?}", own.classes[i], data.name, data.classes[i])
                }
                None => format!("{run} has {} classes, {} {}", own.classes.len(), data.name, data.classes.len()),
            };
            return Err(wrong(reason));
        }
        let (mine, its) = (&header.preprocessing, &own.preprocessing);
        if (&mine.scale, &mine.shift) != (&its.scale, &its.shift) {
            return Err(wrong(format!("{run} takes pixels in another range")));
        }
        for map in &header.recipe.distillation.maps {
            let real = |network: &Network| network.layer(map).filter(|ty| ty.dtype == DType::F32).map(|ty| ty.shape);
            match (real(network), real(&teacher.network)) {
                (Some(own), Some(its)) if (own.h, own.w) == (its.h, its.w) && own.h * own.w > 1 => {}
                _ => {
                    let reason =
                        "both networks must have a layer of this name, of real numbers over the same positions";
                    return Err(BuildsOnError { key: MAPS, reason: format!("{map}: {reason}") });
                }
            }
        }
        header.teacher = Some(checksum);
        Ok(Some(Self { network: teacher.network }))
    }

    /// The teacher's outputs, in evaluation mode, and those of the layers `maps`. The outputs are to be handed back by
    /// [`Teacher::recycle`].
    pub(crate) fn outputs(
        &mut self,
        n: usize,
        shape: Shape,
        input: &[f32],
        maps: &[String],
    ) -> (Tensor, Vec<(String, Tensor)>) {
        let mut own = self.network.input_buffer(n);
        own.copy_from_slice(input);
        seen(&mut self.network, Tensor::new(n, shape, own), Mode::Eval, maps)
    }

    /// Takes the outputs back.
    pub(crate) fn recycle(&mut self, outputs: Tensor) {
        self.network.recycle(outputs);
    }
}
