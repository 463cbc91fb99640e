//! Quantizers: sign in the forward pass, a surrogate derivative in the backward pass (the straight-through estimator).
//!
//! A quantizer is one file here and one line in [`by_name`]; one written outside the crate implements
//! [`Quantizer`] and is handed to a layer like these. The book's page on quantizers has formulas and plots of all.

mod approx_sign;
mod dorefa;
mod ede;
mod exp;
mod libra_pb;
mod magnitude_aware_sign;
mod progressive_sign;
mod shifted_sign;
mod ste_heaviside;
mod ste_sign;
mod ste_tern;
mod swish_sign;

use std::fmt::Debug;
use std::sync::Arc;

pub use approx_sign::ApproxSign;
pub use dorefa::DoReFa;
pub use ede::Ede;
pub use libra_pb::LibraPb;
pub use magnitude_aware_sign::MagnitudeAwareSign;
pub use progressive_sign::ProgressiveSign;
pub use shifted_sign::ShiftedSign;
pub use ste_heaviside::SteHeaviside;
pub use ste_sign::SteSign;
pub use ste_tern::SteTern;
pub use swish_sign::SwishSign;

/// What a quantizer's forward pass is, which decides where it may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// sign, of activations and of weights.
    #[default]
    Sign,
    /// sign(x - shift) of activations, with a learned shift per channel.
    ShiftedSign,
    /// sign of latent weights with the scale factor
    /// [`MeanAsConstant`](crate::ops::WeightScale::MeanAsConstant).
    MagnitudeAware,
    /// sign of balanced latent weights with the scale factor
    /// [`PowerOfTwo`](crate::ops::WeightScale::PowerOfTwo).
    Balanced,
    /// Other values than ±1, and why they cannot be packed. For [`Quantize`](crate::ops::Quantize) only.
    Values(&'static str),
}

/// A binary quantizer: forward is sign (+1 where x >= 0, else -1) unless [`Quantizer::kind`] says otherwise; what differs
/// is the derivative that the backward pass puts in place of sign's.
pub trait Quantizer: Debug + Send + Sync {
    /// Its name in a recipe.
    fn name(&self) -> &'static str;

    /// The surrogate derivative at `x`.
    fn derivative(&self, x: f32) -> f32;

    /// The smooth function whose derivative that is, 0 at 0. Plots and gradient tests use it; training does not.
    fn surrogate(&self, x: f32) -> f32;

    /// Whether the derivative is 1 on all of [-1, 1], so that clipped latent weights need no product with it.
    fn is_one_within_the_clip(&self) -> bool {
        false
    }

    /// The largest |x| at which the derivative is 1, if it is 0 beyond: of such a quantizer a layer keeps a bit for each
    /// number in place of the number.
    fn window(&self) -> Option<f32> {
        None
    }

    /// The forward value at `x`. Layers of bits pack signs and do not ask for it.
    fn value(&self, x: f32) -> f32 {
        if x >= 0.0 { 1.0 } else { -1.0 }
    }

    /// What the forward pass is.
    fn kind(&self) -> Kind {
        Kind::Sign
    }

    /// The quantizer when this share of the training, 0 to below 1, is done; `None` if it is always the same.
    /// What it was before must not matter, so that a training that goes on from a checkpoint has the same one.
    fn at(&self, progress: f32) -> Option<Arc<dyn Quantizer>> {
        let _ = progress;
        None
    }

    /// `grad[i] *= derivative(x[i])`.
    ///
    /// # Panics
    /// If the slices differ in length.
    fn apply(&self, x: &[f32], grad: &mut [f32]) {
        assert_eq!(x.len(), grad.len());
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for (g, &x) in grad.iter_mut().zip(x) {
                    *g *= self.derivative(x);
                }
            },
        );
    }
}

/// Puts the quantizer of this share of the training in place of `quantizer`, if it changes.
pub fn advance(quantizer: &mut Arc<dyn Quantizer>, progress: f32) {
    if let Some(next) = quantizer.at(progress) {
        *quantizer = next;
    }
}

/// Whether the quantizer may make bits of activations.
///
/// # Errors
/// One line that says why not.
pub fn check_activations(quantizer: &dyn Quantizer) -> Result<(), String> {
    let name = quantizer.name();
    match quantizer.kind() {
        Kind::Sign | Kind::ShiftedSign => Ok(()),
        Kind::MagnitudeAware | Kind::Balanced => {
            Err(format!("{name} is a quantizer of weights; choose another one for activations"))
        }
        Kind::Values(reason) => Err(format!("{name}: {reason}")),
    }
}

/// Whether the quantizer may make bits of activations by their sign alone, without a parameter.
pub(crate) fn check_sign(quantizer: &dyn Quantizer) -> Result<(), String> {
    match quantizer.kind() {
        Kind::ShiftedSign => Err(format!("{} learns a shift, for which RSign is the operator", quantizer.name())),
        _ => check_activations(quantizer),
    }
}

/// Whether the quantizer may make bits of latent weights.
///
/// # Errors
/// One line that says why not.
pub fn check_weights(quantizer: &dyn Quantizer) -> Result<(), String> {
    let name = quantizer.name();
    match quantizer.kind() {
        Kind::Sign | Kind::MagnitudeAware | Kind::Balanced => Ok(()),
        Kind::ShiftedSign => Err(format!("{name} is a quantizer of activations; choose another one for weights")),
        Kind::Values(reason) => Err(format!("{name}: {reason}")),
    }
}

/// Names of the quantizers of this crate.
pub const NAMES: [&str; 11] = [
    "ste_sign",
    "approx_sign",
    "swish_sign",
    "ede",
    "progressive_sign",
    "rsign",
    "magnitude_aware_sign",
    "libra_pb",
    "ste_heaviside",
    "ste_tern",
    "dorefa",
];

/// Those of [`NAMES`] that a recipe may name for activations.
pub fn for_activations() -> Vec<&'static str> {
    fitting(check_activations)
}

/// Those of [`NAMES`] that a recipe may name for weights.
pub fn for_weights() -> Vec<&'static str> {
    fitting(check_weights)
}

fn fitting(check: fn(&dyn Quantizer) -> Result<(), String>) -> Vec<&'static str> {
    NAMES.into_iter().filter(|name| by_name(name).is_some_and(|q| check(&*q).is_ok())).collect()
}

/// The quantizer of this name, with its default settings.
pub fn by_name(name: &str) -> Option<Arc<dyn Quantizer>> {
    Some(match name {
        "ste_sign" => Arc::new(SteSign),
        "approx_sign" => Arc::new(ApproxSign),
        "swish_sign" => Arc::new(SwishSign::default()),
        "ede" => Arc::new(Ede::default()),
        "progressive_sign" => Arc::new(ProgressiveSign::default()),
        "rsign" => Arc::new(ShiftedSign),
        "magnitude_aware_sign" => Arc::new(MagnitudeAwareSign),
        "libra_pb" => Arc::new(LibraPb::default()),
        "ste_heaviside" => Arc::new(SteHeaviside),
        "ste_tern" => Arc::new(SteTern::default()),
        "dorefa" => Arc::new(DoReFa::default()),
        _ => return None,
    })
}

/// A text that names no quantizer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizerError {
    /// None of this name.
    #[error("there is no quantizer {0:?}; the quantizers are {names}", names = NAMES.join(", "))]
    Unknown(String),
    /// A number for a quantizer that has no setting.
    #[error("quantizer {text}: {name} has no setting; write {name} alone")]
    NoSetting {
        /// What was given.
        text: String,
        /// The quantizer's name.
        name: String,
    },
    /// A setting that is no number or out of range.
    #[error("quantizer {text}: the setting in parentheses is {meaning}")]
    Setting {
        /// What was given.
        text: String,
        /// What is right.
        meaning: &'static str,
    },
}

/// The quantizer of a recipe's text: a name, and in parentheses the setting of one that has one, as in `swish_sign(5)`.
///
/// # Errors
/// Where the name is unknown or the setting is not right.
pub fn from_text(text: &str) -> Result<Arc<dyn Quantizer>, QuantizerError> {
    let Some((name, rest)) = text.split_once('(') else {
        return by_name(text).ok_or_else(|| QuantizerError::Unknown(text.into()));
    };
    let setting = rest.strip_suffix(')').unwrap_or("").trim();
    let number = |meaning, ok: &dyn Fn(f32) -> bool| match setting.parse() {
        Ok(x) if ok(x) => Ok(x),
        _ => Err(QuantizerError::Setting { text: text.into(), meaning }),
    };
    Ok(match name {
        "swish_sign" => {
            Arc::new(SwishSign { beta: number("the steepness, above 0 and at most 100", &|x| x > 0.0 && x <= 100.0)? })
        }
        "ste_tern" => {
            Arc::new(SteTern { delta: number("where 0 ends, from 0 to below 1", &|x| (0.0..1.0).contains(&x))? })
        }
        "dorefa" => {
            let whole = |x: f32| (1.0..=8.0).contains(&x) && x.fract() == 0.0;
            Arc::new(DoReFa { bits: number("the number of bits, from 1 to 8", &whole)? as u32 })
        }
        _ if by_name(name).is_some() => {
            return Err(QuantizerError::NoSetting { text: text.into(), name: name.into() });
        }
        _ => return Err(QuantizerError::Unknown(name.into())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every quantizer, those that change at the beginning, in the middle and at the end of a training.
    fn all() -> Vec<Arc<dyn Quantizer>> {
        let stages = |name: &&str| {
            let q = by_name(name).unwrap();
            let later: Vec<_> = [0.5, 1.0].into_iter().filter_map(|progress| q.at(progress)).collect();
            [vec![q], later].concat()
        };
        NAMES.iter().flat_map(stages).collect()
    }

    #[test]
    fn every_derivative_is_that_of_its_surrogate() {
        let mut wrong = Vec::new();
        for q in all() {
            for i in -300..=300 {
                let x = i as f32 / 100.0 + 0.005;
                let h = 1e-3;
                let slope = (f64::from(q.surrogate(x + h)) - f64::from(q.surrogate(x - h))) / (2.0 * f64::from(h));
                if (slope - f64::from(q.derivative(x))).abs() > 2e-2 {
                    wrong.push(format!("{q:?} at {x}: {slope} against {}", q.derivative(x)));
                }
            }
            assert_eq!(q.surrogate(0.0), 0.0, "{q:?}");
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn what_is_said_of_the_clip_holds() {
        for q in all() {
            let one = (-100..=100).all(|i| q.derivative(i as f32 / 100.0) == 1.0);
            assert_eq!(q.is_one_within_the_clip(), one, "{q:?}");
        }
    }

    /// What a quantizer is at some progress does not depend on where it was before: a run may be resumed anywhere.
    #[test]
    fn progress_alone_decides() {
        for q in all() {
            let there = q.at(0.3).map(|q| q.at(0.7).unwrap());
            assert_eq!(format!("{there:?}"), format!("{:?}", q.at(0.7)));
        }
    }

    #[test]
    fn values_are_what_the_formulas_say() {
        let values = |text: &str, x: [f32; 4]| x.map(|x| from_text(text).unwrap().value(x));
        assert_eq!(values("ede", [-2.0, -0.1, -0.0, 0.1]), [-1.0, -1.0, 1.0, 1.0]);
        assert_eq!(values("ste_heaviside", [-2.0, 0.0, 0.1, 2.0]), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(values("ste_tern(0.2)", [-2.0, -0.1, 0.2, 0.3]), [-1.0, 0.0, 0.0, 1.0]);
        assert_eq!(values("dorefa(2)", [-2.0, 0.2, 0.5, 3.0]), [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
    }

    #[test]
    fn every_name_is_found() {
        assert!(NAMES.iter().all(|n| by_name(n).unwrap().name() == *n && from_text(n).unwrap().name() == *n));
        assert!(by_name("sign").is_none());
        let names = |(activations, weights): (Vec<_>, Vec<_>)| (activations.join(" "), weights.join(" "));
        let (activations, weights) = names((for_activations(), for_weights()));
        assert_eq!(activations, "ste_sign approx_sign swish_sign ede progressive_sign rsign");
        assert_eq!(weights, "ste_sign approx_sign swish_sign ede progressive_sign magnitude_aware_sign libra_pb");
    }

    #[test]
    fn settings_are_read_and_mistakes_told() {
        let beta = |text: &str| format!("{:?}", from_text(text).unwrap());
        assert_eq!(beta("swish_sign(3)"), format!("{:?}", SwishSign { beta: 3.0 }));
        let cases = [
            ("swish(3)", "there is no quantizer \"swish\"; the quantizers are ste_sign, "),
            ("swish_sign(0)", "quantizer swish_sign(0): the setting in parentheses is the steepness, above 0"),
            ("swish_sign(3", "the steepness"),
            ("swish_sign(NaN)", "the steepness"),
            ("dorefa(1.5)", "the number of bits, from 1 to 8"),
            ("ede(3)", "ede has no setting"),
        ];
        for (text, expected) in cases {
            let message = from_text(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
