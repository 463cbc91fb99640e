//! What a recipe says of its optimisers.

use serde::{Deserialize, Serialize};

use super::{Recipe, RecipeError, ScaleFactor};
use crate::optim::{Adam, Bop, Optimizer, Scope, Sgd};
use crate::range::OutOfRange;

/// The optimisers of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Adam with its usual decays.
    Adam,
    /// Adam with decoupled weight decay.
    #[serde(rename = "adamw")]
    AdamW,
    /// Gradient descent with this momentum.
    Sgd {
        /// Share of the old velocity.
        momentum: f32,
    },
}

/// The optimiser of binary weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryOptimizer {
    /// The recipe's optimiser, on latent weights.
    #[default]
    Latent,
    /// Bop, without latent weights; the recipe's optimiser is that of the rest.
    Bop {
        /// A weight flips where the average of its gradient is larger.
        threshold: f32,
        /// Share of the new gradient in the average, at the highest learning rate.
        gamma: f32,
    },
}

impl Recipe {
    /// A fresh optimiser of the recipe's kind.
    pub fn build_optimizer(&self) -> Box<dyn Optimizer> {
        let latent = self.binary_optimizer == BinaryOptimizer::Latent;
        let scope = Scope { latent, decay: self.weight_decay, decay_latent: self.decay_latent_weights };
        let own: Box<dyn Optimizer> = match self.optimizer {
            OptimizerKind::Adam => Box::new(Adam::new(scope, false)),
            OptimizerKind::AdamW => Box::new(Adam::new(scope, true)),
            OptimizerKind::Sgd { momentum } => Box::new(Sgd::new(momentum).with_scope(scope)),
        };
        match self.binary_optimizer {
            BinaryOptimizer::Latent => own,
            BinaryOptimizer::Bop { threshold, gamma } => Box::new(Bop::new(threshold, gamma, self.learning_rate, own)),
        }
    }

    /// Checks every number of the optimisers, and what does not go together.
    pub(super) fn validate_optimizers(&self) -> Result<(), RecipeError> {
        if let OptimizerKind::Sgd { momentum } = self.optimizer {
            OutOfRange::unless((0.0..1.0).contains(&momentum), "momentum", momentum, "from 0 to below 1")?;
        }
        let (decay, clip) = (self.weight_decay, self.clip_norm);
        OutOfRange::unless((0.0..=1.0).contains(&decay), "weight decay", decay, "from 0 to 1")?;
        OutOfRange::unless(clip >= 0.0 && clip.is_finite(), "clip norm", clip, "0 (no clipping) or above")?;
        let BinaryOptimizer::Bop { threshold, gamma } = self.binary_optimizer else { return Ok(()) };
        let ok = threshold >= 0.0 && threshold.is_finite();
        OutOfRange::unless(ok, "threshold of bop", threshold, "0 or above")?;
        OutOfRange::unless(gamma > 0.0 && gamma <= 1.0, "gamma of bop", gamma, "above 0 and at most 1")?;
        if self.decay_latent_weights {
            return Err(RecipeError::Together(
                "bop has no latent weights that could decay; set decay_latent_weights = false",
            ));
        }
        if matches!(self.scale, ScaleFactor::Alpha | ScaleFactor::AlphaK | ScaleFactor::AbsOfMean) {
            return Err(RecipeError::Together(
                "bop has no latent weights to take a scale factor from; set scale = \"none\"",
            ));
        }
        if !self.weight_quantizer()?.is_one_within_the_clip() {
            return Err(RecipeError::Together(
                "bop has weights of +1 and -1 only, where this quantizer has no slope; set weight_quantizer = \"ste_sign\"",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_or_does_not_go_together_is_told() {
        let good = Recipe::by_name("mlp").unwrap();
        let bop = BinaryOptimizer::Bop { threshold: 1e-8, gamma: 1e-4 };
        let bop = Recipe { binary_optimizer: bop, ..good.clone() };
        assert_eq!(bop.validate(), Ok(()));
        let numbers = |threshold, gamma| BinaryOptimizer::Bop { threshold, gamma };
        let bad = [
            ("momentum is 1", Recipe { optimizer: OptimizerKind::Sgd { momentum: 1.0 }, ..good.clone() }),
            ("weight decay is -1", Recipe { weight_decay: -1.0, ..good.clone() }),
            ("weight decay is NaN", Recipe { weight_decay: f32::NAN, ..good.clone() }),
            ("clip norm is -1", Recipe { clip_norm: -1.0, ..good.clone() }),
            ("clip norm is inf", Recipe { clip_norm: f32::INFINITY, ..good.clone() }),
            ("threshold of bop is -1", Recipe { binary_optimizer: numbers(-1.0, 0.1), ..good.clone() }),
            ("gamma of bop is 0", Recipe { binary_optimizer: numbers(0.0, 0.0), ..good.clone() }),
            ("decay_latent_weights = false", Recipe { decay_latent_weights: true, ..bop.clone() }),
            ("scale = \"none\"", Recipe { scale: ScaleFactor::Alpha, ..bop.clone() }),
            ("weight_quantizer = \"ste_sign\"", Recipe { weight_quantizer: "approx_sign".into(), ..bop }),
        ];
        for (words, recipe) in bad {
            let message = recipe.validate().unwrap_err().to_string();
            assert!(message.contains(words), "{words}: {message}");
        }
    }
}
