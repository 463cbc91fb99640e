//! Product with a map of one channel: how XNOR-Net's K meets the convolution that it scales.

use rayon::prelude::*;
use signbit_model::{DType, Op, ValueType};

use super::rows::per_task;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::tensor::{Tensor, Value};

/// `y[p, c] = x[p, c] * k[p]`. See [`MulMap::add`].
#[derive(Clone, Copy, Debug)]
pub struct MulMap;

impl MulMap {
    /// Adds the product of `x` `[n, h, w, c]` and `k` `[n, h, w, 1]` to a network.
    ///
    /// # Errors
    /// Where the two do not fit.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var, k: Var) -> Result<Var, NetworkError> {
        builder.add(name, Box::new(Self), &[x, k])
    }
}

impl Operator for MulMap {
    fn kind(&self) -> &'static str {
        "mul_map"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        let (x, k) = (inputs[0], inputs[1]);
        if x.dtype != DType::F32
            || k.dtype != DType::F32
            || (x.shape.h, x.shape.w, 1) != (k.shape.h, k.shape.w, k.shape.c)
        {
            return Err(format!("a real map of one channel is needed for {:?}, this is {:?}", x.shape, k.shape));
        }
        Ok(x)
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let (x, k) = (inputs[0].real(), inputs[1].real());
        let c = x.shape.c;
        let mut y = cx.buffers.real(x.data.len());
        let rows = per_task(x.rows(), c);
        y.par_chunks_mut(rows * c).zip(x.data.par_chunks(rows * c)).zip(k.data.par_chunks(rows)).for_each(
            |((y, x), k)| {
                for ((y, x), k) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(k) {
                    y.iter_mut().zip(x).for_each(|(y, x)| *y = x * k);
                }
            },
        );
        Value::Real(Tensor::new(x.n, x.shape, y))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let (x, k) = (pass.input(0).real(), pass.input(1).real());
        let c = x.shape.c;
        let mut grad = pass.grad;
        let mut dk = cx.buffers.real(k.data.len());
        let rows = per_task(x.rows(), c);
        let inputs = x.data.par_chunks(rows * c).zip(k.data.par_chunks(rows));
        grad.data.par_chunks_mut(rows * c).zip(dk.par_chunks_mut(rows)).zip(inputs).for_each(|((dy, dk), (x, k))| {
            for ((dy, dk), (x, k)) in dy.chunks_exact_mut(c).zip(dk).zip(x.chunks_exact(c).zip(k)) {
                *dk = dy.iter().zip(x).map(|(d, x)| d * x).sum();
                dy.iter_mut().for_each(|d| *d *= k);
            }
        });
        vec![Some(grad), Some(Tensor::new(k.n, k.shape, dk))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.settled(name, &inputs[0]);
        let k = packer.settled(&format!("{name}/k"), &inputs[1]);
        Ok(packer.node(name, Op::Mul, &[&x, &k], ValueType::new(x.ty.shape, DType::F32)))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::{Geometry, Shape};

    use super::*;
    use crate::ops::ActivationScale;
    use crate::ops::gradcheck::Check;

    /// Both inputs: the value itself and, through its own K, the map.
    #[test]
    fn gradients_by_finite_differences() {
        Check::new(2, Shape::new(4, 5, 3), |b, x| {
            let k = ActivationScale::add(b, "k", x, Geometry::padded([3, 3], [1, 1], 1))?;
            MulMap::add(b, "mul", x, k)
        })
        .all(5e-3, 5e-3);
    }
}
