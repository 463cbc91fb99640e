//! Equal tensors are kept once.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use signbit_model::{Model, Tensor};

use super::prune;
use crate::ConvertError;

/// Makes nodes whose tensors are equal, bit by bit, read the same one. Changes no value.
///
/// # Errors
/// The model is not valid.
pub fn share_tensors(mut model: Model) -> Result<Model, ConvertError> {
    let mut first: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut renamed: BTreeMap<String, String> = BTreeMap::new();
    for (name, tensor) in &model.tensors {
        let alike = first.entry(hash(tensor)).or_default();
        match alike.iter().find(|other| equal(tensor, &model.tensors[*other])) {
            Some(other) => {
                renamed.insert(name.clone(), other.clone());
            }
            None => alike.push(name.clone()),
        }
    }
    for name in model.graph.nodes.iter_mut().flat_map(|node| node.op.tensors_mut()) {
        if let Some(other) = renamed.get(name) {
            name.clone_from(other);
        }
    }
    prune(&mut model);
    Ok(model)
}

fn hash(tensor: &Tensor) -> u64 {
    let mut hasher = DefaultHasher::new();
    tensor.shape().hash(&mut hasher);
    match tensor {
        Tensor::F32 { data, .. } => data.iter().for_each(|v| v.to_bits().hash(&mut hasher)),
        Tensor::I32 { data, .. } => data.hash(&mut hasher),
        Tensor::Bits { rows, .. } => rows.hash(&mut hasher),
    }
    hasher.finish()
}

/// Equal bit by bit: -0.0 is not 0.0, and a NaN equals itself.
fn equal(a: &Tensor, b: &Tensor) -> bool {
    match (a.as_f32(), b.as_f32()) {
        (Some(x), Some(y)) => a.shape() == b.shape() && x.iter().map(|v| v.to_bits()).eq(y.iter().map(|v| v.to_bits())),
        _ => a == b,
    }
}
