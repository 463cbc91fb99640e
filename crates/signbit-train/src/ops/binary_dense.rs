//! Dense layer with binary weights; the forward of binary activations runs on the packed kernels.

use std::sync::Arc;

use rayon::prelude::*;
use signbit_kernels::{Conv, bits};
use signbit_model::{DType, Op, Shape, ValueType};

use super::binary_weights::BinaryWeights;
use super::shapes::dense_output;
use super::sign_product::weight_gradient;
use super::weight_scale::WeightScale;
use crate::gemm::{Mat, MatMut};
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::params::Init;
use crate::quantizer::Quantizer;
use crate::ranks::{self, complete, own_tasks};
use crate::tensor::{BitTensor, Tensor, Value};

/// Output channels of one task of the gradient by the weights: with a thousand inputs, a mebibyte.
const TASK: usize = 256;

/// y = alpha_o * (sign(W) x), over bits or over real numbers. See [`BinaryDense::add`].
#[derive(Debug)]
pub struct BinaryDense {
    k: usize,
    outputs: usize,
    weights: BinaryWeights,
}

impl BinaryDense {
    /// Adds a binary dense layer with `outputs` outputs to a network. The input must be a vector.
    ///
    /// # Errors
    /// Where it is not; flatten it first. Where the quantizer is none of weights.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        outputs: usize,
        quantizer: Arc<dyn Quantizer>,
        scale: WeightScale,
    ) -> Result<Var, NetworkError> {
        let k = builder.ty(x).shape.c;
        let init = Init::Glorot { fan_in: k, fan_out: outputs };
        let weights = BinaryWeights::new(builder, name, &[outputs, k], init, quantizer, scale);
        builder.add(name, Box::new(Self { k, outputs, weights }), &[x])
    }

    fn at(&self, n: usize) -> Conv {
        Conv::dense(n, self.k, self.outputs)
    }

    /// The signs of the whole batch of `n` samples, `k` rows of `n`.
    fn turned(&self, cx: &mut Context<'_>, x: &BitTensor, n: usize) -> Vec<u64> {
        let (k, mut turned) = (self.k, cx.buffers.words(self.k * bits::words(n)));
        if cx.ranks.is_none() {
            bits::transpose(n, k, &x.words, &mut turned);
            return turned;
        }
        let mut own = cx.buffers.real(x.n * k);
        bits::unpack_signs(cx.isa, &x.words, k, &mut own);
        let whole = cx.gathered(&own);
        let mut words = cx.buffers.words(n * bits::words(k));
        bits::pack_signs(cx.isa, &whole, k, &mut words);
        bits::transpose(n, k, &words, &mut turned);
        cx.buffers.give_words(words);
        cx.buffers.give(whole);
        cx.buffers.give(own);
        turned
    }
}

impl Operator for BinaryDense {
    fn kind(&self) -> &'static str {
        "binary_dense"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        self.weights.check()?;
        dense_output(inputs[0], self.outputs)
    }

    fn set_progress(&mut self, progress: f32) {
        self.weights.set_progress(progress);
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let conv = self.at(inputs[0].n());
        let mut out = cx.buffers.real(conv.n * self.outputs);
        self.weights.forward(cx, &conv, inputs[0], &mut out, |weights, cx, x, out| match cx.ranks {
            Some(ranks) => {
                let whole = cx.gathered(&x.data);
                weights.times_real(cx, &whole, ranks.whole(), out);
                cx.buffers.give(whole);
            }
            None => weights.times_real(cx, &x.data, x.n, out),
        });
        Value::Real(Tensor::new(conv.n, Shape::vector(self.outputs), out))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0);
        let (own, k, outputs) = (x.n(), self.k, self.outputs);
        let mut dy = pass.grad.data;
        // Ranks share the channels, over the whole batch; that is less to send than each rank's sum over its samples.
        let n = ranks::whole(cx.ranks, own);
        let (mut turned, mut gathered) = (vec![], vec![]);
        let real_x = match x {
            Value::Bits(x) => {
                turned = self.turned(cx, x, n);
                &gathered
            }
            Value::Real(x) if cx.ranks.is_none() => &x.data,
            Value::Real(x) => {
                gathered = cx.gathered(&x.data);
                &gathered
            }
        };
        if cx.ranks.is_some() {
            let whole = cx.gathered(&dy);
            cx.buffers.give(std::mem::replace(&mut dy, whole));
        }
        let (gemm, isa, dw) = (cx.gemm, cx.isa, self.weights.grad(cx.params));
        let tasks = own_tasks(cx.ranks, dw, TASK * k);
        let first = tasks.start / k.max(1);
        dw[tasks].par_chunks_mut(TASK * k).enumerate().for_each(|(i, dw)| {
            let (first, channels) = (first + i * TASK, dw.len() / k);
            match x {
                Value::Bits(_) => weight_gradient(isa, &dy, outputs, first, &turned, k, dw),
                Value::Real(_) => {
                    let dy = Mat::columns(&dy, n, first, channels, outputs).t();
                    gemm.product(MatMut::new(dw, channels, k), dy, Mat::new(real_x, n, k), false, 1);
                }
            }
        });
        complete(cx.ranks, dw, TASK * k);
        self.weights.finish_gradient(cx.params, k);
        let dx = pass.wanted[0].then(|| {
            self.weights.times_alpha(&mut dy);
            let mut dx = cx.buffers.real(own * k);
            self.weights.gradient_times_signs(cx, &dy, n, k, &mut dx);
            Tensor::new(own, x.shape(), dx)
        });
        cx.buffers.give(gathered);
        cx.buffers.give_words(turned);
        cx.buffers.give(dy);
        vec![dx]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let (tensor, scale) = self.weights.to_model(packer.params(), vec![self.outputs, self.k]);
        let weight = packer.tensor(format!("{name}.weight"), tensor);
        let x = packer.bits_or_real(name, &inputs[0]);
        let (op, dtype) = if x.ty.dtype == DType::Bits {
            (Op::BinaryDense { weight }, DType::I32)
        } else {
            (Op::Dense { weight, bias: None }, DType::F32)
        };
        let packed = packer.node(name, op, &[&x], ValueType::new(Shape::vector(self.outputs), dtype));
        Ok(Packed { scale, bound: i32::try_from(self.k).ok(), ..packed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradcheck::Check;
    use crate::ops::weight_scale::balance;
    use crate::quantizer::{ApproxSign, LibraPb, MagnitudeAwareSign, ShiftedSign, SteSign};

    fn check(scale: WeightScale, quantizer: Arc<dyn Quantizer>) -> Check {
        Check::of_bits(4, Shape::vector(9), |b, x| BinaryDense::add(b, "dense", x, 5, quantizer, scale))
    }

    #[test]
    fn gradients_by_finite_differences() {
        let mut none = check(WeightScale::None, Arc::new(SteSign));
        none.signs(81..126, 1e-3);
        none.bits(1e-3);
        check(WeightScale::Alpha, Arc::new(SteSign)).bits(1e-3);
        Check::new(4, Shape::vector(9), |b, x| {
            BinaryDense::add(b, "dense", x, 5, Arc::new(SteSign), WeightScale::Alpha)
        })
        .parameters(0..81, 0.05, 1e-3);
    }

    /// With a scale factor: alpha_o times the gradient without one, plus the slope through alpha alone, which is
    /// what a finite difference sees that flips no sign.
    #[test]
    fn the_gradient_through_the_scale_factor() {
        for (scale, quantizer) in [
            (WeightScale::Alpha, Arc::new(SteSign) as Arc<dyn Quantizer>),
            (WeightScale::Alpha, Arc::new(ApproxSign)),
            (WeightScale::AbsOfMean, Arc::new(SteSign)),
        ] {
            let mut plain = check(WeightScale::None, quantizer.clone());
            let mut scaled = check(scale, quantizer);
            scaled.scaled_latents(&mut plain, 81, scale, 5);
        }
    }

    /// Gradients by alpha's own numbers, of both signs, by the bits, and by latents, which are alpha times those without.
    #[test]
    fn gradients_with_a_learned_scale_factor() {
        let mut plain = check(WeightScale::None, Arc::new(SteSign));
        let mut learned = check(WeightScale::Learned, Arc::new(SteSign));
        let alpha = [0.5, -0.7, 1.3, -0.2, 2.0];
        learned.network.params_mut().values_mut()[126..].copy_from_slice(&alpha);
        learned.parameters(126..131, 0.01, 1e-3);
        learned.bits(1e-3);
        let (without, with) = (plain.gradients(), learned.gradients());
        for i in 0..45 {
            let expected = alpha[i / 9] * without[81 + i];
            assert!((with[81 + i] - expected).abs() < 1e-4, "latent {i}: {} against {expected}", with[81 + i]);
        }
    }

    /// Bi-Real's factor is a constant in the backward pass.
    #[test]
    fn the_magnitude_aware_gradient_is_the_mean_times_the_plain_one() {
        let mut plain = check(WeightScale::None, Arc::new(SteSign));
        let mut aware = check(WeightScale::None, Arc::new(MagnitudeAwareSign));
        let (without, with) = (plain.gradients(), aware.gradients());
        let latents = plain.network.params().values()[81..].to_vec();
        for i in 0..45 {
            let mean = WeightScale::Alpha.factor(&latents[i / 9 * 9..][..9]);
            assert_eq!(with[81 + i], mean * without[81 + i], "latent {i}");
        }
    }

    /// Libra-PB against finite differences of its surrogate: sum of dE_oj 2^s g(v_oj), where v is the balanced row, the
    /// power of two is held, and dE is the gradient that a plain layer gives its weights, as the output is linear in them.
    #[test]
    fn the_gradient_through_balanced_weights() {
        let quantizer = LibraPb::default().at(0.6).expect("a quantizer that changes");
        let mut plain = check(WeightScale::None, Arc::new(SteSign));
        let mut libra = check(WeightScale::None, quantizer.clone());
        let (by_weights, gradients) = (plain.gradients(), libra.gradients());
        let latents = libra.network.params().values()[81..].to_vec();
        let balanced = |row: &[f32]| {
            let mut v = vec![0.0; row.len()];
            balance(row, &mut v);
            v
        };
        for (o, row) in latents.chunks(9).enumerate() {
            let power = WeightScale::PowerOfTwo.factor(&balanced(row));
            for j in 0..9 {
                let loss = |h: f32| -> f64 {
                    let mut moved = row.to_vec();
                    moved[j] += h;
                    let values = balanced(&moved).into_iter().map(|v| f64::from(power * quantizer.surrogate(v)));
                    values.zip(&by_weights[81 + 9 * o..]).map(|(v, d)| v * f64::from(*d)).sum()
                };
                let (slope, gradient) = ((loss(1e-3) - loss(-1e-3)) / 2e-3, f64::from(gradients[81 + 9 * o + j]));
                assert!((slope - gradient).abs() < 0.01 * slope.abs().max(1.0), "{o}, {j}: {slope} against {gradient}");
            }
        }
    }

    #[test]
    fn a_quantizer_of_activations_is_refused() {
        let mut b = NetworkBuilder::new(Shape::vector(3), 1);
        let x = b.input();
        let result = BinaryDense::add(&mut b, "dense", x, 2, Arc::new(ShiftedSign), WeightScale::None);
        assert!(result.unwrap_err().to_string().contains("rsign is a quantizer of activations"));
    }
}
