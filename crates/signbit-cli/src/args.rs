//! The command line: its words, and the options that several of them share.

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use signbit::Isa;

use crate::commands::{
    bench::BenchArgs, bench_train::BenchTrainArgs, compare::CompareArgs, completions::CompletionsArgs,
    convert::ConvertArgs, data::DataArgs, demo::DemoArgs, doctor::DoctorArgs, eval::EvalArgs, find_rate::FindRateArgs,
    init::InitArgs, man::ManArgs, pack::PackArgs, predict::PredictArgs, report::ReportArgs, run::RunArgs,
    summary::SummaryArgs, train::TrainArgs, verify::VerifyArgs, zoo::ZooArgs,
};
use crate::failure::Failure;
use crate::output::{Format, Out};

/// Binary neural networks: train them, pack them to bits, check that nothing changed, run them.
#[derive(Parser, Debug)]
#[command(
    name = "signbit",
    version,
    arg_required_else_help = true,
    after_help = "\
EXAMPLE:
  signbit demo
  signbit train mlp --data digits --out runs/digits
  signbit pack runs/digits -o digits.signbit
  signbit verify runs/digits digits.signbit

ENVIRONMENT:
  SIGNBIT_ISA   instruction set: reference, portable, avx2, avx512bw, avx512-vpopcnt, neon (default: the best of this CPU)
  SIGNBIT_DATA  folder of the named data sets (default: data, then the user's data folder)
  NO_COLOR      no colours on a terminal

EXIT CODES:
  0    done
  1    a check failed: the networks differ (verify, demo), or doctor found something wrong
  2    something given is wrong; one line on stderr says what
  130  interrupted (Ctrl-C)
  141  nobody reads the output any more"
)]
pub(crate) struct Cli {
    /// Print nothing for people: no lines, no tables, no progress; what remains are files, --json, errors and exit codes
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The words.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Demo(DemoArgs),
    Data(DataArgs),
    Zoo(ZooArgs),
    Init(InitArgs),
    FindRate(FindRateArgs),
    Train(TrainArgs),
    Pack(PackArgs),
    Verify(VerifyArgs),
    Eval(EvalArgs),
    Predict(PredictArgs),
    Run(RunArgs),
    Summary(SummaryArgs),
    Bench(BenchArgs),
    Convert(ConvertArgs),
    Report(ReportArgs),
    Compare(CompareArgs),
    BenchTrain(BenchTrainArgs),
    Doctor(DoctorArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// The instruction set of commands that run a model.
#[derive(Args, Debug)]
pub(crate) struct IsaArg {
    /// Instruction set: reference, portable, avx2, avx512bw, avx512-vpopcnt or neon [default: $SIGNBIT_ISA, else the best of this CPU]
    #[arg(long, value_name = "NAME")]
    isa: Option<String>,
}

impl IsaArg {
    pub(crate) fn isa(&self) -> Result<Isa, Failure> {
        self.isa.as_deref().map_or_else(isa_from_env, isa_by_name)
    }
}

/// The instruction set of this name.
pub(crate) fn isa_by_name(name: &str) -> Result<Isa, Failure> {
    Isa::by_name(name).map_err(|error| Failure::input(format!("--isa {name}: {error}")))
}

/// The instruction set that the environment asks for, else the best.
pub(crate) fn isa_from_env() -> Result<Isa, Failure> {
    Isa::from_env().map_err(|error| {
        let value = std::env::var_os("SIGNBIT_ISA").unwrap_or_default();
        Failure::input(format!("SIGNBIT_ISA={}: {error}", value.display()))
    })
}

/// The number of threads.
#[derive(Args, Debug)]
pub(crate) struct ThreadsArg {
    /// Threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = count(1024))]
    threads: Option<usize>,
}

impl ThreadsArg {
    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(cores)
    }
}

/// How real convolutions are made.
#[derive(Args, Debug)]
pub(crate) struct WinogradArg {
    /// Make large real convolutions, such as a stem, by minimal filtering: faster, with sums rounded
    /// elsewhere, so that outputs may differ in their last digits and a few bits may flip
    #[arg(long)]
    pub(crate) winograd: bool,
}

/// The cores of this machine that the process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether a machine reads the output.
#[derive(Args, Debug)]
pub(crate) struct JsonArg {
    /// Print JSON and nothing else
    #[arg(long)]
    json: bool,
}

impl JsonArg {
    pub(crate) fn out(&self) -> Out {
        Out::new(if self.json { Format::Json } else { Format::Text })
    }
}

/// A number from 1 to `max`.
pub(crate) fn count(max: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=max)
}

/// Reads the command line.
pub(crate) fn parse() -> Result<Cli, Failure> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Failure::Usage(error)
        }
        _ => Failure::Input(one_line(&error.to_string())),
    })
}

/// Clap's message without its usage lines: the error and its tips, in one line.
fn one_line(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let said = message.split("\n\n").take_while(|part| !part.starts_with("Usage:"));
    let parts = said.map(str::trim).filter(|part| !part.is_empty() && !part.starts_with("For more information"));
    let mut line = parts.collect::<Vec<_>>().join("; ");
    line.push_str("; see --help");
    line
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Adds the words of `command`, and theirs, that lack a doc line or an example.
    fn look(command: &clap::Command, path: &str, poor: &mut Vec<String>) {
        for word in command.get_subcommands() {
            let path = format!("{path} {}", word.get_name());
            let help = word.get_after_help().map(ToString::to_string).unwrap_or_default();
            if word.get_about().is_none() || !help.contains(&format!("EXAMPLE:\n  {path}")) {
                poor.push(path.clone());
            }
            look(word, &path, poor);
        }
    }

    #[test]
    fn every_word_is_documented_with_an_example() {
        let mut poor = Vec::new();
        look(&Cli::command(), "signbit", &mut poor);
        assert!(poor.is_empty(), "without a doc line or an example: {poor:?}");
    }

    #[test]
    fn usage_errors_are_one_line() {
        let error = Cli::try_parse_from(["signbit", "train", "mlp"]).unwrap_err().to_string();
        let line = one_line(&error);
        assert!(line.contains("--out") && !line.contains("Usage"), "{line}");
    }
}
