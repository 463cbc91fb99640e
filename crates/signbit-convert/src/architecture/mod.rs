//! A description of a network whose weights lie elsewhere: a small TOML file that stands beside a state dict.
//!
//! ```toml
//! input = [28, 28, 1]         # height, width, channels
//!
//! [[layer]]
//! type = "conv2d"
//! name = "features.0"         # features.0.weight and, where there is one, features.0.bias
//! padding = 1
//!
//! [[layer]]
//! type = "batch_norm"
//! name = "features.1"
//! id = "shortcut"             # what `from` calls the layer's output; by default its name
//!
//! [[layer]]
//! type = "sign"
//!
//! [[layer]]
//! type = "conv2d"
//! name = "features.3"
//! weights = "scaled_sign"     # sign(w) * mean|w| of each output channel; also "sign" and "real" (default)
//! padding = 1
//!
//! [[layer]]
//! type = "add"
//! from = ["features.3", "shortcut"]
//! ```
//!
//! Layers run in their order; each reads the one before it, unless `from` says otherwise (`"input"` is the network's
//! input). The last one is the output. Sizes of kernels and numbers of channels come from the weights.
//!
#![doc = include_str!("../../docs/architecture.md")]
//!
//! | file | what it does |
//! |---|---|
//! | `file` | from TOML to [`Architecture`] |
//! | `keys` | the values of one table, and which keys it may have |
//! | `build` | layer by layer to a draft |
//! | `layers` | layers with weights |
//! | `order` | flattened pictures, whose channels come first in PyTorch and last here |

mod build;
mod file;
mod keys;
mod layers;
mod order;

use signbit_model::{Geometry, Shape};

pub(crate) use build::build;
pub(crate) use keys::nearest;
pub(crate) use layers::ohwi;
pub(crate) use order::Order;

/// A network without its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Height, width and channels of the input.
    pub input: Shape,
    /// Whether the network's own sign of 0 is +1; `torch.sign` gives 0, which is warned of.
    pub sign_of_zero_is_one: bool,
    /// In the order in which they run; the last one's output is the network's.
    pub layers: Vec<Layer>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// What [`Layer::from`] calls its output; no two layers have the same.
    pub id: String,
    /// What it reads: ids of layers before it, or `input`. Empty: the layer before.
    pub from: Vec<String>,
    /// What it computes.
    pub kind: Kind,
}

/// How the weights of a layer are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quantizer {
    /// As they are.
    #[default]
    Real,
    /// Their signs.
    Sign,
    /// Their signs times the mean magnitude of each output channel.
    ScaledSign,
}

/// What a layer computes. `name` is the weights' name in the state dict without its last part.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Convolution.
    Conv2d {
        /// Of `weight` `[O, I / groups, kh, kw]`, or flat with [`Kind::Conv2d::kernel`] given, and `bias` `[O]`.
        name: String,
        /// How the weights are used.
        weights: Quantizer,
        /// Height and width of the kernel; needed where the weights are flat.
        kernel: Option<[usize; 2]>,
        /// Steps down and to the right.
        stride: [usize; 2],
        /// Padding: top, left, bottom, right.
        padding: [usize; 4],
        /// What the padding holds.
        pad_value: f32,
        /// Steps between taps.
        dilation: [usize; 2],
        /// Number of groups.
        groups: usize,
    },
    /// Dense layer on a vector.
    Dense {
        /// Of `weight` `[O, I]` and `bias` `[O]`.
        name: String,
        /// How the weights are used.
        weights: Quantizer,
    },
    /// Batch norm with its running statistics.
    BatchNorm {
        /// Of `running_mean`, `running_var` and, where there are any, `weight` and `bias`.
        name: String,
        /// What is added to the variance.
        eps: f64,
    },
    /// Sign.
    Sign,
    /// `sign(x + bias[c])`.
    RSign {
        /// Of `bias`.
        name: String,
    },
    /// `max(x, 0)`.
    Relu,
    /// `x > 0 ? x : weight[c] * x`.
    PRelu {
        /// Of `weight`.
        name: String,
    },
    /// `prelu(x + bias_in[c]) + bias_out[c]`; each is a weight's whole name.
    RPRelu {
        /// Added before.
        bias_in: String,
        /// The slope of the negative side.
        slope: String,
        /// Added behind.
        bias_out: String,
    },
    /// To `[min, max]`.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// `x * weight[c]`.
    Scale {
        /// Of `weight`, or the weight's whole name.
        name: String,
    },
    /// `x + bias[c]`.
    Bias {
        /// Of `bias`, or the weight's whole name.
        name: String,
    },
    /// Maximum of a window.
    MaxPool2d {
        /// The window.
        geometry: Geometry,
    },
    /// Mean of a window.
    AvgPool2d {
        /// The window.
        geometry: Geometry,
        /// Whether the padding counts.
        count_include_pad: bool,
    },
    /// Mean of all positions.
    GlobalAvgPool,
    /// To a vector.
    Flatten,
    /// Padding.
    Pad {
        /// Top, left, bottom, right.
        padding: [usize; 4],
        /// What it holds.
        value: f32,
    },
    /// Sum of what it reads.
    Add,
    /// Product of what it reads.
    Mul,
    /// The channels of what it reads, one after the other.
    Concat,
    /// Softmax over channels.
    Softmax,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl Kind {
    /// The name of the type, as it stands in a file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Conv2d { .. } => "conv2d",
            Self::Dense { .. } => "dense",
            Self::BatchNorm { .. } => "batch_norm",
            Self::Sign => "sign",
            Self::RSign { .. } => "rsign",
            Self::Relu => "relu",
            Self::PRelu { .. } => "prelu",
            Self::RPRelu { .. } => "rprelu",
            Self::Clip { .. } => "clip",
            Self::Scale { .. } => "scale",
            Self::Bias { .. } => "bias",
            Self::MaxPool2d { .. } => "max_pool2d",
            Self::AvgPool2d { .. } => "avg_pool2d",
            Self::GlobalAvgPool => "global_avg_pool",
            Self::Flatten => "flatten",
            Self::Pad { .. } => "pad",
            Self::Add => "add",
            Self::Mul => "mul",
            Self::Concat => "concat",
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
        }
    }
}
