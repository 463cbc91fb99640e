//! The networks that a recipe can name, one file each.

mod binarynet;
mod blocks;
mod mlp;
mod small_cnn;
mod xnornet_small;

use signbit_model::Shape;

use crate::network::{Network, NetworkError};
use crate::recipe::{NetworkKind, Recipe, RecipeError};

/// Most parameters of a network: with gradients and two averages, 8 GiB.
pub const MAX_PARAMETERS: u128 = 1 << 29;

/// A network that cannot be built from its recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZooError {
    /// The recipe is wrong.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// More parameters than [`MAX_PARAMETERS`].
    #[error("a width of {width} gives {parameters} parameters; at most {MAX_PARAMETERS} are allowed")]
    TooLarge {
        /// The recipe's.
        width: usize,
        /// How many there would be.
        parameters: u128,
    },
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
    let parameters = parameters(recipe, input, classes);
    if parameters > MAX_PARAMETERS {
        return Err(ZooError::TooLarge { width: recipe.width, parameters });
    }
    Ok(match recipe.network {
        NetworkKind::Mlp => mlp::build(recipe, input, classes)?,
        NetworkKind::SmallCnn => small_cnn::build(recipe, input, classes)?,
        NetworkKind::BinaryNet => binarynet::build(recipe, input, classes)?,
        NetworkKind::XnorNetSmall => xnornet_small::build(recipe, input, classes)?,
    })
}

/// How many trained numbers the network of `recipe` has, without building it, and without learned shifts and scale
/// factors, which are at most one per channel of a layer.
pub fn parameters(recipe: &Recipe, input: Shape, classes: usize) -> u128 {
    let Shape { h, w, c } = input;
    let [h, w, c, width, classes] = [h, w, c, recipe.width, classes].map(|v| v as u128);
    match recipe.network {
        NetworkKind::Mlp => mlp::parameters(h.saturating_mul(w).saturating_mul(c), width, classes),
        NetworkKind::SmallCnn => small_cnn::parameters([h, w, c], width, classes),
        NetworkKind::BinaryNet => binarynet::parameters([h, w, c], width, classes),
        NetworkKind::XnorNetSmall => xnornet_small::parameters(c, width, classes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::NETWORKS;

    #[test]
    fn the_count_is_that_of_the_built_network() {
        for name in NETWORKS {
            for (shape, classes) in [(Shape::new(8, 8, 1), 10), (Shape::new(19, 9, 3), 4)] {
                let recipe = Recipe { width: 12, ..Recipe::by_name(name).unwrap() };
                let built = build(&recipe, shape, classes).unwrap().params().values().len() as u128;
                assert_eq!(parameters(&recipe, shape, classes), built, "{name} {shape:?}");
            }
        }
    }

    #[test]
    fn a_network_beyond_memory_is_refused_before_it_is_built() {
        for name in NETWORKS {
            let recipe = Recipe { width: 65_536, ..Recipe::by_name(name).unwrap() };
            let result = build(&recipe, Shape::new(28, 28, 1), 10);
            assert!(matches!(result, Err(ZooError::TooLarge { .. })), "{name}");
            let huge = Shape::new(usize::MAX, usize::MAX, usize::MAX);
            assert!(matches!(build(&recipe, huge, 10), Err(ZooError::TooLarge { .. })), "{name}");
        }
    }
}
