//! Sign: real numbers to bits, with a quantizer's surrogate derivative backwards.

use std::sync::Arc;

use rayon::prelude::*;
use signbit_kernels::bits;
use signbit_model::{DType, Op, ValueType};

use super::RSign;
use super::rows::{pass_where, per_task, signs, within};
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Mode, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::quantizer::{self, Kind, Quantizer};
use crate::tensor::{BitTensor, Tensor, Value};

/// +1 where x >= 0, else -1. See [`Sign::add`].
#[derive(Debug)]
pub struct Sign {
    quantizer: Arc<dyn Quantizer>,
    /// Where the gradient passes, of the last forward in training mode, if the quantizer is a window: a bit for each number
    /// in place of the input. Each task's numbers begin a word.
    passes: Vec<u64>,
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
        builder.add(name, Box::new(Self { quantizer, passes: vec![] }), &[x])
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
        if self.quantizer.window().is_some() { Needs::NOTHING } else { Needs::INPUTS }
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0].real();
        let (c, isa) = (x.shape.c, cx.isa);
        let Some(window) = self.quantizer.window().filter(|_| cx.mode == Mode::Train) else {
            return signs(cx.buffers, x, |x, out| bits::pack_signs(isa, x, c, out));
        };
        let (words, rows) = (bits::words(c), per_task(x.rows(), c));
        let mut out = cx.buffers.words(x.rows() * words);
        let passes = bits::words(rows * c);
        self.passes.resize(x.rows().div_ceil(rows) * passes, 0);
        let tasks = out.par_chunks_mut(rows * words).zip(self.passes.par_chunks_mut(passes));
        tasks.zip(x.data.par_chunks(rows * c)).for_each(|((out, passes), x)| {
            bits::pack_signs(isa, x, c, out);
            within(isa, window, x, passes);
        });
        Value::Bits(BitTensor::new(x.n, x.shape, out))
    }

    fn backward(&mut self, _: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let numbers = per_task(pass.grad.rows(), pass.grad.shape.c) * pass.grad.shape.c;
        if self.quantizer.window().is_some() {
            let mut grad = pass.grad;
            let tasks = grad.data.par_chunks_mut(numbers).zip(self.passes.par_chunks(bits::words(numbers)));
            tasks.for_each(|(grad, passes)| pass_where(passes, grad));
            return vec![Some(grad)];
        }
        let x = pass.input(0).real();
        let mut grad = pass.grad;
        grad.data.par_chunks_mut(numbers).zip(x.data.par_chunks(numbers)).for_each(|(g, x)| self.quantizer.apply(x, g));
        vec![Some(grad)]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.settled(name, &inputs[0]);
        Ok(packer.node(name, Op::Sign, &[&x], ValueType::new(x.ty.shape, DType::Bits)))
    }
}

#[cfg(test)]
mod tests {
    use signbit_kernels::Isa;
    use signbit_model::Shape;

    use super::*;
    use crate::gemm::GemmCrate;
    use crate::ops::Dense;
    use crate::ops::gradcheck::Check;
    use crate::params::Params;
    use crate::quantizer::SteSign;
    use crate::tensor::Buffers;

    /// A window's bits stop what its derivative stops, whatever the number of channels, and at its very ends.
    #[test]
    fn the_bits_of_a_window() {
        let (rows, c) = (2500, 7);
        let x: Vec<f32> =
            (0..rows * c).map(|i| [1.0, -1.0, 1.000_000_1, -1.000_000_1, 0.0, -0.0, 3.0, 0.5][i % 8]).collect();
        let mut expected: Vec<f32> = (0..rows * c).map(|i| i as f32 + 1.0).collect();
        let (input, grad) = (Value::Real(Tensor::new(rows, Shape::vector(c), x.clone())), expected.clone());
        SteSign.apply(&x, &mut expected);
        let mut op = Sign { quantizer: Arc::new(SteSign), passes: vec![] };
        let (mut params, mut buffers) = (Params::default(), Buffers::default());
        let (isa, gemm) = (Isa::best(), &GemmCrate);
        let mut cx = Context { mode: Mode::Train, params: &mut params, buffers: &mut buffers, isa, gemm, ranks: None };
        op.forward(&mut cx, &[&input]);
        let grad = Tensor::new(rows, Shape::vector(c), grad);
        let found = op.backward(&mut cx, Pass { inputs: vec![None], output: None, grad, wanted: vec![true] });
        assert_eq!(found[0].as_ref().map(|t| &t.data[..]), Some(&expected[..]));
    }

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
