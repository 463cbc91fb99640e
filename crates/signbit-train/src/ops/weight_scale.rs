//! The factor per output channel that binary weights are multiplied by, and the balance of weights before their signs.

use super::rows;

/// The factor alpha per output channel that binary weights are multiplied by.
///
/// A quantizer of weights whose [`kind`](crate::quantizer::Quantizer::kind) has a factor of its own brings it along,
/// whatever the layer was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WeightScale {
    /// 1.
    #[default]
    None,
    /// mean |W| of the channel, which minimises ||W - alpha B||^2 (Rastegari et al. 2016, arXiv 1603.05279, eq. 6).
    Alpha,
    /// |mean W| of the channel: what some articles print for alpha. It leaves a larger error; it is here to
    /// reproduce them.
    AbsOfMean,
    /// A trained number per channel (XNOR-Net++, Bulat and Tzimiropoulos 2019, arXiv 1909.13863, case 1),
    /// parameter `LAYER.alpha`, at first 1. Where it falls below 0, the packed bits of its channel are turned.
    Learned,
    /// mean |W| of the channel that counts as a constant in the backward pass (Bi-Real Net, Liu et al. 2018,
    /// arXiv 1808.00278, section 3.3).
    MeanAsConstant,
    /// The power of two next to mean |W| of the channel, by its logarithm; a constant in the backward pass (IR-Net, Qin et
    /// al. 2020, arXiv 1909.10788, eq. 4: a shift in place of a product).
    PowerOfTwo,
}

impl WeightScale {
    /// alpha of one channel's latent weights, or of its balanced ones. Of a learned one, the number before training.
    pub fn factor(self, weights: &[f32]) -> f32 {
        let mean = |f: fn(f32) -> f32| rows::sum(weights, f) / weights.len() as f32;
        match self {
            WeightScale::None | WeightScale::Learned => 1.0,
            WeightScale::Alpha | WeightScale::MeanAsConstant => mean(f32::abs),
            WeightScale::AbsOfMean => mean(|w| w).abs(),
            WeightScale::PowerOfTwo => power_of_two(mean(f32::abs)),
        }
    }

    /// Whether a factor is computed at all.
    pub fn is_some(self) -> bool {
        self != WeightScale::None
    }

    /// Adds alpha's own share of the gradient by `weights`: `d_alpha` times the derivative of [`WeightScale::factor`].
    pub(super) fn add_gradient(self, weights: &[f32], d_alpha: f32, grad: &mut [f32]) {
        let per_weight = d_alpha / weights.len() as f32;
        match self {
            WeightScale::Alpha => {
                grad.iter_mut().zip(weights).for_each(|(g, &w)| *g += if w >= 0.0 { per_weight } else { -per_weight });
            }
            WeightScale::AbsOfMean => {
                let sign = if rows::sum(weights, |w| w) >= 0.0 { per_weight } else { -per_weight };
                grad.iter_mut().for_each(|g| *g += sign);
            }
            WeightScale::None | WeightScale::Learned | WeightScale::MeanAsConstant | WeightScale::PowerOfTwo => {}
        }
    }
}

/// 2^round(log2(x)) for x > 0 that is neither tiny nor infinite, else 0 or what x is. By the number's own exponent: a
/// library's logarithm differs between machines.
fn power_of_two(x: f32) -> f32 {
    if !x.is_normal() {
        return if x.is_finite() { 0.0 } else { x };
    }
    let power = f32::from_bits(x.to_bits() & 0x7f80_0000);
    if x / power >= std::f32::consts::SQRT_2 { power * 2.0 } else { power }
}

/// Keeps a standard deviation of weights that are all the same away from 0.
const SMALLEST_DEVIATION: f32 = 1e-8;

/// Mean and (unbiased) standard deviation of a channel's weights.
fn moments(w: &[f32]) -> (f32, f32) {
    let mean = rows::sum(w, |w| w) / w.len() as f32;
    let squares = rows::sum(w, |w| (w - mean) * (w - mean));
    (mean, (squares / (w.len() - 1).max(1) as f32).sqrt().max(SMALLEST_DEVIATION))
}

/// Balanced weights of one channel: `(w - mean W) / std W` (Qin et al. 2020, arXiv 1909.10788, eq. 3).
pub(super) fn balance(w: &[f32], balanced: &mut [f32]) {
    let (mean, deviation) = moments(w);
    balanced.iter_mut().zip(w).for_each(|(v, w)| *v = (w - mean) / deviation);
}

/// Turns the gradient by balanced weights `v` of one channel into that by its latent weights `w`:
///
/// dw = (dv - mean dv - v sum(dv v) / (K - 1)) / std W
pub(super) fn unbalance_gradient(w: &[f32], v: &[f32], grad: &mut [f32]) {
    let (_, deviation) = moments(w);
    let k = w.len();
    let mean = rows::sum(grad, |g| g) / k as f32;
    let along = grad.iter().zip(v).map(|(g, v)| g * v).sum::<f32>() / (k - 1).max(1) as f32;
    grad.iter_mut().zip(v).for_each(|(g, v)| *g = (*g - mean - v * along) / deviation);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradcheck::numbers;

    /// The worked example of Rastegari et al.'s alpha, and which of the two factors leaves the smaller error.
    #[test]
    fn alpha_leaves_a_smaller_error_than_the_absolute_mean() {
        let w = [0.2, 0.2, -0.6, -0.6];
        let signs = [1.0, 1.0, -1.0, -1.0];
        let (alpha, abs_of_mean) = (WeightScale::Alpha.factor(&w), WeightScale::AbsOfMean.factor(&w));
        assert!((alpha - 0.4).abs() < 1e-6 && (abs_of_mean - 0.2).abs() < 1e-6);
        let error = |a: f32| w.iter().zip(signs).map(|(w, b): (&f32, f32)| (w - a * b).powi(2)).sum::<f32>();
        assert!(error(alpha) < error(abs_of_mean));
        assert!(error(alpha) < error(alpha + 0.01) && error(alpha) < error(alpha - 0.01), "alpha is the minimum");
    }

    #[test]
    fn the_next_power_of_two_is_by_the_logarithm() {
        let cases = [(1.0, 1.0), (1.41, 1.0), (1.42, 2.0), (0.8, 1.0), (0.7, 0.5), (3.0, 4.0), (2.8, 2.0), (0.0, 0.0)];
        for (x, expected) in cases {
            assert_eq!(power_of_two(x), expected, "{x}");
            assert!(x == 0.0 || expected == x.log2().round().exp2(), "{x}");
        }
        assert!(power_of_two(f32::NAN).is_nan());
    }

    #[test]
    fn balanced_weights_have_mean_0_and_deviation_1() {
        let w: Vec<f32> = numbers(50, 1).iter().map(|w| 0.3 * w + 0.2).collect();
        let mut v = vec![0.0; 50];
        balance(&w, &mut v);
        let (mean, deviation) = moments(&v);
        assert!(mean.abs() < 1e-5 && (deviation - 1.0).abs() < 1e-5, "{mean} {deviation}");
        balance(&[0.3; 4], &mut v[..4]);
        assert!(v[..4].iter().all(|v| v.is_finite()));
    }

    #[test]
    fn the_gradient_through_the_balance_by_finite_differences() {
        let (w, r) = (numbers(9, 1), numbers(9, 2));
        let mut v = vec![0.0; 9];
        balance(&w, &mut v);
        let mut gradient = r.clone();
        unbalance_gradient(&w, &v, &mut gradient);
        for i in 0..9 {
            let mut loss = |h: f32| -> f64 {
                let mut moved = w.clone();
                moved[i] += h;
                balance(&moved, &mut v);
                v.iter().zip(&r).map(|(v, r)| f64::from(*v) * f64::from(*r)).sum()
            };
            let slope = (loss(1e-2) - loss(-1e-2)) / 2e-2;
            assert!((slope - f64::from(gradient[i])).abs() < 1e-2, "{i}: {slope} against {}", gradient[i]);
        }
    }
}
