//! Dense layers: `MatMul`, `Gemm` and `XnorPopcountMatMul` with constant weights.

use signbit_model::{Geometry, Op};

use super::constant::Constant;
use super::node::Node;
use super::reader::Reader;
use super::value::{Axis, Real, Value};
use crate::ConvertError;

/// The weights of a dense layer.
struct Weights {
    inputs: usize,
    outputs: usize,
    /// One row of `inputs` numbers per output, in the logical order.
    rows: Vec<f32>,
}

/// `MatMul`.
pub(super) fn mat_mul(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    let constant = reader.constant(node, 1)?;
    let weights = weights(reader, node, &constant, false, 1.0)?;
    dense(reader, node, &x, weights, None).map(Value::Real)
}

/// `Gemm`.
pub(super) fn gemm(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    if node.flag("transA") || x.rank() != 2 {
        return Err(node.unsupported("its first operand is transposed, or not a matrix"));
    }
    let constant = reader.constant(node, 1)?;
    let weights = weights(reader, node, &constant, node.flag("transB"), node.float("alpha").unwrap_or(1.0))?;
    let beta = node.float("beta").unwrap_or(1.0);
    let bias = match reader.optional_constant(node, 2)? {
        Some(bias) => {
            let numbers = bias.to_floats();
            let fits = bias.dims().iter().rev().skip(1).all(|&d| d == 1) && bias.dims().len() <= 2;
            match (numbers.as_slice(), fits) {
                (&[one], true) => {
                    reader.budget.hold(node.name, node.operator(), weights.outputs)?;
                    Some(vec![one * beta; weights.outputs])
                }
                (all, true) if all.len() == weights.outputs => Some(all.iter().map(|v| v * beta).collect()),
                _ => return Err(node.unsupported(format!("a bias of shape {:?}", bias.dims()))),
            }
        }
        None => None,
    };
    dense(reader, node, &x, weights, bias).map(Value::Real)
}

/// `XnorPopcountMatMul`: the number of equal bits, where bits are the numbers 0 and 1.
pub(super) fn xnor_popcount(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    let constant = reader.constant(node, 1)?;
    let mut weights = weights(reader, node, &constant, false, 1.0)?;
    if weights.rows.iter().any(|&w| w != 0.0 && w != 1.0) {
        return Err(node.unsupported("weights that are not 0 or 1"));
    }
    weights.rows.iter_mut().for_each(|w| *w = 2.0 * *w - 1.0);
    let half = weights.inputs as f32 / 2.0;
    let x = reader.scaled(node, &x, Some(&Constant::scalar(2.0)), Some(&Constant::scalar(-1.0)))?;
    let dot = dense(reader, node, &x, weights, None)?;
    reader.scaled(node, &dot, Some(&Constant::scalar(0.5)), Some(&Constant::scalar(half))).map(Value::Real)
}

fn weights(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    constant: &Constant,
    transposed: bool,
    alpha: f32,
) -> Result<Weights, ConvertError> {
    // Leading axes of size 1 repeat nothing.
    let (front, matrix) = constant.dims().split_at(constant.dims().len().saturating_sub(2));
    let &[rows, columns] = matrix else {
        return Err(node.unsupported(format!("a weight of shape {:?}", constant.dims())));
    };
    if front.iter().any(|&d| d != 1) || rows == 0 || columns == 0 {
        return Err(node.unsupported(format!("a weight of shape {:?}", constant.dims())));
    }
    reader.budget.hold(node.name, node.operator(), constant.len())?;
    let mut data = constant.to_floats();
    if alpha != 1.0 {
        data.iter_mut().for_each(|w| *w *= alpha);
    }
    if transposed {
        return Ok(Weights { inputs: columns, outputs: rows, rows: data });
    }
    let mut moved = Vec::with_capacity(data.len());
    for column in 0..columns {
        moved.extend(data.iter().skip(column).step_by(columns));
    }
    Ok(Weights { inputs: rows, outputs: columns, rows: moved })
}

/// The product of a value's last axis with weights.
fn dense(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    x: &Real,
    weights: Weights,
    bias: Option<Vec<f32>>,
) -> Result<Real, ConvertError> {
    let Weights { inputs, outputs, rows } = weights;
    let shape = x.shape();
    if shape.last() != Some(&inputs) {
        return Err(node.unsupported(format!("weights of {inputs} inputs on a value of shape {shape:?}")));
    }
    let mut axes = x.axes().to_vec();
    let last = axes.pop().unwrap_or_default();
    axes.push(vec![Axis::C]);
    let bias = match bias {
        Some(bias) => Some(reader.draft.f32(&format!("{}.bias", node.name), [bias.len()], bias)?),
        None => None,
    };
    let name = format!("{}.weight", node.name);
    let n = x.size(Axis::N);
    if let Some(places) = x.places(x.rank() - 1) {
        let x = reader.flat(node, x)?;
        let rows = if x.in_memory_order() {
            rows
        } else {
            // From the logical order of the columns to that of memory.
            let row = |row: &[f32]| places.iter().filter_map(|&k| row.get(k).copied()).collect::<Vec<_>>();
            rows.chunks_exact(inputs).flat_map(row).collect()
        };
        let weight = reader.draft.f32(&name, [outputs, inputs], rows)?;
        let id = reader.join(node, Op::Dense { weight, bias }, &[x.id])?;
        return Ok(x.resized(id, [n, 1, 1, outputs], axes));
    }
    let channels = last == [Axis::C] || (last.is_empty() && x.size(Axis::C) == 1);
    if !channels || x.is_flat() {
        return Err(node.unsupported(format!("the last axis of a value of shape {shape:?} is not its channels")));
    }
    // The same at each pixel.
    let weight = reader.draft.f32(&name, [outputs, 1, 1, inputs], rows)?;
    let geometry = Geometry::valid([1, 1], [1, 1], [1, 1]);
    let id = reader.join(node, Op::Conv2d { weight, bias, geometry, groups: 1 }, &[x.id])?;
    Ok(x.resized(id, [n, x.size(Axis::H), x.size(Axis::W), outputs], axes))
}
