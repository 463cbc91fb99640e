//! Gradients against finite differences, for the tests of the operators.
//!
//! The loss is L = sum r_i y_i with fixed r, in f64, so that its gradient by the output is r itself.

use signbit_model::Shape;

use crate::network::{Network, NetworkBuilder, NetworkError, Var};
use crate::op::Mode;
use crate::ops::{Sign, WeightScale};
use crate::quantizer::SteSign;
use crate::tensor::Tensor;

/// Numbers between -1 and 1, none within 0.02 of 0, all different.
pub(super) fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n)
        .map(|i| {
            let x = (((i + 1) * 7919 + seed * 104_729) % 10_007) as f32 / 10_007.0 * 1.96 - 0.98;
            if x >= 0.0 { x + 0.02 } else { x - 0.02 }
        })
        .collect()
}

/// A network whose first operator has a parameter, so that the gradient by the operator's input is wanted: a
/// 1x1 convolution of the identity, then what `build` adds.
pub(super) struct Check {
    pub(super) network: Network,
    input: Vec<f32>,
    n: usize,
    weights: Vec<f32>,
}

impl Check {
    /// `n` samples of `shape` through the operators that `build` adds.
    pub(super) fn new(
        n: usize,
        shape: Shape,
        build: impl FnOnce(&mut NetworkBuilder, Var) -> Result<Var, NetworkError>,
    ) -> Self {
        let mut builder = NetworkBuilder::new(shape, 1);
        let geometry = signbit_model::Geometry::valid([1, 1], [1, 1], [1, 1]);
        let input = builder.input();
        let x = super::Conv2d::add(&mut builder, "identity", input, shape.c, geometry, 1).expect("identity");
        build(&mut builder, x).expect("the operator takes its inputs");
        let mut network = builder.finish().expect("a real output");
        // The first parameter is the identity's weight.
        let identity = &mut network.params_mut().values_mut()[..shape.c * shape.c];
        for (i, w) in identity.iter_mut().enumerate() {
            *w = if i / shape.c == i % shape.c { 1.0 } else { 0.0 };
        }
        let outputs = n * network.output_shape().elements();
        Self { network, input: numbers(n * shape.elements(), 3), n, weights: numbers(outputs, 5) }
    }

    /// The same with a sign before the operators: they read bits.
    pub(super) fn of_bits(
        n: usize,
        shape: Shape,
        build: impl FnOnce(&mut NetworkBuilder, Var) -> Result<Var, NetworkError>,
    ) -> Self {
        Self::new(n, shape, |b, x| {
            let x = Sign::add(b, "sign", x, std::sync::Arc::new(SteSign))?;
            build(b, x)
        })
    }

    /// L for an input, in training mode.
    pub(super) fn loss(&mut self, input: &[f32]) -> f64 {
        let tensor = Tensor::new(self.n, self.network.input_shape(), input.to_vec());
        let y = self.network.forward(tensor, Mode::Train);
        let loss = y.data.iter().zip(&self.weights).map(|(y, r)| f64::from(*y) * f64::from(*r)).sum();
        self.network.recycle(y);
        loss
    }

    /// All parameter gradients at the check's input.
    pub(super) fn gradients(&mut self) -> Vec<f32> {
        let tensor = Tensor::new(self.n, self.network.input_shape(), self.input.clone());
        let y = self.network.forward(tensor, Mode::Train);
        let grad = Tensor::new(y.n, y.shape, self.weights.clone());
        self.network.backward(y, grad);
        self.network.params().grads().to_vec()
    }

    fn parameter_slope(&mut self, i: usize, low: f32, high: f32) -> f64 {
        let before = self.network.params().values()[i];
        let input = self.input.clone();
        let mut at = |v: f32| {
            self.network.params_mut().values_mut()[i] = v;
            self.loss(&input)
        };
        let (l, h) = (at(low), at(high));
        at(before);
        (h - l) / (f64::from(high) - f64::from(low))
    }

    /// The slope of L by parameter `i`, from a central difference of step `h`.
    pub(super) fn slope(&mut self, i: usize, h: f32) -> f64 {
        let w = self.network.params().values()[i];
        self.parameter_slope(i, w - h, w + h)
    }

    /// Compares the gradients of parameters `range` with central differences of step `h`.
    pub(super) fn parameters(&mut self, range: std::ops::Range<usize>, h: f32, tolerance: f64) {
        let gradients = self.gradients();
        let mut wrong = Vec::new();
        for i in range {
            let slope = self.slope(i, h);
            if (slope - f64::from(gradients[i])).abs() > tolerance * slope.abs().max(1.0) {
                wrong.push(format!("parameter {i}: {slope} against {}", gradients[i]));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// Compares the gradients of all parameters, the identity's (and with them those of the operator's input) too.
    pub(super) fn all(&mut self, h: f32, tolerance: f64) {
        self.parameters(0..self.network.params().values().len(), h, tolerance);
    }

    /// Compares the gradients of latent weights without a scale factor with the slope between the two signs, which
    /// is exact as the output is linear in the binary weight. Latents must lie within the estimator's window.
    pub(super) fn signs(&mut self, range: std::ops::Range<usize>, tolerance: f64) {
        let gradients = self.gradients();
        let mut wrong = Vec::new();
        for i in range {
            let slope = self.parameter_slope(i, -0.5, 0.5) / 2.0;
            if (slope - f64::from(gradients[i])).abs() > tolerance * slope.abs().max(1.0) {
                wrong.push(format!("latent {i}: {slope} against {}", gradients[i]));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// Compares the gradients of latent weights (all parameters from `first` on, in `rows` output channels) with a
    /// scale factor: they are that factor times the gradients of `plain`, the same layer without one, plus the slope
    /// through the factor alone, which is what a finite difference sees that flips no sign.
    pub(super) fn scaled_latents(&mut self, plain: &mut Self, first: usize, scale: WeightScale, rows: usize) {
        let count = self.network.params().values().len() - first;
        let latents = numbers(count, 11);
        for check in [&mut *plain, &mut *self] {
            check.network.params_mut().values_mut()[first..].copy_from_slice(&latents);
        }
        let (without, with) = (plain.gradients(), self.gradients());
        let mut wrong = Vec::new();
        for i in 0..count {
            let row = &latents[i / (count / rows) * (count / rows)..][..count / rows];
            let through = f64::from(with[first + i]) - f64::from(scale.factor(row) * without[first + i]);
            let slope = self.slope(first + i, 0.01);
            if (slope - through).abs() > 2e-3 * slope.abs().max(1.0) {
                wrong.push(format!("latent {i}: {slope} against {through}"));
            }
        }
        assert!(wrong.is_empty(), "{scale:?}: {wrong:#?}");
    }

    /// Compares the gradient that reaches the bits with the slope between the two signs. The straight-through
    /// estimator passes it on to the identity, whose gradient is sum over pixels of x_j times it.
    pub(super) fn bits(&mut self, tolerance: f64) {
        let (c, gradients) = (self.network.input_shape().c, self.gradients());
        let mut expected = vec![0.0; c * c];
        for i in 0..self.input.len() {
            let mut flipped = self.input.clone();
            flipped[i] = -flipped[i];
            let (here, there) = (self.loss(&self.input.clone()), self.loss(&flipped));
            let slope = (here - there) / (2.0 * f64::from(self.input[i].signum()));
            let pixel = &self.input[i / c * c..][..c];
            for (j, &x) in pixel.iter().enumerate() {
                expected[i % c * c + j] += slope * f64::from(x);
            }
        }
        let wrong: Vec<_> = (0..c * c)
            .filter(|&i| (expected[i] - f64::from(gradients[i])).abs() > tolerance * expected[i].abs().max(1.0))
            .map(|i| format!("{i}: {} against {}", expected[i], gradients[i]))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
