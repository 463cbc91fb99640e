//! `signbit man`: the manual pages.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use signbit_model::file;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::{Format, Out, counted, document};

/// Print the manual page, or write one page per word
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit man | man -l -
  signbit man --out ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Folder for the page of the command and one page per word
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs) -> Result<(), Failure> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let Some(dir) = &args.out else { return document(&page(&Man::new(cli))?) };
    let mut pages = Vec::new();
    collect(&cli, &mut pages)?;
    fs::create_dir_all(dir).map_err(|e| Failure::path(dir, format!("cannot make the folder: {e}")))?;
    for (name, page) in &pages {
        let path = dir.join(name);
        file::replace(&path, page).map_err(|e| Failure::path(&path, format!("cannot write: {e}")))?;
    }
    Out::new(Format::Text).text(format_args!("{}: {}", dir.display(), counted(pages.len() as u64, "page")))
}

/// The page of a command, then those of its words, and of theirs.
fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
    let man = Man::new(command.clone());
    pages.push((man.get_filename(), page(&man)?));
    command.get_subcommands().filter(|word| !word.is_hide_set()).try_for_each(|word| collect(word, pages))
}

fn page(man: &Man) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    man.render(&mut page)?;
    Ok(page)
}
