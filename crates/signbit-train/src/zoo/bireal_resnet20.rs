//! The ResNet-20 of pictures of 32x32 (He et al. 2015, arXiv 1512.03385, section 4.2) with the shortcuts of Bi-Real
//! (Liu et al. 2018, arXiv 1808.00278): every binary convolution has its own, so that the real numbers in front of its
//! sign are not lost. 1x1 convolutions of shortcuts, the first convolution and the last layer are real.

use super::ZooError;
use super::blocks::{Activations, Blocks};
use crate::network::Var;
use crate::recipe::Recipe;

/// Stages, each of twice as many channels at half the height and width.
const STAGES: usize = 3;
/// Binary convolutions of a stage.
const LAYERS: usize = 6;

/// With a width of 16: 16C3, then 6 of 16C3, 6 of 32C3, 6 of 64C3, mean, classes.
pub(super) fn build(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Result<Var, ZooError> {
    let mut y = blocks.first_conv("conv1", x, recipe.width, 3, 1)?;
    y = blocks.norm("norm1", y)?;
    for stage in 0..STAGES {
        for layer in 0..LAYERS {
            let stride = if stage > 0 && layer == 0 { 2 } else { 1 };
            y = blocks.bireal(&format!("stage{}.{}", stage + 1, layer + 1), y, recipe.width << stage, stride)?;
        }
    }
    blocks.mean_dense(y, classes)
}
