//! `signbit bench`: how fast a model is, layer by layer, beside the same layers in f32.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use signbit::{Options, Session, StepTime, f32_twin};

use crate::args::{IsaArg, JsonArg, ThreadsArg, count};
use crate::failure::Failure;
use crate::files;
use crate::output::{counted, short, table};
use crate::progress::Progress;

/// What the bits are compared with.
pub(crate) const BASELINE: &str = "f32 in signbit's own fixed-order kernels";
/// Rounds that are measured however long they take.
const MIN_ROUNDS: usize = 5;
/// Rounds after which more would teach nothing.
const MAX_ROUNDS: usize = 20_000;

/// Measure a model's speed, per layer and in total, beside its twin in f32
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit bench digits.signbit
  signbit bench digits.signbit --batch 16 --threads 2 --seconds 5

The twin has the same layers in f32 in signbit's own fixed-order kernels (its answers mean nothing). They add
one product after the other, without fused multiply-add, so that every instruction set gives the same bits; a
library of real matrix products may be faster. Both are measured in turns, round by round, so that a machine
that gets slower meets both; the ratio is the median over the rounds, with its 10th and 90th percentile.")]
pub(crate) struct BenchArgs {
    /// The model's file
    model: PathBuf,
    /// Samples that run at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(4096))]
    batch: usize,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    #[command(flatten)]
    isa: IsaArg,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.001..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("it must be from 0.001 to 3600".to_owned()),
    }
}

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let (out, isa, threads) = (args.json.out(), args.isa.isa()?, args.threads.threads());
    let model = files::model(&args.model)?;
    let options = Options { isa, threads, batch: args.batch, ..Options::default() };
    let mut bits = model.session(options)?;
    let mut twin = f32_twin(model.data())?.session(options)?;
    let input = noise(args.batch * bits.input_type().shape.elements());
    let pairs = in_turns(&mut bits, &mut twin, &input, args.batch, 0.6 * args.seconds)?;
    let layers = layers(&mut bits, &mut twin, &input, args.batch, 0.4 * args.seconds)?;
    let (bits_ms, twin_ms) = (spread(pairs.iter().map(|p| p.0)), spread(pairs.iter().map(|p| p.1)));
    let ratio = spread(pairs.iter().map(|p| p.1 / p.0));
    let rate = |ms: &Spread| args.batch as f64 * 1e3 / ms.median;
    let sum = sum(&layers);
    let total = sum.ms;
    let rows = layers.iter().chain([&sum]).map(|layer| layer.row(total));
    let head = ["layer", "kernel", "isa", "ms", "share", "GMAC/s", "f32 ms", "times faster"];
    out.headed(table(&head, 3, rows))?;
    let way = format!("{}, {}, batch {}", isa.name(), counted(threads as u64, "thread"), args.batch);
    out.text(format_args!("\n{way}:"))?;
    for (name, ms) in [("bits", &bits_ms), ("f32 ", &twin_ms)] {
        out.text(format_args!("  {name}  {} ms, {} samples/s", short(ms.median), short(rate(ms))))?;
    }
    let (low, high) = (short(ratio.low), short(ratio.high));
    let (median, rounds) = (short(ratio.median), counted(pairs.len() as u64, "round"));
    out.text(format_args!("  bits are {median} times as fast as {BASELINE} ({low} to {high} in {rounds})"))?;
    out.json(&json!({
        "isa": isa.name(), "threads": threads, "batch": args.batch, "rounds": pairs.len(), "baseline": BASELINE,
        "bits_ms": bits_ms.as_json(), "f32_ms": twin_ms.as_json(), "ratio": ratio.as_json(),
        "bits_per_second": rate(&bits_ms), "f32_per_second": rate(&twin_ms),
        "layers": layers.iter().map(|layer| layer.as_json(total)).collect::<Vec<_>>(),
    }))
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
struct Clock {
    started: Instant,
    seconds: f64,
    progress: Progress,
}

impl Clock {
    fn start(what: &str, seconds: f64) -> Self {
        let progress = Progress::new((seconds * 1e3) as usize, "ms");
        progress.prefix(what);
        Self { started: Instant::now(), seconds, progress }
    }

    /// Whether there is to be another round after so many.
    fn goes_on(&self, rounds: usize) -> bool {
        let elapsed = self.started.elapsed().as_secs_f64();
        self.progress.done((elapsed.min(self.seconds) * 1e3) as usize);
        rounds < MIN_ROUNDS || (elapsed < self.seconds && rounds < MAX_ROUNDS)
    }

    fn end(self) {
        self.progress.end();
    }
}

/// The times of both sessions in ms, round by round.
pub(crate) fn in_turns(
    bits: &mut Session,
    twin: &mut Session,
    input: &[f32],
    n: usize,
    seconds: f64,
) -> Result<Vec<(f64, f64)>, Failure> {
    // The first run of each is for caches and threads to wake up.
    bits.run(input, n)?;
    twin.run(input, n)?;
    let mut rounds = Vec::new();
    let clock = Clock::start("in turns", seconds);
    while clock.goes_on(rounds.len()) {
        let start = Instant::now();
        bits.run(input, n)?;
        let middle = Instant::now();
        twin.run(input, n)?;
        rounds.push(((middle - start).as_secs_f64() * 1e3, middle.elapsed().as_secs_f64() * 1e3));
    }
    clock.end();
    Ok(rounds)
}

/// One step of the binary network, and what its layers take in f32.
struct Layer {
    name: String,
    kernel: &'static str,
    isa: &'static str,
    macs: u64,
    ms: f64,
    twin_ms: f64,
}

impl Layer {
    /// 10^9 multiply-accumulates per second; `None` where the step has none.
    fn gmacs(&self) -> Option<f64> {
        (self.macs > 0).then(|| self.macs as f64 / self.ms / 1e6)
    }

    fn row(&self, total: f64) -> Vec<String> {
        let words = [self.name.clone(), self.kernel.to_owned(), self.isa.to_owned()];
        let share = format!("{:.1} %", 100.0 * self.ms / total);
        // In f32 another step may do the work of this one, or there is nothing to do.
        let twin = (self.twin_ms > 0.0).then(|| (format!("{:.4}", self.twin_ms), short(self.twin_ms / self.ms)));
        let (twin_ms, faster) = twin.unwrap_or_default();
        let numbers = [format!("{:.4}", self.ms), share, self.gmacs().map(short).unwrap_or_default(), twin_ms, faster];
        words.into_iter().chain(numbers).collect()
    }

    fn as_json(&self, total: f64) -> serde_json::Value {
        json!({
            "layer": self.name, "kernel": self.kernel, "isa": self.isa, "ms": self.ms, "share": self.ms / total,
            "macs": self.macs, "gmac_per_second": self.gmacs(), "f32_ms": self.twin_ms,
        })
    }
}

/// The median time of each step of the binary network. A step of the twin counts for the first of its nodes that
/// is a node of the binary network, too.
fn layers(
    bits: &mut Session,
    twin: &mut Session,
    input: &[f32],
    n: usize,
    seconds: f64,
) -> Result<Vec<Layer>, Failure> {
    let (mut of_bits, mut of_twin): (Vec<Vec<StepTime>>, Vec<Vec<StepTime>>) = Default::default();
    let clock = Clock::start("by layer", seconds);
    while clock.goes_on(of_bits.len()) {
        of_bits.push(bits.profile(input, n)?);
        of_twin.push(twin.profile(input, n)?);
    }
    clock.end();
    let median = |rounds: &[Vec<StepTime>], step: usize| spread(rounds.iter().map(|r| r[step].seconds * 1e3)).median;
    let mut place = BTreeMap::new();
    let mut layers = Vec::new();
    for (i, step) in of_bits[0].iter().enumerate() {
        place.extend(step.nodes.iter().map(|node| (node.clone(), i)));
        layers.push(Layer {
            name: step.nodes.join(" + "),
            kernel: step.kernel,
            isa: step.isa,
            macs: step.macs_1bit + step.macs_32bit,
            ms: median(&of_bits, i),
            twin_ms: 0.0,
        });
    }
    for (i, step) in of_twin[0].iter().enumerate() {
        if let Some(&layer) = step.nodes.iter().find_map(|node| place.get(node)) {
            layers[layer].twin_ms += median(&of_twin, i);
        }
    }
    Ok(layers)
}

fn sum(layers: &[Layer]) -> Layer {
    Layer {
        name: "total".to_owned(),
        kernel: "",
        isa: "",
        macs: layers.iter().map(|layer| layer.macs).sum(),
        ms: layers.iter().map(|layer| layer.ms).sum(),
        twin_ms: layers.iter().map(|layer| layer.twin_ms).sum(),
    }
}

/// Median, 10th and 90th percentile.
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    fn as_json(&self) -> serde_json::Value {
        json!({ "median": self.median, "p10": self.low, "p90": self.high })
    }
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
