//! Losses: their mean over the batch and its gradient by the network's output.

use crate::tensor::{Buffers, Tensor};

/// What a network's outputs are compared with.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// Class of each sample.
    Classes(&'a [u32]),
    /// Shares of the classes `[n, c]`, those of a sample adding up to 1.
    Shares(&'a [f32]),
    /// Real targets `[n, c]`.
    Values(&'a [f32]),
}

/// Loss and gradient of the output `[n, 1, 1, c]`: softmax cross entropy for classes and shares of them, half
/// the mean squared error for values.
///
/// # Panics
/// If there are not as many targets as outputs, or a class is not below `c`.
pub fn loss(buffers: &mut Buffers, output: &Tensor, target: Target<'_>) -> (f64, Tensor) {
    let mut grad = buffers.real(output.data.len());
    let total = match target {
        Target::Classes(classes) => cross_entropy(output, classes, &mut grad),
        Target::Shares(shares) => soft_cross_entropy(output, shares, &mut grad),
        Target::Values(values) => squared_error(output, values, &mut grad),
    };
    (total / output.n as f64, Tensor::new(output.n, output.shape, grad))
}

/// -log softmax(output)[class], summed; the gradient is (softmax - one hot) / n.
fn cross_entropy(output: &Tensor, classes: &[u32], grad: &mut [f32]) -> f64 {
    assert_eq!(classes.len(), output.n, "one class per sample");
    let c = output.shape.elements();
    let mut total = 0.0;
    for ((y, grad), &class) in output.data.chunks_exact(c).zip(grad.chunks_exact_mut(c)).zip(classes) {
        let max = y.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        grad.iter_mut().zip(y).for_each(|(g, y)| *g = (y - max).exp());
        let sum: f32 = grad.iter().sum();
        total += f64::from(sum.ln() - (y[class as usize] - max));
        grad.iter_mut().for_each(|g| *g /= sum * output.n as f32);
        grad[class as usize] -= 1.0 / output.n as f32;
    }
    total
}

/// -sum of shares times log softmax(output), summed; the gradient is (softmax - shares) / n.
fn soft_cross_entropy(output: &Tensor, shares: &[f32], grad: &mut [f32]) -> f64 {
    assert_eq!(shares.len(), output.data.len(), "one share per output");
    let c = output.shape.elements();
    let mut total = 0.0;
    for ((y, grad), shares) in output.data.chunks_exact(c).zip(grad.chunks_exact_mut(c)).zip(shares.chunks_exact(c)) {
        log_softmax(y, 1.0, grad);
        for (g, share) in grad.iter_mut().zip(shares) {
            total -= f64::from(share * *g);
            *g = (g.exp() - share) / output.n as f32;
        }
    }
    total
}

/// Distillation from a teacher's outputs of the same samples, and its gradient by `output`: the mean over the batch of
/// T^2 KL(softmax(teacher / T) || softmax(output / T)) (Hinton et al. 2015, arXiv 1503.02531, section 2; with T^2 the
/// gradient's size does not depend on T much). At T = 1 it has the gradient of ReActNet's distributional loss (Liu et
/// al. 2020, arXiv 2003.03488, section 4.3).
///
/// # Panics
/// If the two are not of one size.
pub fn distillation(buffers: &mut Buffers, output: &Tensor, teacher: &Tensor, temperature: f32) -> (f64, Tensor) {
    assert_eq!(output.data.len(), teacher.data.len(), "the teacher's outputs");
    let (c, n) = (output.shape.elements(), output.n as f32);
    let mut grad = buffers.real(output.data.len());
    let mut expected = vec![0.0; c];
    let mut total = 0.0;
    let rows = output.data.chunks_exact(c).zip(teacher.data.chunks_exact(c));
    for ((y, teacher), grad) in rows.zip(grad.chunks_exact_mut(c)) {
        log_softmax(y, temperature, grad);
        log_softmax(teacher, temperature, &mut expected);
        for (g, t) in grad.iter_mut().zip(&expected) {
            total += f64::from(t.exp() * (t - *g));
            *g = temperature * (g.exp() - t.exp()) / n;
        }
    }
    let scale = f64::from(temperature) * f64::from(temperature);
    (scale * total / f64::from(n), Tensor::new(output.n, output.shape, grad))
}

/// log softmax(y / temperature).
fn log_softmax(y: &[f32], temperature: f32, out: &mut [f32]) {
    let max = y.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    out.iter_mut().zip(y).for_each(|(o, y)| *o = (y - max) / temperature);
    let log = out.iter().map(|o| o.exp()).sum::<f32>().ln();
    out.iter_mut().for_each(|o| *o -= log);
}

/// Half the squared error, averaged over the outputs of a sample and summed over samples.
fn squared_error(output: &Tensor, values: &[f32], grad: &mut [f32]) -> f64 {
    assert_eq!(values.len(), output.data.len(), "one value per output");
    let outputs = output.shape.elements() as f32;
    let mut total = 0.0;
    for ((y, t), g) in output.data.iter().zip(values).zip(grad) {
        total += f64::from((y - t) * (y - t)) / 2.0;
        *g = (y - t) / (outputs * output.n as f32);
    }
    total / f64::from(outputs)
}

/// The class with the largest output, the first of equals, for each sample; `u32::MAX`, which is no class, where no
/// output is a number.
pub fn classes_of(output: &Tensor) -> impl Iterator<Item = u32> + '_ {
    output.data.chunks_exact(output.shape.elements().max(1)).map(|y| {
        let best = y.iter().enumerate().fold(None, |best: Option<(usize, f32)>, (i, &v)| match best {
            Some((_, largest)) if v.is_nan() || v <= largest => best,
            None if v.is_nan() => None,
            _ => Some((i, v)),
        });
        best.map_or(u32::MAX, |(i, _)| i as u32)
    })
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;

    fn check(target: Target<'_>) {
        check_loss(|output| loss(&mut Buffers::default(), output, target));
    }

    fn check_loss(loss: impl Fn(&Tensor) -> (f64, Tensor)) {
        let output = Tensor::new(2, Shape::vector(3), vec![0.3, -1.2, 2.0, 0.1, 0.4, -0.7]);
        let (_, grad) = loss(&output);
        for i in 0..output.data.len() {
            let at = |d: f32| {
                let mut moved = output.clone();
                moved.data[i] += d;
                loss(&moved).0
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((slope - f64::from(grad.data[i])).abs() < 1e-4, "output {i}: {slope} against {}", grad.data[i]);
        }
    }

    #[test]
    fn gradients_by_finite_differences() {
        check(Target::Classes(&[2, 0]));
        check(Target::Shares(&[0.1, 0.2, 0.7, 0.0, 0.5, 0.5]));
        check(Target::Values(&[1.0, 0.0, -1.0, 0.5, 0.5, 2.0]));
        let teacher = Tensor::new(2, Shape::vector(3), vec![1.3, -0.2, 0.5, 0.0, 3.0, -1.0]);
        for temperature in [1.0, 4.0] {
            check_loss(|output| distillation(&mut Buffers::default(), output, &teacher, temperature));
        }
    }

    #[test]
    fn whole_shares_are_classes_and_the_teacher_itself_is_no_loss() {
        let output = Tensor::new(2, Shape::vector(3), vec![0.3, -1.2, 2.0, 0.1, 0.4, -0.7]);
        let of = |target| loss(&mut Buffers::default(), &output, target);
        let (hard, soft) = (of(Target::Classes(&[2, 0])), of(Target::Shares(&[0.0, 0.0, 1.0, 1.0, 0.0, 0.0])));
        assert!((hard.0 - soft.0).abs() < 1e-6, "{} {}", hard.0, soft.0);
        assert!(hard.1.data.iter().zip(&soft.1.data).all(|(a, b)| (a - b).abs() < 1e-6));
        let (none, grad) = distillation(&mut Buffers::default(), &output, &output, 2.0);
        assert!(none.abs() < 1e-6 && grad.data.iter().all(|g| g.abs() < 1e-6), "{none}");
    }

    #[test]
    fn the_largest_output_wins_and_nan_never() {
        let nan = f32::NAN;
        let rows = [[1.0, 3.0, 3.0], [nan, -5.0, -7.0], [f32::NEG_INFINITY, nan, nan], [nan, nan, nan]];
        let output = Tensor::new(4, Shape::vector(3), rows.concat());
        assert_eq!(classes_of(&output).collect::<Vec<_>>(), [1, 1, 0, u32::MAX]);
    }

    #[test]
    fn equal_outputs_give_the_logarithm_of_the_number_of_classes() {
        let output = Tensor::new(1, Shape::vector(10), vec![0.0; 10]);
        let (value, _) = loss(&mut Buffers::default(), &output, Target::Classes(&[3]));
        assert!((value - 10f64.ln()).abs() < 1e-6);
    }
}
