//! ReActNet-18 and -34, the networks after ResNet (Liu et al. 2020, arXiv 2003.03488), by the names of their published
//! weights; the frame is that of `resnet`.
//!
//! | name in a block | what it is |
//! |---|---|
//! | `move0.bias` `[1, C, 1, 1]` | RSign |
//! | `binary_conv.weight` `[O, I, 3, 3]`, or flat `.weights` | latent weights of a binary convolution |
//! | `bn1` | batch norm; then the shortcut is added |
//! | `move1.bias`, `prelu.weight`, `move2.bias` | RPReLU |

use super::{StateDict, resnet};
use crate::architecture::Kind;
use crate::{ConvertError, Imported};

/// Whether the names are of this network.
pub(super) fn is(weights: &StateDict<'_>) -> bool {
    resnet::is(weights) && weights.has("layer1.0.move0.bias")
}

/// Builds it.
pub(super) fn read(weights: &StateDict<'_>) -> Result<Imported, ConvertError> {
    resnet::read(weights, |net, name, stride, x, shortcut| {
        let of = |last: &str| format!("{name}.{last}");
        let y = net.rsign(&of("move0"), x);
        let y = net.binary(&of("binary_conv"), &of("bn1"), 3, stride, &y);
        let y = net.add(&of("add"), Kind::Add, &[&y, shortcut]);
        net.rprelu(["move1", "prelu", "move2"].map(of), &y)
    })
}
