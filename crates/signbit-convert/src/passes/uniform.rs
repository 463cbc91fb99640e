//! The same factor and summand for every channel need no tensors.

use signbit_model::{Model, Op};

use super::rewrite::rewrite;
use crate::ConvertError;

/// Turns `x * mul[c] + add[c]` with one number for all channels into [`Op::Affine`]. Changes no value.
///
/// # Errors
/// The model is not valid.
pub fn uniform(model: Model) -> Result<Model, ConvertError> {
    rewrite(model, |walk, i| {
        let Op::MulAdd { mul, add } = &walk.node(i).op else {
            return Ok(None);
        };
        let same = |name: &str| {
            let (&first, rest) = walk.f32(name)?.split_first()?;
            (first.is_finite() && rest.iter().all(|v| v.to_bits() == first.to_bits())).then_some(first)
        };
        let (Some(mul), Some(add)) = (same(mul), same(add)) else {
            return Ok(None);
        };
        Ok(Some(walk.copy_as(i, Op::Affine { mul, add })))
    })
}
