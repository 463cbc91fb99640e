//! MeliusNet (Bethge et al. 2020, arXiv 2001.05936): pairs of a dense block, which adds 64 channels, and an improvement
//! block, which adds to these; a stem of grouped convolutions.

use super::blocks::{Activations, Blocks};
use super::shortcuts::Made;
use crate::network::Var;
use crate::recipe::Recipe;

/// Pairs of blocks in each stage, and the channels behind it, in units of half the width.
const STAGES: [(usize, usize); 4] = [(4, 5), (5, 7), (4, 8), (4, 0)];

/// MeliusNet 22.
pub(super) fn build(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    let (width, unit) = (recipe.width, (recipe.width / 2).max(1));
    let mut y = stem(blocks, x.x(), width, unit)?;
    for (i, (pairs, channels)) in STAGES.into_iter().enumerate() {
        for pair in 1..=pairs {
            let name = format!("stage{}.{pair}", i + 1);
            let new = blocks.norm_sign_conv(&format!("{name}.dense"), y, width, 3)?;
            y = blocks.concat(&format!("{name}.concat"), &[y, new])?;
            y = improve(blocks, &format!("{name}.improve"), y, width)?;
        }
        if channels > 0 {
            y = blocks.transition(&format!("transition{}", i + 1), y, channels * unit)?;
        }
    }
    y = blocks.norm("norm", y)?;
    y = blocks.relu("relu", y)?;
    blocks.mean_dense(y, classes)
}

/// Three 3x3 convolutions, the second in 4 groups and the third in 8, where the channels divide into so many.
fn stem(blocks: &mut Blocks, x: Var, width: usize, unit: usize) -> Made {
    let stride = if blocks.small() { 1 } else { 2 };
    let mut y = blocks.real_window("conv1", x, unit, 3, stride)?;
    y = blocks.norm("norm1", y)?;
    y = blocks.relu("relu1", y)?;
    for (i, c, groups) in [(2, unit, 4), (3, width, 8)] {
        let groups = (1..=groups).rev().find(|&g| unit.is_multiple_of(g) && c.is_multiple_of(g)).unwrap_or(1);
        y = blocks.grouped(&format!("conv{i}"), y, c, 3, groups)?;
        y = blocks.norm(&format!("norm{i}"), y)?;
        y = blocks.relu(&format!("relu{i}"), y)?;
    }
    if blocks.small() { Ok(y) } else { blocks.max_pool("pool1", y, 2, 2) }
}

/// Adds a binary convolution to the last `width` channels.
fn improve(blocks: &mut Blocks, name: &str, x: Var, width: usize) -> Made {
    let y = blocks.norm_sign_conv(name, x, width, 3)?;
    let c = blocks.shape(x).c;
    let old = blocks.slice(&format!("{name}.old"), x, 0, c - width)?;
    let new = blocks.slice(&format!("{name}.new"), x, c - width, c)?;
    let sum = blocks.sum(&format!("{name}.add"), new, y)?;
    blocks.concat(&format!("{name}.concat"), &[old, sum])
}
