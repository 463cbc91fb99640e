//! Real-to-Binary Net (Martinez et al. 2020, arXiv 2003.11535): each binary convolution is multiplied by factors per
//! channel that two small real dense layers find from the mean of its real input.

use super::blocks::{Activations, Blocks};
use super::shortcuts::Made;
use crate::network::Var;
use crate::recipe::Recipe;

/// Stages, of 4 binary layers each.
const STAGES: usize = 4;
/// By how much the first dense layer of a gate divides the channels.
const REDUCTION: usize = 8;

/// With the layers of ResNet-18.
pub(super) fn build(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    let mut y = blocks.stem("conv1", x, recipe.width)?;
    y = blocks.norm("norm1", y)?;
    y = blocks.prelu("prelu1", y)?;
    y = blocks.stem_pool("pool1", y)?;
    for stage in 0..STAGES {
        for layer in 0..4 {
            let stride = if stage > 0 && layer == 0 { 2 } else { 1 };
            y = block(blocks, &format!("stage{}.{}", stage + 1, layer + 1), y, recipe.width << stage, stride)?;
        }
    }
    blocks.mean_dense(y, classes)
}

fn block(blocks: &mut Blocks, name: &str, x: Var, c: usize, stride: usize) -> Made {
    let read = blocks.norm(&format!("{name}.norm"), x)?;
    let y = blocks.sign_conv(&format!("{name}.conv"), read, c, 3, stride)?;
    let reduced = (blocks.shape(read).c / REDUCTION).max(1);
    let y = blocks.squeeze_excite(&format!("{name}.gate"), y, read, reduced)?;
    let y = blocks.prelu(&format!("{name}.prelu"), y)?;
    let shortcut = match stride {
        1 => x,
        _ => blocks.shortcut(&format!("{name}.shortcut"), x, c)?,
    };
    blocks.sum(&format!("{name}.add"), y, shortcut)
}
