//! The `signbit` command: one word per step from pictures to bits.
//!
//! This crate reads arguments, files and data, calls the libraries, and is the only one that prints and decides
//! exit codes: 0 for done, 1 for networks that differ (`verify`), 2 for bad input, 141 where nobody reads the output.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
mod fetch;
mod files;
mod npy;
mod output;
mod packed_runner;
mod progress;

use std::process::ExitCode;

fn main() -> ExitCode {
    args::parse().and_then(commands::run).map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}
