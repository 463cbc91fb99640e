//! Every trained number of a network, in one flat buffer, its gradients in a second one of the same layout,
//! and the running statistics in a third. Flat, because the optimiser then is one pass and a sum over machines one call.

use std::ops::Range;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::average::Average;

/// A trained tensor of a [`Params`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamId(usize);

/// A tensor of running statistics of a [`Params`], not trained by gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateId(usize);

/// What a trained tensor is, which decides what the optimiser does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Latent real weights behind binary ones: clipped to [-1, 1] after each update
    /// (Courbariaux et al. 2016, arXiv 1602.02830, section 1.4).
    Latent,
    /// Real weights of a dense or convolution layer.
    Weight,
    /// Biases, batch-norm factors and the like.
    Other,
    /// Numbers that never change.
    Fixed,
}

/// The first values of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Uniform in ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16).
    Glorot {
        /// Inputs of one output.
        fan_in: usize,
        /// Outputs of one input.
        fan_out: usize,
    },
    /// All the same number.
    Constant(f32),
}

/// Name, place and role of one tensor.
#[derive(Clone, Debug)]
pub struct ParamInfo {
    /// Unique name, `layer.tensor`.
    pub name: String,
    /// Its shape, outermost first.
    pub shape: Vec<usize>,
    /// Its place in the flat buffer.
    pub range: Range<usize>,
    /// What it is.
    pub role: Role,
}

impl ParamInfo {
    /// How many numbers it has.
    pub fn elements(&self) -> u128 {
        self.shape.iter().fold(1, |n, &d| n.saturating_mul(d as u128))
    }

    /// The layer that the tensor belongs to: its name without the last part.
    pub fn layer(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(layer, _)| layer)
    }
}

/// All tensors of a network.
#[derive(Clone, Debug, Default)]
pub struct Params {
    infos: Vec<ParamInfo>,
    values: Vec<f32>,
    grads: Vec<f32>,
    states: Vec<ParamInfo>,
    state: Vec<f32>,
    blank: bool,
    average: Option<Average>,
}

impl Params {
    /// No tensors yet; those that are added take no memory before [`Params::fill_blank`].
    pub(crate) fn blank() -> Self {
        Self { blank: true, ..Self::default() }
    }

    /// Gives blank tensors their memory, all 0.
    pub(crate) fn fill_blank(&mut self) {
        if self.blank {
            let end = |infos: &[ParamInfo]| infos.last().map_or(0, |info| info.range.end);
            self.values = vec![0.0; end(&self.infos)];
            self.grads = vec![0.0; self.values.len()];
            self.state = vec![0.0; end(&self.states)];
        }
    }

    /// Adds a trained tensor.
    pub fn add(&mut self, rng: &mut ChaCha8Rng, name: &str, shape: &[usize], role: Role, init: Init) -> ParamId {
        let start = self.infos.last().map_or(0, |info| info.range.end);
        let len = shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d));
        match init {
            _ if self.blank => {}
            Init::Constant(x) => self.values.resize(start + len, x),
            Init::Glorot { fan_in, fan_out } => {
                let bound = (6.0 / (fan_in + fan_out) as f32).sqrt();
                self.values.extend((0..len).map(|_| rng.random_range(-bound..=bound)));
            }
        }
        self.grads.resize(self.values.len(), 0.0);
        let info = ParamInfo { name: name.into(), shape: shape.into(), range: start..start.saturating_add(len), role };
        self.infos.push(info);
        ParamId(self.infos.len() - 1)
    }

    /// Adds a tensor of running statistics, all `fill`.
    pub fn add_state(&mut self, name: &str, len: usize, fill: f32) -> StateId {
        let start = self.states.last().map_or(0, |info| info.range.end);
        let range = start..start.saturating_add(len);
        if !self.blank {
            self.state.resize(range.end, fill);
        }
        let info = ParamInfo { name: name.into(), shape: vec![len], range, role: Role::Other };
        self.states.push(info);
        StateId(self.states.len() - 1)
    }

    /// Adds a tensor of numbers that never change; they stand among the running statistics.
    pub fn add_fixed(&mut self, name: &str, numbers: &[f32]) -> StateId {
        let id = self.add_state(name, numbers.len(), 0.0);
        self.states[id.0].role = Role::Fixed;
        if !self.blank {
            self.state_mut(id).copy_from_slice(numbers);
        }
        id
    }

    /// A tensor's numbers.
    pub fn value(&self, id: ParamId) -> &[f32] {
        &self.values[self.infos[id.0].range.clone()]
    }

    /// A tensor's numbers, to be changed.
    pub fn value_mut(&mut self, id: ParamId) -> &mut [f32] {
        &mut self.values[self.infos[id.0].range.clone()]
    }

    /// A tensor's gradient, to be written. The optimiser leaves it as it is: each backward pass **overwrites** it.
    pub fn grad_mut(&mut self, id: ParamId) -> &mut [f32] {
        &mut self.grads[self.infos[id.0].range.clone()]
    }

    /// A tensor's numbers and its gradient together.
    pub fn value_and_grad(&mut self, id: ParamId) -> (&[f32], &mut [f32]) {
        let range = self.infos[id.0].range.clone();
        (&self.values[range.clone()], &mut self.grads[range])
    }

    /// Running statistics.
    pub fn state(&self, id: StateId) -> &[f32] {
        &self.state[self.states[id.0].range.clone()]
    }

    /// Running statistics, to be changed.
    pub fn state_mut(&mut self, id: StateId) -> &mut [f32] {
        &mut self.state[self.states[id.0].range.clone()]
    }

    /// What the trained tensors are, in order of their places.
    pub fn infos(&self) -> &[ParamInfo] {
        &self.infos
    }

    /// The tensors of latent weights among [`Params::infos`].
    pub fn latents(&self) -> impl Iterator<Item = &ParamInfo> {
        self.infos.iter().filter(|info| info.role == Role::Latent)
    }

    /// The tensors of weights, latent or real, among [`Params::infos`]: no biases and no factors.
    pub fn weights(&self) -> impl Iterator<Item = &ParamInfo> {
        self.infos.iter().filter(|info| info.role != Role::Other)
    }

    /// What the running statistics are, in order of their places.
    pub fn state_infos(&self) -> &[ParamInfo] {
        &self.states
    }

    /// All trained numbers.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All trained numbers, to be changed.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// All gradients, in the layout of [`Params::values`].
    pub fn grads(&self) -> &[f32] {
        &self.grads
    }

    /// All gradients, to be changed before the optimiser reads them.
    pub fn grads_mut(&mut self) -> &mut [f32] {
        &mut self.grads
    }

    /// Numbers and gradients for the optimiser, with what they are.
    pub fn for_update(&mut self) -> (&[ParamInfo], &mut [f32], &[f32]) {
        (&self.infos, &mut self.values, &self.grads)
    }

    /// All running statistics.
    pub fn states(&self) -> &[f32] {
        &self.state
    }

    /// All running statistics, to be changed.
    pub fn states_mut(&mut self) -> &mut [f32] {
        &mut self.state
    }

    /// Keeps exponential moving averages of real parameters and running statistics from here on; latent weights have
    /// none, as the mean of weights has bits that never were trained together.
    pub fn begin_average(&mut self, decay: f32) {
        self.average = Some(Average::new(decay, &self.infos, &self.values, &self.state));
    }

    /// Takes the numbers after step `step`, counted from 1, into the averages, if there are any.
    pub fn follow_average(&mut self, step: u64) {
        if let Some(average) = &mut self.average {
            average.follow(step, &self.infos, &self.values, &self.state);
        }
    }

    /// Puts the averages, if there are any, in the place of the trained numbers, or these back.
    pub fn use_average(&mut self, in_use: bool) {
        if let Some(average) = &mut self.average {
            average.put(in_use, &self.infos, &mut self.values, &mut self.state);
        }
    }

    /// The averages.
    pub(crate) fn average(&self) -> Option<&Average> {
        self.average.as_ref()
    }

    /// The averages, to be changed.
    pub(crate) fn average_mut(&mut self) -> Option<&mut Average> {
        self.average.as_mut()
    }
}
