//! Small rewrites of a graph, each with one idea: from a draft as another system has it to bits and thresholds.
//!
//! [`simplify`] runs them in an order in which each finds what the one before it left. Constants are folded by the
//! readers: a graph has none.

mod binarize;
pub mod chain;
mod fold_affine;
mod fold_pad;
mod merge_mul_add;
mod prune;
mod rewrite;
mod rsign;
mod share_tensors;
mod short_names;
mod sign_before_pool;
mod threshold;
mod uniform;
mod unpack_late;

pub use binarize::{SPREAD, binarize};
pub use fold_affine::fold_affine;
pub use fold_pad::fold_pad;
pub use merge_mul_add::merge_mul_add;
pub use prune::prune;
pub use rsign::rsign;
pub use share_tensors::share_tensors;
pub use short_names::short_names;
pub use sign_before_pool::sign_before_pool;
pub use threshold::threshold;
pub use uniform::uniform;
pub use unpack_late::unpack_late;

use crate::{ConvertError, Imported};

/// Runs all passes on what a reader found.
///
/// # Errors
/// The model is not valid.
pub fn simplify(imported: Imported) -> Result<Imported, ConvertError> {
    let Imported { mut model, mut warnings, operators } = imported;
    // Zeros go into a window before signs are moved, +1 and -1 when the layers are binary.
    model = fold_pad(model)?;
    model = unpack_late(model)?;
    model = binarize(model, &mut warnings)?;
    model = fold_pad(model)?;
    model = threshold(model)?;
    model = sign_before_pool(model)?;
    model = unpack_late(model)?;
    model = merge_mul_add(model)?;
    model = fold_affine(model)?;
    model = rsign(model)?;
    model = uniform(model)?;
    model = share_tensors(model)?;
    model = short_names(model)?;
    model.validate()?;
    Ok(Imported { model, warnings, operators })
}
