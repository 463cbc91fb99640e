//! `signbit train`: a recipe and data become a run.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;
use signbit_train::checkpoint::{self, FILE_NAME, TWIN_FOLDER};
use signbit_train::data::{DataOptions, DataSet};
use signbit_train::optim::Decay;
use signbit_train::quantizer;
use signbit_train::recipe::{LossKind, NETWORKS, OptimizerKind, Recipe, ScaleFactor};

use signbit::Isa;

use super::training::{Prepared, Start, Training};
use crate::args::{JsonArg, ThreadsArg, isa_from_env};
use crate::failure::Failure;
use crate::files;
use crate::interrupt;
use crate::output::{Out, counted, percent};
use crate::ranks::Ranks;
use crate::report::{self, Known, PAGE, Way};

/// How long the report measures the speed.
const REPORT_SECONDS: f64 = 0.3;

/// Train a network; the run's folder keeps a checkpoint of every epoch, metrics.csv, TensorBoard events, report.html
#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
EXAMPLE:
  signbit train mlp --data digits --out runs/digits
  signbit train small-cnn --data mnist --out runs/mnist --epochs 10 --twin
  signbit train --out runs/mnist --resume
  signbit train recipe.toml --data pictures --out runs/pictures --set augmentation.flip=true

Ctrl-C finishes the step, saves and ends; --resume goes on from there, to the same weights.
With --resume the choices of the run stand in place of the defaults, and only --epochs and --patience may be others."
)]
pub(crate) struct TrainArgs {
    /// A network (`signbit zoo list` names them) or a recipe's file.toml; may be left out with --resume
    recipe: Option<String>,
    /// digits, mnist, fashion-mnist, cifar10, a folder of pictures, IDX or CIFAR files, or a .npz file [default: the
    /// recipe's data.source]
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// Any value of the recipe, as in width=32 or augmentation.flip=true; other options come after it
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder of the run
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Epochs in all [default: 20]
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Stop after so many epochs without a better test accuracy, and keep the best epoch in RUN/best; 0: never
    /// [default: 0]
    #[arg(long, value_name = "N")]
    patience: Option<u32>,
    /// Pictures per step [default: 100]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Decides the initial weights and the order of the pictures [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Highest learning rate [default: 0.003]
    #[arg(long, value_name = "X")]
    learning_rate: Option<f32>,
    /// Units of mlp's hidden layers [default: 1024]; channels of the first stage of the others [default: 64], of
    /// binarynet [default: 128], of xnornet [default: 96], of bireal-resnet20, quicknet-small and reactnet-a [default: 32]
    #[arg(long, value_name = "N")]
    width: Option<usize>,
    /// Sign's stand-in derivative: ste_sign, approx_sign, swish_sign, ede, progressive_sign, or of activations alone rsign
    /// [default: ste_sign]; of bireal networks and reactnet-a [default: approx_sign]
    #[arg(long, value_name = "NAME")]
    quantizer: Option<String>,
    /// Another one for the weights, also magnitude_aware_sign or libra_pb [default: ste_sign, or --quantizer]
    #[arg(long, value_name = "NAME")]
    weight_quantizer: Option<String>,
    /// Scale factors of binary layers: none, alpha, alpha_k, abs_of_mean, learned or learned_map [default: none],
    /// of xnornet [default: alpha], of xnornet-small [default: alpha_k]
    #[arg(long, value_name = "NAME", value_parser = named::<ScaleFactor>)]
    scale: Option<ScaleFactor>,
    /// Optimiser [default: adam]
    #[arg(long)]
    optimizer: Option<OptimizerName>,
    /// Momentum of sgd [default: 0.9]
    #[arg(long, value_name = "X")]
    momentum: Option<f32>,
    /// How the learning rate falls [default: cosine]
    #[arg(long)]
    decay: Option<DecayName>,
    /// Parts that `--decay step` cuts the training into [default: 3]
    #[arg(long, value_name = "N")]
    decay_parts: Option<u32>,
    /// Factor from one part to the next [default: 0.1]
    #[arg(long, value_name = "X")]
    decay_factor: Option<f32>,
    /// Epochs in which the learning rate rises [default: 0]
    #[arg(long, value_name = "X")]
    warmup_epochs: Option<f32>,
    /// Loss: cross_entropy or squared_error [default: cross_entropy]
    #[arg(long, value_name = "NAME", value_parser = named::<LossKind>)]
    loss: Option<LossKind>,
    /// Train the same network in real numbers too, into RUN/twin
    #[arg(long)]
    twin: bool,
    /// Highest learning rate of the twin [default: that of the binary network, at most 0.001]
    #[arg(long, value_name = "X", requires = "twin")]
    twin_learning_rate: Option<f32>,
    /// Write no report.html at the end
    #[arg(long)]
    no_report: bool,
    /// Go on with the run in the folder
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Start anew where the folder already holds a run
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    json: JsonArg,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
enum OptimizerName {
    Adam,
    #[value(name = "adamw")]
    AdamW,
    Sgd,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
enum DecayName {
    Constant,
    Cosine,
    Linear,
    Step,
}

/// A choice by the name that it has in a recipe.
fn named<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}

pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    match Ranks::join()? {
        Some(ranks) => ranks.end(train(args, Some(&ranks))),
        None => train(args, None),
    }
}

/// What a training needs before it begins.
struct Ready {
    out: Out,
    isa: Isa,
    threads: usize,
    data: DataSet,
    recipe: Recipe,
    start: Start,
    epochs_given: bool,
}

fn ready(args: &TrainArgs, first: bool) -> Result<Ready, Failure> {
    let out = args.json.out().working_on();
    let out = if first { out } else { out.silent() };
    let (isa, threads) = (isa_from_env()?, args.threads.threads());
    // The recipe comes first: a wrong option is told before any data is read.
    let recipe = recipe(args)?;
    let data = files::data(source(args.data.as_deref(), &recipe)?, &recipe.data, None)?;
    let start = match (args.resume, args.force) {
        (true, _) => Start::Resume,
        (_, true) => Start::Anew,
        _ => Start::New,
    };
    let names_epochs = |set: &String| set.split('=').next().is_some_and(|key| key.trim() == "epochs");
    let epochs_given = args.epochs.is_some() || args.set.iter().any(names_epochs);
    Ok(Ready { out, isa, threads, data, recipe, start, epochs_given })
}

/// The network, and its twin, if there is to be one. Both are looked at before either begins.
fn prepared<'d>(
    args: &TrainArgs,
    ready: &'d Ready,
    ranks: Option<&'d Ranks>,
) -> Result<(Prepared<'d>, Option<Prepared<'d>>), Failure> {
    let Ready { out, isa, threads, ref data, ref recipe, start, epochs_given } = *ready;
    let training = Training { data, isa, threads, out, start, epochs_given, ranks };
    let twin = match args.twin {
        true => Some(training.prepare(twin_recipe(args, recipe)?, &args.out.join(TWIN_FOLDER))?),
        false => None,
    };
    Ok((training.prepare(recipe.clone(), &args.out)?, twin))
}

/// Trains, alone or as one of several processes.
fn train(args: &TrainArgs, ranks: Option<&Ranks>) -> Result<(), Failure> {
    let first = ranks.is_none_or(Ranks::is_first);
    let ready = ready(args, first);
    // Processes find out together whether any of them cannot begin.
    let ready = match ranks {
        Some(ranks) => ranks.agree(ready, |_| 0)?,
        None => ready?,
    };
    let prepared = prepared(args, &ready, ranks);
    let fingerprint = |(binary, twin): &(Prepared<'_>, Option<Prepared<'_>>)| {
        binary.fingerprint() ^ twin.as_ref().map_or(0, Prepared::fingerprint)
    };
    let (mut binary, mut twin) = match ranks {
        Some(ranks) => ranks.agree(prepared, fingerprint)?,
        None => prepared?,
    };
    let Ready { out, isa, threads, ref data, .. } = ready;
    // Before anything is written: from then on Ctrl-C ends with a run that goes on.
    let stop = interrupt::raised()?;
    if let Some(ranks) = ranks {
        ranks.watch(&stop, &args.out);
    }
    binary.begin()?;
    twin.as_mut().map_or(Ok(()), Prepared::begin)?;
    let done = binary.train(&stop)?;
    let twin = twin.map(|twin| twin.train(&stop)).transpose()?;
    out.text(format_args!(
        "test accuracy {} after {}",
        percent(done.test_accuracy),
        counted(done.epoch.into(), "epoch")
    ))?;
    if let Some(twin) = twin {
        let gap = 100.0 * (twin.test_accuracy - done.test_accuracy);
        let accuracy = percent(twin.test_accuracy);
        out.text(format_args!("the same network in real numbers: {accuracy}, a gap of {gap:.2} percentage points"))?;
    }
    if !args.no_report && first {
        let page = args.out.join(PAGE);
        report::write(
            &args.out,
            &files::run(&args.out)?,
            &page,
            data,
            Way { isa, threads },
            REPORT_SECONDS,
            Known::default(),
        )?;
        out.text(format_args!("report: {}", page.display()))?;
    }
    out.text(format_args!("next: signbit pack {} -o model.signbit", args.out.display()))
}

/// The recipe that the options make: of the run in the folder where it goes on, else of the name or the file.
fn recipe(args: &TrainArgs) -> Result<Recipe, Failure> {
    let named = args.recipe.as_deref().map(|name| named_recipe(name).map(|recipe| (name, recipe))).transpose()?;
    let base = match (args.resume, named) {
        (true, named) => resumed(&args.out, named)?,
        (false, Some((_, recipe))) => recipe,
        (false, None) => {
            let networks = NETWORKS.join(", ");
            return Err(Failure::input(format!("name what is to be trained: a recipe's file, or one of {networks}")));
        }
    };
    let base = args.set.iter().try_fold(base, |recipe, set| overridden(&recipe, set))?;
    let mut recipe = Recipe {
        epochs: args.epochs.unwrap_or(base.epochs),
        patience: args.patience.unwrap_or(base.patience),
        batch: args.batch.unwrap_or(base.batch),
        seed: args.seed.unwrap_or(base.seed),
        learning_rate: args.learning_rate.unwrap_or(base.learning_rate),
        width: args.width.unwrap_or(base.width),
        quantizer: args.quantizer.clone().unwrap_or(base.quantizer),
        weight_quantizer: args.quantizer.clone().filter(|text| fits_weights(text)).unwrap_or(base.weight_quantizer),
        warmup_epochs: args.warmup_epochs.unwrap_or(base.warmup_epochs),
        scale: args.scale.unwrap_or(base.scale),
        loss: args.loss.unwrap_or(base.loss),
        ..base
    };
    if let Some(quantizer) = &args.weight_quantizer {
        recipe.weight_quantizer.clone_from(quantizer);
    }
    recipe.optimizer = optimizer(args, recipe.optimizer)?;
    recipe.decay = decay(args, recipe.decay)?;
    if let (Some(data), false) = (&args.data, args.resume) {
        recipe.data.source.clone_from(data);
    }
    recipe.validate()?;
    Ok(recipe)
}

/// Whether a quantizer of activations is one of weights too.
fn fits_weights(text: &str) -> bool {
    quantizer::from_text(text).is_ok_and(|quantizer| quantizer::check_weights(&*quantizer).is_ok())
}

/// The recipe of a run that goes on. A network's name only has to be that of the run; a file names every value, and
/// those that differ from the run's are refused later.
fn resumed(run: &Path, named: Option<(&str, Recipe)>) -> Result<Recipe, Failure> {
    let stored = checkpoint::load(run)?.header.recipe;
    match named {
        Some((name, named)) if named.network != stored.network => {
            Err(Failure::path(run, format!("the run trains another network than {name}; name the same one")))
        }
        Some((name, named)) if is_file(name) => {
            let source = stored.data.source;
            Ok(Recipe { data: DataOptions { source, ..named.data }, ..named })
        }
        _ => Ok(stored),
    }
}

/// A recipe by the name of its network or the path of its file.
pub(super) fn named_recipe(name: &str) -> Result<Recipe, Failure> {
    if !is_file(name) {
        return Recipe::by_name(name).map_err(|error| Failure::input(format!("{error}, or give a recipe's file.toml")));
    }
    let path = Path::new(name);
    let text = fs::read_to_string(path).map_err(|e| Failure::path(path, format!("cannot read the recipe: {e}")))?;
    Recipe::from_toml(&text).map_err(|error| Failure::path(path, error))
}

fn is_file(name: &str) -> bool {
    name.ends_with(".toml") || name.contains('/')
}

/// The recipe with what `--set KEY=VALUE` says.
pub(super) fn overridden(recipe: &Recipe, set: &str) -> Result<Recipe, Failure> {
    let told = |reason: String| Failure::input(format!("--set {set}: {reason}"));
    let (key, value) = set.split_once('=').ok_or_else(|| told("write KEY=VALUE, as in width=32".to_owned()))?;
    if key.trim() == "network" {
        return Err(told("the network is that of the recipe; name another recipe instead".to_owned()));
    }
    recipe.with(key.trim(), value.trim()).map_err(|error| told(error.to_string()))
}

/// The data that is named, else that of the recipe.
pub(super) fn source<'a>(named: Option<&'a str>, recipe: &'a Recipe) -> Result<&'a str, Failure> {
    let missing = "there is no data: give --data NAME|PATH, or data.source in the recipe";
    let source = named.unwrap_or(&recipe.data.source);
    if source.is_empty() { Err(Failure::input(missing)) } else { Ok(source) }
}

/// The recipe of the twin. Where a twin goes on, it does so with its own learning rate.
fn twin_recipe(args: &TrainArgs, recipe: &Recipe) -> Result<Recipe, Failure> {
    let folder = args.out.join(TWIN_FOLDER);
    let stored = match args.resume && folder.join(FILE_NAME).exists() {
        true => Some(checkpoint::load(&folder)?.header.recipe.learning_rate),
        false => None,
    };
    let twin = recipe.as_twin(args.twin_learning_rate.or(stored));
    twin.validate().map_err(|error| Failure::input(format!("the twin: {error}")))?;
    Ok(twin)
}

fn optimizer(args: &TrainArgs, base: OptimizerKind) -> Result<OptimizerKind, Failure> {
    let stored = match base {
        OptimizerKind::Sgd { momentum } => momentum,
        OptimizerKind::Adam | OptimizerKind::AdamW => 0.9,
    };
    let sgd = OptimizerKind::Sgd { momentum: args.momentum.unwrap_or(stored) };
    match (args.optimizer, base) {
        (Some(OptimizerName::Sgd), _) | (None, OptimizerKind::Sgd { .. }) => Ok(sgd),
        _ if args.momentum.is_some() => Err(Failure::input("--momentum belongs to --optimizer sgd; adam has none")),
        (Some(OptimizerName::Adam), _) => Ok(OptimizerKind::Adam),
        (Some(OptimizerName::AdamW), _) => Ok(OptimizerKind::AdamW),
        (None, base) => Ok(base),
    }
}

fn decay(args: &TrainArgs, base: Decay) -> Result<Decay, Failure> {
    let (parts, factor) = match base {
        Decay::Step { parts, factor } => (parts, factor),
        _ => (3, 0.1),
    };
    let step = Decay::Step { parts: args.decay_parts.unwrap_or(parts), factor: args.decay_factor.unwrap_or(factor) };
    let decay = match args.decay {
        Some(DecayName::Step) => step,
        Some(DecayName::Constant) => Decay::Constant,
        Some(DecayName::Cosine) => Decay::Cosine,
        Some(DecayName::Linear) => Decay::Linear,
        None if matches!(base, Decay::Step { .. }) => step,
        None => base,
    };
    if !matches!(decay, Decay::Step { .. }) && (args.decay_parts.is_some() || args.decay_factor.is_some()) {
        return Err(Failure::input("--decay-parts and --decay-factor belong to --decay step"));
    }
    Ok(decay)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    /// The name that a choice has in a recipe.
    fn name(choice: impl serde::Serialize) -> String {
        serde_json::to_value(choice).unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn the_help_tells_the_defaults_of_the_recipes() {
        let cli = Cli::command();
        let train = cli.find_subcommand("train").unwrap();
        let recipes = NETWORKS.map(|name| Recipe::by_name(name).unwrap());
        let mut wrong = Vec::new();
        for recipe in &recipes {
            let twin = recipe.as_twin(None).learning_rate;
            let expected = [
                ("epochs", format!("[default: {}]", recipe.epochs)),
                ("patience", format!("[default: {}]", recipe.patience)),
                ("batch", format!("[default: {}]", recipe.batch)),
                ("seed", format!("[default: {}]", recipe.seed)),
                ("learning_rate", format!("[default: {}]", recipe.learning_rate)),
                ("twin_learning_rate", format!("at most {twin}]")),
                ("width", format!("[default: {}]", recipe.width)),
                ("quantizer", format!("[default: {}]", recipe.quantizer)),
                ("scale", format!("[default: {}]", name(recipe.scale))),
                ("optimizer", format!("[default: {}]", name(recipe.optimizer))),
                ("decay", format!("[default: {}]", name(recipe.decay))),
                ("warmup_epochs", format!("[default: {}]", recipe.warmup_epochs)),
                ("loss", format!("[default: {}]", name(recipe.loss))),
            ];
            for (option, expected) in expected {
                let argument = train.get_arguments().find(|argument| argument.get_id() == option).unwrap();
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                if !help.contains(&expected) {
                    wrong.push(format!("{option}: {help:?} does not say {expected}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn names_are_those_of_the_recipe() {
        assert_eq!(named("alpha_k"), Ok(ScaleFactor::AlphaK));
        assert_eq!(named("squared_error"), Ok(LossKind::SquaredError));
        assert!(named::<LossKind>("hinge").unwrap_err().contains("cross_entropy"));
    }
}
