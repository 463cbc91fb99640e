//! How long to measure, on what numbers, and what becomes of many times.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::progress::Progress;

/// Rounds that are measured however long they take.
const MIN_ROUNDS: usize = 5;
/// Rounds after which more would teach nothing.
const MAX_ROUNDS: usize = 20_000;

/// The value of `--seconds`.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.001..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("it must be from 0.001 to 3600".to_owned()),
    }
}

/// Numbers from -1 to 1 without a pattern that a network could like (a linear congruential generator).
pub(crate) fn noise(n: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// The time of a measurement, and its bar.
pub(super) struct Clock {
    started: Instant,
    seconds: f64,
    progress: Progress,
}

impl Clock {
    pub(super) fn start(what: &str, seconds: f64) -> Self {
        let progress = Progress::new((seconds * 1e3) as usize, "ms");
        progress.prefix(what);
        Self { started: Instant::now(), seconds, progress }
    }

    /// Whether there is to be another round after so many.
    pub(super) fn goes_on(&self, rounds: usize) -> bool {
        let elapsed = self.started.elapsed().as_secs_f64();
        self.progress.done((elapsed.min(self.seconds) * 1e3) as usize);
        rounds < MIN_ROUNDS || (elapsed < self.seconds && rounds < MAX_ROUNDS)
    }

    pub(super) fn end(self) {
        self.progress.end();
    }
}

/// Median, 10th and 90th percentile.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    #[serde(rename = "p10")]
    pub(crate) low: f64,
    #[serde(rename = "p90")]
    pub(crate) high: f64,
}

/// The spread of at least one number.
pub(crate) fn spread(numbers: impl Iterator<Item = f64>) -> Spread {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    Spread { median: at(0.5), low: at(0.1), high: at(0.9) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_of_known_numbers() {
        let of = spread((0..=10).rev().map(f64::from));
        assert_eq!((of.low, of.median, of.high), (1.0, 5.0, 9.0));
        let one = spread(std::iter::once(3.0));
        assert_eq!((one.low, one.median, one.high), (3.0, 3.0, 3.0));
    }

    #[test]
    fn noise_has_both_signs() {
        let positive = noise(1000).iter().filter(|&&x| x >= 0.0).count();
        assert!((400..600).contains(&positive), "{positive}");
        assert!(noise(1000).iter().all(|x| x.abs() <= 1.0));
    }
}
