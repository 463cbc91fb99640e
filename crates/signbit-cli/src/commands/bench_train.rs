//! `signbit bench-train`: the time of optimiser steps, without any data to read.

use std::time::Instant;

use clap::Args;
use rayon::ThreadPoolBuilder;
use serde_json::json;
use signbit_model::Shape;
use signbit_train::loss::{Target, loss};
use signbit_train::op::Mode;
use signbit_train::recipe::Recipe;
use signbit_train::tensor::Tensor;
use signbit_train::trainer::TrainError;
use signbit_train::zoo;

use super::bench::spread;
use crate::args::{JsonArg, ThreadsArg, count, isa_from_env};
use crate::failure::Failure;

/// Steps before the clock starts.
const WARM_UP: usize = 3;
/// As MNIST has them.
const PICTURES: Shape = Shape::new(28, 28, 1);
const CLASSES: usize = 10;

/// Measure training steps on synthetic pictures of 28x28
#[derive(Args, Debug)]
#[command(
    hide = true,
    after_help = "\
EXAMPLE:
  signbit bench-train mlp --batch 100 --threads 1 --steps 20 --json"
)]
pub(crate) struct BenchTrainArgs {
    /// The network, of those that `signbit zoo list` names
    network: String,
    /// Pictures per step
    #[arg(long, value_name = "N", default_value_t = 100)]
    batch: usize,
    /// Measured steps
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = count(1_000_000))]
    steps: usize,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &BenchTrainArgs) -> Result<(), Failure> {
    let recipe = Recipe { batch: args.batch, ..Recipe::by_name(&args.network)? };
    recipe.validate()?;
    let (isa, threads) = (isa_from_env()?, args.threads.threads());
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(|_| TrainError::Threads(threads))?;
    let step_ms = pool.install(|| step_times(&recipe, isa, args.steps))?;
    let median = spread(step_ms.iter().copied()).median;
    let fastest = step_ms.iter().copied().fold(f64::INFINITY, f64::min);
    let out = args.json.out();
    out.text(format_args!("{}: {median:.2} ms per step (median), {fastest:.2} ms (fastest)", args.network))?;
    out.json_line(&json!({
        "step_ms": step_ms, "network": args.network, "threads": threads, "batch": args.batch, "isa": isa.name(),
    }))
}

fn step_times(recipe: &Recipe, isa: signbit::Isa, steps: usize) -> Result<Vec<f64>, Failure> {
    let mut network = zoo::build(recipe, PICTURES, CLASSES)?;
    network.set_isa(isa);
    let mut optimizer = recipe.build_optimizer();
    // Any numbers in -1..1 will do; a multiplication by a prime scatters them.
    let pixels: Vec<f32> =
        (0..recipe.batch * PICTURES.elements()).map(|i| (i * 7919 % 256) as f32 / 128.0 - 1.0).collect();
    let labels: Vec<u32> = (0..recipe.batch).map(|i| (i % CLASSES) as u32).collect();
    let mut times = Vec::with_capacity(steps);
    for i in 0..WARM_UP + steps {
        let start = Instant::now();
        let mut input = network.input_buffer(recipe.batch);
        input.copy_from_slice(&pixels);
        let output = network.forward(Tensor::new(recipe.batch, PICTURES, input), Mode::Train);
        let (_, grad) = loss(network.buffers(), &output, Target::Classes(&labels));
        network.backward(output, grad);
        optimizer.step(network.params_mut(), recipe.learning_rate);
        if i >= WARM_UP {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}
