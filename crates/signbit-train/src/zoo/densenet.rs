//! BinaryDenseNet (Bethge et al. 2019, arXiv 1906.08637): every binary convolution adds `width` channels to those that
//! it read; transitions are real.

use super::blocks::{Activations, Blocks};
use super::shortcuts::Made;
use crate::recipe::Recipe;

/// Binary layers of each stage, and by how much the transition behind it divides the channels.
type Stage = (usize, f64);

/// BinaryDenseNet with 28 layers.
pub(super) fn densenet28(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    build(blocks, x, recipe, classes, [(6, 2.7), (6, 2.7), (6, 2.2), (5, 1.0)])
}

/// BinaryDenseNet with 37 layers.
pub(super) fn densenet37(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    build(blocks, x, recipe, classes, [(6, 3.3), (8, 3.3), (12, 4.0), (6, 1.0)])
}

/// BinaryDenseNet with 45 layers.
pub(super) fn densenet45(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    build(blocks, x, recipe, classes, [(6, 2.7), (12, 3.3), (14, 4.0), (8, 1.0)])
}

fn build(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize, stages: [Stage; 4]) -> Made {
    let width = recipe.width;
    let mut y = blocks.stem("conv1", x, width)?;
    if !blocks.small() {
        y = blocks.norm("norm1", y)?;
        y = blocks.relu("relu1", y)?;
        y = blocks.stem_pool("pool1", y)?;
    }
    for (i, (layers, division)) in stages.into_iter().enumerate() {
        for layer in 1..=layers {
            let name = format!("stage{}.{layer}", i + 1);
            let new = blocks.norm_sign_conv(&name, y, width, 3)?;
            y = blocks.concat(&format!("{name}.concat"), &[y, new])?;
        }
        if i + 1 < stages.len() {
            let c = reduced(blocks.shape(y).c, division, width);
            y = blocks.transition(&format!("transition{}", i + 1), y, c)?;
        }
    }
    y = blocks.norm("norm", y)?;
    y = blocks.relu("relu", y)?;
    blocks.mean_dense(y, classes)
}

/// Channels behind a transition: divided, in units of half the width, of which there are 32 in the published networks.
fn reduced(c: usize, division: f64, width: usize) -> usize {
    let unit = (width / 2).max(1);
    let divided = (c as f64 / division).floor();
    unit * ((divided / unit as f64).round() as usize).max(1)
}
