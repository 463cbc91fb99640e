//! The meaning of every operator, in slow and obvious arithmetic.
//!
//! Bits are unpacked to `i8` numbers +1 and -1, every loop is written out, nothing is fused or reordered.
//! Every fast path is tested for equality with this interpreter, bit by bit; where [`crate::Op`]'s words
//! leave a question, the code here answers it.

mod binary;
mod elementwise;
mod layout;
mod pool;
mod real;
mod transposed;
mod value;
mod window;

pub use value::{Value, ValueData};

use crate::error::{ModelError, NodeError};
use crate::ops::Tensors;
use crate::{Model, Node, Op, ValueType};

/// Runs a model on a batch of `n` samples; `input` is `[n, H, W, C]`.
///
/// # Errors
/// What [`Model::validate`] finds, and [`ModelError::InputLength`] where `input` has another length than
/// `n` samples take.
pub fn run(model: &Model, n: usize, input: &[f32]) -> Result<Value, ModelError> {
    run_traced(model, n, input, |_, _| ())
}

/// As [`run`], and shows every node with its output to `trace`, in the order of the graph.
///
/// # Errors
/// As [`run`].
pub fn run_traced(
    model: &Model,
    n: usize,
    input: &[f32],
    mut trace: impl FnMut(&Node, &Value),
) -> Result<Value, ModelError> {
    let types = model.validate()?;
    let expected = n.saturating_mul(types[0].shape.elements());
    if input.len() != expected {
        return Err(ModelError::InputLength { n, expected, found: input.len() });
    }
    let mut values = vec![Value { n, ty: types[0], data: ValueData::F32(input.to_vec()) }];
    for (node, &ty) in model.graph.nodes.iter().zip(&types[1..]) {
        let inputs: Vec<&Value> = node.inputs.iter().map(|id| &values[id.index()]).collect();
        let data = eval(&node.op, &inputs, ty, Tensors(&model.tensors))
            .map_err(|source| ModelError::Node { node: node.name.clone(), source })?;
        let value = Value { n, ty, data };
        trace(node, &value);
        values.push(value);
    }
    Ok(values.swap_remove(model.graph.output.index()))
}

/// Computes one node's output, of type `ty`.
fn eval(op: &Op, inputs: &[&Value], ty: ValueType, tensors: Tensors<'_>) -> Result<ValueData, NodeError> {
    let x = *inputs.first().ok_or(NodeError::InputCount { expected: "at least 1", found: 0 })?;
    let second = || inputs.get(1).copied().ok_or(NodeError::InputCount { expected: "2", found: 1 });
    Ok(match op {
        Op::Conv2d { weight, bias, geometry, groups } => {
            let bias = bias.as_deref().map(|name| tensors.f32(name)).transpose()?;
            real::conv2d(x, ty, &tensors.real_weight(weight)?, bias, geometry, *groups)?
        }
        Op::Dense { weight, bias } => {
            let bias = bias.as_deref().map(|name| tensors.f32(name)).transpose()?;
            real::dense(x, ty, &tensors.real_weight(weight)?, bias)?
        }
        Op::ActivationScale { geometry } => real::activation_scale(x, ty, geometry)?,
        Op::BinaryConv2d { weight, geometry, groups, padding } => {
            binary::conv2d(x, ty, &tensors.signs(weight)?, geometry, *groups, *padding)?
        }
        Op::Conv2dTranspose { weight, bias, geometry, groups } => {
            let bias = bias.as_deref().map(|name| tensors.f32(name)).transpose()?;
            transposed::real(x, ty, &tensors.real_weight(weight)?, bias, geometry, *groups)?
        }
        Op::BinaryConv2dTranspose { weight, geometry, groups } => {
            transposed::binary(x, ty, &tensors.signs(weight)?, geometry, *groups)?
        }
        Op::BinaryDense { weight } => binary::dense(x, ty, &tensors.signs(weight)?)?,
        Op::Sign => binary::sign(x)?,
        Op::Unpack => binary::unpack(x)?,
        Op::RSign { shift } => binary::rsign(x, tensors.f32(shift)?)?,
        Op::Threshold { threshold, flip } => binary::threshold(x, tensors.i32(threshold)?, &tensors.signs(flip)?)?,
        Op::MaxPool2d { geometry } => pool::max(x, ty, geometry),
        Op::AvgPool2d { geometry, count_include_pad } => pool::avg(x, ty, geometry, *count_include_pad)?,
        Op::GlobalAvgPool => pool::global_avg(x)?,
        Op::GlobalMaxPool => pool::global_max(x),
        Op::MulAdd { mul, add } => elementwise::mul_add(x, tensors.f32(mul)?, tensors.f32(add)?),
        Op::Affine { mul, add } => elementwise::mul_add(x, &[*mul], &[*add]),
        Op::Add => elementwise::add(x, second()?)?,
        Op::Mul => elementwise::mul(x, second()?)?,
        Op::MulMap { map } => elementwise::mul_map(x, tensors.f32(map)?),
        Op::Relu => elementwise::relu(x),
        Op::PRelu { slope } => elementwise::prelu(x, tensors.f32(slope)?),
        Op::RPRelu { shift_in, slope, shift_out } => {
            let (shift_in, shift_out) = (tensors.f32(shift_in)?, tensors.f32(shift_out)?);
            elementwise::rprelu(x, shift_in, tensors.f32(slope)?, shift_out)
        }
        Op::Sigmoid => elementwise::sigmoid(x)?,
        Op::Clip { min, max } => elementwise::clip(x, *min, *max),
        Op::Softmax => elementwise::softmax(x)?,
        Op::Pad { pads, value } => layout::pad(x, ty, *pads, *value)?,
        Op::Slice { start, end } => layout::slice(x, *start, *end),
        Op::Concat => layout::concat(inputs)?,
        Op::Flatten => x.data.clone(),
    })
}

/// The interpreter's view of the model's tensors.
impl<'a> Tensors<'a> {
    fn f32(self, name: &str) -> Result<&'a [f32], NodeError> {
        let tensor = self.get(name)?;
        tensor.as_f32().ok_or_else(|| wrong_dtype(name, "f32", tensor))
    }

    fn i32(self, name: &str) -> Result<&'a [i32], NodeError> {
        let tensor = self.get(name)?;
        tensor.as_i32().ok_or_else(|| wrong_dtype(name, "i32", tensor))
    }

    /// A bit tensor as +1 and -1.
    fn signs(self, name: &str) -> Result<Vec<i8>, NodeError> {
        let tensor = self.get(name)?;
        tensor.to_signs().ok_or_else(|| wrong_dtype(name, "bits", tensor))
    }

    /// A real tensor, or a bit tensor as +1.0 and -1.0.
    fn real_weight(self, name: &str) -> Result<Vec<f32>, NodeError> {
        match self.get(name)?.as_f32() {
            Some(data) => Ok(data.to_vec()),
            None => Ok(self.signs(name)?.into_iter().map(f32::from).collect()),
        }
    }
}

fn wrong_dtype(name: &str, expected: &'static str, tensor: &crate::Tensor) -> NodeError {
    NodeError::TensorDType { tensor: name.to_owned(), expected, found: tensor.dtype() }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::testing::{model_of, real};
    use super::*;
    use crate::Shape;

    #[test]
    fn the_input_must_have_the_batch_s_length() {
        let model = model_of(Shape::new(1, 2, 1), Op::Relu, vec![]);
        for (n, len) in [(1, 3), (2, 2), (0, 1), (usize::MAX, 2)] {
            let result = run(&model, n, &vec![0.0; len]);
            assert!(matches!(result, Err(ModelError::InputLength { .. })), "{n} {len}: {result:?}");
        }
        assert_eq!(run(&model, 0, &[]).unwrap().data, ValueData::F32(vec![]));
    }

    #[test]
    fn the_trace_sees_every_node_in_order() {
        let mut b = crate::ModelBuilder::new(Shape::vector(2));
        let a = b.node("first", Op::Relu, &[b.input()]);
        let s = b.node("second", Op::Sign, &[b.input()]);
        let _ = s;
        let model = b.finish(a).unwrap();
        let mut seen = Vec::new();
        let out = run_traced(&model, 1, &[-1.0, 2.0], |node, value| {
            seen.push((node.name.clone(), value.data.clone()));
        });
        assert_eq!(out.unwrap().data, real(&[0.0, 2.0]));
        let expected = [("first".into(), real(&[0.0, 2.0])), ("second".into(), ValueData::Bits(vec![-1, 1]))];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_model_that_does_not_validate_is_not_run() {
        let mut model = model_of(Shape::vector(1), Op::Relu, vec![]);
        model.graph.nodes[0].inputs.clear();
        assert!(matches!(run(&model, 1, &[0.0]), Err(ModelError::Node { .. })));
    }

    #[test]
    fn samples_of_a_batch_do_not_mix() {
        let model = model_of(Shape::new(2, 1, 1), Op::GlobalAvgPool, vec![]);
        assert_eq!(run(&model, 2, &[1.0, 3.0, 5.0, 9.0]).unwrap().data, real(&[2.0, 7.0]));
    }
}
