//! Batch norm behind a real layer becomes part of its weights and bias.

use signbit_model::{Model, Op, Tensor};

use super::rewrite::{Rewrite, rewrite};
use crate::ConvertError;

/// Folds a [`Op::MulAdd`] into the real convolution or dense layer before it, whose weights are F32 and which nothing
/// else reads. Products are computed in f64 and rounded once, so results change by rounding only.
///
/// # Errors
/// The model is not valid.
pub fn fold_affine(model: Model) -> Result<Model, ConvertError> {
    rewrite(model, |walk, i| {
        let node = walk.node(i);
        let Op::MulAdd { mul, add } = &node.op else {
            return Ok(None);
        };
        let Some((layer, before)) = walk.producer(node.inputs[0]).filter(|_| walk.uses(node.inputs[0]) == 1) else {
            return Ok(None);
        };
        let (Op::Conv2d { weight, bias, .. } | Op::Conv2dTranspose { weight, bias, .. } | Op::Dense { weight, bias }) =
            &before.op
        else {
            return Ok(None);
        };
        let (Some(mul), Some(add)) = (walk.f32(mul).map(<[f32]>::to_vec), walk.f32(add).map(<[f32]>::to_vec)) else {
            return Ok(None);
        };
        let op = before.op.clone();
        let Some((weights, biases)) = folded(walk, weight, bias.as_deref(), &mul, &add)? else {
            return Ok(None);
        };
        let weight_name = walk.tensor(&format!("{weight}.folded", weight = tensor_of(&op)), weights);
        let bias_name = walk.tensor(&format!("{}.bias", walk.node(layer).name), biases);
        let op = match op {
            Op::Conv2d { geometry, groups, .. } => {
                Op::Conv2d { weight: weight_name, bias: Some(bias_name), geometry, groups }
            }
            Op::Conv2dTranspose { geometry, groups, .. } => {
                Op::Conv2dTranspose { weight: weight_name, bias: Some(bias_name), geometry, groups }
            }
            _ => Op::Dense { weight: weight_name, bias: Some(bias_name) },
        };
        Ok(Some(walk.copy_as(layer, op)))
    })
}

fn tensor_of(op: &Op) -> &str {
    op.tensors().first().copied().unwrap_or_default()
}

/// `weight * mul` per output channel, and `bias * mul + add`; `None` for weights of bits.
fn folded(
    walk: &Rewrite,
    weight: &str,
    bias: Option<&str>,
    mul: &[f32],
    add: &[f32],
) -> Result<Option<(Tensor, Tensor)>, ConvertError> {
    let Some(tensor) = walk.tensors.get(weight) else {
        return Ok(None);
    };
    let Some(data) = tensor.as_f32() else {
        return Ok(None);
    };
    let product = |a: f32, b: f32| f64::from(a) * f64::from(b);
    let rows = data.chunks_exact(tensor.row_len()).zip(mul);
    let weights = rows.flat_map(|(row, &m)| row.iter().map(move |&w| product(w, m) as f32)).collect();
    let bias = bias.and_then(|bias| walk.f32(bias)).map_or_else(|| vec![0.0; mul.len()], <[f32]>::to_vec);
    let biases = bias.iter().zip(mul).zip(add).map(|((&b, &m), &a)| (product(b, m) + f64::from(a)) as f32).collect();
    Ok(Some((Tensor::f32(tensor.shape(), weights)?, Tensor::f32([mul.len()], biases)?)))
}
