//! ReActNet-A, the network after MobileNet (Liu et al. 2020, arXiv 2003.03488), by the names of its published weights.
//!
//! | name | what it is |
//! |---|---|
//! | `feature.0.conv1.weight`, `feature.0.bn1` | 3x3 convolution of stride 2, batch norm |
//! | `feature.N.move11.bias` `[1, C, 1, 1]` | RSign |
//! | `feature.N.binary_3x3.weights` `[C * C * 9, 1]`, or `.weight` `[C, C, 3, 3]` | latent weights of a binary 3x3 convolution |
//! | `feature.N.bn1` | batch norm; then the block's input is added, in a block of stride 2 its 2x2 mean |
//! | `feature.N.move12.bias`, `prelu1.weight`, `move13.bias` | RPReLU |
//! | `feature.N.move21.bias` | RSign |
//! | `feature.N.binary_pw` and `bn2` | binary 1x1 convolution, batch norm; what stands before `move21` is added |
//! | `feature.N.binary_pw_down1`, `bn2_1`, `binary_pw_down2`, `bn2_2` | two of them instead, one behind the other in the channels |
//! | `feature.N.move22.bias`, `prelu2.weight`, `move23.bias` | RPReLU |
//! | `fc` | dense layer, after the mean over all positions |
//!
//! A block that doubles its channels has stride 2, except for `feature.1`. The number of blocks and their widths are
//! those of the file.

use super::StateDict;
use super::layouts::{Conv, Growing};
use crate::architecture::{Kind, Quantizer};
use crate::{ConvertError, Imported};

/// Whether the names are of this network.
pub(super) fn is(weights: &StateDict<'_>) -> bool {
    weights.has("feature.0.conv1.weight") && weights.has("feature.1.move11.bias")
}

/// Builds it.
pub(super) fn read(weights: &StateDict<'_>) -> Result<Imported, ConvertError> {
    let mut net = Growing::new();
    let first = Conv { weights: Quantizer::Real, kernel: 3, stride: 2, padding: 1 };
    let x = net.conv("feature.0.conv1", first, "input");
    let mut x = net.batch_norm("feature.0.bn1", &x);
    let blocks = (1..).take_while(|n| weights.has(&format!("feature.{n}.move11.bias")));
    for n in blocks {
        x = block(&mut net, weights, n, &x);
    }
    net.finish(weights, "feature.0.conv1.weight", "feature.1.binary_3x3")
}

fn block(net: &mut Growing, weights: &StateDict<'_>, n: usize, x: &str) -> String {
    let of = |name: &str| format!("feature.{n}.{name}");
    let binary_pw = of("binary_pw");
    let doubles = !["weight", "weights"].iter().any(|last| weights.has(&format!("{binary_pw}.{last}")));
    let stride = if doubles && n > 1 { 2 } else { 1 };
    let y = net.rsign(&of("move11"), x);
    let y = net.binary(&of("binary_3x3"), &of("bn1"), 3, stride, &y);
    let shortcut = if stride == 2 { net.avg_pool(&of("pooling"), 2, x) } else { x.to_owned() };
    let y = net.add(&of("add1"), Kind::Add, &[&shortcut, &y]);
    let middle = net.rprelu(["move12", "prelu1", "move13"].map(of), &y);
    let bits = net.rsign(&of("move21"), &middle);
    let y = if doubles {
        let halves = ["1", "2"].map(|i| {
            let y = net.binary(&of(&format!("binary_pw_down{i}")), &of(&format!("bn2_{i}")), 1, 1, &bits);
            net.add(&of(&format!("add2_{i}")), Kind::Add, &[&y, &middle])
        });
        net.add(&of("concat"), Kind::Concat, &[&halves[0], &halves[1]])
    } else {
        let y = net.binary(&binary_pw, &of("bn2"), 1, 1, &bits);
        net.add(&of("add2"), Kind::Add, &[&y, &middle])
    };
    net.rprelu(["move22", "prelu2", "move23"].map(of), &y)
}
