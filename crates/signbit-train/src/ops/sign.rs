//! Sign: real numbers to bits, with a quantizer's surrogate derivative backwards.

use std::sync::Arc;

use rayon::prelude::*;
use signbit_kernels::bits;
use signbit_model::{DType, Op, ValueType};

use super::RSign;
use super::rows::{per_task, signs};
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::quantizer::{self, Kind, Quantizer};
use crate::tensor::{Tensor, Value};

/// +1 where x >= 0, else -1. See [`Sign::add`].
#[derive(Debug)]
pub struct Sign {
    quantizer: Arc<dyn Quantizer>,
}

impl Sign {
    /// Adds a sign to a network; for a quantizer with a learned shift, an [`RSign`].
    ///
    /// # Errors
    /// Where the input is not real, or the quantizer is none for it.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        quantizer: Arc<dyn Quantizer>,
    ) -> Result<Var, NetworkError> {
        if quantizer.kind() == Kind::ShiftedSign {
            return RSign::add(builder, name, x, quantizer);
        }
        builder.add(name, Box::new(Self { quantizer }), &[x])
    }
}

impl Operator for Sign {
    fn kind(&self) -> &'static str {
        "sign"
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
        let (c, isa) = (x.shape.c, cx.isa);
        signs(cx.buffers, x, |x, out| bits::pack_signs(isa, x, c, out))
    }

    fn backward(&mut self, _: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0).real();
        let mut grad = pass.grad;
        let rows = per_task(x.rows(), x.shape.c) * x.shape.c;
        grad.data.par_chunks_mut(rows).zip(x.data.par_chunks(rows)).for_each(|(g, x)| self.quantizer.apply(x, g));
        vec![Some(grad)]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.settled(name, &inputs[0]);
        Ok(packer.node(name, Op::Sign, &[&x], ValueType::new(x.ty.shape, DType::Bits)))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::ops::Dense;
    use crate::ops::gradcheck::Check;
    use crate::quantizer::SteSign;

    /// Through sign and a dense layer: the gradient passes where |x| <= 1 and is stopped elsewhere.
    #[test]
    fn the_gradient_passes_inside_the_window_only() {
        let mut check = Check::new(2, Shape::vector(3), |b, x| {
            let x = Sign::add(b, "sign", x, Arc::new(SteSign))?;
            Dense::add(b, "dense", x, 2, false)
        });
        check.bits(1e-4);
        // The identity becomes a factor 60: every |x| is then above 1.
        for i in [0, 4, 8] {
            check.network.params_mut().values_mut()[i] = 60.0;
        }
        let gradients = check.gradients();
        assert!(gradients[..9].iter().all(|&g| g == 0.0), "every |x| is above 1: {:?}", &gradients[..9]);
        assert!(gradients[9..].iter().any(|&g| g != 0.0));
    }
}
