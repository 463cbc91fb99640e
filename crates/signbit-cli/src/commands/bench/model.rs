//! `signbit bench MODEL`: a model's speed beside its twin in f32.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use signbit::{Options, Session, StepTime, f32_twin};

use super::clock::{Clock, noise, seconds, spread};
use super::compare::Comparison;
use super::profile;
use super::record::{Layer, Record, Settings};
use crate::args::{IsaArg, JsonArg, ThreadsArg, WinogradArg, count};
use crate::failure::Failure;
use crate::files;
use crate::output::{Out, counted, grouped, short, table};

/// What the bits are compared with.
pub(crate) const BASELINE: &str = "f32 in signbit's own fixed-order kernels";

/// The options of a measurement of a model.
#[derive(Args, Debug)]
pub(super) struct ModelArgs {
    /// The model's file
    #[arg(required = true)]
    model: Option<PathBuf>,
    /// Samples that run at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(4096))]
    batch: usize,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// Write the record, as --json prints it, to a file
    #[arg(long, value_name = "RUN.json")]
    out: Option<PathBuf>,
    /// Show an earlier record (of --out or --json) beside this measurement
    #[arg(long, value_name = "RUN.json")]
    compare: Option<PathBuf>,
    /// Run once and show each step in the order of running: no twin, no repetition, nothing warmed up
    #[arg(long, conflicts_with_all = ["seconds", "out", "compare"])]
    profile: bool,
    #[command(flatten)]
    isa: IsaArg,
    #[command(flatten)]
    winograd: WinogradArg,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    json: JsonArg,
}

pub(super) fn run(args: &ModelArgs) -> Result<(), Failure> {
    let path = args.model.as_deref().ok_or_else(|| Failure::input("give the file of a model; see --help"))?;
    let (out, isa, threads) = (args.json.out(), args.isa.isa()?, args.threads.threads());
    // What is wrong with a file is said before anything is measured.
    args.out.as_deref().map_or(Ok(()), files::check_output)?;
    let before = args.compare.as_deref().map(|path| Ok::<_, Failure>((path, Record::read(path)?))).transpose()?;
    let model = files::model(path)?;
    let options = Options { isa, threads, batch: args.batch, winograd: args.winograd.winograd, ..Options::default() };
    let mut bits = model.session(options)?;
    let input = noise(args.batch * bits.input_type().shape.elements());
    let settings = Settings::of(path, isa, threads, args.batch)?;
    if args.profile {
        return profile::tell(out, &settings, &bits.profile(&input, args.batch)?);
    }
    // In the fixed order, as it is called.
    let mut twin = f32_twin(model.data())?.session(Options { winograd: false, ..options })?;
    let pairs = in_turns([&mut bits, &mut twin], &input, args.batch, 0.4 * args.seconds)?;
    let by_threads = if threads > 1 {
        let mut one = model.session(Options { threads: 1, ..options })?;
        Some(in_turns([&mut bits, &mut one], &input, args.batch, 0.2 * args.seconds)?)
    } else {
        None
    };
    let layers = layers(&mut bits, &mut twin, &input, args.batch, 0.4 * args.seconds)?;
    let now = Record::new(settings, &pairs, by_threads.as_deref(), layers);
    // Written before anything is printed: a failure leaves no output that looks like a success.
    args.out.as_deref().map_or(Ok(()), |path| now.write(path))?;
    match &before {
        None => {
            tell(out, &now)?;
            out.json(&now)?;
        }
        Some((path, before)) => {
            let comparison = Comparison::new(path, before, &now);
            comparison.tell(out)?;
            out.json(&comparison.with(&now))?;
        }
    }
    args.out.as_deref().map_or(Ok(()), |path| out.text(format_args!("record: {}", path.display())))
}

fn tell(out: Out, record: &Record) -> Result<(), Failure> {
    let sum = sum(&record.layers);
    let rows = record.layers.iter().chain([&sum]).map(|layer| row(layer, sum.ms));
    let head = ["layer", "kernel", "isa", "bytes", "ms", "share", "GMAC/s", "f32 ms", "times faster"];
    out.headed(table(&head, 3, rows))?;
    let settings = &record.settings;
    out.text(format_args!("\n{}:", settings.way()))?;
    let both = [("bits", record.bits_ms, record.bits_per_second), ("f32 ", record.f32_ms, record.f32_per_second)];
    for (name, ms, rate) in both {
        out.text(format_args!("  {name}  {} ms, {} samples/s", short(ms.median), short(rate)))?;
    }
    let ratio = record.ratio;
    let (low, high) = (short(ratio.low), short(ratio.high));
    let (median, rounds) = (short(ratio.median), counted(record.rounds, "round"));
    out.text(format_args!("  bits are {median} times as fast as {BASELINE} ({low} to {high} in {rounds})"))?;
    let Some(ratio) = record.threads_ratio else { return Ok(()) };
    let [median, low, high] = [ratio.median, ratio.low, ratio.high].map(short);
    let threads = counted(settings.threads as u64, "thread");
    out.text(format_args!("  {threads} are {median} times as fast as one ({low} to {high})"))
}

fn row(layer: &Layer, total: f64) -> Vec<String> {
    let words = [layer.name.clone(), layer.kernel.clone(), layer.isa.clone()];
    let share = format!("{:.1} %", 100.0 * layer.ms / total);
    // In f32 another step may do the work of this one, or there is nothing to do.
    let twin = (layer.f32_ms > 0.0).then(|| (format!("{:.4}", layer.f32_ms), short(layer.f32_ms / layer.ms)));
    let (twin_ms, faster) = twin.unwrap_or_default();
    let rate = layer.gmac_per_second.map(short).unwrap_or_default();
    let numbers = [grouped(layer.bytes()), format!("{:.4}", layer.ms), share, rate, twin_ms, faster];
    words.into_iter().chain(numbers).collect()
}

/// The times of two sessions in ms, round by round.
pub(crate) fn in_turns(
    [first, second]: [&mut Session; 2],
    input: &[f32],
    n: usize,
    seconds: f64,
) -> Result<Vec<(f64, f64)>, Failure> {
    // The first run of each is for caches and threads to wake up.
    first.run(input, n)?;
    second.run(input, n)?;
    let mut rounds = Vec::new();
    let clock = Clock::start("in turns", seconds);
    while clock.goes_on(rounds.len()) {
        let start = Instant::now();
        first.run(input, n)?;
        let middle = Instant::now();
        second.run(input, n)?;
        rounds.push(((middle - start).as_secs_f64() * 1e3, middle.elapsed().as_secs_f64() * 1e3));
    }
    clock.end();
    Ok(rounds)
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
    let mut f32_ms = vec![0.0; of_bits[0].len()];
    let place: BTreeMap<&String, usize> =
        of_bits[0].iter().enumerate().flat_map(|(i, step)| step.nodes.iter().map(move |node| (node, i))).collect();
    for (i, step) in of_twin[0].iter().enumerate() {
        if let Some(&layer) = step.nodes.iter().find_map(|node| place.get(node)) {
            f32_ms[layer] += median(&of_twin, i);
        }
    }
    let total: f64 = (0..f32_ms.len()).map(|i| median(&of_bits, i)).sum();
    let steps = of_bits[0].iter().zip(f32_ms).enumerate();
    Ok(steps.map(|(i, (step, f32_ms))| Layer::new(step, median(&of_bits, i), total, f32_ms)).collect())
}

/// The line below the layers.
fn sum(layers: &[Layer]) -> Layer {
    let (macs, ms) = (layers.iter().map(|layer| layer.macs).sum(), layers.iter().map(|layer| layer.ms).sum());
    Layer {
        name: "total".to_owned(),
        kernel: String::new(),
        isa: String::new(),
        ms,
        share: 1.0,
        macs,
        weight_bytes: layers.iter().map(|layer| layer.weight_bytes).sum(),
        activation_bytes: layers.iter().map(|layer| layer.activation_bytes).sum(),
        gmac_per_second: Layer::rate(macs, ms),
        f32_ms: layers.iter().map(|layer| layer.f32_ms).sum(),
    }
}
