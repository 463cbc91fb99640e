//! What is trained, and how: every choice of a run in one place. A run keeps its recipe, so that it can be
//! packed, checked and repeated.

mod distillation;
mod file;
mod networks;
mod optimizer;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use networks::{NETWORKS, NetworkKind};

use crate::data::{Augmentation, DataOptions};
use crate::ops::WeightScale;
use crate::optim::Decay;
use crate::quantizer::{self, Kind, Quantizer, QuantizerError};
use crate::range::{MAX_SEED, OutOfRange, SEEDS};

pub use distillation::Distillation;
pub use optimizer::{BinaryOptimizer, OptimizerKind};

/// The scale factors of binary layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleFactor {
    /// None: ±1 weights as they are.
    #[default]
    None,
    /// alpha = mean |W| per output channel (Rastegari et al. 2016, arXiv 1603.05279, eq. 6).
    Alpha,
    /// alpha, and the map K of the activations (section 3.2 there).
    AlphaK,
    /// |mean W|, which some articles print for alpha.
    AbsOfMean,
    /// A trained factor per output channel (XNOR-Net++, arXiv 1909.13863).
    Learned,
    /// The same, and one for each row and each column of a convolution's output.
    LearnedMap,
}

impl ScaleFactor {
    /// The factor on the weights.
    pub fn weight(self) -> WeightScale {
        match self {
            Self::None => WeightScale::None,
            Self::Alpha | Self::AlphaK => WeightScale::Alpha,
            Self::AbsOfMean => WeightScale::AbsOfMean,
            Self::Learned | Self::LearnedMap => WeightScale::Learned,
        }
    }

    /// Whether activations have their map K.
    pub fn map(self) -> bool {
        self == Self::AlphaK
    }
}

/// A loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// Softmax cross entropy.
    #[default]
    CrossEntropy,
    /// Half the mean squared error; for classes the target is +1 for the right one and -1 for the others.
    SquaredError,
}

/// Highest learning rate of a real-valued twin that is given none.
pub const TWIN_RATE: f32 = 1e-3;

/// Every choice of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Which network.
    pub network: NetworkKind,
    /// Width of hidden layers: units of `mlp`, channels of the first stage of the others.
    pub width: usize,
    /// Real numbers throughout: the twin that the binary network is measured against.
    pub twin: bool,
    /// Quantizer of activations: a name, and in parentheses the setting of one that has one, as in `swish_sign(5)`.
    pub quantizer: String,
    /// Quantizer of weights, written in the same way.
    pub weight_quantizer: String,
    /// Scale factors of binary layers.
    pub scale: ScaleFactor,
    /// Optimiser.
    pub optimizer: OptimizerKind,
    /// Highest learning rate.
    pub learning_rate: f32,
    /// Its decay.
    pub decay: Decay,
    /// Epochs of linear warm-up; a fraction is allowed.
    pub warmup_epochs: f32,
    /// Epochs in all.
    pub epochs: u32,
    /// Epochs without a better test accuracy after which the training stops before its end; 0: it never does.
    #[serde(default)]
    pub patience: u32,
    /// Samples per step.
    pub batch: usize,
    /// Loss.
    pub loss: LossKind,
    /// Decides initial weights and the order of samples.
    pub seed: u64,
    /// Share of the old running statistics in the new ones of a batch norm.
    #[serde(default = "networks::norm_momentum")]
    pub norm_momentum: f32,
    /// Optimiser of binary weights.
    #[serde(default)]
    pub binary_optimizer: BinaryOptimizer,
    /// Rate of the weight decay of real weights.
    #[serde(default)]
    pub weight_decay: f32,
    /// Whether latent weights decay too.
    #[serde(default)]
    pub decay_latent_weights: bool,
    /// Largest norm of all gradients together; 0 for any.
    #[serde(default)]
    pub clip_norm: f32,
    /// Decay of the averages of real parameters and running statistics that are evaluated and packed; 0 for none.
    #[serde(default)]
    pub average: f32,
    /// Share of the target that all classes have alike.
    #[serde(default)]
    pub label_smoothing: f32,
    /// Real weights in the layers that otherwise are binary, over binary activations: the first of two steps.
    #[serde(default)]
    pub real_weights: bool,
    /// Folder of the run whose weights are the first; "" for random ones.
    #[serde(default)]
    pub init: String,
    /// How training pictures are changed.
    pub augmentation: Augmentation,
    /// Where the data is and how it is brought into shape.
    pub data: DataOptions,
    /// A network to learn from.
    #[serde(default)]
    pub distillation: Distillation,
}

/// A recipe that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum RecipeError {
    /// No network of this name.
    #[error("there is no network {0:?}; the networks are {names}", names = NETWORKS.join(", "))]
    Network(String),
    /// No quantizer, or a wrong setting of one.
    #[error(transparent)]
    Quantizer(#[from] QuantizerError),
    /// No such key in a recipe.
    #[error("there is no key {key:?}; did you mean {nearest}?")]
    Key {
        /// What was given.
        key: String,
        /// The most similar one.
        nearest: String,
    },
    /// A value of another kind.
    #[error("{key}: {reason}")]
    Value {
        /// Of which key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Something in a recipe's file.
    #[error("{}{reason}", line.map_or(String::new(), |line| format!("line {line}: ")))]
    File {
        /// Counted from 1, where it is known.
        line: Option<usize>,
        /// What is wrong.
        reason: String,
    },
    /// A number outside of its range.
    #[error(transparent)]
    Range(#[from] OutOfRange),
    /// Two choices that exclude each other.
    #[error("{0}")]
    Together(&'static str),
}

impl RecipeError {
    /// The error with the line of the file on which it is.
    fn at(self, line: Option<usize>) -> Self {
        Self::File { line, reason: self.to_string() }
    }
}

impl Recipe {
    /// The recipe of this name, with its defaults.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn by_name(name: &str) -> Result<Self, RecipeError> {
        let base = Self {
            network: NetworkKind::Mlp,
            width: 1024,
            twin: false,
            quantizer: "ste_sign".into(),
            weight_quantizer: "ste_sign".into(),
            scale: ScaleFactor::None,
            optimizer: OptimizerKind::Adam,
            learning_rate: 3e-3,
            decay: Decay::Cosine,
            warmup_epochs: 0.0,
            epochs: 20,
            patience: 0,
            batch: 100,
            loss: LossKind::CrossEntropy,
            seed: 0,
            binary_optimizer: BinaryOptimizer::Latent,
            weight_decay: 0.0,
            decay_latent_weights: false,
            clip_norm: 0.0,
            average: 0.0,
            label_smoothing: 0.0,
            real_weights: false,
            init: String::new(),
            augmentation: Augmentation::default(),
            norm_momentum: networks::norm_momentum(),
            data: DataOptions::default(),
            distillation: Distillation::default(),
        };
        networks::defaults(name, base)
    }

    /// The same recipe in real numbers. Real weights want smaller steps than latent ones, whose size counts only by
    /// its sign: without a learning rate of its own, the twin has the recipe's or [`TWIN_RATE`], whichever is smaller.
    /// It begins with random weights: a run that the recipe begins with has binary activations.
    pub fn as_twin(&self, learning_rate: Option<f32>) -> Self {
        let learning_rate = learning_rate.unwrap_or_else(|| self.learning_rate.min(TWIN_RATE));
        Self { twin: true, learning_rate, real_weights: false, init: String::new(), ..self.clone() }
    }

    /// The quantizer of the recipe's activations.
    ///
    /// # Errors
    /// If there is none of this name, or its setting is wrong.
    pub fn quantizer(&self) -> Result<Arc<dyn Quantizer>, RecipeError> {
        Ok(quantizer::from_text(&self.quantizer)?)
    }

    /// The quantizer of the recipe's weights.
    ///
    /// # Errors
    /// If there is none of this name, or its setting is wrong.
    pub fn weight_quantizer(&self) -> Result<Arc<dyn Quantizer>, RecipeError> {
        Ok(quantizer::from_text(&self.weight_quantizer)?)
    }

    /// Whether the quantizers stand where they can be packed, and do not bring a scale factor beside the recipe's.
    fn validate_quantizers(&self) -> Result<(), RecipeError> {
        let of = |key: &str| {
            let key = key.to_owned();
            |reason| RecipeError::Value { key, reason }
        };
        quantizer::check_activations(&*self.quantizer()?).map_err(of("quantizer"))?;
        let weights = self.weight_quantizer()?;
        quantizer::check_weights(&*weights).map_err(of("weight_quantizer"))?;
        if matches!(weights.kind(), Kind::MagnitudeAware | Kind::Balanced) && self.scale != ScaleFactor::None {
            let reason = format!("{} has a scale factor of its own; write scale = \"none\"", weights.name());
            return Err(of("scale")(reason));
        }
        Ok(())
    }

    /// Checks every number, and that the quantizers can be packed.
    ///
    /// # Errors
    /// Names the first that is out of range, or does not fit.
    pub fn validate(&self) -> Result<(), RecipeError> {
        self.validate_quantizers()?;
        let (lr, warmup) = (self.learning_rate, self.warmup_epochs);
        OutOfRange::unless((1..=65_536).contains(&self.width), "width", self.width, "from 1 to 65536")?;
        OutOfRange::unless(lr > 0.0 && lr <= 10.0, "learning rate", lr, "above 0 and at most 10")?;
        let ok = warmup >= 0.0 && f64::from(warmup) <= f64::from(self.epochs);
        OutOfRange::unless(ok, "warm-up", warmup, "from 0 to the epochs")?;
        OutOfRange::unless((1..=100_000).contains(&self.epochs), "epochs", self.epochs, "from 1 to 100000")?;
        OutOfRange::unless((2..=65_536).contains(&self.batch), "batch", self.batch, "from 2 to 65536")?;
        OutOfRange::unless(self.seed <= MAX_SEED, "seed", self.seed, SEEDS)?;
        let momentum = self.norm_momentum;
        let ok = (0.0..1.0).contains(&momentum);
        OutOfRange::unless(ok, "momentum of batch norm", momentum, "from 0 to below 1")?;
        self.augmentation.validate()?;
        self.data.validate()?;
        self.distillation.validate()?;
        let (average, smoothing) = (self.average, self.label_smoothing);
        OutOfRange::unless((0.0..1.0).contains(&average), "average", average, "from 0 (none) to below 1")?;
        OutOfRange::unless((0.0..1.0).contains(&smoothing), "label smoothing", smoothing, "from 0 to below 1")?;
        if self.twin && self.real_weights {
            return Err(RecipeError::Together(
                "a twin has real weights and real activations; set real_weights = false",
            ));
        }
        self.validate_optimizers()?;
        if let Decay::Step { parts, factor } = self.decay {
            OutOfRange::unless((1..=1000).contains(&parts), "parts of the step decay", parts, "from 1 to 1000")?;
            let ok = factor > 0.0 && factor <= 1.0;
            OutOfRange::unless(ok, "factor of the step decay", factor, "above 0 and at most 1")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_out_of_range_is_named() {
        let good = Recipe::by_name("mlp").unwrap();
        assert_eq!(good.validate(), Ok(()));
        let bad = [
            ("width", Recipe { width: 0, ..good.clone() }),
            ("learning rate", Recipe { learning_rate: 0.0, ..good.clone() }),
            ("learning rate", Recipe { learning_rate: f32::NAN, ..good.clone() }),
            ("warm-up", Recipe { warmup_epochs: 21.0, ..good.clone() }),
            ("epochs", Recipe { epochs: 0, ..good.clone() }),
            ("batch", Recipe { batch: 1, ..good.clone() }),
            ("parts of", Recipe { decay: Decay::Step { parts: 0, factor: 0.1 }, ..good.clone() }),
            ("factor of", Recipe { decay: Decay::Step { parts: 2, factor: 0.0 }, ..good.clone() }),
            ("quantizer", Recipe { quantizer: "signum".into(), ..good.clone() }),
            ("steepness", Recipe { weight_quantizer: "swish_sign(-1)".into(), ..good.clone() }),
            ("average", Recipe { average: 1.0, ..good.clone() }),
            ("label smoothing", Recipe { label_smoothing: 1.0, ..good.clone() }),
            ("real_weights = false", Recipe { twin: true, real_weights: true, ..good.clone() }),
        ];
        for (word, recipe) in bad {
            let message = recipe.validate().unwrap_err().to_string();
            assert!(message.contains(word), "{word}: {message}");
        }
        assert!(Recipe::by_name("lenet").unwrap_err().to_string().contains(&NETWORKS.join(", ")));
    }

    #[test]
    fn a_quantizer_that_cannot_be_packed_is_refused_with_the_reason() {
        let good = Recipe::by_name("mlp").unwrap();
        let activations = |name: &str| Recipe { quantizer: name.into(), ..good.clone() };
        let weights = |name: &str| Recipe { weight_quantizer: name.into(), ..good.clone() };
        let cases = [
            (activations("dorefa(2)"), "quantizer: dorefa: activations of k bits, from 0 to 1, cannot be packed to ±1"),
            (activations("ste_tern"), "quantizer: ste_tern: its values are -1, 0 and +1; a packed bit has two"),
            (
                weights("ste_heaviside"),
                "weight_quantizer: ste_heaviside: its values are 0 and 1; packed bits are -1 and +1",
            ),
            (
                activations("libra_pb"),
                "quantizer: libra_pb is a quantizer of weights; choose another one for activations",
            ),
            (weights("rsign"), "weight_quantizer: rsign is a quantizer of activations; choose another one for weights"),
            (
                Recipe { scale: ScaleFactor::Alpha, ..weights("magnitude_aware_sign") },
                "scale: magnitude_aware_sign has a scale factor of its own; write scale = \"none\"",
            ),
        ];
        for (recipe, expected) in cases {
            assert_eq!(recipe.validate().unwrap_err().to_string(), expected);
        }
        for good in [activations("rsign"), activations("ede"), weights("libra_pb"), weights("swish_sign(3)")] {
            assert_eq!(good.validate(), Ok(()), "{good:?}");
        }
    }
}
