//! The operators: what a node can compute.
//!
//! [`Op`] lists them, each with its formula and the order of its float steps; the shape rules are in one
//! file per family, and the [`crate::interpreter`] holds their arithmetic.
//!
#![doc = include_str!("../../docs/operators.md")]

mod binary;
mod check;
mod elementwise;
mod layout;
mod pool;
mod real;

use serde::{Deserialize, Serialize};

use crate::error::NodeError;
use crate::{Geometry, TransposedGeometry, ValueType};
pub(crate) use check::Tensors;

/// What a padded tap of a binary convolution counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// 0: the dot product runs over the taps inside of the input only.
    Zero,
    /// The activation +1.
    One,
    /// The activation -1.
    MinusOne,
}

/// An operator with its attributes; tensors are named.
///
/// Everywhere: `sign(x)` is +1 where `x >= 0` (also for -0.0), else -1 (also for NaN). A real dot product
/// starts at 0.0 and runs over `ky`, `kx`, `c` ascending, `acc = acc + x * w`, rounding the product and the
/// sum separately; taps in the padding are skipped. An `i32` becomes `f32` by rounding to nearest even.
/// `[C]` is one number per channel. See [`Geometry`] for which input element a tap reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Real convolution, F32 -> F32: the real dot product, then `+ bias[o]`.
    ///
    /// `groups` divides both channel counts; output channel `o` reads the input channels of group
    /// `o / (O / groups)`. Depthwise: `groups` is the number of input channels.
    #[serde(rename = "conv2d")]
    Conv2d {
        /// `[O, kh, kw, C / groups]`, F32, or Bits: then a weight is +1.0 or -1.0.
        weight: String,
        /// `[O]`, F32; without it nothing is added.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bias: Option<String>,
        /// The sliding window.
        geometry: Geometry,
        /// Number of groups; 1 is left out in a file.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: usize,
    },
    /// Real dense layer on a vector, F32 -> F32: the real dot product over `k` ascending, then `+ bias[o]`.
    Dense {
        /// `[O, K]`, F32, or Bits: then a weight is +1.0 or -1.0.
        weight: String,
        /// `[O]`, F32; without it nothing is added.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bias: Option<String>,
    },
    /// Binary convolution, Bits -> I32: the dot product of ±1 activations with ±1 weights.
    ///
    /// It is `2 * popcount(xnor(a, w)) - n` over the `n` taps that count; groups as in [`Op::Conv2d`].
    #[serde(rename = "binary_conv2d")]
    BinaryConv2d {
        /// `[O, kh, kw, C / groups]`, Bits.
        weight: String,
        /// The sliding window.
        geometry: Geometry,
        /// Number of groups; 1 is left out in a file.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: usize,
        /// What a tap in the padding counts as.
        padding: Padding,
    },
    /// Real transposed convolution, F32 -> F32: per output a real dot product over the inputs that add to it, then
    /// `+ bias[o]`.
    ///
    /// Its order is input row, input column, `c` ascending, so `ky` and `kx` descending. Outside of the input is 0:
    /// such taps are skipped, and an output that no input reaches is 0.0 before the bias. Groups as in
    /// [`Op::Conv2d`].
    #[serde(rename = "conv2d_transpose")]
    Conv2dTranspose {
        /// `[O, kh, kw, C / groups]`, F32, or Bits: then a weight is +1.0 or -1.0.
        weight: String,
        /// `[O]`, F32; without it nothing is added.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bias: Option<String>,
        /// Which inputs add to which outputs.
        geometry: TransposedGeometry,
        /// Number of groups; 1 is left out in a file.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: usize,
    },
    /// Binary transposed convolution, Bits -> I32: the dot product of ±1 activations with ±1 weights over the inputs
    /// that add to an output.
    ///
    /// Outside of the input is 0, neither +1 nor -1; an output that no input reaches is 0. Groups as in
    /// [`Op::Conv2d`].
    #[serde(rename = "binary_conv2d_transpose")]
    BinaryConv2dTranspose {
        /// `[O, kh, kw, C / groups]`, Bits.
        weight: String,
        /// Which inputs add to which outputs.
        geometry: TransposedGeometry,
        /// Number of groups; 1 is left out in a file.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: usize,
    },
    /// Binary dense layer on a vector, Bits -> I32: the dot product of ±1 activations with ±1 weights.
    BinaryDense {
        /// `[O, K]`, Bits.
        weight: String,
    },
    /// F32 or I32 -> F32: `y = x * mul[c] + add[c]`, two roundings; an `i32` is converted first.
    MulAdd {
        /// `[C]`, F32.
        mul: String,
        /// `[C]`, F32.
        add: String,
    },
    /// F32 or I32 -> F32: `y = x * mul + add`, two roundings, the same numbers for every channel; an `i32` is
    /// converted first.
    Affine {
        /// The factor, finite.
        #[serde(with = "exact_f32")]
        mul: f32,
        /// The summand, finite.
        #[serde(with = "exact_f32")]
        add: f32,
    },
    /// F32 or I32 -> Bits: `sign(x)`.
    Sign,
    /// Bits -> F32: `y = bit ? +1.0 : -1.0`, for a real layer behind a sign.
    Unpack,
    /// F32 -> Bits: `sign(x - shift[c])`, ReActNet's RSign (Liu et al. 2020, arXiv 2003.03488).
    #[serde(rename = "rsign")]
    RSign {
        /// `[C]`, F32.
        shift: String,
    },
    /// I32 -> Bits: `bit = (x >= threshold[c]) XOR flip[c]`.
    Threshold {
        /// `[C]`, I32.
        threshold: String,
        /// `[1, C]`, Bits.
        flip: String,
    },
    /// Maximum of a window, of any type; padding is ignored, and no window may lie wholly in it.
    ///
    /// F32: begins with the window's first element inside of the input; a later one (`ky`, `kx` ascending)
    /// replaces it where it is greater (`>`). Of bits, the maximum is their OR.
    #[serde(rename = "max_pool2d")]
    MaxPool2d {
        /// The sliding window.
        geometry: Geometry,
    },
    /// Mean of a window, F32: `sum / count`; the sum starts at 0.0, `ky`, `kx` ascending, padding skipped.
    ///
    /// No window may lie wholly in the padding.
    #[serde(rename = "avg_pool2d")]
    AvgPool2d {
        /// The sliding window.
        geometry: Geometry,
        /// `count` is `kh * kw` if true, else the taps inside of the input.
        count_include_pad: bool,
    },
    /// Mean over height and width, F32, to `1 x 1 x C`: `sum / (H * W)`; the sum starts at 0.0, rows and
    /// columns ascending.
    GlobalAvgPool,
    /// Maximum over height and width, of any type, to `1 x 1 x C`; compares as [`Op::MaxPool2d`].
    GlobalMaxPool,
    /// Two F32 of the same shape: `y = a + b`.
    Add,
    /// Two or more values of the same type, height and width: their channels, one value after the other.
    Concat,
    /// F32 or I32 by F32 -> F32: `y = x * k`; an `i32` is converted first.
    ///
    /// The second input has the first one's shape, or one channel that serves all (`H x W x 1`), or one factor
    /// per channel that serves all pixels of its sample (`1 x 1 x C`, a squeeze-and-excite gate). Where two of
    /// these hold, they say the same.
    Mul,
    /// F32 or I32 -> F32: `y = x * map[row, column]`, the same for all channels and samples: XNOR-Net++'s factors of rows and
    /// columns (Bulat and Tzimiropoulos 2019, arXiv 1909.13863).
    MulMap {
        /// `[H, W]`, F32.
        map: String,
    },
    /// F32 or I32 -> F32: `y = x > 0 ? x : 0.0`; so -0.0 and NaN become 0.0.
    Relu,
    /// F32 or I32 -> F32: `y = x > 0 ? x : slope[c] * x` (He et al. 2015, arXiv 1502.01852, eq. 1).
    #[serde(rename = "prelu")]
    PRelu {
        /// `[C]`, F32.
        slope: String,
    },
    /// F32 or I32 -> F32: with `t = x - shift_in[c]`, `y = (x > shift_in[c] ? t : slope[c] * t) + shift_out[c]`;
    /// ReActNet's RPReLU (Liu et al. 2020, arXiv 2003.03488).
    #[serde(rename = "rprelu")]
    RPRelu {
        /// `[C]`, F32; the paper's gamma.
        shift_in: String,
        /// `[C]`, F32; the paper's beta.
        slope: String,
        /// `[C]`, F32; the paper's zeta.
        shift_out: String,
    },
    /// F32 or I32 -> F32: `y = x < min ? min : x > max ? max : x`; NaN stays NaN.
    Clip {
        /// Lower bound, finite.
        #[serde(with = "exact_f32")]
        min: f32,
        /// Upper bound, finite, not below `min`.
        #[serde(with = "exact_f32")]
        max: f32,
    },
    /// F32: `e = exp(-x)` by [`crate::math::exp`], `y = 1.0 / (1.0 + e)`, sum and quotient rounded separately;
    /// NaN stays NaN.
    Sigmoid,
    /// F32 or Bits, to `(H + top + bottom) x (W + left + right) x C`: the input in a frame of elements `value`.
    Pad {
        /// Padding: top, left, bottom, right.
        pads: [usize; 4],
        /// What the frame holds: finite; of bits, 1 or -1.
        #[serde(with = "exact_f32")]
        value: f32,
    },
    /// Any type: the channels `start .. end` of each pixel.
    Slice {
        /// The first channel.
        start: usize,
        /// The channel behind the last one; above `start`, at most `C`.
        end: usize,
    },
    /// Any type, to a vector `1 x 1 x (H * W * C)`, in the order of memory: rows, columns, channels.
    Flatten,
    /// F32, over the channels of each pixel: `m` is the maximum (as [`Op::MaxPool2d`]),
    /// `e = exp(x - m)` by [`crate::math::exp`], `y = e / sum`; the sum starts at 0.0, channels ascending.
    Softmax,
    /// XNOR-Net's K, F32 -> F32 with one channel (Rastegari et al. 2016, arXiv 1603.05279, section 3.2).
    ///
    /// First `A`, per pixel: eight partial sums start at 0.0; channel `c` ascending adds `|x|` to
    /// `p[c % 8]`; `A = (((p0+p4) + (p2+p6)) + ((p1+p5) + (p3+p7))) * (1.0 / C)`. Then per window: the sum
    /// of `A` starts at 0.0, `ky`, `kx` ascending, padding skipped, and is multiplied by
    /// `1.0 / (kh * kw)`. Both factors are rounded to f32 before the product.
    ActivationScale {
        /// The sliding window, that of the convolution which the result scales.
        geometry: Geometry,
    },
}

fn one() -> usize {
    1
}

fn is_one(groups: &usize) -> bool {
    *groups == 1
}

impl Op {
    /// The names of all operators, as they stand in a file.
    pub const NAMES: [&str; 30] = [
        "conv2d",
        "dense",
        "binary_conv2d",
        "conv2d_transpose",
        "binary_conv2d_transpose",
        "binary_dense",
        "mul_add",
        "affine",
        "sign",
        "unpack",
        "rsign",
        "threshold",
        "max_pool2d",
        "avg_pool2d",
        "global_avg_pool",
        "global_max_pool",
        "add",
        "concat",
        "mul",
        "mul_map",
        "relu",
        "prelu",
        "rprelu",
        "clip",
        "sigmoid",
        "pad",
        "slice",
        "flatten",
        "softmax",
        "activation_scale",
    ];

    /// The operator's name, as it stands in a file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Conv2d { .. } => "conv2d",
            Self::Dense { .. } => "dense",
            Self::BinaryConv2d { .. } => "binary_conv2d",
            Self::Conv2dTranspose { .. } => "conv2d_transpose",
            Self::BinaryConv2dTranspose { .. } => "binary_conv2d_transpose",
            Self::BinaryDense { .. } => "binary_dense",
            Self::MulAdd { .. } => "mul_add",
            Self::Affine { .. } => "affine",
            Self::Sign => "sign",
            Self::Unpack => "unpack",
            Self::RSign { .. } => "rsign",
            Self::Threshold { .. } => "threshold",
            Self::MaxPool2d { .. } => "max_pool2d",
            Self::AvgPool2d { .. } => "avg_pool2d",
            Self::GlobalAvgPool => "global_avg_pool",
            Self::GlobalMaxPool => "global_max_pool",
            Self::Add => "add",
            Self::Concat => "concat",
            Self::Mul => "mul",
            Self::Relu => "relu",
            Self::MulMap { .. } => "mul_map",
            Self::PRelu { .. } => "prelu",
            Self::RPRelu { .. } => "rprelu",
            Self::Clip { .. } => "clip",
            Self::Sigmoid => "sigmoid",
            Self::Pad { .. } => "pad",
            Self::Slice { .. } => "slice",
            Self::Flatten => "flatten",
            Self::Softmax => "softmax",
            Self::ActivationScale { .. } => "activation_scale",
        }
    }

    /// The names of the tensors that the operator reads.
    #[must_use]
    pub fn tensors(&self) -> Vec<&str> {
        match self {
            Self::Conv2d { weight, bias, .. }
            | Self::Conv2dTranspose { weight, bias, .. }
            | Self::Dense { weight, bias } => std::iter::once(weight.as_str()).chain(bias.as_deref()).collect(),
            Self::BinaryConv2d { weight, .. }
            | Self::BinaryConv2dTranspose { weight, .. }
            | Self::BinaryDense { weight } => vec![weight],
            Self::MulAdd { mul, add } => vec![mul, add],
            Self::RSign { shift } => vec![shift],
            Self::Threshold { threshold, flip } => vec![threshold, flip],
            Self::MulMap { map } => vec![map],
            Self::PRelu { slope } => vec![slope],
            Self::RPRelu { shift_in, slope, shift_out } => vec![shift_in, slope, shift_out],
            Self::Affine { .. }
            | Self::Sign
            | Self::Unpack
            | Self::MaxPool2d { .. }
            | Self::AvgPool2d { .. }
            | Self::GlobalAvgPool
            | Self::GlobalMaxPool
            | Self::Add
            | Self::Concat
            | Self::Mul
            | Self::Relu
            | Self::Clip { .. }
            | Self::Sigmoid
            | Self::Pad { .. }
            | Self::Slice { .. }
            | Self::Flatten
            | Self::Softmax
            | Self::ActivationScale { .. } => Vec::new(),
        }
    }

    /// The names of the tensors that the operator reads, in the order of [`Op::tensors`], to be changed.
    #[must_use]
    pub fn tensors_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::Conv2d { weight, bias, .. }
            | Self::Conv2dTranspose { weight, bias, .. }
            | Self::Dense { weight, bias } => std::iter::once(weight).chain(bias).collect(),
            Self::BinaryConv2d { weight, .. }
            | Self::BinaryConv2dTranspose { weight, .. }
            | Self::BinaryDense { weight } => vec![weight],
            Self::MulAdd { mul, add } => vec![mul, add],
            Self::RSign { shift } => vec![shift],
            Self::Threshold { threshold, flip } => vec![threshold, flip],
            Self::MulMap { map } => vec![map],
            Self::PRelu { slope } => vec![slope],
            Self::RPRelu { shift_in, slope, shift_out } => vec![shift_in, slope, shift_out],
            Self::Affine { .. }
            | Self::Sign
            | Self::Unpack
            | Self::MaxPool2d { .. }
            | Self::AvgPool2d { .. }
            | Self::GlobalAvgPool
            | Self::GlobalMaxPool
            | Self::Add
            | Self::Concat
            | Self::Mul
            | Self::Relu
            | Self::Clip { .. }
            | Self::Sigmoid
            | Self::Pad { .. }
            | Self::Slice { .. }
            | Self::Flatten
            | Self::Softmax
            | Self::ActivationScale { .. } => Vec::new(),
        }
    }

    /// The type of the output for operands of the types `inputs`: the operator's shape rule.
    pub(crate) fn output(&self, inputs: &[ValueType], tensors: Tensors<'_>) -> Result<ValueType, NodeError> {
        match self {
            Self::Conv2d { weight, bias, geometry, groups } => {
                let window = (geometry.kernel, |h, w| geometry.output_size(h, w));
                real::conv2d(inputs, tensors, weight, bias.as_deref(), window, *groups)
            }
            Self::Dense { weight, bias } => real::dense(inputs, tensors, weight, bias.as_deref()),
            Self::ActivationScale { geometry } => real::activation_scale(inputs, geometry),
            Self::BinaryConv2d { weight, geometry, groups, padding: _ } => {
                binary::conv2d(inputs, tensors, weight, (geometry.kernel, |h, w| geometry.output_size(h, w)), *groups)
            }
            Self::Conv2dTranspose { weight, bias, geometry, groups } => {
                let window = (geometry.kernel, |h, w| geometry.output_size(h, w));
                real::conv2d(inputs, tensors, weight, bias.as_deref(), window, *groups)
            }
            Self::BinaryConv2dTranspose { weight, geometry, groups } => {
                binary::conv2d(inputs, tensors, weight, (geometry.kernel, |h, w| geometry.output_size(h, w)), *groups)
            }
            Self::BinaryDense { weight } => binary::dense(inputs, tensors, weight),
            Self::Sign => binary::sign(inputs),
            Self::Unpack => binary::unpack(inputs),
            Self::RSign { shift } => binary::rsign(inputs, tensors, shift),
            Self::Threshold { threshold, flip } => binary::threshold(inputs, tensors, threshold, flip),
            Self::MaxPool2d { geometry } => pool::max(inputs, geometry),
            Self::AvgPool2d { geometry, count_include_pad: _ } => pool::avg(inputs, geometry),
            Self::GlobalAvgPool => pool::global_avg(inputs),
            Self::GlobalMaxPool => pool::global_max(inputs),
            Self::Add => elementwise::add(inputs),
            Self::Mul => elementwise::mul(inputs),
            Self::MulMap { map } => elementwise::mul_map(inputs, tensors, map),
            Self::MulAdd { mul, add } => elementwise::per_channel(inputs, tensors, &[mul, add]),
            Self::Relu => elementwise::activation(inputs),
            Self::Sigmoid | Self::Softmax => elementwise::unary(inputs),
            Self::PRelu { slope } => elementwise::per_channel(inputs, tensors, &[slope]),
            Self::RPRelu { shift_in, slope, shift_out } => {
                elementwise::per_channel(inputs, tensors, &[shift_in, slope, shift_out])
            }
            Self::Clip { min, max } => elementwise::clip(inputs, *min, *max),
            Self::Affine { mul, add } => elementwise::affine(inputs, *mul, *add),
            Self::Pad { pads, value } => layout::pad(inputs, *pads, *value),
            Self::Slice { start, end } => layout::slice(inputs, *start, *end),
            Self::Concat => layout::concat(inputs),
            Self::Flatten => layout::flatten(inputs),
        }
    }
}

/// An `f32` as the decimal digits of the same number in `f64`: both directions are exact.
pub(crate) mod exact_f32 {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
        Ok(f64::deserialize(deserializer)? as f32)
    }
}
