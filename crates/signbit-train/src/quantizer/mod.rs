//! Quantizers: sign in the forward pass, a surrogate derivative in the backward pass (the straight-through estimator).
//!
//! A quantizer is one file here and one line in [`by_name`]; one written outside the crate implements
//! [`Quantizer`] and is handed to a layer like these.

mod approx_sign;
mod ste_sign;
mod swish_sign;

use std::fmt::Debug;
use std::sync::Arc;

pub use approx_sign::ApproxSign;
pub use ste_sign::SteSign;
pub use swish_sign::SwishSign;

/// A binary quantizer: forward is always sign (+1 where x >= 0, else -1); what differs is the derivative
/// that the backward pass puts in place of sign's.
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

/// Names of the quantizers of this crate.
pub const NAMES: [&str; 3] = ["ste_sign", "approx_sign", "swish_sign"];

/// The quantizer of this name, with its default settings.
pub fn by_name(name: &str) -> Option<Arc<dyn Quantizer>> {
    Some(match name {
        "ste_sign" => Arc::new(SteSign),
        "approx_sign" => Arc::new(ApproxSign),
        "swish_sign" => Arc::new(SwishSign::default()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_derivative_is_that_of_its_surrogate() {
        let mut wrong = Vec::new();
        for name in NAMES {
            let q = by_name(name).unwrap();
            for i in -300..=300 {
                let x = i as f32 / 100.0 + 0.005;
                let h = 1e-3;
                let slope = (f64::from(q.surrogate(x + h)) - f64::from(q.surrogate(x - h))) / (2.0 * f64::from(h));
                if (slope - f64::from(q.derivative(x))).abs() > 2e-2 {
                    wrong.push(format!("{name} at {x}: {slope} against {}", q.derivative(x)));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn what_is_said_of_the_clip_holds() {
        for q in NAMES.map(|name| by_name(name).unwrap()) {
            let one = (-100..=100).all(|i| q.derivative(i as f32 / 100.0) == 1.0);
            assert_eq!(q.is_one_within_the_clip(), one, "{}", q.name());
        }
    }

    #[test]
    fn every_name_is_found() {
        assert!(NAMES.iter().all(|n| by_name(n).unwrap().name() == *n));
        assert!(by_name("sign").is_none());
    }
}
