//! ReActNet-A (Liu et al. 2020, arXiv 2003.03488): MobileNet's 13 blocks with a binary 3x3 convolution in place of the
//! depthwise one, a shortcut around every convolution, and activations whose shifts and slopes are learned.

use super::blocks::{Activations, Blocks};
use super::shortcuts::Made;
use crate::network::Var;
use crate::recipe::Recipe;

/// Channels behind each block, for each channel of the first convolution. Where they double, height and width halve, but
/// for the first block.
const BLOCKS: [usize; 13] = [2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32];

/// With a width of 32: 32C3/2, 13 blocks of 64 to 1024 channels, mean, classes.
pub(super) fn build(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    let stride = if blocks.small() { 1 } else { 2 };
    let mut y = blocks.real_window("conv1", x.x(), recipe.width, 3, stride)?;
    y = blocks.norm("norm1", y)?;
    for (i, channels) in BLOCKS.into_iter().enumerate() {
        let c = channels * recipe.width;
        let wider = blocks.shape(y).c < c;
        let name = format!("block{}", i + 1);
        y = spatial(blocks, &format!("{name}.conv3"), y, if wider && i > 0 { 2 } else { 1 })?;
        y = pointwise(blocks, &format!("{name}.conv1"), y, wider)?;
    }
    blocks.mean_dense(y, classes)
}

/// The 3x3 convolution, which keeps the channels.
fn spatial(blocks: &mut Blocks, name: &str, x: Var, stride: usize) -> Made {
    let c = blocks.shape(x).c;
    let bits = blocks.rsign(&format!("{name}.sign"), x)?;
    let y = blocks.bits_conv(name, bits, c, 3, stride)?;
    let y = blocks.norm(&format!("{name}.norm"), y)?;
    let shortcut = match stride {
        1 => x,
        _ => blocks.avg_pool(&format!("{name}.pool"), x)?,
    };
    let y = blocks.sum(&format!("{name}.add"), y, shortcut)?;
    blocks.rprelu(&format!("{name}.rprelu"), y)
}

/// The 1x1 convolution; twice as many channels are two of them side by side, each with the shortcut.
fn pointwise(blocks: &mut Blocks, name: &str, x: Var, twice: bool) -> Made {
    let c = blocks.shape(x).c;
    let bits = blocks.rsign(&format!("{name}.sign"), x)?;
    let mut half = |name: &str| {
        let y = blocks.bits_conv(name, bits, c, 1, 1)?;
        let y = blocks.norm(&format!("{name}.norm"), y)?;
        blocks.sum(&format!("{name}.add"), y, x)
    };
    let y = match twice {
        false => half(name)?,
        true => {
            let halves = [half(&format!("{name}.a"))?, half(&format!("{name}.b"))?];
            blocks.concat(&format!("{name}.concat"), &halves)?
        }
    };
    blocks.rprelu(&format!("{name}.rprelu"), y)
}
