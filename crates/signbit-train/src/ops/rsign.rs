//! ReActNet's RSign (Liu et al. 2020, arXiv 2003.03488, eq. 3): a sign with a learned threshold per channel.

use std::cell::RefCell;
use std::sync::Arc;

use signbit_kernels::bits;
use signbit_model::{DType, Op, Tensor as ModelTensor, ValueType};

use super::rows::{prepared_channel_sums, signs};
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::params::{Init, ParamId, Role};
use crate::quantizer::{self, Quantizer};
use crate::tensor::{Tensor, Value};

thread_local! {
    /// Shifted values of the block of rows at hand.
    static SHIFTED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// +1 where x >= the shift of its channel, else -1. See [`RSign::add`].
#[derive(Debug)]
pub struct RSign {
    shift: ParamId,
    quantizer: Arc<dyn Quantizer>,
}

impl RSign {
    /// Adds a sign with a learned shift to a network; the paper's surrogate derivative is
    /// [`ApproxSign`](crate::quantizer::ApproxSign)'s. Its parameter is `NAME.shift`, `[c]`, at first 0.
    ///
    /// # Errors
    /// Where the input is not real, or the quantizer is none for it.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        quantizer: Arc<dyn Quantizer>,
    ) -> Result<Var, NetworkError> {
        let c = builder.ty(x).shape.c;
        let shift = builder.param(&format!("{name}.shift"), &[c], Role::Other, Init::Constant(0.0));
        builder.add(name, Box::new(Self { shift, quantizer }), &[x])
    }
}

/// Calls `used` with x - shift, over rows of channels.
fn with_shifted<T>(x: &[f32], shift: &[f32], used: impl FnOnce(&[f32]) -> T) -> T {
    SHIFTED.with_borrow_mut(|y| {
        y.clear();
        y.extend(x.chunks_exact(shift.len()).flat_map(|x| x.iter().zip(shift).map(|(x, shift)| x - shift)));
        used(y)
    })
}

impl Operator for RSign {
    fn kind(&self) -> &'static str {
        "rsign"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        quantizer::check_activations(&*self.quantizer)?;
        same_as_real(inputs, DType::Bits)
    }

    fn set_progress(&mut self, progress: f32) {
        quantizer::advance(&mut self.quantizer, progress);
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0].real();
        let (c, isa, shift) = (x.shape.c, cx.isa, cx.params.value(self.shift));
        signs(cx.buffers, x, |x, out| with_shifted(x, shift, |y| bits::pack_signs(isa, y, c, out)))
    }

    /// dx = q'(x - shift) dy, d shift = -sum dx.
    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0).real();
        let (mut grad, c) = (pass.grad, x.shape.c);
        let (shift, d_shift) = cx.params.value_and_grad(self.shift);
        let prepare = |x: &[f32], grad: &mut [f32]| with_shifted(x, shift, |y| self.quantizer.apply(y, grad));
        let (sums, _) = prepared_channel_sums(cx.ranks, &x.data, &mut grad.data, c, prepare, |_, d, _| (d, 0.0));
        d_shift.iter_mut().zip(sums).for_each(|(g, s)| *g = -s as f32);
        vec![Some(grad)]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let shift = packer.params().value(self.shift).to_vec();
        if inputs[0].ty.dtype == DType::I32 {
            // x - shift is x * 1 + (-shift), rounded as often: an integer threshold.
            let negative: Vec<f32> = shift.iter().map(|s| -s).collect();
            return packer.affine_sign(name, &inputs[0], &vec![1.0; shift.len()], &negative);
        }
        let x = packer.settled(name, &inputs[0]);
        let shift = ModelTensor::F32 { shape: vec![shift.len()], data: shift };
        let shift = packer.tensor(format!("{name}.shift"), shift);
        Ok(packer.node(name, Op::RSign { shift }, &[&x], ValueType::new(x.ty.shape, DType::Bits)))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::ops::gradcheck::Check;
    use crate::ops::{Dense, Flatten, Sign};
    use crate::quantizer::ApproxSign;

    fn tail(b: &mut NetworkBuilder, x: Var) -> Result<Var, NetworkError> {
        let x = Flatten::add(b, "flatten", x)?;
        Dense::add(b, "dense", x, 3, false)
    }

    /// With shifts of 0 it is sign: the same gradients. And moving a shift is moving the channel's inputs the other way:
    /// d shift is minus the sum of the gradients by the inputs, which a bias before it would get.
    #[test]
    fn the_shift_is_a_bias_that_is_subtracted() {
        let (shape, quantizer) = (Shape::new(3, 2, 5), Arc::new(ApproxSign));
        let mut plain = Check::new(2, shape, |b, x| {
            let x = Sign::add(b, "sign", x, quantizer.clone())?;
            tail(b, x)
        });
        let mut shifted = Check::new(2, shape, |b, x| {
            let x = RSign::add(b, "rsign", x, quantizer.clone())?;
            tail(b, x)
        });
        // The dense weights come from one stream of random numbers in both, as constants take none.
        assert_eq!(plain.gradients()[..25], shifted.gradients()[..25]);
        assert_eq!(plain.gradients()[25..], shifted.gradients()[30..]);
    }

    /// The surrogate's loss by finite differences: a dense layer behind the sign is linear in the bits, so its gradient by
    /// the bits is constant, and sum(g * surrogate(x - shift)) is the function whose slope the backward pass gives.
    #[test]
    fn gradients_by_finite_differences_of_the_surrogate() {
        let (c, n) = (5, 7);
        let x = crate::ops::gradcheck::numbers(n * c, 3);
        let g = crate::ops::gradcheck::numbers(n * c, 4);
        let mut b = NetworkBuilder::new(Shape::vector(c), 1);
        let shift: Vec<f32> = (0..c).map(|i| i as f32 * 0.21 - 0.4).collect();
        let id = b.param("rsign.shift", &[c], Role::Other, Init::Constant(0.0));
        let mut network = {
            let input = b.input();
            let y = b.add("rsign", Box::new(RSign { shift: id, quantizer: Arc::new(ApproxSign) }), &[input]);
            Dense::add(&mut b, "dense", y.expect("real inputs"), c, false).expect("a vector");
            b.finish().expect("a network")
        };
        let (values, identity) = network.params_mut().values_mut().split_at_mut(c);
        values.copy_from_slice(&shift);
        identity.iter_mut().enumerate().for_each(|(i, w)| *w = if i / c == i % c { 1.0 } else { 0.0 });
        let shape = Shape::vector(c);
        let y = network.forward(Tensor::new(n, shape, x.clone()), crate::op::Mode::Train);
        network.backward(y, Tensor::new(n, shape, g.clone()));
        for i in 0..c {
            let loss = |shift: f32| -> f64 {
                let of =
                    |row: usize| f64::from(g[row * c + i]) * f64::from(ApproxSign.surrogate(x[row * c + i] - shift));
                (0..n).map(of).sum()
            };
            let slope = (loss(shift[i] + 1e-3) - loss(shift[i] - 1e-3)) / 2e-3;
            let gradient = f64::from(network.params().grads()[i]);
            assert!((slope - gradient).abs() < 1e-2, "shift {i}: {slope} against {gradient}");
        }
    }
}
