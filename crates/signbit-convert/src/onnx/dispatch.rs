//! Which function takes in which operator.

use std::rc::Rc;

use super::constant::Constant;
use super::node::Node;
use super::reader::Reader;
use super::value::Value;
use super::{activation, affine, compare, linear, moving, quant, shape, transposed, window};
use crate::ConvertError;

/// Takes in a node that has an operand of the network, and gives its results.
pub(super) fn node(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Vec<Value>, ConvertError> {
    let value = match node.operator() {
        "Conv" => window::conv(reader, node)?,
        "ConvTranspose" => transposed::conv(reader, node)?,
        "MaxPool" => window::max_pool(reader, node)?,
        "AveragePool" => window::average_pool(reader, node)?,
        "Pad" => window::pad(reader, node)?,
        "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "ReduceMax" => window::global(reader, node)?,
        "MatMul" => linear::mat_mul(reader, node)?,
        "Gemm" => linear::gemm(reader, node)?,
        "XnorPopcountMatMul" => linear::xnor_popcount(reader, node)?,
        "BatchNormalization" => affine::batch_normalization(reader, node)?,
        "Add" | "Sub" | "Mul" | "Div" => affine::arithmetic(reader, node)?,
        "Neg" => affine::negate(reader, node)?,
        "Abs" | "Relu" | "LeakyRelu" | "PRelu" | "Clip" | "Max" | "Min" | "Sigmoid" | "HardSigmoid" | "Softmax" => {
            activation::node(reader, node)?
        }
        "Sign" => activation::sign(reader, node)?,
        "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => compare::test(reader, node)?,
        "Not" => compare::not(reader, node)?,
        "Where" => compare::choose(reader, node)?,
        "Cast" => compare::cast(reader, node)?,
        "CastLike" => compare::cast_like(reader, node)?,
        "BipolarQuant" => quant::bipolar(reader, node)?,
        "Quant" | "IntQuant" => quant::quant(reader, node)?,
        "MultiThreshold" => quant::multi_threshold(reader, node)?,
        "Transpose" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => moving::axes(reader, node)?,
        "Concat" => moving::concat(reader, node)?,
        "Slice" => moving::slice(reader, node)?,
        "Split" => return moving::split(reader, node),
        "Identity" | "Dropout" => reader.operand(node, 0)?,
        "Shape" => {
            let x = reader.real(node, 0)?;
            let (start, end) = shape::part(node, x.rank());
            let sizes = x.shape().into_iter().map(|d| i64::try_from(d).unwrap_or(i64::MAX)).collect::<Vec<_>>();
            Value::Constant(Rc::new(Constant::ints(sizes.get(start..end).unwrap_or_default().to_vec())))
        }
        _ => return Err(node.unsupported("the operator is not known, or has no counterpart")),
    };
    Ok(vec![value])
}
