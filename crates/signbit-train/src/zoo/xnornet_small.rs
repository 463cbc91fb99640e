//! A small network in the manner of XNOR-Net (Rastegari et al. 2016, arXiv 1603.05279, section 3.2): blocks of batch
//! norm, sign, binary convolution and pooling with the scale factors alpha and K; real numbers before the first block
//! and after the last, and the mean over all positions in place of large dense layers.

use super::ZooError;
use super::blocks::{Activations, Blocks};
use crate::network::Var;
use crate::recipe::Recipe;

/// Channels of each binary convolution for each channel of the first one, and whether a pooling follows.
const BLOCKS: [(usize, bool); 5] = [(1, true), (2, false), (2, true), (4, false), (4, false)];

/// With a width of 64: 64C3-64C3-MP2-128C3-128C3-MP2-256C3-256C3-mean-classes.
pub(super) fn build(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Result<Var, ZooError> {
    let mut y = blocks.real_conv("conv1", x, recipe.width)?;
    for (i, (factor, pooled)) in BLOCKS.into_iter().enumerate() {
        let x = blocks.activate(&format!("norm{}", i + 1), y)?;
        y = blocks.conv(&format!("conv{}", i + 2), x, factor * recipe.width)?;
        if pooled {
            y = blocks.pool(&format!("pool{}", i + 2), y)?;
        }
    }
    let x = blocks.real_activate("norm6", y)?;
    let x = blocks.mean("mean", x)?;
    blocks.last("dense7", x, classes)
}
