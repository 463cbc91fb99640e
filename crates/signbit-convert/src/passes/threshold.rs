//! What stands between an integer dot product and a sign becomes one comparison per channel.
//!
//! Scale factor, bias, batch norm, activations: whatever the chain of operators, it is a function f of one integer d
//! with -K <= d <= K. Its sign is computed for every d by the reference interpreter itself. Where it changes at most
//! once, the chain is `(d >= t) XOR flip`, exactly, ties and roundings included.
//!
//! A max pool inside of the chain moves to its end: where the part before it does not decrease, max(g(d)) = g(max(d)). A
//! channel where it does not increase has its weights negated first, d -> -d. Behind it, bits without flips are pooled
//! as bits; with flips the integers are.

use signbit_model::{Model, Op, Tensor, ValueId};

use super::chain::{Chain, Direction, Responses};
use super::rewrite::{Rewrite, rewrite};
use crate::ConvertError;

/// Turns chains from a binary layer to a sign into thresholds. Changes no value.
///
/// Left as they are: chains whose sign changes more than once in a channel, and those whose number of dot products
/// times channels is over [`super::chain::LIMIT`].
///
/// # Errors
/// The model is not valid.
pub fn threshold(model: Model) -> Result<Model, ConvertError> {
    rewrite(model, |walk, i| {
        let Some(chain) = Chain::to(walk, i) else {
            return Ok(None);
        };
        let Some(responses) = Responses::of(walk, &chain)? else {
            return Ok(None);
        };
        let negated = responses.below.contains(&Direction::Falling);
        if negated && walk.uses(chain.dot) > 1 {
            return Ok(None);
        }
        let name = walk.node(i).name.clone();
        let (thresholds, flips) = responses.thresholds();
        let dot = if negated { negate_falling(walk, &chain, &responses)? } else { walk.at(chain.dot) };
        let flipped = flips.contains(&1);
        let threshold = walk.tensor(&format!("{name}.threshold"), Tensor::i32([thresholds.len()], thresholds)?);
        let flip = walk.tensor(&format!("{name}.flip"), Tensor::bits_from_signs([1, flips.len()], &flips)?);
        let compare = Op::Threshold { threshold, flip };
        let pools = chain.pools.iter().map(|&p| (walk.node(p).name.clone(), walk.node(p).op.clone()));
        let pools: Vec<(String, Op)> = pools.collect();
        let pool =
            |walk: &mut Rewrite, x: ValueId| pools.iter().fold(x, |x, (name, op)| walk.add(name, op.clone(), &[x]));
        Ok(Some(if flipped {
            let pooled = pool(walk, dot);
            walk.add(&name, compare, &[pooled])
        } else {
            let bits = walk.add(&name, compare, &[dot]);
            pool(walk, bits)
        }))
    })
}

/// The binary layer of `chain` with the weights of falling channels negated.
fn negate_falling(walk: &mut Rewrite, chain: &Chain, responses: &Responses) -> Result<ValueId, ConvertError> {
    let mut op = walk.node(chain.layer).op.clone();
    if let Op::BinaryConv2d { weight, .. } | Op::BinaryConv2dTranspose { weight, .. } | Op::BinaryDense { weight } =
        &mut op
        && let Some(tensor) = walk.tensors.get(weight)
        && let Some(mut signs) = tensor.to_signs()
    {
        let row = tensor.row_len();
        for (row, _) in signs.chunks_exact_mut(row).zip(&responses.below).filter(|(_, d)| **d == Direction::Falling) {
            row.iter_mut().for_each(|sign| *sign = -*sign);
        }
        let negated = Tensor::bits_from_signs(tensor.shape(), &signs)?;
        *weight = walk.tensor(&format!("{weight}.negated"), negated);
    }
    Ok(walk.copy_as(chain.layer, op))
}
