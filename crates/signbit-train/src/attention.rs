//! Attention maps: where in a picture a layer is active, compared between a network and its teacher.

use crate::tensor::{Buffers, Tensor};

/// Keeps a map of zeros from a division by zero.
const SMALLEST: f32 = 1e-20;

/// For each sample |q / |q| - t / |t||^2, and the gradient by `output` of their mean over a batch of `n`: q and t are the sums over channels of
/// the squares of `output` and of `teacher` at each position (Zagoruyko and Komodakis 2017, arXiv 1612.03928, eq. 2;
/// for binary networks Martinez et al. 2020, arXiv 2003.11535, section 4.1). Channels may differ in number, positions not.
///
/// # Panics
/// If the two have not as many positions.
pub(crate) fn attention(buffers: &mut Buffers, output: &Tensor, teacher: &Tensor, n: usize) -> (Vec<f64>, Tensor) {
    let (positions, c) = (output.shape.h * output.shape.w, output.shape.c);
    let sample = output.shape.elements();
    assert_eq!(teacher.shape.h * teacher.shape.w, positions, "positions of the teacher");
    let mut grad = buffers.real(output.data.len());
    let mut values = Vec::with_capacity(output.n);
    let rows = output.data.chunks_exact(sample).zip(teacher.data.chunks_exact(teacher.shape.elements()));
    for ((x, t), grad) in rows.zip(grad.chunks_exact_mut(sample)) {
        let ((q, length), (t, _)) = (map(x, c), map(t, teacher.shape.c));
        let apart: Vec<f32> = q.iter().zip(&t).map(|(q, t)| q - t).collect();
        values.push(apart.iter().map(|r| f64::from(r * r)).sum::<f64>());
        let along: f32 = q.iter().zip(&apart).map(|(q, r)| q * r).sum();
        for (i, (x, grad)) in x.chunks_exact(c).zip(grad.chunks_exact_mut(c)).enumerate() {
            // By the map before its length is taken out, then by its squares.
            let slope = 2.0 * (apart[i] - q[i] * along) / length * 2.0 / n as f32;
            grad.iter_mut().zip(x).for_each(|(g, x)| *g = slope * x);
        }
    }
    (values, Tensor::new(output.n, output.shape, grad))
}

/// One sample's map of length 1, and the length that it had; a map of zeros stays one.
fn map(x: &[f32], c: usize) -> (Vec<f32>, f32) {
    let mut map: Vec<f32> = x.chunks_exact(c).map(|x| x.iter().map(|x| x * x).sum()).collect();
    let length = map.iter().map(|q| q * q).sum::<f32>().sqrt().max(SMALLEST);
    map.iter_mut().for_each(|q| *q /= length);
    (map, length)
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 31) % 101) as f32 / 50.0 - 1.0).collect()
    }

    #[test]
    fn gradients_by_finite_differences() {
        let output = Tensor::new(2, Shape::new(2, 3, 4), numbers(48, 1));
        let teacher = Tensor::new(2, Shape::new(2, 3, 2), numbers(24, 2));
        let of = |x: &Tensor| {
            let (values, grad) = attention(&mut Buffers::default(), x, &teacher, 2);
            (values.iter().sum::<f64>() / 2.0, grad)
        };
        let (_, grad) = of(&output);
        for i in 0..48 {
            let at = |d: f32| {
                let mut moved = output.clone();
                moved.data[i] += d;
                of(&moved).0
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((slope - f64::from(grad.data[i])).abs() < 1e-3, "{i}: {slope} against {}", grad.data[i]);
        }
    }

    #[test]
    fn only_the_places_count_and_zeros_are_no_error() {
        let output = Tensor::new(1, Shape::new(2, 1, 1), vec![1.0, -2.0]);
        let teacher = Tensor::new(1, Shape::new(2, 1, 2), vec![3.0, 0.0, 0.0, 6.0]);
        assert!(attention(&mut Buffers::default(), &output, &teacher, 1).0[0] < 1e-9);
        let zeros = Tensor::new(1, Shape::new(2, 1, 1), vec![0.0; 2]);
        let (values, grad) = attention(&mut Buffers::default(), &zeros, &teacher, 1);
        assert!((values[0] - 1.0).abs() < 1e-6 && grad.data == [0.0; 2], "{values:?} {grad:?}");
    }
}
