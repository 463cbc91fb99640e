//! Courbariaux's multi-layer perceptron: three hidden layers of binary weights, a real last layer. The first layer
//! reads real pixels with binary weights.

use signbit_model::Shape;

use super::ZooError;
use super::blocks::Blocks;
use crate::network::Network;
use crate::recipe::Recipe;

/// width-width-width-classes.
pub(super) fn build(recipe: &Recipe, input: Shape, classes: usize) -> Result<Network, ZooError> {
    let (mut blocks, mut x) = Blocks::new(recipe, input)?;
    if !input.is_vector() {
        x = blocks.flatten("flatten", x)?;
    }
    for i in 1..=3 {
        let y = blocks.dense(&format!("dense{i}"), x, recipe.width)?;
        x = blocks.activate(&format!("norm{i}"), y)?;
    }
    blocks.last("dense4", x, classes)?;
    blocks.finish()
}

/// Weights, batch-norm factors and offsets, and the last layer's biases.
pub(super) fn parameters(input: u128, width: u128, classes: u128) -> u128 {
    let last = classes.saturating_mul(width + 1);
    input.saturating_mul(width).saturating_add(2 * width * width + 6 * width).saturating_add(last)
}
