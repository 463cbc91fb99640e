//! `signbit data`: public data sets brought here, and what is in a set.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use signbit_train::data::{self, DataOptions, DataSet, NAMES};

use super::{data_sheet as sheet, train};
use crate::args::JsonArg;
use crate::failure::Failure;
use crate::fetch::{self, Request};
use crate::files;
use crate::output::{counted, grouped, percent, table};

/// Fetch a public data set, or tell what is in one
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit data fetch mnist
  signbit data info mnist --sheet mnist.png")]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    word: Word,
}

#[derive(Subcommand, Debug)]
enum Word {
    Fetch(FetchArgs),
    Info(InfoArgs),
}

/// Download mnist, fashion-mnist or cifar10, check every file's SHA-256, unpack
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit data fetch mnist
  signbit data fetch cifar10 --from mirror/cifar-10-binary.tar.gz --dir data

A download that stopped goes on where it stopped. A mirror is a folder or a URL with the files under their own names,
plain or .gz, or one .tar, .tar.gz or .tgz that holds them.")]
struct FetchArgs {
    /// mnist, fashion-mnist or cifar10
    name: String,
    /// A mirror to use instead of the set's public homes
    #[arg(long, value_name = "FOLDER|FILE|URL")]
    from: Option<String>,
    /// Folder for the set's folder [default: $SIGNBIT_DATA, else the user's data folder]
    #[arg(long, value_name = "D")]
    dir: Option<PathBuf>,
    /// Fetch anew what is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    json: JsonArg,
}

/// Tell the classes of a data set, how many pictures each has, and their size
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit data info digits
  signbit data info mnist --sheet mnist.png
  signbit data info pictures --sheet changed.png --recipe recipe.toml")]
struct InfoArgs {
    /// Name of a set, or path of one
    #[arg(value_name = "PATH|NAME")]
    data: String,
    /// Draw pictures of each class, a row each, into this PNG file
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
    /// Take pictures as this recipe does; the sheet shows one of each class as it is, then as the recipe changes it
    #[arg(long, value_name = "RECIPE|NAME")]
    recipe: Option<String>,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &DataArgs) -> Result<(), Failure> {
    match &args.word {
        Word::Fetch(args) => fetch(args),
        Word::Info(args) => info(args),
    }
}

fn fetch(args: &FetchArgs) -> Result<(), Failure> {
    let out = args.json.out();
    let (from, dir) = (args.from.as_deref(), args.dir.as_deref());
    let done = fetch::fetch(&Request { name: &args.name, from, dir, force: args.force })?;
    let (name, folder) = (done.set.name, done.folder.display());
    match &done.source {
        None => out.text(format_args!("{name}: there already, SHA-256 right: {folder}"))?,
        Some(source) => {
            let files = counted(done.files.len() as u64, "file");
            out.text(format_args!("{name}: {files} from {source}, SHA-256 right: {folder}"))?;
        }
    }
    let files = done.set.files.iter().map(|file| {
        let fetched = done.files.contains(&file.name);
        json!({ "name": file.name, "bytes": file.bytes, "sha256": file.sha256, "fetched": fetched })
    });
    let files: Vec<_> = files.collect();
    out.json(&json!({ "name": name, "folder": done.folder, "source": done.source, "files": files }))
}

fn info(args: &InfoArgs) -> Result<(), Failure> {
    let out = args.json.out();
    args.sheet.as_deref().map_or(Ok(()), sheet::check)?;
    let recipe = args.recipe.as_deref().map(train::named_recipe).transpose()?;
    let options = recipe.as_ref().map_or_else(DataOptions::default, |recipe| recipe.data.clone());
    let data = files::data(&args.data, &options, None)?;
    let counts = Counts::of(&data);
    let place = place(&args.data);
    if let Some(path) = &args.sheet {
        sheet::write(&data, recipe.as_ref(), path)?;
    }
    let all = (data.train.len() + data.test.len()) as f64;
    let rows = data.classes.iter().zip(counts.train.iter().zip(&counts.test)).map(|(class, (&train, &test))| {
        let share = percent((train + test) as f64 / all);
        vec![class.clone(), grouped(train), grouped(test), share]
    });
    let total = vec!["in all".into(), grouped(data.train.len() as u64), grouped(data.test.len() as u64), percent(1.0)];
    out.text(table(&["class", "training pictures", "test pictures", "share"], 1, rows.chain([total])))?;
    out.text(format_args!("shape: {} (height x width x channels)", data.train.shape))?;
    out.text(format_args!("balance: {}", counts.balance(&data.classes)))?;
    out.text(format_args!("where: {}", place.as_ref().map_or("inside signbit".into(), |p| p.display().to_string())))?;
    if let Some(path) = &args.sheet {
        out.text(format_args!("sheet: {}", path.display()))?;
    }
    let shape = data.train.shape;
    let classes = data.classes.iter().zip(counts.train.iter().zip(&counts.test));
    let classes: Vec<_> = classes.map(|(name, (n, m))| json!({ "name": name, "train": n, "test": m })).collect();
    out.json(&json!({
        "name": data.name, "path": place, "shape": [shape.h, shape.w, shape.c], "train": data.train.len(),
        "test": data.test.len(), "classes": classes, "imbalance": counts.imbalance(), "sheet": args.sheet,
    }))
}

/// Where a set is; nothing for what is inside the program.
fn place(data: &str) -> Option<PathBuf> {
    match data {
        "digits" => None,
        name if NAMES.contains(&name) => data::find(name, &files::data_roots()),
        path => Some(path.into()),
    }
}

/// Pictures of each class.
struct Counts {
    train: Vec<u64>,
    test: Vec<u64>,
}

impl Counts {
    fn of(data: &DataSet) -> Self {
        let count = |labels: &[u32]| {
            let mut counts = vec![0; data.classes.len()];
            labels.iter().filter_map(|&label| counts.get_mut(label as usize).map(|n| *n += 1)).for_each(drop);
            counts
        };
        Self { train: count(&data.train.labels), test: count(&data.test.labels) }
    }

    /// The smallest and the largest class among the training pictures.
    fn extremes(&self) -> Option<(usize, usize)> {
        let order = |&class: &usize| self.train[class];
        let least = (0..self.train.len()).min_by_key(order)?;
        // Of equals the first, as above.
        let most = (0..self.train.len()).rev().max_by_key(order)?;
        Some((least, most))
    }

    /// How many times as many training pictures the largest class has as the smallest; none where that has none.
    fn imbalance(&self) -> Option<f64> {
        let (least, most) = self.extremes()?;
        (self.train[least] > 0).then(|| self.train[most] as f64 / self.train[least] as f64)
    }

    fn balance(&self, names: &[String]) -> String {
        let Some((least, most)) = self.extremes() else { return "there are no classes".into() };
        let (few, many) = (grouped(self.train[least]), grouped(self.train[most]));
        match self.imbalance() {
            None => format!("{} has no training pictures, {} has {many}", names[least], names[most]),
            Some(1.0) => format!("even, {many} training pictures in each class"),
            Some(factor) => format!(
                "{} has {many} training pictures, {} has {few}: {factor:.2} times as many",
                names[most], names[least]
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balance_names_the_extremes() {
        let names = ["a", "b", "c"].map(String::from);
        let cases = [
            (vec![5, 5, 5], Some(1.0), "even, 5 training"),
            (vec![4, 2, 4], Some(2.0), "a has 4 training pictures, b has 2: 2.00"),
            (vec![0, 7, 1], None, "a has no training pictures, b has 7"),
        ];
        for (train, imbalance, expected) in cases {
            let counts = Counts { test: train.clone(), train };
            assert_eq!(counts.imbalance(), imbalance);
            assert!(counts.balance(&names).starts_with(expected), "{}", counts.balance(&names));
        }
    }
}
