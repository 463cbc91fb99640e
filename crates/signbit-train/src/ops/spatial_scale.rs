//! XNOR-Net++'s factors of rows and columns (Bulat and Tzimiropoulos 2019, arXiv 1909.13863, the last of its four ways: the
//! scale factor is the outer product of a vector for the channels, which is the layer's own, one for the rows and one for
//! the columns).

use rayon::prelude::*;
use signbit_kernels::{Elementwise, elementwise};
use signbit_model::{DType, Op, Tensor as ModelTensor, ValueType};

use super::rows::channel_sums;
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::params::{Init, ParamId, Params, Role};
use crate::tensor::{Tensor, Value};

/// `y[n, i, j, c] = x[n, i, j, c] * (rows[i] * columns[j])`. See [`SpatialScale::add`].
#[derive(Debug)]
pub struct SpatialScale {
    rows: ParamId,
    columns: ParamId,
}

impl SpatialScale {
    /// Adds factors of the rows and columns of `x` `[n, h, w, c]` to a network. Its parameters are `NAME.rows`, `[h]`, and
    /// `NAME.columns`, `[w]`, at first 1.
    ///
    /// # Errors
    /// Where the input is not real.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var) -> Result<Var, NetworkError> {
        let shape = builder.ty(x).shape;
        let mut param = |part, len| builder.param(&format!("{name}.{part}"), &[len], Role::Other, Init::Constant(1.0));
        let (rows, columns) = (param("rows", shape.h), param("columns", shape.w));
        builder.add(name, Box::new(Self { rows, columns }), &[x])
    }

    /// The factor of each position, `[h, w]`.
    fn map(&self, params: &Params) -> Vec<f32> {
        let columns = params.value(self.columns);
        params.value(self.rows).iter().flat_map(|row| columns.iter().map(move |column| row * column)).collect()
    }
}

impl Operator for SpatialScale {
    fn kind(&self) -> &'static str {
        "spatial_scale"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        same_as_real(inputs, DType::F32)
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0].real();
        let (map, isa) = (self.map(cx.params), cx.isa);
        let mut y = cx.buffers.real(x.data.len());
        let sample = x.shape.elements();
        y.par_chunks_mut(sample).zip(x.data.par_chunks(sample)).for_each(|(y, x)| {
            y.copy_from_slice(x);
            elementwise::apply(isa, &Elementwise::MulPixel(&map), y);
        });
        Value::Real(Tensor::new(x.n, x.shape, y))
    }

    /// dx = dy rows columns; d rows_i = sum dy x columns_j, d columns_j = sum dy x rows_i, over samples, channels and the
    /// other axis.
    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0).real();
        let (mut grad, sample) = (pass.grad, x.shape.elements());
        let (by_element, _) = channel_sums(cx.ranks, &x.data, &grad.data, sample, |x, d, _| (x * d, 0.0));
        let by_place: Vec<f64> = by_element.chunks_exact(x.shape.c).map(|sums| sums.iter().sum()).collect();
        let (map, isa, w) = (self.map(cx.params), cx.isa, x.shape.w);
        let (rows, columns) = (cx.params.value(self.rows), cx.params.value(self.columns));
        let (mut d_rows, mut d_columns) = (vec![0.0; rows.len()], vec![0.0; w]);
        for (place, sum) in by_place.iter().enumerate() {
            d_rows[place / w] += sum * f64::from(columns[place % w]);
            d_columns[place % w] += sum * f64::from(rows[place / w]);
        }
        for (id, sums) in [(self.rows, d_rows), (self.columns, d_columns)] {
            cx.params.grad_mut(id).iter_mut().zip(sums).for_each(|(g, s)| *g = s as f32);
        }
        grad.data.par_chunks_mut(sample).for_each(|dy| elementwise::apply(isa, &Elementwise::MulPixel(&map), dy));
        vec![Some(grad)]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.settled(name, &inputs[0]);
        let (data, shape) = (self.map(packer.params()), vec![x.ty.shape.h, x.ty.shape.w]);
        let map = packer.tensor(format!("{name}.map"), ModelTensor::F32 { shape, data });
        Ok(packer.node(name, Op::MulMap { map }, &[&x], ValueType::new(x.ty.shape, DType::F32)))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        let mut check = Check::new(2, Shape::new(3, 2, 5), |b, x| SpatialScale::add(b, "scale", x));
        check.all(1e-3, 5e-3);
        for (i, factor) in check.network.params_mut().values_mut()[25..30].iter_mut().enumerate() {
            *factor = [0.5, -1.5, 2.0, 0.8, -0.3][i];
        }
        check.all(1e-3, 5e-3);
    }
}
