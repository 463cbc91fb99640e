//! What a training minimises: the recipe's loss against the samples' classes, which label smoothing and mixing make
//! soft, and against a teacher's outputs.

use crate::attention::attention;
use crate::loss::{Target, distillation, loss};
use crate::ranks::{self, Ranks};
use crate::recipe::{LossKind, Recipe};
use crate::tensor::{Buffers, Tensor};

/// The plain loss of outputs against the samples' classes, and its gradient.
pub(crate) fn plain(kind: LossKind, buffers: &mut Buffers, output: &Tensor, labels: &[u32]) -> (f64, Tensor) {
    match kind {
        LossKind::CrossEntropy => loss(buffers, output, Target::Classes(labels)),
        LossKind::SquaredError => against(kind, buffers, output, shares(labels, 1.0, 0.0, output.shape.elements())),
    }
}

/// The loss of a training step, and its gradient. `share` is that of each sample's own class, the rest is its
/// partner's (see [`crate::data::Augmentation::mix`]); `teacher` are the teacher's outputs.
pub(crate) fn of_step(
    recipe: &Recipe,
    buffers: &mut Buffers,
    output: &Tensor,
    labels: &[u32],
    share: f32,
    teacher: Option<&Tensor>,
) -> (f64, Tensor) {
    let smoothing = recipe.label_smoothing;
    let (value, mut grad) = if share == 1.0 && smoothing == 0.0 {
        plain(recipe.loss, buffers, output, labels)
    } else {
        against(recipe.loss, buffers, output, shares(labels, share, smoothing, output.shape.elements()))
    };
    let Some(teacher) = teacher else { return (value, grad) };
    let weight = recipe.distillation.weight;
    let (distilled, by_teacher) = distillation(buffers, output, teacher, recipe.distillation.temperature);
    grad.data.iter_mut().zip(&by_teacher.data).for_each(|(g, t)| *g = (1.0 - weight) * *g + weight * t);
    buffers.give(by_teacher.data);
    ((1.0 - f64::from(weight)) * value + f64::from(weight) * distilled, grad)
}

/// The weighted sum of the comparisons of attention maps over the whole batch, and the gradients by the layers' outputs of
/// the samples at hand.
pub(crate) fn of_maps(
    weight: f32,
    ranks: Option<&Ranks>,
    buffers: &mut Buffers,
    own: &[(String, Tensor)],
    teacher: &[(String, Tensor)],
) -> (f64, Vec<(String, Tensor)>) {
    let mut total = 0.0;
    let mut grads = Vec::new();
    for (name, output) in own {
        let Some((_, its)) = teacher.iter().find(|(other, _)| other == name) else { continue };
        let n = ranks::whole(ranks, output.n);
        let (own, mut grad) = attention(buffers, output, its, n);
        let value = ranks.map_or_else(|| own.clone(), |ranks| ranks.gather_f64(&own)).iter().sum::<f64>() / n as f64;
        grad.data.iter_mut().for_each(|g| *g *= weight);
        total += f64::from(weight) * value;
        grads.push((name.clone(), grad));
    }
    (total, grads)
}

/// The loss against shares of the classes. For the squared error a share of 1 is +1, one of 0 is -1.
fn against(kind: LossKind, buffers: &mut Buffers, output: &Tensor, mut shares: Vec<f32>) -> (f64, Tensor) {
    match kind {
        LossKind::CrossEntropy => loss(buffers, output, Target::Shares(&shares)),
        LossKind::SquaredError => {
            shares.iter_mut().for_each(|s| *s = 2.0 * *s - 1.0);
            loss(buffers, output, Target::Values(&shares))
        }
    }
}

/// `[n, classes]`: `share` of a sample's own class and the rest of its partner's, of which label smoothing takes the
/// share `smoothing` for all classes alike (Szegedy et al. 2016, arXiv 1512.00567, section 7).
fn shares(labels: &[u32], share: f32, smoothing: f32, classes: usize) -> Vec<f32> {
    let mut shares = vec![smoothing / classes as f32; labels.len() * classes];
    for ((row, &own), &partner) in shares.chunks_exact_mut(classes).zip(labels).zip(labels.iter().rev()) {
        row[own as usize] += (1.0 - smoothing) * share;
        row[partner as usize] += (1.0 - smoothing) * (1.0 - share);
    }
    shares
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::recipe::Distillation;

    #[test]
    fn classes_are_shared_with_the_partner_and_with_all() {
        let close = |a: Vec<f32>, b: [f32; 9]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close(shares(&[0, 1, 2], 1.0, 0.0, 3), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]));
        assert!(close(shares(&[0, 1, 2], 0.7, 0.0, 3), [0.7, 0.0, 0.3, 0.0, 1.0, 0.0, 0.3, 0.0, 0.7]));
        assert!(close(shares(&[0, 1, 2], 0.7, 0.3, 3), [0.59, 0.1, 0.31, 0.1, 0.8, 0.1, 0.31, 0.1, 0.59]));
    }

    /// A fresh step with everything at once, by finite differences.
    #[test]
    fn the_gradient_of_all_together() {
        let output = Tensor::new(2, Shape::vector(3), vec![0.3, -1.2, 2.0, 0.1, 0.4, -0.7]);
        let teacher = Tensor::new(2, Shape::vector(3), vec![1.0, 0.0, 0.5, -2.0, 1.0, 0.3]);
        let distillation = Distillation { weight: 0.3, temperature: 3.0, ..Distillation::default() };
        for kind in [LossKind::CrossEntropy, LossKind::SquaredError] {
            let base = Recipe::by_name("mlp").unwrap();
            let recipe = Recipe { loss: kind, label_smoothing: 0.1, distillation: distillation.clone(), ..base };
            let of = |y: &Tensor| of_step(&recipe, &mut Buffers::default(), y, &[2, 0], 0.8, Some(&teacher));
            let (_, grad) = of(&output);
            for i in 0..output.data.len() {
                let at = |d: f32| {
                    let mut moved = output.clone();
                    moved.data[i] += d;
                    of(&moved).0
                };
                let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
                assert!((slope - f64::from(grad.data[i])).abs() < 1e-4, "{kind:?} {i}: {slope} {}", grad.data[i]);
            }
        }
    }
}
