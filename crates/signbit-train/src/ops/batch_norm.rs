//! Batch normalisation over the channels (Ioffe and Szegedy 2015, arXiv 1502.03167).
//!
//! With batch statistics in training and running ones in evaluation, both ways compute
//! `y = x * m + b` with `m = gamma / sqrt(var + eps)` and `b = beta - mean * m`: two roundings, as the packed graph does.

use pulp::Arch;
use rayon::prelude::*;
use signbit_model::{DType, ValueType};

use super::rows::{channel_sums, per_task, prepared_channel_sums, whole_rows};
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Mode, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::params::{Init, ParamId, Params, Role, StateId};
use crate::tensor::{Tensor, Value};

/// The choices of a batch norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormOptions {
    /// Share of the old running statistics in the new ones (Keras' momentum; PyTorch's is 1 minus this).
    pub momentum: f32,
    /// Keeps the root away from 0.
    pub epsilon: f32,
    /// Whether there is a trained factor gamma; else it is 1.
    pub scale: bool,
    /// Whether there is a trained offset beta; else it is 0.
    pub center: bool,
}

impl Default for NormOptions {
    fn default() -> Self {
        Self { momentum: 0.9, epsilon: 1e-5, scale: true, center: true }
    }
}

/// Factor and offset of a normalisation, per channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Affine {
    pub(super) m: Vec<f32>,
    pub(super) b: Vec<f32>,
}

impl Affine {
    /// `y = x * m + b` over rows of channels.
    pub(super) fn apply(&self, x: &[f32], y: &mut [f32]) {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (y, x) in y.chunks_exact_mut(self.m.len()).zip(x.chunks_exact(self.m.len())) {
                    for ((y, x), (m, b)) in y.iter_mut().zip(x).zip(self.m.iter().zip(&self.b)) {
                        *y = x * m + b;
                    }
                }
            },
        );
    }
}

/// Parameters and statistics of a normalisation: what [`BatchNorm`] and
/// [`BatchNormSign`](super::BatchNormSign) share.
#[derive(Debug)]
pub(super) struct Norm {
    options: NormOptions,
    gamma: Option<ParamId>,
    beta: Option<ParamId>,
    mean: StateId,
    var: StateId,
    batch_mean: Vec<f32>,
    batch_inv: Vec<f32>,
    /// Of the last forward.
    pub(super) affine: Affine,
}

impl Norm {
    pub(super) fn new(builder: &mut NetworkBuilder, name: &str, c: usize, options: NormOptions) -> Self {
        let mut param =
            |tensor: &str, value| builder.param(&format!("{name}.{tensor}"), &[c], Role::Other, Init::Constant(value));
        let gamma = options.scale.then(|| param("gamma", 1.0));
        let beta = options.center.then(|| param("beta", 0.0));
        let mean = builder.state(&format!("{name}.mean"), c, 0.0);
        let var = builder.state(&format!("{name}.var"), c, 1.0);
        Self { options, gamma, beta, mean, var, batch_mean: vec![], batch_inv: vec![], affine: Affine::default() }
    }

    /// The factors in evaluation mode.
    pub(super) fn folded(&self, params: &Params) -> Affine {
        let epsilon = self.options.epsilon;
        let inv: Vec<f32> = params.state(self.var).iter().map(|v| 1.0 / (v + epsilon).sqrt()).collect();
        self.affine_of(params, params.state(self.mean), &inv)
    }

    fn affine_of(&self, params: &Params, mean: &[f32], inv: &[f32]) -> Affine {
        let m: Vec<f32> = match self.gamma {
            Some(gamma) => params.value(gamma).iter().zip(inv).map(|(g, i)| g * i).collect(),
            None => inv.to_vec(),
        };
        let beta = |c: usize| self.beta.map_or(0.0, |beta| params.value(beta)[c]);
        let b = mean.iter().zip(&m).enumerate().map(|(c, (mean, m))| beta(c) - mean * m).collect();
        Affine { m, b }
    }

    /// Takes the statistics of `x` (training) or the running ones, and sets [`Norm::affine`].
    pub(super) fn prepare(&mut self, cx: &mut Context<'_>, x: &Tensor) {
        if cx.mode == Mode::Eval {
            self.affine = self.folded(cx.params);
            return;
        }
        let n = whole_rows(cx.ranks, x) as f64;
        // Sums of differences from the running mean: no cancellation in E[x^2] - E[x]^2 once it has settled.
        let shift = cx.params.state(self.mean).to_vec();
        let sums = channel_sums(cx.ranks, &x.data, &x.data, x.shape.c, |x, _, c| {
            let d = x - shift[c];
            (d, d * d)
        });
        let batch_var: Vec<f64> =
            sums.0.iter().zip(&sums.1).map(|(s, q)| (q / n - (s / n) * (s / n)).max(0.0)).collect();
        self.batch_mean = sums.0.iter().zip(&shift).map(|(s, shift)| (s / n + f64::from(*shift)) as f32).collect();
        let NormOptions { momentum, epsilon, .. } = self.options;
        self.batch_inv = batch_var.iter().map(|v| 1.0 / (*v as f32 + epsilon).sqrt()).collect();
        let blend = |old: &mut f32, new: f32| *old = momentum * *old + (1.0 - momentum) * new;
        cx.params.state_mut(self.mean).iter_mut().zip(&self.batch_mean).for_each(|(o, m)| blend(o, *m));
        // The unbiased variance, as the population's is estimated from one batch.
        let unbias = n / (n - 1.0).max(1.0);
        let var = cx.params.state_mut(self.var);
        var.iter_mut().zip(&batch_var).for_each(|(o, v)| blend(o, (v * unbias) as f32));
        self.affine = self.affine_of(cx.params, &self.batch_mean, &self.batch_inv);
    }

    /// Backward: `dy` becomes `dx` in place; the gradients of gamma and beta are written. `dy` is by the normalised
    /// output once `prepare(x, dy)` has rewritten it, which is called on blocks of rows.
    ///
    /// dx = m (dy - mean(dy) - xhat mean(dy xhat)), xhat = (x - mean) / sqrt(var + eps)
    pub(super) fn backward(
        &self,
        cx: &mut Context<'_>,
        x: &Tensor,
        dy: &mut [f32],
        prepare: impl Fn(&[f32], &mut [f32]) + Sync,
    ) {
        let c = x.shape.c;
        let (mean, inv) = (&self.batch_mean[..c], &self.batch_inv[..c]);
        let of = |x: f32, d: f32, c: usize| (d, d * ((x - mean[c]) * inv[c]));
        let sums = prepared_channel_sums(cx.ranks, &x.data, dy, c, prepare, of);
        for (param, sums) in [(self.beta, &sums.0), (self.gamma, &sums.1)] {
            if let Some(param) = param {
                cx.params.grad_mut(param).iter_mut().zip(sums).for_each(|(g, s)| *g = *s as f32);
            }
        }
        let n = whole_rows(cx.ranks, x) as f64;
        // dx = m dy + u x + v, with the constant and the linear part collected per channel.
        let m = &self.affine.m;
        let u: Vec<f32> = (0..c).map(|i| -(m[i] * inv[i]) * (sums.1[i] / n) as f32).collect();
        let v: Vec<f32> = (0..c).map(|i| -m[i] * (sums.0[i] / n) as f32 - u[i] * mean[i]).collect();
        let rows = per_task(x.rows(), c) * c;
        dy.par_chunks_mut(rows).zip(x.data.par_chunks(rows)).for_each(|(dy, x)| {
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (dy, x) in dy.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                        let factors = m.iter().zip(u.iter().zip(&v));
                        for ((d, x), (m, (u, v))) in dy.iter_mut().zip(x).zip(factors) {
                            *d = *d * m + (x * u + v);
                        }
                    }
                },
            );
        });
    }
}

/// Batch norm with a real output. See [`BatchNorm::add`].
#[derive(Debug)]
pub struct BatchNorm {
    norm: Norm,
}

impl BatchNorm {
    /// Adds a batch norm to a network.
    ///
    /// # Errors
    /// Where the input is not real.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var) -> Result<Var, NetworkError> {
        Self::with(builder, name, x, NormOptions::default())
    }

    /// As [`BatchNorm::add`], with choices.
    ///
    /// # Errors
    /// Where the input is not real.
    pub fn with(b: &mut NetworkBuilder, name: &str, x: Var, options: NormOptions) -> Result<Var, NetworkError> {
        let norm = Norm::new(b, name, b.ty(x).shape.c, options);
        b.add(name, Box::new(Self { norm }), &[x])
    }
}

impl Operator for BatchNorm {
    fn kind(&self) -> &'static str {
        "batch_norm"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        same_as_real(inputs, DType::F32)
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0].real();
        self.norm.prepare(cx, x);
        let mut y = cx.buffers.real(x.data.len());
        let rows = per_task(x.rows(), x.shape.c) * x.shape.c;
        let affine = &self.norm.affine;
        y.par_chunks_mut(rows).zip(x.data.par_chunks(rows)).for_each(|(y, x)| affine.apply(x, y));
        Value::Real(Tensor::new(x.n, x.shape, y))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0).real();
        let mut grad = pass.grad;
        self.norm.backward(cx, x, &mut grad.data, |_, _| {});
        vec![Some(grad)]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let Affine { m, b } = self.norm.folded(packer.params());
        Ok(packer.mul_add(name, &inputs[0], m, b))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        Check::new(3, Shape::new(4, 2, 5), |b, x| BatchNorm::add(b, "norm", x)).all(0.01, 5e-3);
        for (scale, center) in [(false, true), (true, false), (false, false)] {
            let options = NormOptions { scale, center, epsilon: 1e-3, ..NormOptions::default() };
            Check::new(3, Shape::new(4, 2, 5), |b, x| BatchNorm::with(b, "norm", x, options)).all(0.01, 5e-3);
        }
    }

    /// After many batches of one distribution, evaluation and training agree.
    #[test]
    fn the_running_statistics_settle() {
        let mut check = Check::new(3, Shape::new(4, 2, 5), |b, x| BatchNorm::add(b, "norm", x));
        let input = crate::ops::gradcheck::numbers(120, 3);
        for _ in 0..200 {
            check.loss(&input);
        }
        let mut run = |mode| {
            let x = Tensor::new(3, Shape::new(4, 2, 5), input.clone());
            check.network.forward(x, mode).data
        };
        let (train, eval) = (run(Mode::Train), run(Mode::Eval));
        // The running variance is unbiased: 24 / 23 of the batch's.
        let ratio = (24.0f32 / 23.0).sqrt();
        assert!(train.iter().zip(eval).all(|(t, e)| (t - e * ratio).abs() < 1e-3));
    }
}
