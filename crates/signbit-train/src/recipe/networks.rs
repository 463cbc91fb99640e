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
    /// XNOR-Net's AlexNet (Rastegari et al. 2016, arXiv 1603.05279).
    #[serde(rename = "xnornet")]
    XnorNet,
    /// Bi-Real Net with 18 layers (Liu et al. 2018, arXiv 1808.00278).
    #[serde(rename = "birealnet-18")]
    BirealNet18,
    /// Bi-Real Net with 34 layers.
    #[serde(rename = "birealnet-34")]
    BirealNet34,
    /// Binary ResNet-E with 18 layers (Bethge et al. 2019, arXiv 1906.08637).
    #[serde(rename = "binary-resnet-e18")]
    BinaryResnetE18,
    /// BinaryDenseNet with 28 layers (Bethge et al. 2019, arXiv 1906.08637).
    #[serde(rename = "binary-densenet-28")]
    BinaryDensenet28,
    /// BinaryDenseNet with 37 layers.
    #[serde(rename = "binary-densenet-37")]
    BinaryDensenet37,
    /// BinaryDenseNet with 45 layers.
    #[serde(rename = "binary-densenet-45")]
    BinaryDensenet45,
    /// MeliusNet 22 (Bethge et al. 2020, arXiv 2001.05936).
    #[serde(rename = "meliusnet-22")]
    MeliusNet22,
    /// Real-to-Binary Net (Martinez et al. 2020, arXiv 2003.11535).
    #[serde(rename = "real-to-binary")]
    RealToBinary,
    /// QuickNet Small (Bannink et al. 2020, arXiv 2011.09398).
    #[serde(rename = "quicknet-small")]
    QuickNetSmall,
    /// QuickNet.
    #[serde(rename = "quicknet")]
    QuickNet,
    /// QuickNet Large.
    #[serde(rename = "quicknet-large")]
    QuickNetLarge,
    /// ReActNet-A (Liu et al. 2020, arXiv 2003.03488).
    #[serde(rename = "reactnet-a")]
    ReactNetA,
}

/// The names of the networks.
pub const NETWORKS: [&str; 18] = [
    "mlp",
    "small-cnn",
    "binarynet",
    "xnornet-small",
    "bireal-resnet20",
    "xnornet",
    "birealnet-18",
    "birealnet-34",
    "binary-resnet-e18",
    "binary-densenet-28",
    "binary-densenet-37",
    "binary-densenet-45",
    "meliusnet-22",
    "real-to-binary",
    "quicknet-small",
    "quicknet",
    "quicknet-large",
    "reactnet-a",
];

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
    let approx = |recipe| Recipe { quantizer: "approx_sign".into(), ..recipe };
    Ok(match name {
        "mlp" => base,
        "small-cnn" => Recipe { augmentation: base.augmentation, ..of(SmallCnn, 64) },
        "binarynet" => of(BinaryNet, 128),
        "xnornet-small" => Recipe { scale: ScaleFactor::AlphaK, ..of(XnorNetSmall, 64) },
        "bireal-resnet20" => approx(of(BirealResnet20, 32)),
        "xnornet" => Recipe { scale: ScaleFactor::Alpha, ..of(XnorNet, 96) },
        "birealnet-18" => Recipe { norm_momentum: 0.8, ..approx(of(BirealNet18, 64)) },
        "birealnet-34" => Recipe { norm_momentum: 0.8, ..approx(of(BirealNet34, 64)) },
        "binary-resnet-e18" => of(BinaryResnetE18, 64),
        "binary-densenet-28" => of(BinaryDensenet28, 64),
        "binary-densenet-37" => of(BinaryDensenet37, 64),
        "binary-densenet-45" => of(BinaryDensenet45, 64),
        "meliusnet-22" => of(MeliusNet22, 64),
        "real-to-binary" => Recipe { norm_momentum: 0.99, ..of(RealToBinary, 64) },
        "quicknet-small" => of(QuickNetSmall, 32),
        "quicknet" => of(QuickNet, 64),
        "quicknet-large" => of(QuickNetLarge, 64),
        "reactnet-a" => approx(of(ReactNetA, 32)),
        _ => return Err(RecipeError::Network(name.into())),
    })
}
