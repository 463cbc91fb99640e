//! A small convolution network for pictures of 8x8 to 64x64: the first convolution and the last layer are real, all
//! between is binary.

use super::ZooError;
use super::blocks::{Activations, Blocks};
use crate::network::Var;
use crate::recipe::Recipe;

/// Units of the dense layer for each channel of the first stage.
const DENSE_PER_CHANNEL: usize = 8;

/// With a width of 64: 64C3-64C3-MP2-128C3-128C3-MP2-512-classes.
pub(super) fn build(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Result<Var, ZooError> {
    let width = recipe.width;
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
    blocks.last("dense6", x, classes)
}
