//! Gradient clipping.

use rayon::prelude::*;

use super::CHUNK;
use crate::params::Params;

/// Scales all gradients down together so that their Euclidean norm is at most `bound` (Pascanu et al. 2013, arXiv
/// 1211.5063, algorithm 1), and returns the norm that they had. Gradients of latent weights count like the others. The
/// sum has an order of its own, whatever the number of threads. A norm that is not finite changes nothing, so that a
/// divergence is seen.
pub fn clip_norm(params: &mut Params, bound: f32) -> f32 {
    let square = |x: &f32| f64::from(*x) * f64::from(*x);
    let parts: Vec<f64> = params.grads().par_chunks(CHUNK).map(|part| part.iter().map(square).sum()).collect();
    let norm = parts.iter().sum::<f64>().sqrt();
    if norm.is_finite() && norm > f64::from(bound) {
        let factor = (f64::from(bound) / norm) as f32;
        params.grads_mut().par_chunks_mut(CHUNK).for_each(|part| part.iter_mut().for_each(|g| *g *= factor));
    }
    norm as f32
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::params::{Init, Role};

    fn with(grads: [f32; 2]) -> Params {
        let mut params = Params::default();
        for (name, role, grad) in [("a", Role::Latent, grads[0]), ("b", Role::Other, grads[1])] {
            let id = params.add(&mut ChaCha8Rng::seed_from_u64(0), name, &[1], role, Init::Constant(0.0));
            params.grad_mut(id)[0] = grad;
        }
        params
    }

    #[test]
    fn a_large_gradient_keeps_its_direction() {
        let mut params = with([3.0, -4.0]);
        assert_eq!(clip_norm(&mut params, 1.0), 5.0);
        assert!(params.grads().iter().zip([0.6, -0.8]).all(|(g, e)| (g - e).abs() < 1e-6), "{:?}", params.grads());
    }

    #[test]
    fn a_small_one_and_one_that_is_no_number_stay() {
        for grads in [[3.0, -4.0], [f32::INFINITY, 1.0], [f32::NAN, 1.0]] {
            let mut params = with(grads);
            clip_norm(&mut params, 5.0);
            let bits = |g: &[f32]| g.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(params.grads()), bits(&grads));
        }
    }
}
