//! Bi-Real-18 and -34 (Liu et al. 2018, arXiv 1808.00278), by the names of their published weights; the frame is that of
//! `resnet`.
//!
//! | name in a block | what it is |
//! |---|---|
//! | | sign |
//! | `binary_conv.weights` `[O * I * 9, 1]`, or `.weight` `[O, I, 3, 3]` | latent weights of a binary convolution |
//! | `bn1` | batch norm; then the shortcut is added |

use super::{StateDict, resnet};
use crate::architecture::Kind;
use crate::{ConvertError, Imported};

/// Whether the names are of this network.
pub(super) fn is(weights: &StateDict<'_>) -> bool {
    let more = ["move0", "move1", "prelu"].map(|part| format!("layer1.0.{part}."));
    resnet::is(weights) && !weights.names().any(|name| more.iter().any(|part| name.starts_with(part)))
}

/// Builds it.
pub(super) fn read(weights: &StateDict<'_>) -> Result<Imported, ConvertError> {
    resnet::read(weights, |net, name, stride, x, shortcut| {
        let of = |last: &str| format!("{name}.{last}");
        let y = net.add(&of("binary_activation"), Kind::Sign, &[x]);
        let y = net.binary(&of("binary_conv"), &of("bn1"), 3, stride, &y);
        net.add(&of("add"), Kind::Add, &[&y, shortcut])
    })
}
