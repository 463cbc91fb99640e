//! What a reader gives: the model, and what its user must know.

use std::collections::BTreeMap;
use std::fmt;

use signbit_model::Model;

/// A network as a reader found it, before [`crate::passes`].
#[derive(Debug, Clone)]
pub struct Imported {
    /// The network.
    pub model: Model,
    /// What the user must know, in the order of the network.
    pub warnings: Vec<Warning>,
    /// How often each of the source's operators was found, by the source's names.
    pub operators: BTreeMap<String, usize>,
}

/// Something that is not exactly as in the source, or not as one would hope.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The source's sign of 0 is 0; here it is +1.
    SignOfZero {
        /// The node.
        node: String,
    },
    /// Weights that are exactly 0 became +1.
    ZeroWeights {
        /// The layer.
        node: String,
        /// How many.
        zeros: usize,
        /// Of how many.
        total: usize,
    },
    /// A layer behind a sign whose weights are not +-alpha per output channel: it stays real.
    RealWeights {
        /// The layer.
        node: String,
    },
    /// The magnitudes of a channel's weights differ a little; their mean was taken.
    UnequalMagnitudes {
        /// The layer.
        node: String,
        /// Largest relative distance of a weight's magnitude from its channel's mean.
        spread: f32,
    },
    /// Anything else.
    Other {
        /// The node.
        node: String,
        /// What, in one line without the node's name.
        what: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignOfZero { node } => write!(f, "{node}: sign(0) is 0 in the source, +1 here"),
            Self::ZeroWeights { node, zeros, total } => {
                write!(f, "{node}: {zeros} of {total} weights are 0 in the source, +1 here")
            }
            Self::RealWeights { node } => {
                write!(f, "{node}: its weights are not +-alpha per output channel, it stays real")
            }
            Self::UnequalMagnitudes { node, spread } => {
                write!(
                    f,
                    "{node}: the magnitudes of a channel's weights differ by up to {spread:.1e}, their mean was taken"
                )
            }
            Self::Other { node, what } => write!(f, "{node}: {what}"),
        }
    }
}
