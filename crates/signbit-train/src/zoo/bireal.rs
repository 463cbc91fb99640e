//! Networks with a shortcut around every binary convolution: Bi-Real Net (Liu et al. 2018, arXiv 1808.00278), and
//! ResNet-E (Bethge et al. 2019, arXiv 1906.08637), which adds to it a batch norm behind the stem and a ReLU at the end.
//!
//! So the real numbers in front of a sign are not lost. 1x1 convolutions of shortcuts, the first convolution and the last
//! layer are real.

use super::blocks::{Activations, Blocks};
use super::shortcuts::Made;
use crate::recipe::Recipe;

/// The ResNet-20 of pictures of 32x32 (He et al. 2015, arXiv 1512.03385, section 4.2): with a width of 16, 16C3, then 6
/// binary layers of 16 channels, 6 of 32, 6 of 64, mean, classes.
pub(super) fn resnet20(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    let y = blocks.real_window("conv1", x.x(), recipe.width, 3, 1)?;
    let y = blocks.norm("norm1", y)?;
    let y = stages(blocks, y, recipe.width, &[6, 6, 6])?;
    blocks.mean_dense(y, classes)
}

/// Bi-Real Net with 18 layers: 4 binary ones in each of 4 stages.
pub(super) fn bireal18(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    bireal(blocks, x, recipe, classes, &[4, 4, 4, 4])
}

/// Bi-Real Net with 34 layers.
pub(super) fn bireal34(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    bireal(blocks, x, recipe, classes, &[6, 8, 12, 6])
}

fn bireal(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize, layers: &[usize]) -> Made {
    let y = blocks.stem("conv1", x, recipe.width)?;
    let y = blocks.norm("norm1", y)?;
    let y = blocks.stem_pool("pool1", y)?;
    let y = stages(blocks, y, recipe.width, layers)?;
    blocks.mean_dense(y, classes)
}

/// Binary ResNet-E with 18 layers.
pub(super) fn resnet_e18(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    let mut y = blocks.stem("conv1", x, recipe.width)?;
    if !blocks.small() {
        y = blocks.norm("norm1", y)?;
        y = blocks.relu("relu1", y)?;
        y = blocks.stem_pool("pool1", y)?;
    }
    y = blocks.norm("norm2", y)?;
    y = stages(blocks, y, recipe.width, &[4, 4, 4, 4])?;
    y = blocks.relu("relu", y)?;
    blocks.mean_dense(y, classes)
}

/// Stages of binary layers, each of twice as many channels at half the height and width.
fn stages(blocks: &mut Blocks, x: crate::network::Var, width: usize, layers: &[usize]) -> Made {
    let mut y = x;
    for (stage, &layers) in layers.iter().enumerate() {
        for layer in 0..layers {
            let stride = if stage > 0 && layer == 0 { 2 } else { 1 };
            y = blocks.bireal(&format!("stage{}.{}", stage + 1, layer + 1), y, width << stage, stride)?;
        }
    }
    Ok(y)
}
