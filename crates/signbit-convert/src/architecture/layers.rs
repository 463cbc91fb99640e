//! Layers with weights: PyTorch's shapes and layouts, quantizers applied.

use signbit_model::{Geometry, Op};

use super::build::{Builder, Value};
use super::order::Order;
use super::{Kind, Quantizer};
use crate::torch::Real;
use crate::{ConvertError, Warning};

/// Channels over which a single number may be spread.
const MAX_CHANNELS: usize = 65_536;

/// The names under which a layer's only parameter may stand.
pub(super) fn names(name: &str, last: &str) -> [String; 2] {
    [format!("{name}.{last}"), name.to_owned()]
}

/// Weights as a layer uses them.
struct Quantized {
    /// Real, or +1 and -1.
    data: Vec<f32>,
    /// A factor for each output channel.
    alpha: Option<Vec<f32>>,
}

impl Builder<'_> {
    pub(super) fn conv2d(&mut self, id: &str, layer: &Kind, x: &Value) -> Result<Value, ConvertError> {
        let Kind::Conv2d { name, weights, kernel, stride, padding, pad_value, dilation, groups } = layer else {
            return Err(ConvertError::Architecture(format!("layer {id:?} is no convolution")));
        };
        let c = self.draft.shape(x.id).c;
        let weight = self.weights.first_of(&[format!("{name}.weight"), format!("{name}.weights")])?;
        let Real { shape, data } = self.weights.real(&weight)?;
        let inputs = c.checked_div(*groups).filter(|inputs| inputs * groups == c);
        let inputs = inputs.ok_or_else(|| {
            ConvertError::Architecture(format!("layer {id:?}: {c} channels do not divide into {groups} groups"))
        })?;
        let unfit = |shape: &[usize]| {
            let kernel = kernel.map_or("kh, kw".into(), |[h, w]| format!("{h}, {w}"));
            let expected = format!("[O, {inputs}, {kernel}]");
            ConvertError::WeightShape { name: weight.clone(), expected, found: shape.to_vec() }
        };
        let [o, kh, kw] = match (&shape[..], kernel) {
            (&[o, i, h, w], _) if i == inputs && kernel.is_none_or(|k| k == [h, w]) => [o, h, w],
            // ReActNet keeps its weights flat.
            (&[_] | &[_, 1], Some([h, w])) => {
                let row = h.checked_mul(*w).and_then(|n| n.checked_mul(inputs)).filter(|&row| row > 0);
                let row = row.filter(|row| data.len().is_multiple_of(*row)).ok_or_else(|| unfit(&shape))?;
                [data.len() / row, *h, *w]
            }
            _ => return Err(unfit(&shape)),
        };
        let mut quantized = self.quantize(id, *weights, o, data);
        quantized.data = ohwi(&quantized.data, inputs, kh * kw);
        let bias = self.bias(name, o)?;
        let tensor = self.draft.f32(&format!("{id}.weight"), [o, kh, kw, inputs], quantized.data)?;
        let mut x = x.clone();
        let mut pads = *padding;
        if *pad_value != 0.0 && pads != [0; 4] {
            x.id = self.draft.node(&format!("{id}.pad"), Op::Pad { pads, value: *pad_value }, &[x.id])?;
            pads = [0; 4];
        }
        let geometry = Geometry { kernel: [kh, kw], stride: *stride, dilation: *dilation, pads };
        let op = |bias| Op::Conv2d { weight: tensor, bias, geometry, groups: *groups };
        self.linear(id, op, quantized.alpha, bias, &x)
    }

    pub(super) fn dense(
        &mut self,
        id: &str,
        name: &str,
        quantizer: Quantizer,
        x: &Value,
    ) -> Result<Value, ConvertError> {
        let shape = self.draft.shape(x.id);
        if !shape.is_vector() {
            let what = format!("layer {id:?}: a dense layer reads a vector, this is {shape}; put a flatten before it");
            return Err(ConvertError::Architecture(what));
        }
        let weight = self.weights.first_of(&[format!("{name}.weight"), format!("{name}.weights")])?;
        let Real { shape: found, data } = self.weights.real(&weight)?;
        let o = match found[..] {
            [o, i] if i == shape.c => o,
            _ => return Err(ConvertError::WeightShape { name: weight, expected: format!("[O, {}]", shape.c), found }),
        };
        let quantized = self.quantize(id, quantizer, o, data);
        let bias = self.bias(name, o)?;
        let ordered = x.order.apply(quantized.data);
        let tensor = self.draft.f32(&format!("{id}.weight"), [o, shape.c], ordered)?;
        self.linear(id, |bias| Op::Dense { weight: tensor, bias }, quantized.alpha, bias, x)
    }

    /// The layer with its factor and bias behind it, or its bias alone inside.
    fn linear(
        &mut self,
        id: &str,
        op: impl FnOnce(Option<String>) -> Op,
        alpha: Option<Vec<f32>>,
        bias: Option<Vec<f32>>,
        x: &Value,
    ) -> Result<Value, ConvertError> {
        let value = match alpha {
            Some(alpha) => {
                let dots = self.draft.node(&format!("{id}.dot"), op(None), &[x.id])?;
                let bias = bias.unwrap_or_else(|| vec![0.0; alpha.len()]);
                self.draft.mul_add(id, dots, alpha, bias)?
            }
            None => {
                let bias = bias.map(|bias| self.draft.f32(&format!("{id}.bias"), [bias.len()], bias)).transpose()?;
                self.draft.node(id, op(bias), &[x.id])?
            }
        };
        Ok(Value { id: value, order: Order::plain(self.draft.shape(value).c) })
    }

    /// A layer's bias, where it has one.
    fn bias(&self, name: &str, outputs: usize) -> Result<Option<Vec<f32>>, ConvertError> {
        let name = format!("{name}.bias");
        if !self.weights.has(&name) {
            return Ok(None);
        }
        let Real { shape, data } = self.weights.real(&name)?;
        match data.len() == outputs {
            true => Ok(Some(data)),
            false => Err(ConvertError::WeightShape { name, expected: format!("[{outputs}]"), found: shape }),
        }
    }

    /// Applies the quantizer to weights of `outputs` rows.
    fn quantize(&mut self, id: &str, quantizer: Quantizer, outputs: usize, mut data: Vec<f32>) -> Quantized {
        if quantizer == Quantizer::Real {
            return Quantized { data, alpha: None };
        }
        let row = data.len().checked_div(outputs).unwrap_or(0).max(1);
        let mean = |row: &[f32]| row.iter().map(|w| f64::from(w.abs())).sum::<f64>() / row.len() as f64;
        let alpha =
            (quantizer == Quantizer::ScaledSign).then(|| data.chunks_exact(row).map(|row| mean(row) as f32).collect());
        let zeros = data.iter().filter(|&&w| w == 0.0).count();
        if zeros > 0 {
            self.draft.warn(Warning::ZeroWeights { node: id.to_owned(), zeros, total: data.len() });
        }
        data.iter_mut().for_each(|w| *w = if *w >= 0.0 { 1.0 } else { -1.0 });
        Quantized { data, alpha }
    }

    /// What batch norm multiplies by and adds.
    pub(super) fn batch_norm(&mut self, name: &str, eps: f64, x: &Value) -> Result<(Vec<f32>, Vec<f32>), ConvertError> {
        let mean = self.per_channel(&[format!("{name}.running_mean")], x)?;
        let variance = self.per_channel(&[format!("{name}.running_var")], x)?;
        let c = mean.len();
        let mut optional = |last: &str, default: f32| {
            let name = format!("{name}.{last}");
            if self.weights.has(&name) { self.per_channel(&[name], x) } else { Ok(vec![default; c]) }
        };
        let (gamma, beta) = (optional("weight", 1.0)?, optional("bias", 0.0)?);
        if let Some(i) = variance.iter().position(|&v| f64::from(v) + eps <= 0.0) {
            let what = format!("`{name}.running_var`: channel {i} has the variance {}", variance[i]);
            return Err(ConvertError::Malformed { format: "safetensors", what });
        }
        let mul = gamma.iter().zip(&variance).map(|(&g, &v)| f64::from(g) / (f64::from(v) + eps).sqrt());
        let mul: Vec<f64> = mul.collect();
        let add = beta.iter().zip(&mean).zip(&mul).map(|((&b, &m), mul)| (f64::from(b) - f64::from(m) * mul) as f32);
        let add = add.collect();
        Ok((mul.into_iter().map(|mul| mul as f32).collect(), add))
    }

    /// The first of these weights, one number for each channel of `x`, in the order that they have here. A single number
    /// serves all channels.
    pub(super) fn per_channel(&mut self, names: &[String], x: &Value) -> Result<Vec<f32>, ConvertError> {
        let name = self.weights.first_of(names)?;
        let Real { shape, data } = self.weights.real(&name)?;
        let c = self.draft.shape(x.id).c;
        match data[..] {
            [single] if c > 1 && c <= MAX_CHANNELS && c <= self.spread => {
                self.spread -= c;
                Ok(vec![single; c])
            }
            _ if data.len() == c => Ok(x.order.apply(data)),
            _ => Err(ConvertError::WeightShape { name, expected: format!("[{c}]"), found: shape }),
        }
    }

    /// [`Builder::per_channel`] with the other sign: what is subtracted instead of added.
    pub(super) fn negated(&mut self, names: &[String], x: &Value) -> Result<Vec<f32>, ConvertError> {
        Ok(self.per_channel(names, x)?.into_iter().map(|v| -v).collect())
    }
}

/// `[O, I, taps]` as `[O, taps, I]`.
pub(crate) fn ohwi(data: &[f32], inputs: usize, taps: usize) -> Vec<f32> {
    let rows = data.chunks_exact((inputs * taps).max(1));
    let tap = |row: &[f32], t: usize| row.iter().skip(t).step_by(taps).copied().collect::<Vec<_>>();
    rows.flat_map(|row| (0..taps).flat_map(move |t| tap(row, t))).collect()
}
