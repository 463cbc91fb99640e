//! The proof: every hidden bit and every output of the trained network, in evaluation mode, against the packed one.
//!
//! The packed network is whatever the caller runs (the reference interpreter, or the runtime on any instruction
//! set): it is handed in as a [`PackedRunner`], so that this crate depends on no runtime.

use signbit_kernels::bits::words;
use signbit_model::{ModelError, Preprocessing};

use crate::data::Pictures;
use crate::loss::classes_of;
use crate::network::Network;
use crate::op::Mode;
use crate::tensor::{BitTensor, Tensor, Value};

/// Samples per pass.
const BATCH: usize = 100;

/// Bits of the packed network, as its runner saw them.
#[derive(Clone, Copy, Debug)]
pub struct SeenBits<'a> {
    /// Channels of a row.
    pub channels: usize,
    /// Rows of `words(channels)` words.
    pub words: &'a [u64],
}

/// Runs the packed network over `n` samples `[n, h, w, c]`, shows the named nodes' values and returns the output.
pub trait PackedRunner {
    /// What can go wrong.
    type Error;

    /// Calls `seen(node name, bits)` for each node that gives bits, and returns the output.
    ///
    /// # Errors
    /// Whatever the runner's are.
    fn run(
        &mut self,
        n: usize,
        input: &[f32],
        seen: &mut dyn FnMut(&str, SeenBits<'_>),
    ) -> Result<Vec<f32>, Self::Error>;
}

/// The first place where the two networks differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Index of the picture.
    pub sample: usize,
    /// Name of the layer.
    pub layer: String,
    /// Row and column of the pixel.
    pub position: (usize, usize),
    /// Channel.
    pub channel: usize,
    /// What the trained network has: ±1 for bits.
    pub trained: f32,
    /// What the packed network has.
    pub packed: f32,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sample, layer, position: (y, x), channel, trained, packed } = self;
        write!(f, "sample {sample}, layer {layer}, row {y}, column {x}, channel {channel}: ")?;
        write!(f, "trained {trained:?}, packed {packed:?}")
    }
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Pictures compared.
    pub samples: usize,
    /// Layers whose bits were compared.
    pub layers: usize,
    /// Hidden bits compared.
    pub bits: u64,
    /// Hidden bits that differ.
    pub differing_bits: u64,
    /// Outputs compared.
    pub outputs: u64,
    /// Outputs that differ.
    pub differing_outputs: u64,
    /// Pictures whose class differs.
    pub differing_classes: u64,
    /// Pictures that the packed network classifies right.
    pub right: u64,
    /// The first difference, in the order of pictures, then of layers.
    pub first: Option<Difference>,
}

impl Report {
    /// Whether nothing differs.
    pub fn identical(&self) -> bool {
        self.differing_bits == 0 && self.differing_outputs == 0 && self.differing_classes == 0
    }

    fn note(&mut self, difference: Difference) {
        // Layers come in their order for a whole batch, so an earlier picture may turn up later.
        if self.first.as_ref().is_none_or(|first| difference.sample < first.sample) {
            self.first = Some(difference);
        }
    }
}

/// A comparison that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError<E> {
    /// The packed network could not be run.
    #[error("{0}")]
    Run(E),
    /// The pictures do not fit the preprocessing.
    #[error(transparent)]
    Pictures(#[from] ModelError),
    /// These layers of bits have no counterpart of their name and size in the packed network.
    #[error("the packed network does not have the bits of {0}; was it packed from this run?")]
    Layers(String),
    /// The outputs are not of one size.
    #[error("the packed network has {packed} outputs per picture, the trained one {trained}")]
    Outputs {
        /// Of the packed network.
        packed: usize,
        /// Of the trained network.
        trained: usize,
    },
}

/// Compares `network` in evaluation mode with a packed one on all `pictures`. `progress` hears how many are done.
///
/// # Errors
/// Where the two are not the same network at all, or the packed one cannot be run.
pub fn verify<R: PackedRunner>(
    network: &mut Network,
    packed: &mut R,
    pictures: &Pictures,
    preprocessing: &Preprocessing,
    progress: &mut dyn FnMut(usize),
) -> Result<Report, VerifyError<R::Error>> {
    let mut report = Report::default();
    let all: Vec<usize> = (0..pictures.len()).collect();
    for indices in all.chunks(BATCH) {
        let first = report.samples;
        let mut input = network.input_buffer(indices.len());
        pictures.write(indices, preprocessing, &mut input)?;
        let mut trained: Vec<(String, Value)> = Vec::new();
        let tensor = Tensor::new(indices.len(), network.input_shape(), input.clone());
        let output = network.forward_traced(tensor, Mode::Eval, &mut |name, value| {
            if let Value::Bits(_) = value {
                trained.push((name.into(), value.clone()));
            }
        });
        let mut missing: Vec<&str> = trained.iter().map(|(name, _)| name.as_str()).collect();
        let packed_output = packed
            .run(indices.len(), &input, &mut |name, seen| {
                let counterpart = trained.iter().find(|(n, _)| n == name);
                if let Some((_, Value::Bits(t))) = counterpart
                    && t.shape.c == seen.channels
                    && t.words.len() == seen.words.len()
                {
                    missing.retain(|n| *n != name);
                    compare_bits(&mut report, first, name, t, seen.words);
                }
            })
            .map_err(VerifyError::Run)?;
        if !missing.is_empty() {
            return Err(VerifyError::Layers(missing.join(", ")));
        }
        report.layers = trained.len();
        compare_outputs(&mut report, &output, &packed_output)?;
        let labels = indices.iter().map(|&i| pictures.labels[i]);
        let packed_output = Tensor::new(output.n, output.shape, packed_output);
        report.right += classes_of(&packed_output).zip(labels).filter(|(c, l)| c == l).count() as u64;
        report.samples += indices.len();
        network.recycle(output);
        progress(report.samples);
    }
    Ok(report)
}

fn compare_bits(report: &mut Report, first: usize, layer: &str, trained: &BitTensor, packed: &[u64]) {
    let shape = trained.shape;
    report.bits += (trained.n * shape.elements()) as u64;
    let row = words(shape.c);
    for (i, (t, p)) in trained.words.iter().zip(packed).enumerate().filter(|(_, (t, p))| t != p) {
        let channel = i % row * 64 + (t ^ p).trailing_zeros() as usize;
        report.differing_bits += u64::from((t ^ p).count_ones());
        let pixel = i / row;
        let (sample, pixel) = (first + pixel / (shape.h * shape.w), pixel % (shape.h * shape.w));
        let trained = if t >> (channel % 64) & 1 == 1 { 1.0 } else { -1.0 };
        let position = (pixel / shape.w, pixel % shape.w);
        report.note(Difference { sample, layer: layer.into(), position, channel, trained, packed: -trained });
    }
}

fn compare_outputs<E>(report: &mut Report, trained: &Tensor, packed: &[f32]) -> Result<(), VerifyError<E>> {
    let c = trained.shape.elements();
    if packed.len() != trained.data.len() {
        return Err(VerifyError::Outputs { packed: packed.len() / trained.n.max(1), trained: c });
    }
    report.outputs += packed.len() as u64;
    for (i, (&t, &p)) in trained.data.iter().zip(packed).enumerate().filter(|(_, (t, p))| t.to_bits() != p.to_bits()) {
        report.differing_outputs += 1;
        let (sample, channel) = (report.samples + i / c, i % c);
        report.note(Difference { sample, layer: "output".into(), position: (0, 0), channel, trained: t, packed: p });
    }
    let packed = Tensor::new(trained.n, trained.shape, packed.to_vec());
    report.differing_classes += classes_of(trained).zip(classes_of(&packed)).filter(|(a, b)| a != b).count() as u64;
    Ok(())
}
