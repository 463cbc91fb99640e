//! What binary dense and binary convolution share: latent weights, their signs in packed form, the weight scale
//! factor, and the way of a gradient from the signs to the latent weights.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use signbit_kernels::weights::{self, PackedWeights};
use signbit_kernels::{Conv, Isa, bits, conv};
use signbit_model::Tensor as ModelTensor;

use super::rows;
use crate::op::Context;
use crate::params::{ParamId, Params};
use crate::quantizer::Quantizer;
use crate::tensor::BitTensor;

/// Unpacked signs in a block: a mebibyte, half of a second-level cache.
const BLOCK: usize = 256 * 1024;

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
    pub(super) fn refresh(&mut self, cx: &Context<'_>, conv: &Conv) {
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

    /// Also lays the signs out for the packed kernel.
    pub(super) fn refresh_packed(&mut self, cx: &Context<'_>, conv: &Conv) {
        self.refresh(cx, conv);
        self.packed.resize(weights::packed_len(cx.isa, conv), 0);
        weights::pack(cx.isa, conv, &self.rows, &mut self.packed);
    }

    /// The signs as ±1.0, `[c_out, K]`, as of the last refresh.
    pub(super) fn signs(&mut self, cx: &Context<'_>, conv: &Conv) -> &[f32] {
        let (k, isa) = (conv.k(), cx.isa);
        self.signs.resize(conv.c_out * k, 0.0);
        let per_task = (32 * 1024 / k).max(1);
        self.signs
            .par_chunks_mut(per_task * k)
            .zip(self.rows.par_chunks(per_task * bits::words(k)))
            .for_each(|(signs, rows)| bits::unpack_signs(isa, rows, k, signs));
        &self.signs
    }

    /// The signs as ±1.0 in blocks of output channels, `used(channels, [channels, K])`: a block stays in the second-level
    /// cache between its unpacking and its use.
    pub(super) fn each_block_of_signs(&mut self, isa: Isa, k: usize, mut used: impl FnMut(Range<usize>, &[f32])) {
        let row = bits::words(k);
        let outputs = self.rows.len() / row;
        let per_block = (BLOCK / k).clamp(1, outputs);
        self.signs.resize(per_block * k, 0.0);
        for first in (0..outputs).step_by(per_block) {
            let channels = first..(first + per_block).min(outputs);
            let signs = &mut self.signs[..channels.len() * k];
            let per_task = channels.len().div_ceil(4);
            let rows = self.rows[channels.start * row..channels.end * row].par_chunks(per_task * row);
            signs.par_chunks_mut(per_task * k).zip(rows).for_each(|(s, rows)| bits::unpack_signs(isa, rows, k, s));
            used(channels, signs);
        }
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
    pub(super) fn dots(&self, cx: &Context<'_>, conv: &Conv, x: &BitTensor, out: &mut [f32]) {
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
