//! The words of the command, one file each.

pub(crate) mod bench;
pub(crate) mod bench_train;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod data;
mod data_sheet;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod find_rate;
pub(crate) mod init;
pub(crate) mod man;
pub(crate) mod pack;
pub(crate) mod predict;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod summary;
pub(crate) mod train;
pub(crate) mod training;
pub(crate) mod verify;
pub(crate) mod zoo;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::output;

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    output::be_quiet(cli.quiet);
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Init(args) => init::run(&args),
        Command::FindRate(args) => find_rate::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Summary(args) => summary::run(&args),
        Command::Zoo(args) => zoo::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::BenchTrain(args) => bench_train::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
