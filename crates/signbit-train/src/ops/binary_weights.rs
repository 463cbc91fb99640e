//! What binary dense and binary convolution share: latent weights, their signs in packed form, the weight scale
//! factor, and the way of a gradient from the signs to the latent weights.

use std::cell::RefCell;
use std::sync::Arc;

use rayon::prelude::*;
use signbit_kernels::weights::{self, PackedWeights};
use signbit_kernels::{Conv, Isa, bits, conv};
use signbit_model::Tensor as ModelTensor;

use super::{real, rows};
use crate::gemm::{Mat, MatMut};
use crate::op::{Context, Mode};
use crate::params::{ParamId, Params};
use crate::quantizer::Quantizer;
use crate::tensor::{BitTensor, Tensor, Value};

/// Output channels, or columns, of one task of a dense product: a multiple of 64, and with a thousand inputs a mebibyte.
pub(super) const TASK: usize = 256;
/// Samples of one task that turns a matrix: a cache line of f32.
const TURN: usize = 16;

thread_local! {
    /// Unpacked signs of the task at hand.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Lends `len` stale numbers of the thread.
fn with_scratch(len: usize, used: impl FnOnce(&mut [f32])) {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        used(&mut scratch[..len]);
    });
}

/// The factor alpha per output channel that binary weights are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WeightScale {
    /// 1.
    #[default]
    None,
    /// mean |W| of the channel, which minimises ||W - alpha B||^2 (Rastegari et al. 2016, arXiv 1603.05279, eq. 6).
    Alpha,
    /// |mean W| of the channel: what some articles print for alpha. It leaves a larger error; it is here to
    /// reproduce them.
    AbsOfMean,
}

impl WeightScale {
    /// alpha of one channel's latent weights.
    pub fn factor(self, latent: &[f32]) -> f32 {
        match self {
            WeightScale::None => 1.0,
            WeightScale::Alpha => rows::sum(latent, f32::abs) / latent.len() as f32,
            WeightScale::AbsOfMean => (rows::sum(latent, |w| w) / latent.len() as f32).abs(),
        }
    }

    /// Whether a factor is computed at all.
    pub fn is_some(self) -> bool {
        self != WeightScale::None
    }

    /// Adds alpha's own share of the gradient by `latent`: `d_alpha` times the derivative of [`WeightScale::factor`].
    fn add_gradient(self, latent: &[f32], d_alpha: f32, grad: &mut [f32]) {
        let per_weight = d_alpha / latent.len() as f32;
        match self {
            WeightScale::None => {}
            WeightScale::Alpha => {
                grad.iter_mut().zip(latent).for_each(|(g, &w)| *g += if w >= 0.0 { per_weight } else { -per_weight });
            }
            WeightScale::AbsOfMean => {
                let sign = if rows::sum(latent, |w| w) >= 0.0 { per_weight } else { -per_weight };
                grad.iter_mut().for_each(|g| *g += sign);
            }
        }
    }
}

/// Latent weights and what is derived from them once per step.
#[derive(Debug)]
pub(super) struct BinaryWeights {
    latent: ParamId,
    quantizer: Arc<dyn Quantizer>,
    scale: WeightScale,
    /// Canonical bits: `c_out` rows of K.
    rows: Vec<u64>,
    /// The bits in the kernel's layout.
    packed: Vec<u64>,
    /// alpha per output channel.
    alpha: Vec<f32>,
    /// The signs as ±1.0 `[c_out, K]`, for real products.
    signs: Vec<f32>,
}

impl BinaryWeights {
    pub(super) fn new(latent: ParamId, quantizer: Arc<dyn Quantizer>, scale: WeightScale) -> Self {
        Self { latent, quantizer, scale, rows: vec![], packed: vec![], alpha: vec![], signs: vec![] }
    }

    /// Takes the signs and factors of the latent weights as they are now.
    fn refresh(&mut self, cx: &Context<'_>, conv: &Conv) {
        let (k, isa) = (conv.k(), cx.isa);
        let latent = cx.params.value(self.latent);
        self.rows.resize(conv.c_out * bits::words(k), 0);
        let per_task = (32 * 1024 / k).max(1);
        self.rows
            .par_chunks_mut(per_task * bits::words(k))
            .zip(latent.par_chunks(per_task * k))
            .for_each(|(rows, latent)| bits::pack_signs(isa, latent, k, rows));
        if self.scale.is_some() {
            self.alpha = latent.par_chunks_exact(k).map(|w| self.scale.factor(w)).collect();
        }
    }

    /// The layer's output: over bits by the packed kernels, over real numbers in the fixed order (evaluation) or by
    /// `product(self, cx, x, out)` (training); times alpha where there is one.
    pub(super) fn forward(
        &mut self,
        cx: &mut Context<'_>,
        conv: &Conv,
        x: &Value,
        out: &mut [f32],
        product: impl FnOnce(&mut Self, &mut Context<'_>, &Tensor, &mut [f32]),
    ) {
        self.refresh(cx, conv);
        match x {
            Value::Bits(x) => {
                self.packed.resize(weights::packed_len(cx.isa, conv), 0);
                weights::pack(cx.isa, conv, &self.rows, &mut self.packed);
                return self.dots(cx, conv, x, out);
            }
            Value::Real(x) if cx.mode == Mode::Eval => {
                real::fixed_order(cx.isa, cx.buffers, conv, &x.data, self.signs(cx.isa, conv), None, out);
            }
            Value::Real(x) => product(self, cx, x, out),
        }
        self.times_alpha(out);
    }

    /// The signs as ±1.0, `[c_out, K]`, as of the last refresh.
    pub(super) fn signs(&mut self, isa: Isa, conv: &Conv) -> &[f32] {
        let k = conv.k();
        self.signs.resize(conv.c_out * k, 0.0);
        let per_task = (32 * 1024 / k).max(1);
        self.signs
            .par_chunks_mut(per_task * k)
            .zip(self.rows.par_chunks(per_task * bits::words(k)))
            .for_each(|(signs, rows)| bits::unpack_signs(isa, rows, k, signs));
        &self.signs
    }

    /// `out[n, c_out]` = x `[n, k]` times the transposed signs. Each task unpacks a block of output channels, which
    /// stays in its second-level cache until it is used, and writes them as rows; the last pass turns the result.
    pub(super) fn times_real(&self, cx: &mut Context<'_>, x: &[f32], n: usize, out: &mut [f32]) {
        let (k, row) = (x.len() / n.max(1), bits::words(x.len() / n.max(1)));
        let c_out = self.rows.len() / row;
        let (gemm, isa) = (cx.gemm, cx.isa);
        let mut turned = cx.buffers.real(c_out * n);
        turned.par_chunks_mut(TASK * n).zip(self.rows.par_chunks(TASK * row)).for_each(|(turned, rows)| {
            with_scratch(rows.len() / row * k, |signs| {
                let channels = rows.len() / row;
                bits::unpack_signs(isa, rows, k, signs);
                let product = MatMut::new(turned, channels, n);
                gemm.product(product, Mat::new(signs, channels, k), Mat::new(x, n, k).t(), false, 1);
            });
        });
        out.par_chunks_mut(TURN * c_out).enumerate().for_each(|(i, out)| {
            for (j, channel) in turned.chunks_exact(n).enumerate() {
                for (out, value) in out[j..].iter_mut().step_by(c_out).zip(&channel[i * TURN..]) {
                    *out = *value;
                }
            }
        });
        cx.buffers.give(turned);
    }

    /// `dx[n, k]` = dy `[n, c_out]` times the signs. Each task takes a block of the columns of dx and unpacks what it
    /// needs of every row.
    pub(super) fn gradient_times_signs(&self, cx: &mut Context<'_>, dy: &[f32], n: usize, dx: &mut [f32]) {
        let k = dx.len() / n.max(1);
        let (row, block) = (bits::words(k), TASK * n);
        let c_out = self.rows.len() / row;
        let (gemm, isa) = (cx.gemm, cx.isa);
        let mut blocks = cx.buffers.real(k.div_ceil(TASK) * block);
        blocks.par_chunks_mut(block).enumerate().for_each(|(i, dx)| {
            let columns = TASK.min(k - i * TASK);
            with_scratch(c_out * columns, |signs| {
                let words = i * TASK / 64..i * TASK / 64 + bits::words(columns);
                for (signs, bits) in signs.chunks_exact_mut(columns).zip(self.rows.chunks_exact(row)) {
                    bits::unpack_signs(isa, &bits[words.clone()], columns, signs);
                }
                let product = MatMut::new(dx, n, columns);
                gemm.product(product, Mat::new(dy, n, c_out), Mat::new(signs, c_out, columns), false, 1);
            });
        });
        dx.par_chunks_mut(k).enumerate().for_each(|(sample, dx)| {
            for (dx, block) in dx.chunks_mut(TASK).zip(blocks.chunks_exact(block)) {
                dx.copy_from_slice(&block[sample * dx.len()..][..dx.len()]);
            }
        });
        cx.buffers.give(blocks);
    }

    /// The signs as the last call of [`BinaryWeights::signs`] left them.
    pub(super) fn last_signs(&self) -> &[f32] {
        &self.signs
    }

    /// alpha per output channel, where there is one.
    pub(super) fn alpha(&self) -> Option<&[f32]> {
        self.scale.is_some().then_some(&self.alpha)
    }

    /// The packed forward: `out[n, out_h, out_w, c_out]` = dot products, times alpha where there is one.
    fn dots(&self, cx: &Context<'_>, conv: &Conv, x: &BitTensor, out: &mut [f32]) {
        let packed = PackedWeights::new(cx.isa, conv, &self.packed);
        let row = conv.out_w() * conv.c_out;
        let per_task = (64 * 1024 / row).clamp(1, conv.rows().div_ceil(4).max(1));
        out.par_chunks_mut(per_task * row).enumerate().for_each(|(i, out)| {
            let first = i * per_task;
            conv::dots_f32(cx.isa, conv, &x.words, &packed, first..first + out.len() / row, out);
            self.times_alpha(out);
        });
    }

    /// Multiplies rows of output channels by alpha.
    pub(super) fn times_alpha(&self, out: &mut [f32]) {
        if let Some(alpha) = self.alpha() {
            for row in out.chunks_exact_mut(alpha.len()) {
                row.iter_mut().zip(alpha).for_each(|(y, a)| *y *= a);
            }
        }
    }

    /// Turns the gradient by the effective weights alpha_o * b_oj, which stands in the latent weights' gradient
    /// `[c_out, K]`, into that by the latent weights:
    ///
    /// dW_oj = alpha_o * dE_oj * q'(W_oj) + d alpha_o / d W_oj * sum_j dE_oj * b_oj
    pub(super) fn finish_gradient(&self, params: &mut Params, k: usize) {
        if !self.scale.is_some() && self.quantizer.is_one_within_the_clip() {
            return;
        }
        let (latent, grad) = params.value_and_grad(self.latent);
        grad.par_chunks_mut(k).zip(latent.par_chunks(k)).enumerate().for_each(|(o, (grad, latent))| {
            if !self.scale.is_some() {
                return self.quantizer.apply(latent, grad);
            }
            let signed = |(g, &w): (&f32, &f32)| if w >= 0.0 { *g } else { -*g };
            let d_alpha: f32 = grad.iter().zip(latent).map(signed).sum();
            grad.iter_mut().for_each(|g| *g *= self.alpha[o]);
            self.quantizer.apply(latent, grad);
            self.scale.add_gradient(latent, d_alpha, grad);
        });
    }

    /// The gradient by the latent weights, to be written.
    pub(super) fn grad<'p>(&self, params: &'p mut Params) -> &'p mut [f32] {
        params.grad_mut(self.latent)
    }

    /// The canonical bits of the latent weights as a tensor of the packed graph, and alpha.
    pub(super) fn to_model(&self, params: &Params, shape: Vec<usize>) -> (ModelTensor, Option<Vec<f32>>) {
        let latent = params.value(self.latent);
        let k = latent.len() / shape[0];
        let mut rows = vec![0; shape[0] * bits::words(k)];
        bits::pack_signs(Isa::best(), latent, k, &mut rows);
        let alpha = self.scale.is_some().then(|| latent.chunks_exact(k).map(|w| self.scale.factor(w)).collect());
        (ModelTensor::Bits { shape, rows }, alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of Rastegari et al.'s alpha, and which of the two factors leaves the smaller error.
    #[test]
    fn alpha_leaves_a_smaller_error_than_the_absolute_mean() {
        let w = [0.2, 0.2, -0.6, -0.6];
        let signs = [1.0, 1.0, -1.0, -1.0];
        let (alpha, abs_of_mean) = (WeightScale::Alpha.factor(&w), WeightScale::AbsOfMean.factor(&w));
        assert!((alpha - 0.4).abs() < 1e-6 && (abs_of_mean - 0.2).abs() < 1e-6);
        let error = |a: f32| w.iter().zip(signs).map(|(w, b): (&f32, f32)| (w - a * b).powi(2)).sum::<f32>();
        assert!(error(alpha) < error(abs_of_mean));
        assert!(error(alpha) < error(alpha + 0.01) && error(alpha) < error(alpha - 0.01), "alpha is the minimum");
    }
}
