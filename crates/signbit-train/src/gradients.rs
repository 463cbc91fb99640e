//! What is recorded of gradients in an epoch: their norms, and which latent weights none of them reached. Sums are
//! taken in fixed pieces, added in their order, so that no figure depends on the number of threads.

use pulp::Arch;
use rayon::prelude::*;

use crate::params::{Params, Role};

/// Numbers per task of a pass.
const PIECE: usize = 32 * 1024;

/// How many latent weights there are: as many bytes as [`look`] takes.
pub(crate) fn latent_count(params: &Params) -> usize {
    params.latents().map(|info| info.range.len()).sum()
}

/// Looks at the gradients of a step: the sum of their squares for each tensor of [`Params::infos`]. `reached` has a
/// byte for each latent weight, which becomes 1 where its gradient is not 0; it may be empty.
pub(crate) fn look(params: &Params, reached: &mut [u8]) -> Vec<f64> {
    let mut left = reached;
    let mut pieces = Vec::new();
    for (tensor, info) in params.infos().iter().enumerate() {
        for grads in params.grads()[info.range.clone()].chunks(PIECE) {
            let marks = if info.role == Role::Latent { grads.len().min(left.len()) } else { 0 };
            let (head, tail) = left.split_at_mut(marks);
            left = tail;
            pieces.push((tensor, grads, head));
        }
    }
    let sums: Vec<(usize, f64)> =
        pieces.into_par_iter().map(|(tensor, grads, marks)| (tensor, piece(grads, marks))).collect();
    let mut squares = vec![0.0; params.infos().len()];
    sums.into_iter().for_each(|(tensor, sum)| squares[tensor] += sum);
    squares
}

/// Marks what is not 0; the sum of squares, in f64: those of f32 would overflow.
fn piece(grads: &[f32], marks: &mut [u8]) -> f64 {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (mark, grad) in marks.iter_mut().zip(grads) {
                *mark |= u8::from(*grad != 0.0);
            }
            let mut partial = [0.0_f64; 16];
            for chunk in grads.chunks(16) {
                for (p, &g) in partial.iter_mut().zip(chunk) {
                    *p += f64::from(g) * f64::from(g);
                }
            }
            partial.iter().sum()
        },
    )
}

/// For each latent tensor the share of its weights that `reached` does not mark; empty where nothing was marked down.
pub(crate) fn dead(params: &Params, reached: &[u8]) -> Vec<f32> {
    if reached.len() != latent_count(params) {
        return Vec::new();
    }
    let mut left = reached;
    let share = |len: usize| {
        let (marks, tail) = left.split_at(len);
        left = tail;
        marks.iter().filter(|mark| **mark == 0).count() as f32 / len.max(1) as f32
    };
    params.latents().map(|info| info.range.len()).map(share).collect()
}

/// The norm for each tensor of [`Params::weights`], of the sums that [`look`] gave.
pub(crate) fn norms(params: &Params, squares: &[f64]) -> Vec<f32> {
    let all = params.infos().iter().zip(squares);
    all.filter(|(info, _)| info.role != Role::Other).map(|(_, square)| square.sqrt() as f32).collect()
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::params::{Init, ParamId};

    /// Two latent tensors and two others, one of them of several pieces; and the first.
    fn params() -> (Params, ParamId) {
        let mut params = Params::default();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut add = |name: &str, role, grads: &[f32]| {
            let id = params.add(&mut rng, name, &[grads.len()], role, Init::Constant(0.0));
            params.grad_mut(id).copy_from_slice(grads);
            id
        };
        let first = add("a.weights", Role::Latent, &[3.0, 0.0, -0.0, 4.0]);
        add("a.bias", Role::Other, &[2.0]);
        add("b.weights", Role::Latent, &[1e-30; 2 * PIECE + 5]);
        add("c.weights", Role::Weight, &[1e25, 0.0]);
        (params, first)
    }

    #[test]
    fn squares_are_summed_for_each_tensor() {
        let (params, _) = params();
        let squares = look(&params, &mut []);
        let expected = [25.0, 4.0, 1e-60 * (2 * PIECE + 5) as f64, 1e50];
        assert!(squares.iter().zip(expected).all(|(s, e)| (s / e - 1.0).abs() < 1e-6), "{squares:?}");
        let norms = norms(&params, &squares);
        assert_eq!((norms.len(), norms[0], norms[2]), (3, 5.0, 1e25));
    }

    #[test]
    fn a_weight_is_dead_where_no_step_reached_it() {
        let (mut params, first) = params();
        let mut reached = vec![0; latent_count(&params)];
        look(&params, &mut reached);
        assert_eq!(dead(&params, &reached), [0.5, 0.0]);
        params.grad_mut(first).fill(0.0);
        look(&params, &mut reached);
        assert_eq!(dead(&params, &reached), [0.5, 0.0], "what was reached once stays so");
        params.grad_mut(first)[1] = f32::NAN;
        look(&params, &mut reached);
        assert_eq!(dead(&params, &reached), [0.25, 0.0]);
        assert!(dead(&params, &[]).is_empty());
    }
}
