//! QuickNet (Bannink et al. 2020, arXiv 2011.09398): a light stem, binary layers of one width with shortcuts, and real
//! transitions of a pooling, a blur and a 1x1 convolution. Padding of binary convolutions counts as +1.

use signbit_kernels::Padding;

use super::blocks::{Activations, Blocks};
use super::shortcuts::Made;
use crate::network::Var;
use crate::ops::NormOptions;
use crate::recipe::Recipe;

/// Binary layers and channels of a stage, these for each channel of the first.
type Stage = (usize, usize);

/// QuickNet: 4 layers in each of 4 stages.
pub(super) fn medium(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    build(blocks, x, recipe, classes, [(4, 1), (4, 2), (4, 4), (4, 8)])
}

/// QuickNet Small: with half as many channels in the first two stages.
pub(super) fn small(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    build(blocks, x, recipe, classes, [(4, 1), (4, 2), (4, 8), (4, 16)])
}

/// QuickNet Large: with more layers.
pub(super) fn large(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    build(blocks, x, recipe, classes, [(6, 1), (8, 2), (12, 4), (6, 8)])
}

fn build(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize, stages: [Stage; 4]) -> Made {
    let mut y = stem(blocks, x.x(), recipe.width)?;
    for (i, (layers, channels)) in stages.into_iter().enumerate() {
        if i > 0 {
            y = transition(blocks, &format!("transition{i}"), y, channels * recipe.width)?;
        }
        for layer in 1..=layers {
            y = residual(blocks, &format!("stage{}.{layer}", i + 1), y)?;
        }
    }
    let y = blocks.relu("relu", y)?;
    blocks.mean_dense(y, classes)
}

/// A 3x3 convolution to a quarter of the width, a depthwise one, a 1x1 one.
fn stem(blocks: &mut Blocks, x: Var, width: usize) -> Made {
    let stride = if blocks.small() { 1 } else { 2 };
    let y = blocks.real_window("conv1", x, (width / 4).max(1), 3, stride)?;
    let y = blocks.norm("norm1", y)?;
    let y = blocks.relu("relu1", y)?;
    let y = blocks.depthwise("conv2", y, 3, stride)?;
    let options = NormOptions { scale: false, center: false, ..blocks.norm };
    let y = blocks.norm_with("norm2", y, options)?;
    let y = blocks.real_window("conv3", y, width, 1, 1)?;
    blocks.norm("norm3", y)
}

/// ReLU stands between the convolution and its batch norm.
fn residual(blocks: &mut Blocks, name: &str, x: Var) -> Made {
    let (c, geometry) = (blocks.shape(x).c, blocks.same(x, 3, 1));
    let y = blocks.sign_conv_padded(&format!("{name}.conv"), x, c, geometry, Padding::One)?;
    let y = blocks.relu(&format!("{name}.relu"), y)?;
    let y = blocks.norm(&format!("{name}.norm"), y)?;
    blocks.sum(&format!("{name}.add"), y, x)
}

/// Half the height and width: maximum, blur, 1x1 convolution.
fn transition(blocks: &mut Blocks, name: &str, x: Var, c: usize) -> Made {
    let y = blocks.relu(&format!("{name}.relu"), x)?;
    let y = blocks.max_pool_valid(&format!("{name}.pool"), y, 2, 1)?;
    let y = blocks.blur(&format!("{name}.blur"), y)?;
    let y = blocks.real_window(&format!("{name}.conv"), y, c, 1, 1)?;
    blocks.norm(&format!("{name}.norm"), y)
}
