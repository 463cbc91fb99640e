//! How fast the bits are beside real numbers, measured in turns.

use signbit::{Model, Options};
use signbit_train::data::Pictures;

use super::Way;
use crate::commands::bench::{in_turns, spread};
use crate::commands::eval::prepared;
use crate::failure::Failure;
use crate::files::BATCH;

/// Pictures per second of both networks, and the spread of their ratio.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speeds {
    pub(crate) bits: f64,
    pub(crate) twin: f64,
    /// Median over the rounds.
    pub(crate) ratio: f64,
    /// 10th and 90th percentile.
    pub(crate) range: (f64, f64),
    pub(crate) batch: usize,
}

/// Runs both networks round by round on the first test pictures.
pub(crate) fn speeds(bits: &Model, twin: &Model, test: &Pictures, way: Way, seconds: f64) -> Result<Speeds, Failure> {
    let batch = BATCH.min(test.len());
    if batch == 0 {
        return Err(Failure::input("the data set has no test pictures"));
    }
    let indices: Vec<usize> = (0..batch).collect();
    let input = prepared(bits, test, &indices)?;
    let options = Options { isa: way.isa, threads: way.threads, batch, ..Options::default() };
    let (mut fast, mut slow) = (bits.session(options)?, twin.session(options)?);
    let rounds = in_turns([&mut fast, &mut slow], &input, batch, seconds)?;
    let median = |of: fn(&(f64, f64)) -> f64| spread(rounds.iter().map(of)).median;
    let rate = |ms: f64| batch as f64 * 1e3 / ms;
    let ratio = spread(rounds.iter().map(|r| r.1 / r.0));
    Ok(Speeds {
        bits: rate(median(|r| r.0)),
        twin: rate(median(|r| r.1)),
        ratio: ratio.median,
        range: (ratio.low, ratio.high),
        batch,
    })
}
