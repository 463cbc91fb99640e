//! The network that Courbariaux et al. trained on CIFAR-10 (2016, arXiv 1602.02830, section 2.3), after VGG: three
//! stages of two 3x3 convolutions and a pooling, two dense layers. The first convolution and the last layer are real.

use signbit_model::Shape;

use super::ZooError;
use super::blocks::Blocks;
use crate::network::Network;
use crate::recipe::Recipe;

/// Channels of each stage, for each channel of the first one.
const STAGES: [usize; 3] = [1, 2, 4];
/// Units of both dense layers for each channel of the first stage.
const DENSE_PER_CHANNEL: usize = 8;

/// With a width of 128: 128C3-128C3-MP2-256C3-256C3-MP2-512C3-512C3-MP2-1024-1024-classes.
pub(super) fn build(recipe: &Recipe, input: Shape, classes: usize) -> Result<Network, ZooError> {
    let width = recipe.width;
    let (mut blocks, mut x) = Blocks::new(recipe, input)?;
    for (i, stage) in STAGES.into_iter().enumerate() {
        let (first, second, c) = (2 * i + 1, 2 * i + 2, stage * width);
        let y = match first {
            1 => blocks.real_conv("conv1", x, c)?,
            _ => blocks.conv(&format!("conv{first}"), x, c)?,
        };
        x = blocks.activate(&format!("norm{first}"), y)?;
        let y = blocks.conv(&format!("conv{second}"), x, c)?;
        let y = blocks.pool(&format!("pool{second}"), y)?;
        x = blocks.activate(&format!("norm{second}"), y)?;
    }
    x = blocks.flatten("flatten", x)?;
    for i in [7, 8] {
        let y = blocks.dense(&format!("dense{i}"), x, DENSE_PER_CHANNEL * width)?;
        x = blocks.activate(&format!("norm{i}"), y)?;
    }
    blocks.last("dense9", x, classes)?;
    blocks.finish()
}

/// Weights, batch-norm factors and offsets, and the last layer's biases.
pub(super) fn parameters([h, w, c]: [u128; 3], width: u128, classes: u128) -> u128 {
    let dense = DENSE_PER_CHANNEL as u128 * width;
    // Pairs of channels in and out, in squares of the width: 1x1, 1x2, 2x2, 2x4, 4x4.
    let convolutions = (9 * width).saturating_mul(c).saturating_add(9 * width * width * (1 + 2 + 4 + 8 + 16));
    let flat = (h / 8).saturating_mul(w / 8).saturating_mul(4 * width);
    let norms = 2 * (2 * (1 + 2 + 4) * width + 2 * dense);
    convolutions
        .saturating_add(flat.saturating_mul(dense))
        .saturating_add(dense * dense + norms)
        .saturating_add(classes.saturating_mul(dense + 1))
}
