//! The networks that a recipe can name, one file each.

mod binarynet;
mod bireal_resnet20;
mod blocks;
mod mlp;
mod shortcuts;
mod small_cnn;
mod xnornet_small;

use signbit_model::Shape;

use blocks::Blocks;

use crate::network::{Network, NetworkBuilder, NetworkError};
use crate::recipe::{NetworkKind, Recipe, RecipeError};

/// Most parameters of a network: with gradients and two averages, 8 GiB.
pub const MAX_PARAMETERS: u128 = 1 << 29;

/// Most pixels of a side, channels or classes.
const MAX_SIDE: usize = 1 << 28;

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
    // First how large it would be.
    lay_out(recipe, NetworkBuilder::blank(input), classes)?;
    Ok(lay_out(recipe, NetworkBuilder::new(input, recipe.seed), classes)?.finish()?)
}

/// The network of `recipe` with all numbers 0: its layers and sizes without the time that weights take.
///
/// # Errors
/// As [`build`].
pub fn blank(recipe: &Recipe, input: Shape, classes: usize) -> Result<Network, ZooError> {
    recipe.validate()?;
    Ok(lay_out(recipe, NetworkBuilder::blank(input), classes)?.finish()?)
}

/// How many trained numbers the network of `recipe` has, without building it.
///
/// # Errors
/// Where the pictures are too small for the network.
pub fn parameters(recipe: &Recipe, input: Shape, classes: usize) -> Result<u128, ZooError> {
    Ok(lay_out(recipe, NetworkBuilder::blank(input), classes)?.sizes().0)
}

/// Adds the layers, and refuses more parameters than [`MAX_PARAMETERS`].
fn lay_out(recipe: &Recipe, builder: NetworkBuilder, classes: usize) -> Result<NetworkBuilder, ZooError> {
    let too_large = |parameters| ZooError::TooLarge { width: recipe.width, parameters };
    let input = builder.ty(builder.input()).shape;
    // What is below may then multiply two sides.
    if input.h.max(input.w).max(input.c) > MAX_SIDE || classes > MAX_SIDE {
        return Err(too_large(u128::MAX));
    }
    let (mut blocks, x) = Blocks::new(recipe, builder)?;
    let build = match recipe.network {
        NetworkKind::Mlp => mlp::build,
        NetworkKind::SmallCnn => small_cnn::build,
        NetworkKind::BinaryNet => binarynet::build,
        NetworkKind::XnorNetSmall => xnornet_small::build,
        NetworkKind::BirealResnet20 => bireal_resnet20::build,
    };
    let built = build(&mut blocks, x, recipe, classes);
    let (parameters, _) = blocks.builder.sizes();
    if parameters > MAX_PARAMETERS {
        return Err(too_large(parameters));
    }
    built?;
    Ok(blocks.builder)
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
                assert_eq!(parameters(&recipe, shape, classes).unwrap(), built, "{name} {shape:?}");
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
