//! Batch norm and the sign behind it as one operator: the normalised values are never in memory, forward or
//! backward. Packed before integers, it is one threshold per channel.

use std::cell::RefCell;
use std::sync::Arc;

use signbit_kernels::bits;
use signbit_model::{DType, ValueType};

use super::batch_norm::{Norm, NormOptions};
use super::rows::signs;
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::quantizer::{self, Quantizer};
use crate::tensor::{Tensor, Value};

thread_local! {
    /// Normalised values of the block of rows at hand.
    static NORMALISED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// sign(batch_norm(x)). See [`BatchNormSign::add`].
#[derive(Debug)]
pub struct BatchNormSign {
    norm: Norm,
    quantizer: Arc<dyn Quantizer>,
}

impl BatchNormSign {
    /// Adds a batch norm with a sign to a network.
    ///
    /// # Errors
    /// Where the input is not real, or the quantizer is none for it.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        quantizer: Arc<dyn Quantizer>,
    ) -> Result<Var, NetworkError> {
        Self::with(builder, name, x, quantizer, NormOptions::default())
    }

    /// As [`BatchNormSign::add`], with choices of the batch norm.
    ///
    /// # Errors
    /// Where the input is not real.
    pub fn with(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        quantizer: Arc<dyn Quantizer>,
        options: NormOptions,
    ) -> Result<Var, NetworkError> {
        let norm = Norm::new(builder, name, builder.ty(x).shape.c, options);
        builder.add(name, Box::new(Self { norm, quantizer }), &[x])
    }
}

impl Operator for BatchNormSign {
    fn kind(&self) -> &'static str {
        "batch_norm_sign"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        quantizer::check_sign(&*self.quantizer)?;
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
        self.norm.prepare(cx, x);
        let (c, isa, affine) = (x.shape.c, cx.isa, &self.norm.affine);
        signs(cx.buffers, x, |x, out| {
            NORMALISED.with_borrow_mut(|y| {
                y.resize(x.len(), 0.0);
                affine.apply(x, y);
                bits::pack_signs(isa, y, c, out);
            });
        })
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0).real();
        let mut grad = pass.grad;
        let (affine, quantizer) = (&self.norm.affine, &self.quantizer);
        self.norm.backward(cx, x, &mut grad.data, |x, grad| {
            NORMALISED.with_borrow_mut(|y| {
                y.resize(x.len(), 0.0);
                affine.apply(x, y);
                quantizer.apply(y, grad);
            });
        });
        vec![Some(grad)]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let affine = self.norm.folded(packer.params());
        packer.affine_sign(name, &inputs[0], &affine.m, &affine.b)
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::op::Mode;
    use crate::ops::gradcheck::{Check, numbers};
    use crate::ops::{BatchNorm, Dense, Flatten, Sign};
    use crate::quantizer::{NAMES, by_name, check_sign};

    /// The fused operator is batch norm followed by sign: same bits, same gradients, for each quantizer.
    #[test]
    fn fused_and_separate_agree() {
        let shape = Shape::new(3, 2, 70);
        for name in NAMES {
            let quantizer = by_name(name).unwrap();
            if check_sign(&*quantizer).is_err() {
                continue;
            }
            let tail = |b: &mut NetworkBuilder, x| {
                let x = Flatten::add(b, "flatten", x)?;
                Dense::add(b, "dense", x, 3, false)
            };
            let mut fused = Check::new(4, shape, |b, x| {
                let x = BatchNormSign::add(b, "norm", x, quantizer.clone())?;
                tail(b, x)
            });
            let mut separate = Check::new(4, shape, |b, x| {
                let x = BatchNorm::add(b, "norm", x)?;
                let x = Sign::add(b, "sign", x, quantizer.clone())?;
                tail(b, x)
            });
            assert_eq!(fused.gradients(), separate.gradients(), "{name}");
            let run =
                |check: &mut Check, mode| check.network.forward(Tensor::new(4, shape, numbers(4 * 420, 9)), mode).data;
            for mode in [Mode::Train, Mode::Eval] {
                assert_eq!(run(&mut fused, mode), run(&mut separate, mode), "{name} {mode:?}");
            }
        }
    }
}
