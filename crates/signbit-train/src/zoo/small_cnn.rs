//! A small convolution network for pictures of 8x8 to 64x64: the first convolution and the last layer are real, all
//! between is binary.

use signbit_model::Shape;

use super::ZooError;
use super::blocks::Blocks;
use crate::network::Network;
use crate::recipe::Recipe;

/// Units of the dense layer for each channel of the first stage.
const DENSE_PER_CHANNEL: usize = 8;

/// With a width of 64: 64C3-64C3-MP2-128C3-128C3-MP2-512-classes.
pub(super) fn build(recipe: &Recipe, input: Shape, classes: usize) -> Result<Network, ZooError> {
    let width = recipe.width;
    let (mut blocks, x) = Blocks::new(recipe, input)?;
    let y = blocks.real_conv("conv1", x, width)?;
    let x = blocks.activate("norm1", y)?;
    let y = blocks.conv("conv2", x, width)?;
    let y = blocks.pool("pool2", y)?;
    let x = blocks.activate("norm2", y)?;
    let y = blocks.conv("conv3", x, 2 * width)?;
    let x = blocks.activate("norm3", y)?;
    let y = blocks.conv("conv4", x, 2 * width)?;
    let y = blocks.pool("pool4", y)?;
    let x = blocks.activate("norm4", y)?;
    let x = blocks.flatten("flatten", x)?;
    let y = blocks.dense("dense5", x, DENSE_PER_CHANNEL * width)?;
    let x = blocks.activate("norm5", y)?;
    blocks.last("dense6", x, classes)?;
    blocks.finish()
}

/// Weights, batch-norm factors and offsets, and the last layer's biases.
pub(super) fn parameters([h, w, c]: [u128; 3], width: u128, classes: u128) -> u128 {
    let dense = DENSE_PER_CHANNEL as u128 * width;
    let convolutions = (9 * width).saturating_mul(c) + 9 * width * (width + 2 * width + 4 * width);
    let flat = (h / 4).saturating_mul(w / 4).saturating_mul(2 * width);
    let norms = 2 * (width + width + 2 * width + 2 * width + dense);
    convolutions
        .saturating_add(flat.saturating_mul(dense))
        .saturating_add(norms)
        .saturating_add(classes.saturating_mul(dense + 1))
}
