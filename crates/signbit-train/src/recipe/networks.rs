//! The networks that a recipe can name, and what each is trained with where a recipe does not say.

use serde::{Deserialize, Serialize};

use super::{Recipe, RecipeError, ScaleFactor};
use crate::data::Augmentation;
use crate::ops::NormOptions;

/// The networks of this crate. [`crate::zoo`] builds them and knows their sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkKind {
    /// Three hidden dense layers (Courbariaux et al. 2016, arXiv 1602.02830, section 2.2).
    Mlp,
    /// 64C3-64C3-MP2-128C3-128C3-MP2-512.
    SmallCnn,
    /// Three stages of two convolutions, two dense layers (Courbariaux et al. 2016, section 2.3).
    #[serde(rename = "binarynet")]
    BinaryNet,
    /// Blocks with the scale factors alpha and K (Rastegari et al. 2016, arXiv 1603.05279, section 3.2).
    #[serde(rename = "xnornet-small")]
    XnorNetSmall,
    /// The ResNet-20 of small pictures with Bi-Real's shortcuts.
    #[serde(rename = "bireal-resnet20")]
    BirealResnet20,
}

/// The names of the networks.
pub const NETWORKS: [&str; 5] = ["mlp", "small-cnn", "binarynet", "xnornet-small", "bireal-resnet20"];

/// Momentum of batch norm where nothing else is said.
pub(super) fn norm_momentum() -> f32 {
    NormOptions::default().momentum
}

/// `base`, which is the recipe of `mlp`, with what differs for the network `name`.
pub(super) fn defaults(name: &str, base: Recipe) -> Result<Recipe, RecipeError> {
    use NetworkKind::*;
    // What is usual for photographs as small as those of CIFAR-10.
    let augmentation = Augmentation { flip: true, shift: 2, ..Augmentation::default() };
    let of = |network, width| Recipe { network, width, augmentation, ..base.clone() };
    Ok(match name {
        "mlp" => base,
        "small-cnn" => Recipe { augmentation: base.augmentation, ..of(SmallCnn, 64) },
        "binarynet" => of(BinaryNet, 128),
        "xnornet-small" => Recipe { scale: ScaleFactor::AlphaK, ..of(XnorNetSmall, 64) },
        "bireal-resnet20" => Recipe { quantizer: "approx_sign".into(), ..of(BirealResnet20, 32) },
        _ => return Err(RecipeError::Network(name.into())),
    })
}
