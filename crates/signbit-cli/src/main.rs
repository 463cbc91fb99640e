//! The `signbit` command: one word per step from pictures to bits.
//!
//! This crate reads arguments, files and data, calls the libraries, and is the only one that prints and decides
//! exit codes: 0 for done, 1 for a check that failed (`verify`, `doctor`), 2 for bad input, 130 for an interruption, 141
//! where nobody reads the output.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
mod fetch;
mod files;
mod interrupt;
mod machine;
mod output;
mod packed_runner;
mod progress;
mod ranks;
mod report;
mod tensorboard;
mod when;

use std::process::ExitCode;

fn main() -> ExitCode {
    args::parse().and_then(commands::run).map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}
