//! Layers whose weights are +-alpha per output channel become layers of bits, and alpha a multiplier behind them.

use signbit_model::{DType, Model, Op, Padding, Tensor, ValueId};

use super::rewrite::{Rewrite, rewrite};
use crate::{ConvertError, Warning};

/// The largest relative distance of a weight's magnitude from its channel's mean that counts as equal.
pub const SPREAD: f32 = 0.005;

/// A spread that comes from rounding only.
const ROUNDING: f32 = 1e-6;

/// The share of a layer's weights up to which zeros are taken as latent weights of exactly 0, and not as a third value.
const ZEROS: f64 = 0.01;

/// Turns a real convolution or dense layer with weights of +-alpha into one of bits: a binary layer where its input is
/// unpacked bits, else a real layer with +-1 weights; behind it stands `x * alpha[c] + bias[c]`.
///
/// Where all weights of a channel have one magnitude, this changes results by rounding only. A few zeros among them,
/// which come from sign(0) = 0, become +alpha; a network with many is ternary, and its layer stays real.
///
/// # Errors
/// The model is not valid.
pub fn binarize(model: Model, warnings: &mut Vec<Warning>) -> Result<Model, ConvertError> {
    rewrite(model, |walk, i| {
        let (name, op, x) = (walk.node(i).name.clone(), walk.node(i).op.clone(), walk.node(i).inputs[0]);
        let (Op::Conv2d { weight, bias, .. } | Op::Conv2dTranspose { weight, bias, .. } | Op::Dense { weight, bias }) =
            &op
        else {
            return Ok(None);
        };
        let bits = unpacked(walk, x);
        let Some(layer) = walk.tensors.get(weight).map(Signs::of) else {
            return Ok(None);
        };
        let Some(signs) = layer? else {
            if bits.is_some() && walk.tensors[weight].dtype() == DType::F32 {
                warnings.push(Warning::RealWeights { node: name });
            }
            return Ok(None);
        };
        if signs.zeros > 0 {
            let total = signs.bits.elements();
            warnings.push(Warning::ZeroWeights { node: name.clone(), zeros: signs.zeros, total });
        }
        if signs.spread > ROUNDING {
            warnings.push(Warning::UnequalMagnitudes { node: name.clone(), spread: signs.spread });
        }
        let bias = bias.as_deref().and_then(|bias| walk.f32(bias)).map(<[f32]>::to_vec);
        let plain = bias.is_none() && signs.alpha.iter().all(|&alpha| alpha == 1.0);
        if plain && bits.is_none() && walk.tensors[weight].dtype() == DType::Bits {
            return Ok(None);
        }
        let weight = walk.tensor(&format!("{weight}.bits"), signs.bits);
        let op = layer_of_bits(op, weight, bits.is_some());
        let y = walk.add(&name, op, &[bits.unwrap_or_else(|| walk.at(x))]);
        if plain && bits.is_none() {
            return Ok(Some(y));
        }
        let add = bias.unwrap_or_else(|| vec![0.0; signs.alpha.len()]);
        walk.mul_add(&format!("{name}.scale"), y, signs.alpha, add).map(Some)
    })
}

/// The layer with weights of bits, without a bias; on bits or on real numbers.
fn layer_of_bits(op: Op, weight: String, on_bits: bool) -> Op {
    match op {
        Op::Conv2d { geometry, groups, .. } if on_bits => {
            Op::BinaryConv2d { weight, geometry, groups, padding: Padding::Zero }
        }
        Op::Conv2d { geometry, groups, .. } => Op::Conv2d { weight, bias: None, geometry, groups },
        Op::Conv2dTranspose { geometry, groups, .. } if on_bits => {
            Op::BinaryConv2dTranspose { weight, geometry, groups }
        }
        Op::Conv2dTranspose { geometry, groups, .. } => Op::Conv2dTranspose { weight, bias: None, geometry, groups },
        _ if on_bits => Op::BinaryDense { weight },
        _ => Op::Dense { weight, bias: None },
    }
}

/// The bits that an old value unpacks.
fn unpacked(walk: &Rewrite, value: ValueId) -> Option<ValueId> {
    let node = walk.new_producer(walk.at(value))?;
    (node.op == Op::Unpack).then(|| node.inputs[0])
}

/// A weight as signs and one magnitude per output channel.
struct Signs {
    bits: Tensor,
    alpha: Vec<f32>,
    zeros: usize,
    spread: f32,
}

impl Signs {
    /// `None` where the weight is not +-alpha.
    fn of(weight: &Tensor) -> Result<Option<Self>, ConvertError> {
        let rows = weight.shape().first().copied().unwrap_or(0);
        let Some(data) = weight.as_f32() else {
            return Ok(Some(Self { bits: weight.clone(), alpha: vec![1.0; rows], zeros: 0, spread: 0.0 }));
        };
        let (mut alpha, mut spread, mut zeros) = (Vec::with_capacity(rows), 0.0_f32, 0);
        for row in data.chunks_exact(weight.row_len()) {
            let Some(channel) = magnitude(row) else {
                return Ok(None);
            };
            alpha.push(channel.alpha);
            spread = spread.max(channel.spread);
            zeros += channel.zeros;
        }
        if zeros as f64 > ZEROS * data.len() as f64 {
            return Ok(None);
        }
        let signs: Vec<i8> = data.iter().map(|&w| if w >= 0.0 { 1 } else { -1 }).collect();
        let bits = Tensor::bits_from_signs(weight.shape(), &signs)?;
        Ok(Some(Self { bits, alpha, zeros, spread }))
    }
}

/// One output channel: its magnitude, the largest relative distance from it, and zeros among other weights.
struct Channel {
    alpha: f32,
    spread: f32,
    zeros: usize,
}

/// `None` where the magnitudes differ, or are not finite. A channel of zeros alone has alpha = 0.
fn magnitude(row: &[f32]) -> Option<Channel> {
    let mut magnitudes = row.iter().map(|w| w.abs()).filter(|&w| w != 0.0);
    let Some(first) = magnitudes.next() else {
        return Some(Channel { alpha: 0.0, spread: 0.0, zeros: 0 });
    };
    let (mut count, mut sum, mut equal) = (1, f64::from(first), true);
    for w in magnitudes {
        count += 1;
        sum += f64::from(w);
        equal &= w == first;
    }
    let alpha = if equal { first } else { (sum / count as f64) as f32 };
    let distance = |w: f32| (w.abs() - alpha).abs() / alpha;
    let spread = if equal { 0.0 } else { row.iter().filter(|&&w| w != 0.0).map(|&w| distance(w)).fold(0.0, f32::max) };
    let finite = alpha.is_finite() && row.iter().all(|w| w.is_finite());
    (finite && spread <= SPREAD).then_some(Channel { alpha, spread, zeros: row.len() - count })
}
