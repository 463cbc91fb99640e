//! The networks that a recipe can name, one file each.

mod blocks;
mod mlp;
mod small_cnn;

use signbit_model::Shape;

use crate::network::{Network, NetworkError};
use crate::recipe::{NetworkKind, Recipe, RecipeError};

/// A network that cannot be built from its recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZooError {
    /// The recipe is wrong.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The recipe does not fit the data.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// The network of `recipe` for inputs of this shape and `classes` outputs, with initial weights of the recipe's seed.
///
/// # Errors
/// Where a number of the recipe is out of range, or the pictures are too small for the network.
pub fn build(recipe: &Recipe, input: Shape, classes: usize) -> Result<Network, ZooError> {
    recipe.validate()?;
    Ok(match recipe.network {
        NetworkKind::Mlp => mlp::build(recipe, input, classes)?,
        NetworkKind::SmallCnn => small_cnn::build(recipe, input, classes)?,
    })
}
