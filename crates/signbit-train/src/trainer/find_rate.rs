//! A learning rate found by trying: a short training whose rate rises from step to step, and what its loss does meanwhile
//! (the range test of Smith 2017, arXiv 1506.01186, section 3.3; here the rate rises exponentially, because rates of
//! interest lie orders of magnitude apart).

use super::feed::{Feed, Loader};
use super::{Done, TrainError, Trainer};
use crate::data::epoch_order;
use crate::range::OutOfRange;
use crate::ranks::Ranks;

/// Share of the old average in the smoothed loss.
const SMOOTHING: f64 = 0.9;
/// The test ends where the smoothed loss is so many times the lowest.
const ENOUGH: f64 = 4.0;
/// The slope is taken over this share of the steps, on both sides.
const SLOPE: usize = 20;

/// Which rates are tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateRange {
    /// The first.
    pub low: f32,
    /// The last.
    pub high: f32,
    /// Steps from the one to the other, both included.
    pub steps: usize,
}

impl Default for RateRange {
    fn default() -> Self {
        Self { low: 1e-5, high: 1.0, steps: 200 }
    }
}

impl RateRange {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first that is out of range.
    pub fn validate(&self) -> Result<(), OutOfRange> {
        let Self { low, high, steps } = *self;
        OutOfRange::unless((1e-10..=10.0).contains(&low), "lowest rate", low, "from 1e-10 to 10")?;
        OutOfRange::unless(high > low && high <= 10.0, "highest rate", high, "above the lowest and at most 10")?;
        OutOfRange::unless((20..=100_000).contains(&steps), "number of steps", steps, "from 20 to 100000")
    }

    /// The rate of step `step`, counted from 0.
    pub fn at(&self, step: usize) -> f32 {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        (low * (high / low).powf(step as f64 / (self.steps - 1) as f64)) as f32
    }
}

/// One step of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TriedRate {
    /// The learning rate.
    pub rate: f32,
    /// Mean loss of the step's samples, before the update at this rate.
    pub loss: f64,
    /// Running mean of the loss.
    pub smooth: f64,
}

/// What the test found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundRate {
    /// Step by step, the rate rising; the test ends early where the loss runs away.
    pub tried: Vec<TriedRate>,
    /// Where the loss fell fastest by the rate's logarithm, and where it was lowest; `None` where it did not fall.
    pub range: Option<(f32, f32)>,
}

impl FoundRate {
    /// The highest learning rate of a training, as a place to begin: by its logarithm half-way between the rate at which
    /// the loss fell fastest, which is careful, and the one at which it was lowest, which is too high to stay at.
    pub fn suggested(&self) -> Option<f32> {
        self.range.map(|(fastest, lowest)| (f64::from(fastest) * f64::from(lowest)).sqrt() as f32)
    }
}

impl Trainer<'_> {
    /// Trains with a rising learning rate and looks at the loss; the recipe's own rate and schedule do not matter. The
    /// weights are of no use afterwards, so the training ends here. `seen` is called with the number of steps done.
    ///
    /// # Errors
    /// Where the range is none, or the pictures do not fit the preprocessing.
    pub fn find_rate(mut self, range: &RateRange, seen: &mut dyn FnMut(usize)) -> Result<FoundRate, TrainError> {
        range.validate()?;
        self.network.params_mut().use_average(false);
        let recipe = self.header.recipe.clone();
        let (mut tried, mut average, mut lowest) = (Vec::new(), 0.0, f64::INFINITY);
        let preprocessing = self.header.preprocessing.clone();
        let mut epoch = 0;
        'test: loop {
            let order = epoch_order(self.data.train.len(), recipe.seed, epoch);
            let loader =
                Loader::new(self.data, &recipe, &preprocessing, epoch).only(self.network.ranks().map(Ranks::own));
            let mut feed = Feed::new(loader, &order, recipe.batch, 0);
            loop {
                let rate = range.at(tried.len());
                let Some(Done { loss, .. }) = self.step(&recipe, &mut feed, rate, &mut |_| {})? else { break };
                average = SMOOTHING * average + (1.0 - SMOOTHING) * loss;
                // The average begins at 0; this takes it out.
                let smooth = average / (1.0 - SMOOTHING.powi(tried.len() as i32 + 1));
                lowest = smooth.min(lowest);
                if !smooth.is_finite() {
                    break 'test;
                }
                tried.push(TriedRate { rate, loss, smooth });
                seen(tried.len());
                if tried.len() == range.steps || smooth > ENOUGH * lowest {
                    break 'test;
                }
            }
            epoch += 1;
        }
        Ok(FoundRate { range: useful(&tried, range.steps.div_ceil(SLOPE)), tried })
    }
}

/// The rates of [`FoundRate::range`]. The slope is the loss's difference over `reach` steps on both sides.
fn useful(tried: &[TriedRate], reach: usize) -> Option<(f32, f32)> {
    let lowest = (0..tried.len()).min_by(|&a, &b| tried[a].smooth.total_cmp(&tried[b].smooth))?;
    let slope = |i: usize| tried[(i + reach).min(lowest)].smooth - tried[i.saturating_sub(reach)].smooth;
    let best = (0..=lowest).min_by(|&a, &b| slope(a).total_cmp(&slope(b)))?;
    (slope(best) < 0.0).then(|| (tried[best].rate, tried[lowest].rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_by_a_factor() {
        let range = RateRange { low: 1e-4, high: 1.0, steps: 41 };
        let found = [0, 10, 20, 40].map(|step| range.at(step));
        assert!(found.iter().zip([1e-4, 1e-3, 1e-2, 1.0]).all(|(f, e)| (f / e - 1.0).abs() < 1e-5), "{found:?}");
    }

    #[test]
    fn the_suggestion_lies_between_the_steepest_fall_and_the_lowest_loss() {
        let range = RateRange { low: 1e-4, high: 1.0, steps: 41 };
        // A fall in the shape of a logistic curve around step 20, and a rise after step 32.
        let smooth = |i: usize| 2.0 / (1.0 + ((i as f64 - 20.0) / 2.0).exp()) + (i as f64 - 32.0).max(0.0);
        let tried = |smooth: &dyn Fn(usize) -> f64| -> Vec<TriedRate> {
            (0..41).map(|i| TriedRate { rate: range.at(i), loss: 0.0, smooth: smooth(i) }).collect()
        };
        let found = FoundRate { range: useful(&tried(&smooth), 2), tried: vec![] };
        assert_eq!(found.range, Some((range.at(20), range.at(32))));
        assert!((found.suggested().unwrap() / range.at(26) - 1.0).abs() < 1e-5, "{found:?}");
        assert_eq!(useful(&tried(&|i| i as f64), 2), None, "it only rises");
        assert_eq!(useful(&tried(&|_| 1.0), 2), None);
        assert_eq!(useful(&[], 2), None);
    }

    #[test]
    fn ranges_that_are_none() {
        let good = RateRange::default();
        assert_eq!(good.validate(), Ok(()));
        for (word, bad) in [
            ("lowest", RateRange { low: 0.0, ..good }),
            ("lowest", RateRange { low: f32::NAN, ..good }),
            ("highest", RateRange { high: 1e-5, ..good }),
            ("highest", RateRange { high: 11.0, ..good }),
            ("steps", RateRange { steps: 19, ..good }),
        ] {
            let message = bad.validate().unwrap_err().to_string();
            assert!(message.contains(word), "{word}: {message}");
        }
    }
}
