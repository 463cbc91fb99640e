//! XNOR-Net's AlexNet (Rastegari et al. 2016, arXiv 1603.05279, section 4): blocks of batch norm, sign, binary
//! convolution and pooling; the first convolution and the last layer are real. Batch norms have no factor.

use signbit_kernels::Padding;
use signbit_model::Geometry;

use super::blocks::{Activations, Blocks};
use super::shortcuts::Made;
use crate::ops::NormOptions;
use crate::recipe::Recipe;

/// Channels of the published network's first convolution.
const FIRST: usize = 96;
/// Channels of the others, their kernel (0: all positions that are left), and whether a pooling follows.
const LAYERS: [(usize, usize, bool); 6] =
    [(256, 5, true), (384, 3, false), (384, 3, false), (256, 3, true), (4096, 0, false), (4096, 1, false)];

/// With a width of 96: 96C11/4-MP-256C5-MP-384C3-384C3-256C3-MP-4096-4096-classes.
pub(super) fn build(blocks: &mut Blocks, x: Activations, recipe: &Recipe, classes: usize) -> Made {
    let (kernel, stride) = if blocks.small() { (3, 1) } else { (11, 4) };
    blocks.norm = NormOptions { scale: false, ..blocks.norm };
    let mut y = blocks.real_window("conv1", x.x(), recipe.width, kernel, stride)?;
    y = blocks.norm("norm1", y)?;
    y = blocks.relu("relu1", y)?;
    y = blocks.alexnet_pool("pool1", y)?;
    for (i, (c, kernel, pooled)) in LAYERS.into_iter().enumerate() {
        let c = (c * recipe.width).div_ceil(FIRST);
        let shape = blocks.shape(y);
        let geometry = match kernel {
            0 => Geometry::valid([shape.h, shape.w], [1, 1], [1, 1]),
            _ => blocks.same(y, kernel, 1),
        };
        y = blocks.norm_sign_conv_padded(&format!("conv{}", i + 2), y, c, geometry, Padding::Zero)?;
        if pooled {
            y = blocks.alexnet_pool(&format!("pool{}", i + 2), y)?;
        }
    }
    y = blocks.norm("norm8", y)?;
    y = blocks.relu("relu8", y)?;
    blocks.dense_of_vector("dense", y, classes, false)
}
