//! What binary dense and binary convolution share: latent weights, their signs in packed form, the weight scale
//! factor, and the way of a gradient from the signs to the latent weights.

use std::mem::take;
use std::sync::Arc;

use rayon::prelude::*;
use signbit_kernels::weights::{self, PackedWeights};
use signbit_kernels::{Conv, Isa, bits, conv};
use signbit_model::Tensor as ModelTensor;

use super::real;
use super::sign_conv::Dx;
use super::sign_product::samples_times_signs;
use super::weight_scale::{WeightScale, balance, unbalance_gradient};
use crate::network::NetworkBuilder;
use crate::op::{Context, Mode};
use crate::params::{Init, ParamId, Params, Role};
use crate::quantizer::{self, Kind, Quantizer};
use crate::tensor::{BitTensor, Tensor, Value};

/// Latent weights and what is derived from them once per step.
#[derive(Debug)]
pub(super) struct BinaryWeights {
    latent: ParamId,
    /// alpha where it is trained; of any sign.
    learned: Option<ParamId>,
    quantizer: Arc<dyn Quantizer>,
    scale: WeightScale,
    /// Latent weights of mean 0 and deviation 1, where the quantizer takes the signs of those.
    balanced: Vec<f32>,
    /// Canonical bits: `c_out` rows of K.
    rows: Vec<u64>,
    /// The bits in the kernel's layout.
    packed: Vec<u64>,
    /// alpha per output channel, not negative: the bits have its sign.
    alpha: Vec<f32>,
    /// The signs as ±1.0 `[c_out, K]`, for real products.
    signs: Vec<f32>,
}

impl BinaryWeights {
    /// Adds the latent weights of layer `name` to the network, `shape[0]` output channels, and alpha where it is trained.
    pub(super) fn new(
        builder: &mut NetworkBuilder,
        name: &str,
        shape: &[usize],
        init: Init,
        quantizer: Arc<dyn Quantizer>,
        scale: WeightScale,
    ) -> Self {
        let latent = builder.param(&format!("{name}.latent"), shape, Role::Latent, init);
        let scale = match quantizer.kind() {
            Kind::MagnitudeAware => WeightScale::MeanAsConstant,
            Kind::Balanced => WeightScale::PowerOfTwo,
            Kind::Sign | Kind::ShiftedSign | Kind::Values(_) => scale,
        };
        let learned = (scale == WeightScale::Learned)
            .then(|| builder.param(&format!("{name}.alpha"), &shape[..1], Role::Other, Init::Constant(1.0)));
        let (balanced, rows, packed, alpha, signs) = (vec![], vec![], vec![], vec![], vec![]);
        Self { latent, learned, quantizer, scale, balanced, rows, packed, alpha, signs }
    }

    /// Whether the quantizer is one of weights.
    pub(super) fn check(&self) -> Result<(), String> {
        quantizer::check_weights(&*self.quantizer)
    }

    /// As [`Operator::set_progress`](crate::op::Operator::set_progress).
    pub(super) fn set_progress(&mut self, progress: f32) {
        quantizer::advance(&mut self.quantizer, progress);
    }

    /// Takes the signs and factors of the latent weights as they are now.
    pub(super) fn refresh(&mut self, cx: &Context<'_>, k: usize) {
        let (mut balanced, mut rows, mut alpha) =
            (take(&mut self.balanced), take(&mut self.rows), take(&mut self.alpha));
        self.binarise(cx.isa, cx.params, k, &mut balanced, &mut rows, &mut alpha);
        (self.balanced, self.rows, self.alpha) = (balanced, rows, alpha);
    }

    /// Balanced weights (where they are asked for), bits and factors of the latent weights.
    fn binarise(
        &self,
        isa: Isa,
        params: &Params,
        k: usize,
        balanced: &mut Vec<f32>,
        rows: &mut Vec<u64>,
        alpha: &mut Vec<f32>,
    ) {
        let (latent, row) = (params.value(self.latent), bits::words(k));
        let weights = if self.quantizer.kind() == Kind::Balanced {
            balanced.resize(latent.len(), 0.0);
            balanced.par_chunks_mut(k).zip(latent.par_chunks(k)).for_each(|(v, w)| balance(w, v));
            balanced
        } else {
            latent
        };
        rows.resize(latent.len() / k * row, 0);
        let per_task = (32 * 1024 / k).max(1);
        rows.par_chunks_mut(per_task * row)
            .zip(weights.par_chunks(per_task * k))
            .for_each(|(rows, weights)| bits::pack_signs(isa, weights, k, rows));
        match self.learned {
            Some(learned) => {
                let learned = params.value(learned);
                let negative = rows.chunks_exact_mut(row).zip(learned).filter(|(_, a)| a.is_sign_negative());
                negative.for_each(|(row, _)| negate(row, k));
                *alpha = learned.iter().map(|a| a.abs()).collect();
            }
            None if self.scale.is_some() => {
                *alpha = weights.par_chunks_exact(k).map(|w| self.scale.factor(w)).collect();
            }
            None => {}
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
        self.refresh(cx, conv.k());
        match x {
            Value::Bits(x) => {
                self.packed.resize(weights::packed_len(cx.isa, conv), 0);
                weights::pack(cx.isa, conv, &self.rows, &mut self.packed);
                return self.dots(cx, conv, x, out);
            }
            Value::Real(x) if cx.mode == Mode::Eval => {
                real::fixed_order(cx.isa, cx.buffers, conv, &x.data, self.signs(cx.isa, conv.k()), None, out);
            }
            Value::Real(x) => product(self, cx, x, out),
        }
        self.times_alpha(out);
    }

    /// The signs as ±1.0, `[c_out, K]`, as of the last refresh.
    pub(super) fn signs(&mut self, isa: Isa, k: usize) -> &[f32] {
        self.signs.resize(self.rows.len() / bits::words(k) * k, 0.0);
        let per_task = (32 * 1024 / k).max(1);
        self.signs
            .par_chunks_mut(per_task * k)
            .zip(self.rows.par_chunks(per_task * bits::words(k)))
            .for_each(|(signs, rows)| bits::unpack_signs(isa, rows, k, signs));
        &self.signs
    }

    /// `out[n, c_out]` = x `[n, k]` times the transposed signs, as [`samples_times_signs`].
    pub(super) fn times_real(&self, cx: &mut Context<'_>, x: &[f32], n: usize, out: &mut [f32]) {
        samples_times_signs(cx, x, n, x.len() / n.max(1), &self.rows, out);
    }

    /// `dx[n, k]` = dy `[n, c_out]` times the signs, as [`samples_times_signs`].
    pub(super) fn gradient_times_signs(&self, cx: &mut Context<'_>, dy: &[f32], n: usize, k: usize, dx: &mut [f32]) {
        let c_out = self.rows.len() / bits::words(k);
        let mut turned = cx.buffers.words(k * bits::words(c_out));
        bits::transpose(c_out, k, &self.rows, &mut turned);
        samples_times_signs(cx, dy, n, c_out, &turned, dx);
        cx.buffers.give_words(turned);
    }

    /// The signs as the last call of [`BinaryWeights::signs`] left them.
    pub(super) fn last_signs(&self) -> &[f32] {
        &self.signs
    }

    /// The gradient by an input of bits, to be written to `out` or in place, and what it needs of the weights.
    pub(super) fn dx<'a>(&'a self, out: Option<&'a mut [f32]>) -> Dx<'a> {
        Dx { weights: &self.rows, scale: self.alpha(), out }
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
    /// `[c_out, K]`, into that by the latent weights, and writes the gradient of a learned alpha:
    ///
    /// dW_oj = alpha_o * dE_oj * q'(W_oj) + d alpha_o / d W_oj * sum_j dE_oj * b_oj
    ///
    /// With balanced weights V in place of W, the gradient then goes on through the balance.
    pub(super) fn finish_gradient(&self, params: &mut Params, k: usize) {
        let (scaled, is_balanced) = (self.scale.is_some(), self.quantizer.kind() == Kind::Balanced);
        if !scaled && !is_balanced && self.quantizer.is_one_within_the_clip() {
            return;
        }
        let alpha = self.learned.map_or_else(|| self.alpha.clone(), |learned| params.value(learned).to_vec());
        let (latent, grad) = params.value_and_grad(self.latent);
        let weights = if is_balanced { &self.balanced } else { latent };
        let mut d_alpha = vec![0.0; latent.len() / k];
        let rows = grad.par_chunks_mut(k).zip(weights.par_chunks(k)).zip(d_alpha.par_iter_mut());
        rows.enumerate().for_each(|(o, ((grad, weights), d_alpha))| {
            if scaled {
                let signed = |(g, &w): (&f32, &f32)| if w >= 0.0 { *g } else { -*g };
                *d_alpha = grad.iter().zip(weights).map(signed).sum();
                grad.iter_mut().for_each(|g| *g *= alpha[o]);
            }
            self.quantizer.apply(weights, grad);
            self.scale.add_gradient(weights, *d_alpha, grad);
            if is_balanced {
                unbalance_gradient(&latent[o * k..][..k], weights, grad);
            }
        });
        if let Some(learned) = self.learned {
            params.grad_mut(learned).copy_from_slice(&d_alpha);
        }
    }

    /// The gradient by the latent weights, to be written.
    pub(super) fn grad<'p>(&self, params: &'p mut Params) -> &'p mut [f32] {
        params.grad_mut(self.latent)
    }

    /// The canonical bits of the latent weights as a tensor of the packed graph, and alpha.
    pub(super) fn to_model(&self, params: &Params, shape: Vec<usize>) -> (ModelTensor, Option<Vec<f32>>) {
        let k = params.value(self.latent).len() / shape[0];
        let (mut rows, mut alpha) = (vec![], vec![]);
        self.binarise(Isa::best(), params, k, &mut vec![], &mut rows, &mut alpha);
        (ModelTensor::Bits { shape, rows }, self.scale.is_some().then_some(alpha))
    }
}

/// Turns the `k` bits of a row.
fn negate(row: &mut [u64], k: usize) {
    row.iter_mut().for_each(|word| *word = !*word);
    if let (Some(last), 1..) = (row.last_mut(), k % 64) {
        *last &= (1 << (k % 64)) - 1;
    }
}
