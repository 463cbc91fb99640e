//! Losses: their mean over the batch and its gradient by the network's output.

use crate::tensor::{Buffers, Tensor};

/// What a network's outputs are compared with.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// Class of each sample.
    Classes(&'a [u32]),
    /// Real targets `[n, c]`.
    Values(&'a [f32]),
}

/// Loss and gradient of the output `[n, 1, 1, c]`: softmax cross entropy for classes, half the mean squared
/// error for values.
///
/// # Panics
/// If there are not as many targets as outputs, or a class is not below `c`.
pub fn loss(buffers: &mut Buffers, output: &Tensor, target: Target<'_>) -> (f64, Tensor) {
    let mut grad = buffers.real(output.data.len());
    let total = match target {
        Target::Classes(classes) => cross_entropy(output, classes, &mut grad),
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
        let output = Tensor::new(2, Shape::vector(3), vec![0.3, -1.2, 2.0, 0.1, 0.4, -0.7]);
        let (_, grad) = loss(&mut Buffers::default(), &output, target);
        for i in 0..output.data.len() {
            let at = |d: f32| {
                let mut moved = output.clone();
                moved.data[i] += d;
                loss(&mut Buffers::default(), &moved, target).0
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((slope - f64::from(grad.data[i])).abs() < 1e-4, "output {i}: {slope} against {}", grad.data[i]);
        }
    }

    #[test]
    fn gradients_by_finite_differences() {
        check(Target::Classes(&[2, 0]));
        check(Target::Values(&[1.0, 0.0, -1.0, 0.5, 0.5, 2.0]));
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
