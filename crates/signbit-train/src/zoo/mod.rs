//! The networks that a recipe can name: a file for each family, and the catalog of all.

mod binarynet;
mod bireal;
mod blocks;
mod catalog;
mod densenet;
mod meliusnet;
mod mlp;
mod quicknet;
mod reactnet;
mod real_to_binary;
mod shortcuts;
mod small_cnn;
mod xnornet;
mod xnornet_small;

use signbit_model::Shape;

use blocks::Blocks;
use catalog::entry_of_kind;
pub use catalog::{ENTRIES, Entry, Larq, Published, entry_of};

use crate::network::{Network, NetworkBuilder, NetworkError};
use crate::params::ParamInfo;
use crate::recipe::{Recipe, RecipeError};

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

/// How many numbers a network has, as Larq's summary counts them: a batch norm is two for each channel, which is what is
/// left of it in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Weights that are binary in use: a bit each.
    pub binary: u64,
    /// Other numbers, those of fixed kernels too.
    pub real: u64,
    /// Every number of the network in training, with each factor, offset, mean and variance of its batch norms.
    pub every: u64,
}

impl Count {
    /// Of a network.
    pub fn of(network: &Network) -> Self {
        let params = network.params();
        let sum = |infos: &mut dyn Iterator<Item = &ParamInfo>| infos.map(|info| info.range.len()).sum::<usize>();
        let binary = sum(&mut params.latents());
        let every = params.values().len() + params.states().len();
        let means = params.state_infos().iter().filter_map(|info| info.name.strip_suffix("mean"));
        let norms: Vec<String> = means.flat_map(|l| [format!("{l}gamma"), format!("{l}beta")]).collect();
        let trained = sum(&mut params.infos().iter().filter(|info| norms.contains(&info.name)));
        // What remains of a batch norm is its mean and variance, two for each channel.
        let real = every - binary - trained;
        Self { binary: binary as u64, real: real as u64, every: every as u64 }
    }

    /// All numbers: what Larq's summary calls the parameters.
    pub fn total(self) -> u64 {
        self.binary + self.real
    }

    /// The memory that Larq's summary names, in MiB: a bit for a binary weight and 4 bytes for every other number.
    pub fn mebibytes(self) -> f64 {
        (self.binary as f64 / 8.0 + 4.0 * self.real as f64) / f64::from(1 << 20)
    }
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
    let build = entry_of_kind(recipe.network).build;
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

    /// Weights and batch norms as Larq Zoo has them: its counts and sizes come out.
    #[test]
    fn counts_are_the_published_ones() {
        let mut wrong = Vec::new();
        for entry in ENTRIES {
            let Some(Larq { parameters, every_number, mebibytes }) = entry.published.and_then(|p| p.larq) else {
                continue;
            };
            let recipe = Recipe::by_name(entry.name).unwrap();
            let count = Count::of(&blank(&recipe, entry.input, entry.classes).unwrap());
            let total = if every_number { count.every } else { count.total() };
            if total != parameters || (count.mebibytes() - mebibytes).abs() > 0.005001 {
                wrong.push(format!("{}: {total} and {:.4}, {count:?}", entry.name, count.mebibytes()));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn every_network_has_its_entry() {
        let names: Vec<_> = ENTRIES.iter().map(|entry| entry.name).collect();
        assert_eq!(names, NETWORKS);
        for entry in ENTRIES {
            assert_eq!(Recipe::by_name(entry.name).unwrap().network, entry.kind);
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
