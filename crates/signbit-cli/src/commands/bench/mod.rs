//! `signbit bench`: how fast a model is, layer by layer, beside the same layers in f32 ([`model`]) or an earlier
//! measurement ([`record`], [`compare`]); one call step by step ([`profile`]); and the binary kernels by
//! themselves ([`kernels`]).

mod clock;
mod compare;
mod kernels;
mod model;
mod profile;
mod record;
mod shape;

use clap::{Args, Subcommand};

use crate::failure::Failure;
pub(crate) use clock::{noise, seconds, spread};
pub(crate) use model::{BASELINE, in_turns};

/// Measure a model's speed, per layer and in total, beside its twin in f32; or that of the binary kernels
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    after_help = "\
EXAMPLE:
  signbit bench digits.signbit
  signbit bench digits.signbit --batch 16 --threads 2 --seconds 5
  signbit bench digits.signbit --out before.json
  signbit bench digits.signbit --compare before.json
  signbit bench digits.signbit --profile
  signbit bench kernels

The twin has the same layers in f32 in signbit's own fixed-order kernels (its answers mean nothing). They add
one product after the other, without fused multiply-add, so that every instruction set gives the same bits; a
library of real matrix products may be faster. Both are measured in turns, round by round, so that a machine
that gets slower meets both; the ratio is the median over the rounds, with its 10th and 90th percentile.

\"bytes\" are those of a step's packed weights and of the values that it reads and writes.

--compare warns where the machine, the model or the way of running differs from the record's; it never fails
because of a time.

A model whose file is called \"kernels\" is ./kernels."
)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    word: Option<Word>,
    #[command(flatten)]
    model: model::ModelArgs,
}

#[derive(Subcommand, Debug)]
enum Word {
    Kernels(kernels::KernelsArgs),
}

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    match &args.word {
        Some(Word::Kernels(args)) => kernels::run(args),
        None => model::run(&args.model),
    }
}
