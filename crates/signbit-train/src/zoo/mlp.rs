//! Courbariaux's multi-layer perceptron: three hidden layers of binary weights, a real last layer. The first layer
//! reads real pixels with binary weights.

use super::ZooError;
use super::blocks::{Activations, Blocks};
use crate::network::Var;
use crate::recipe::Recipe;

/// width-width-width-classes.
pub(super) fn build(blocks: &mut Blocks, mut x: Activations, recipe: &Recipe, classes: usize) -> Result<Var, ZooError> {
    if !blocks.shape(x.x()).is_vector() {
        x = blocks.flatten("flatten", x)?;
    }
    for i in 1..=3 {
        let y = blocks.dense(&format!("dense{i}"), x, recipe.width)?;
        x = blocks.activate(&format!("norm{i}"), y)?;
    }
    blocks.last("dense4", x, classes)
}
