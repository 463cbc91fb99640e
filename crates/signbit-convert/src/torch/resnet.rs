//! The frame of the binary networks after ResNet, whose blocks differ.
//!
//! | name | what it is |
//! |---|---|
//! | `conv1.weight`, `bn1` | 7x7 convolution of stride 2 and padding 3, batch norm; 3x3 max pooling of stride 2 and padding 1 |
//! | `layerS.B` | block B of stage S; the first block of the stages from 2 on has stride 2 |
//! | `layerS.B.downsample.1.weight`, `downsample.2` | shortcut where there is one: 2x2 mean, real 1x1 convolution, batch norm |
//! | `fc` | dense layer, after the mean over all positions |
//!
//! The numbers of stages and blocks and their widths are those of the file.

use signbit_model::Geometry;

use super::StateDict;
use super::layouts::{Conv, Growing};
use crate::architecture::{Kind, Quantizer};
use crate::{ConvertError, Imported};

/// Whether a block has a tensor of one of these names.
pub(super) fn has_block(weights: &StateDict<'_>, stage: usize, block: usize) -> bool {
    ["weight", "weights"].iter().any(|last| weights.has(&format!("layer{stage}.{block}.binary_conv.{last}")))
}

/// Whether the names are of such a network.
pub(super) fn is(weights: &StateDict<'_>) -> bool {
    weights.has("conv1.weight") && has_block(weights, 1, 0)
}

/// Builds the network. `block` adds a block's layers: it is given the block's name, its stride, its input and the
/// shortcut, and returns its output.
pub(super) fn read(
    weights: &StateDict<'_>,
    block: impl Fn(&mut Growing, &str, usize, &str, &str) -> String,
) -> Result<Imported, ConvertError> {
    let mut net = Growing::new();
    let x = net.conv("conv1", Conv { weights: Quantizer::Real, kernel: 7, stride: 2, padding: 3 }, "input");
    let x = net.batch_norm("bn1", &x);
    let mut x = net.add("maxpool", Kind::MaxPool2d { geometry: Geometry::padded([3, 3], [2, 2], 1) }, &[&x]);
    for stage in (1..).take_while(|&stage| has_block(weights, stage, 0)) {
        for b in (0..).take_while(|&b| has_block(weights, stage, b)) {
            let name = format!("layer{stage}.{b}");
            let stride = if b == 0 && stage > 1 { 2 } else { 1 };
            let down = format!("{name}.downsample");
            let mut shortcut = x.clone();
            if weights.has(&format!("{down}.1.weight")) {
                let y = net.avg_pool(&format!("{down}.0"), stride, &x);
                let conv = Conv { weights: Quantizer::Real, kernel: 1, stride: 1, padding: 0 };
                let y = net.conv(&format!("{down}.1"), conv, &y);
                shortcut = net.batch_norm(&format!("{down}.2"), &y);
            }
            x = block(&mut net, &name, stride, &x, &shortcut);
        }
    }
    net.finish(weights, "conv1.weight", "layer1.0.binary_conv")
}
