//! The network that Courbariaux et al. trained on CIFAR-10 (2016, arXiv 1602.02830, section 2.3), after VGG: three
//! stages of two 3x3 convolutions and a pooling, two dense layers. The first convolution and the last layer are real.

use super::ZooError;
use super::blocks::{Activations, Blocks};
use crate::network::Var;
use crate::recipe::Recipe;

/// Channels of each stage, for each channel of the first one.
const STAGES: [usize; 3] = [1, 2, 4];
/// Units of both dense layers for each channel of the first stage.
const DENSE_PER_CHANNEL: usize = 8;

/// With a width of 128: 128C3-128C3-MP2-256C3-256C3-MP2-512C3-512C3-MP2-1024-1024-classes.
pub(super) fn build(blocks: &mut Blocks, mut x: Activations, recipe: &Recipe, classes: usize) -> Result<Var, ZooError> {
    let width = recipe.width;
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
    blocks.last("dense9", x, classes)
}
