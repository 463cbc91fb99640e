//! `signbit init`: a recipe to begin with.

use std::path::PathBuf;

use clap::Args;
use signbit_model::file;
use signbit_train::recipe::Recipe;

use crate::args::JsonArg;
use crate::failure::Failure;
use crate::files::{self, RECIPE};

/// Write a commented recipe, to be changed and trained
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit init
  signbit init binarynet -o big.toml
  signbit train big.toml --data cifar10 --out runs/big")]
pub(crate) struct InitArgs {
    /// The network, of those that `signbit zoo list` names
    #[arg(default_value = "small-cnn")]
    network: String,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = RECIPE)]
    output: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &InitArgs) -> Result<(), Failure> {
    let (out, path) = (args.json.out(), args.output.as_path());
    let recipe = Recipe::by_name(&args.network)?;
    files::check_output(path)?;
    if path.exists() && !args.force {
        return Err(Failure::path(path, "there is a file already; --force replaces it, -o names another"));
    }
    file::replace(path, recipe.to_toml().as_bytes())
        .map_err(|e| Failure::path(path, format!("cannot write the recipe: {e}")))?;
    let shown = path.display();
    out.text(format_args!("{shown}: a recipe of {}", args.network))?;
    out.text(format_args!("next: signbit train {shown} --data NAME|PATH --out RUN"))?;
    out.json(&serde_json::json!({ "recipe": shown.to_string(), "network": args.network }))
}
