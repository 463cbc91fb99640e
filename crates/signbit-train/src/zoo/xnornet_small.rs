//! A small network in the manner of XNOR-Net (Rastegari et al. 2016, arXiv 1603.05279, section 3.2): blocks of batch
//! norm, sign, binary convolution and pooling with the scale factors alpha and K; real numbers before the first block
//! and after the last, and the mean over all positions in place of large dense layers.

use signbit_model::Shape;

use super::ZooError;
use super::blocks::Blocks;
use crate::network::Network;
use crate::recipe::Recipe;

/// Channels of each binary convolution for each channel of the first one, and whether a pooling follows.
const BLOCKS: [(usize, bool); 5] = [(1, true), (2, false), (2, true), (4, false), (4, false)];

/// With a width of 64: 64C3-64C3-MP2-128C3-128C3-MP2-256C3-256C3-mean-classes.
pub(super) fn build(recipe: &Recipe, input: Shape, classes: usize) -> Result<Network, ZooError> {
    let (mut blocks, x) = Blocks::new(recipe, input)?;
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
    blocks.last("dense7", x, classes)?;
    blocks.finish()
}

/// Weights, batch-norm factors and offsets, and the last layer's biases.
pub(super) fn parameters(c: u128, width: u128, classes: u128) -> u128 {
    // Pairs of channels in and out, in squares of the width: 1x1, 1x2, 2x2, 2x4, 4x4.
    let convolutions = (9 * width).saturating_mul(c).saturating_add(9 * width * width * (1 + 2 + 4 + 8 + 16));
    let norms = 2 * (1 + 1 + 2 + 2 + 4 + 4) * width;
    convolutions.saturating_add(norms).saturating_add(classes.saturating_mul(4 * width + 1))
}
