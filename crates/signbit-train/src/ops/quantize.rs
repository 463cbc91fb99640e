//! A quantizer's values as real numbers: for quantizers whose values are not ±1, to train with and compare; not to pack.

use std::sync::Arc;

use rayon::prelude::*;
use signbit_model::{DType, ValueType};

use super::rows::per_task;
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::quantizer::{self, Quantizer};
use crate::tensor::{Tensor, Value};

/// y = q(x), real. See [`Quantize::add`].
#[derive(Debug)]
pub struct Quantize {
    quantizer: Arc<dyn Quantizer>,
}

impl Quantize {
    /// Adds the values of a quantizer to a network. Such a network trains and evaluates, but cannot be packed: for ±1, take
    /// [`Sign`](super::Sign).
    ///
    /// # Errors
    /// Where the input is not real.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        quantizer: Arc<dyn Quantizer>,
    ) -> Result<Var, NetworkError> {
        builder.add(name, Box::new(Self { quantizer }), &[x])
    }
}

impl Operator for Quantize {
    fn kind(&self) -> &'static str {
        "quantize"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        same_as_real(inputs, DType::F32)
    }

    fn set_progress(&mut self, progress: f32) {
        quantizer::advance(&mut self.quantizer, progress);
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0].real();
        let mut y = cx.buffers.real(x.data.len());
        let rows = per_task(x.rows(), x.shape.c) * x.shape.c;
        y.par_chunks_mut(rows).zip(x.data.par_chunks(rows)).for_each(|(y, x)| {
            y.iter_mut().zip(x).for_each(|(y, x)| *y = self.quantizer.value(*x));
        });
        Value::Real(Tensor::new(x.n, x.shape, y))
    }

    fn backward(&mut self, _: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0).real();
        let mut grad = pass.grad;
        let rows = per_task(x.rows(), x.shape.c) * x.shape.c;
        grad.data.par_chunks_mut(rows).zip(x.data.par_chunks(rows)).for_each(|(g, x)| self.quantizer.apply(x, g));
        vec![Some(grad)]
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::op::Mode;
    use crate::ops::Dense;
    use crate::quantizer::from_text;

    /// Values forward, the surrogate's derivative backward (at a bias of the layer before), no packed form.
    #[test]
    fn values_forward_and_derivatives_backward() {
        for text in ["ste_heaviside", "ste_tern(0.2)", "dorefa(2)"] {
            let quantizer = from_text(text).unwrap();
            let mut b = NetworkBuilder::new(Shape::vector(1), 1);
            let x = b.input();
            let x = Dense::add(&mut b, "dense", x, 1, true).unwrap();
            Quantize::add(&mut b, "quantize", x, quantizer.clone()).unwrap();
            let mut network = b.finish().unwrap();
            network.params_mut().values_mut().copy_from_slice(&[1.0, 0.0]);
            for x in [-1.5, -0.5, -0.1, 0.1, 0.4, 0.9, 1.5] {
                let y = network.forward(Tensor::new(1, Shape::vector(1), vec![x]), Mode::Train);
                assert_eq!(y.data, [quantizer.value(x)], "{text} at {x}");
                network.backward(y, Tensor::new(1, Shape::vector(1), vec![3.0]));
                assert_eq!(network.params().grads()[1], 3.0 * quantizer.derivative(x), "{text} at {x}");
            }
            assert!(network.pack().unwrap_err().to_string().contains("quantize"));
        }
    }
}
