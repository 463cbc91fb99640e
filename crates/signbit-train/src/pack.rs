//! From a trained network to the one graph: what operators add when they are packed.

use signbit_model::{DType, Geometry, Model, ModelBuilder, ModelError, Op, Shape, Tensor, ValueId, ValueType};

use crate::fold;
use crate::params::Params;

/// A network that cannot be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The operator has no packed form.
    #[error("layer {layer}: the operator {kind} cannot be packed")]
    Unsupported {
        /// The layer's name.
        layer: String,
        /// The operator's name.
        kind: &'static str,
    },
    /// A trained number is NaN or infinite.
    #[error("{what}, number {index}, is {value}; the training has diverged")]
    NotFinite {
        /// The tensor, or what of which layer.
        what: String,
        /// Place in it.
        index: usize,
        /// The number.
        value: f32,
    },
    /// A threshold over integers of unknown size.
    #[error("layer {layer}: the operator before it gives integers without saying how large they can be")]
    Unbounded {
        /// The layer's name.
        layer: String,
    },
    /// The network has no layer.
    #[error("the network has no layer")]
    Empty,
    /// The graph did not validate.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A value of the packed graph, seen by the operator that reads it.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The value.
    pub id: ValueId,
    /// Its type.
    pub ty: ValueType,
    /// A factor per channel, not negative, that the trained network has already applied and the graph has not.
    /// A threshold takes it in, and max pooling lets it pass (a factor that is not negative keeps the order);
    /// every other operator asks for [`Packer::settled`].
    pub scale: Option<Vec<f32>>,
    /// For integers, the largest magnitude they can have; a threshold needs it.
    pub bound: Option<i32>,
    /// A max pooling of integers that the graph has not applied; `ty` is the type behind it. A threshold that does not
    /// flip keeps the order, so it may come first: the pooling is then an OR of bits, and the threshold the
    /// convolution's own. Every other operator asks for [`Packer::settled`].
    pub pool: Option<PendingPool>,
}

/// A max pooling that waits for what reads it.
#[derive(Clone, Debug)]
pub struct PendingPool {
    /// The layer's name.
    pub name: String,
    /// Its windows.
    pub geometry: Geometry,
    /// Shape before it.
    pub input: Shape,
}

/// Collects the packed graph.
pub struct Packer<'a> {
    builder: ModelBuilder,
    input: Shape,
    params: &'a Params,
}

impl<'a> Packer<'a> {
    pub(crate) fn new(input: Shape, params: &'a Params) -> Self {
        Self { builder: ModelBuilder::new(input), input, params }
    }

    pub(crate) fn input(&self) -> Packed {
        let ty = ValueType::new(self.input, DType::F32);
        Packed { id: ValueId::INPUT, ty, scale: None, bound: None, pool: None }
    }

    pub(crate) fn finish(mut self, output: &Packed) -> Result<Model, PackError> {
        let output = self.settled("output", output);
        let model = self.builder.finish(output.id)?;
        for (name, tensor) in &model.tensors {
            finite(|| name.clone(), tensor.as_f32().unwrap_or_default())?;
        }
        Ok(model)
    }

    /// The trained numbers.
    pub fn params(&self) -> &'a Params {
        self.params
    }

    /// Adds a tensor and returns its name.
    pub fn tensor(&mut self, name: String, tensor: Tensor) -> String {
        self.builder.tensor(&name, tensor);
        name
    }

    /// Adds a node. An operator that gives integers sets [`Packed::bound`] of what is returned.
    pub fn node(&mut self, name: &str, op: Op, inputs: &[&Packed], ty: ValueType) -> Packed {
        let ids: Vec<_> = inputs.iter().map(|p| p.id).collect();
        Packed { id: self.builder.node(name, op, &ids), ty, scale: None, bound: None, pool: None }
    }

    /// The value with what is pending applied: a pooling under its own name, a scale factor by a node `name/scale`.
    pub fn settled(&mut self, name: &str, x: &Packed) -> Packed {
        let x = self.pooled(x);
        match &x.scale {
            None => x,
            Some(scale) => self.affine(&format!("{name}/scale"), &x, scale.clone(), vec![0.0; scale.len()]),
        }
    }

    /// The value with what is pending applied, as real numbers: integers by a node `name/real`, bits by `name/unpack`.
    pub fn real(&mut self, name: &str, x: &Packed) -> Packed {
        let x = self.settled(name, x);
        let real = ValueType::new(x.ty.shape, DType::F32);
        match x.ty.dtype {
            DType::F32 => x,
            // Times 1 plus 0 is exact.
            DType::I32 => self.node(&format!("{name}/real"), Op::Affine { mul: 1.0, add: 0.0 }, &[&x], real),
            DType::Bits => self.node(&format!("{name}/unpack"), Op::Unpack, &[&x], real),
        }
    }

    /// The value with what is pending applied: bits as they are, anything else as real numbers.
    pub fn bits_or_real(&mut self, name: &str, x: &Packed) -> Packed {
        if x.ty.dtype == DType::Bits { self.settled(name, x) } else { self.real(name, x) }
    }

    /// The value with a pending pooling applied.
    fn pooled(&mut self, x: &Packed) -> Packed {
        let Some(pool) = &x.pool else { return x.clone() };
        let packed = self.node(&pool.name, Op::MaxPool2d { geometry: pool.geometry }, &[x], x.ty);
        Packed { scale: x.scale.clone(), bound: x.bound, ..packed }
    }

    /// y = x * mul + add per channel. A pending scale factor is applied before.
    pub fn mul_add(&mut self, name: &str, x: &Packed, mul: Vec<f32>, add: Vec<f32>) -> Packed {
        let x = self.settled(name, x);
        self.affine(name, &x, mul, add)
    }

    /// The node of [`Packer::mul_add`], whatever is pending.
    fn affine(&mut self, name: &str, x: &Packed, mul: Vec<f32>, add: Vec<f32>) -> Packed {
        let c = mul.len();
        let real = |data| Tensor::F32 { shape: vec![c], data };
        let mul = self.tensor(format!("{name}.mul"), real(mul));
        let add = self.tensor(format!("{name}.add"), real(add));
        self.node(name, Op::MulAdd { mul, add }, &[x], ValueType::new(x.ty.shape, DType::F32))
    }

    /// Bits of y = x * m + b >= 0 per channel: one integer threshold where `x` is integers, see [`crate::fold`].
    ///
    /// # Errors
    /// Where a number is not finite.
    pub fn affine_sign(&mut self, name: &str, x: &Packed, m: &[f32], b: &[f32]) -> Result<Packed, PackError> {
        let alphas = x.scale.as_deref();
        let bits = ValueType::new(x.ty.shape, DType::Bits);
        if x.ty.dtype != DType::I32 {
            let y = self.mul_add(&format!("{name}/affine"), x, m.to_vec(), b.to_vec());
            return Ok(self.node(name, Op::Sign, &[&y], bits));
        }
        let bound = x.bound.ok_or_else(|| PackError::Unbounded { layer: name.into() })?;
        // The largest value on the way: a threshold is found over finite numbers only.
        let largest = |c: usize| bound as f32 * alphas.map_or(1.0, |a| a[c]) * m[c] + b[c];
        finite(|| format!("batch norm of layer {name}"), &(0..m.len()).map(largest).collect::<Vec<_>>())?;
        let folded: Vec<_> = (0..m.len()).map(|c| fold::threshold(bound, alphas.map(|a| a[c]), m[c], b[c])).collect();
        match &x.pool {
            Some(pool) if folded.iter().all(|f| !f.flip) => {
                let before = Packed { ty: ValueType::new(pool.input, x.ty.dtype), pool: None, ..x.clone() };
                let threshold = self.threshold(&format!("{name}/threshold"), &before, &folded);
                Ok(self.node(name, Op::MaxPool2d { geometry: pool.geometry }, &[&threshold], bits))
            }
            _ => {
                let x = self.pooled(x);
                Ok(self.threshold(name, &x, &folded))
            }
        }
    }

    /// The node of integer thresholds.
    fn threshold(&mut self, name: &str, x: &Packed, folded: &[fold::Threshold]) -> Packed {
        let c = folded.len();
        let mut flips = vec![0u64; c.div_ceil(64)];
        for (c, _) in folded.iter().enumerate().filter(|(_, f)| f.flip) {
            flips[c / 64] |= 1 << (c % 64);
        }
        let t = Tensor::I32 { shape: vec![c], data: folded.iter().map(|f| f.t).collect() };
        let threshold = self.tensor(format!("{name}.threshold"), t);
        let flip = self.tensor(format!("{name}.flip"), Tensor::Bits { shape: vec![1, c], rows: flips });
        self.node(name, Op::Threshold { threshold, flip }, &[x], ValueType::new(x.ty.shape, DType::Bits))
    }
}

/// Refuses numbers that are not finite.
fn finite(what: impl Fn() -> String, numbers: &[f32]) -> Result<(), PackError> {
    match numbers.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(PackError::NotFinite { what: what(), index, value: numbers[index] }),
        None => Ok(()),
    }
}
