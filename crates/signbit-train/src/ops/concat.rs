//! Channels of several values one after the other: the shortcut of dense networks (Huang et al. 2016, arXiv 1608.06993).

use rayon::prelude::*;
use signbit_model::{DType, Op, Shape, ValueType};

use super::rows::per_task;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::tensor::{Tensor, Value};

/// `[n, h, w, c1]`, `[n, h, w, c2]`, … to `[n, h, w, c1 + c2 + …]`. See [`Concat::add`].
#[derive(Debug)]
pub struct Concat {
    channels: Vec<usize>,
}

impl Concat {
    /// Adds the concatenation of real values of one height and width to a network.
    ///
    /// # Errors
    /// Where there are fewer than two, one is not real, or heights or widths differ.
    pub fn add(builder: &mut NetworkBuilder, name: &str, parts: &[Var]) -> Result<Var, NetworkError> {
        let channels = parts.iter().map(|&part| builder.ty(part).shape.c).collect();
        builder.add(name, Box::new(Self { channels }), parts)
    }
}

impl Operator for Concat {
    fn kind(&self) -> &'static str {
        "concat"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        let [first, _, ..] = inputs else { return Err("a concatenation needs two inputs or more".into()) };
        let (h, w) = (first.shape.h, first.shape.w);
        match inputs.iter().find(|x| x.dtype != DType::F32 || (x.shape.h, x.shape.w) != (h, w)) {
            Some(x) => Err(format!("real values of {h}x{w} are needed, this is {}", x.shape)),
            None => Ok(ValueType::new(Shape::new(h, w, self.channels.iter().sum()), DType::F32)),
        }
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let c: usize = self.channels.iter().sum();
        let (n, Shape { h, w, .. }) = (inputs[0].n(), inputs[0].shape());
        let parts: Vec<&[f32]> = inputs.iter().map(|x| &x.real().data[..]).collect();
        let mut y = cx.buffers.real(n * h * w * c);
        let rows = per_task(n * h * w, c);
        y.par_chunks_mut(rows * c).enumerate().for_each(|(task, y)| {
            for (i, y) in y.chunks_exact_mut(c).enumerate() {
                let (row, mut rest) = (task * rows + i, y);
                for (part, &channels) in parts.iter().zip(&self.channels) {
                    let (own, behind) = rest.split_at_mut(channels);
                    own.copy_from_slice(&part[row * channels..][..channels]);
                    rest = behind;
                }
            }
        });
        Value::Real(Tensor::new(n, Shape::new(h, w, c), y))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let (grad, c) = (pass.grad, self.channels.iter().sum());
        let mut start = 0;
        let mut grads = Vec::with_capacity(self.channels.len());
        for (&channels, &wanted) in self.channels.iter().zip(&pass.wanted) {
            grads.push(wanted.then(|| {
                let mut dx = cx.buffers.real(grad.rows() * channels);
                let rows = per_task(grad.rows(), c);
                dx.par_chunks_mut(rows * channels).zip(grad.data.par_chunks(rows * c)).for_each(|(dx, dy)| {
                    for (dx, dy) in dx.chunks_exact_mut(channels).zip(dy.chunks_exact(c)) {
                        dx.copy_from_slice(&dy[start..start + channels]);
                    }
                });
                Tensor::new(grad.n, Shape { c: channels, ..grad.shape }, dx)
            }));
            start += channels;
        }
        cx.buffers.give(grad.data);
        grads
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let parts: Vec<Packed> =
            inputs.iter().enumerate().map(|(i, x)| packer.real(&format!("{name}/{i}"), x)).collect();
        let shape = Shape { c: self.channels.iter().sum(), ..inputs[0].ty.shape };
        let parts: Vec<&Packed> = parts.iter().collect();
        Ok(packer.node(name, Op::Concat, &parts, ValueType::new(shape, DType::F32)))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Geometry;

    use super::*;
    use crate::ops::Conv2d;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        Check::new(2, Shape::new(3, 2, 4), |b, x| {
            let y = Conv2d::add(b, "conv", x, 3, Geometry::valid([1, 1], [1, 1], [1, 1]), 1)?;
            let input = b.input();
            Concat::add(b, "concat", &[x, input, y, x])
        })
        .all(0.05, 1e-3);
    }
}
