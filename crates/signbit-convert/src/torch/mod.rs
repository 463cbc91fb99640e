//! PyTorch: state dicts in `.safetensors` files.
//!
//! A state dict holds names and numbers, but not which layer reads what: that comes from an [`Architecture`], or from
//! one of the published networks that are recognised by their names.
//!
//! | file | network |
//! |---|---|
//! | `reactnet` | ReActNet-A |
//! | `reactnet_resnet`, `bireal` | ReActNet-18 and -34, Bi-Real-18 and -34; both in the frame of `resnet` |
//! | `recipe` | those that a signbit recipe names |
//! | `layouts` | the pieces that these are made of |
//! | `weights` | the tensors of a file |
//!
//! Pickle (`.pt`, `.pth`) is never read: it is a program that would be run.

mod bireal;
mod layouts;
mod reactnet;
mod reactnet_resnet;
mod recipe;
mod resnet;
mod weights;

use signbit_model::Shape;
use signbit_train::recipe::Recipe;

use crate::architecture::{Architecture, build};
use crate::{ConvertError, Imported};

pub(crate) use weights::{Real, StateDict};

/// Reads a `.safetensors` file of f32, f16, bf16 or f64 tensors. `module.` before all names is left out.
///
/// # Errors
/// [`ConvertError::Malformed`] for a file that is not whole, [`ConvertError::Kind`] for pickle,
/// [`ConvertError::MissingWeight`] and [`ConvertError::WeightShape`] where weights and architecture do not fit,
/// [`ConvertError::Architecture`] where there is no architecture and the network is none of the known ones.
pub fn read(bytes: &[u8], architecture: Option<&Architecture>) -> Result<Imported, ConvertError> {
    refuse_pickle(bytes)?;
    let weights = StateDict::parse(bytes)?;
    match architecture {
        Some(architecture) => build(architecture, &weights),
        None if reactnet::is(&weights) => reactnet::read(&weights),
        None if reactnet_resnet::is(&weights) => reactnet_resnet::read(&weights),
        None if bireal::is(&weights) => bireal::read(&weights),
        None => Err(unknown(&weights)),
    }
}

/// Reads a `.safetensors` file as the weights of a recipe's network, and packs it: what comes out needs no passes. Without
/// an `input` shape, it is deduced from the weights, which tell that of square pictures; `xnornet-small` takes the
/// recipe's `data.size`. The names are `conv1.weight`, `norm1.running_mean` and so on, the recipe's layers with PyTorch's
/// tensors.
///
/// # Errors
/// As [`read`]; [`ConvertError::Architecture`] also where the recipe does not fit the input.
pub fn read_with_recipe(bytes: &[u8], recipe: &Recipe, input: Option<Shape>) -> Result<Imported, ConvertError> {
    refuse_pickle(bytes)?;
    recipe::read(&StateDict::parse(bytes)?, bytes.len(), recipe, input)
}

fn unknown(weights: &StateDict<'_>) -> ConvertError {
    let found = weights.some_names();
    ConvertError::Architecture(format!(
        "a state dict does not say which layer reads which weight, and its names are of no known network ({found}); give \
         an architecture file or a recipe with it"
    ))
}

/// A `.pt` or `.pth` file is an archive with `data.pkl`, or older, bare pickle.
fn refuse_pickle(bytes: &[u8]) -> Result<(), ConvertError> {
    // A safetensors file begins with its header's length in eight bytes, whose first may be pickle's 0x80 as well.
    let safetensors = bytes.get(8) == Some(&b'{');
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0x80]) && !safetensors {
        let what = "this is pickle (.pt, .pth), which is never read; save it again in Python: from \
                    safetensors.torch import save_file; save_file({k: v.contiguous().clone() for k, v in \
                    model.state_dict().items()}, \"model.safetensors\")";
        return Err(ConvertError::Malformed { format: "safetensors", what: what.into() });
    }
    Ok(())
}
