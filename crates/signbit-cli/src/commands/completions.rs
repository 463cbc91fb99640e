//! `signbit completions`: what a shell needs to complete the command's words and options.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::document;

/// Print the completions of a shell
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit completions bash > ~/.local/share/bash-completion/completions/signbit
  signbit completions zsh > ~/.zfunc/_signbit
  signbit completions fish > ~/.config/fish/completions/signbit.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "signbit", &mut script);
    document(&script)
}
