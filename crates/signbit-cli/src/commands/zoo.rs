//! `signbit zoo`: the networks that can be trained, and what each is made of.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use signbit_model::{Model, Shape, SizeTable, file};
use signbit_train::network::Network;
use signbit_train::recipe::{Recipe, RecipeError};
use signbit_train::zoo::{self, Count, ENTRIES, Entry};

use crate::args::{JsonArg, count};
use crate::failure::Failure;
use crate::files;
use crate::output::{grouped, table};

/// Most pixels of a side of `--input`.
const MAX_SIDE: usize = 16_384;

/// List the networks that can be trained, or show the layers of one
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit zoo list
  signbit zoo show quicknet --input 32x32x3 --classes 10")]
pub(crate) struct ZooArgs {
    #[command(subcommand)]
    word: Word,
}

#[derive(Subcommand, Debug)]
enum Word {
    List(ListArgs),
    Show(ShowArgs),
}

/// List the networks with parameters, multiply-accumulates, bytes and published accuracy
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit zoo list

Parameters are counted as Larq's summary does: a batch norm is two numbers for each channel.
Bytes are those of the packed file, in which batch norm is folded. Top-1 is what others published for the input named here;
of networks without it, nothing was published in this form.")]
struct ListArgs {
    #[command(flatten)]
    json: JsonArg,
}

/// Show the layers of a network as it is packed, with the table of `signbit summary`
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit zoo show birealnet-18
  signbit zoo show bireal-resnet20 --width 16 --json
  signbit zoo show quicknet -o quicknet.signbit; signbit bench quicknet.signbit

A file of --output has the weights of before the first step: its speed, memory and bytes are those of the trained network, its
answers mean nothing.")]
struct ShowArgs {
    /// The network, of those that `signbit zoo list` names
    name: String,
    /// Height, width and channels of a picture, as in 32x32x3 [default: as published]
    #[arg(long, value_name = "HxWxC", value_parser = shape)]
    input: Option<Shape>,
    /// Classes [default: as published]
    #[arg(long, value_name = "N", value_parser = count(1_000_000))]
    classes: Option<usize>,
    /// Channels of the first stage; units of mlp's hidden layers [default: as published]
    #[arg(long, value_name = "N")]
    width: Option<usize>,
    /// Pack it untrained into this file too, to see its speed on this machine before any training
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &ZooArgs) -> Result<(), Failure> {
    match &args.word {
        Word::List(args) => list(args),
        Word::Show(args) => show(args),
    }
}

/// A network laid out and packed.
struct Sized {
    entry: &'static Entry,
    input: Shape,
    classes: usize,
    count: Count,
    size: SizeTable,
    model: Model,
}

impl Sized {
    fn of(entry: &'static Entry, input: Shape, classes: usize, network: &Network) -> Result<Self, Failure> {
        let (count, model) = (Count::of(network), network.pack()?);
        Ok(Self { entry, input, classes, count, size: SizeTable::of(&model)?, model })
    }

    fn row(&self) -> Vec<String> {
        let Self { entry, input, count, size, .. } = self;
        let top1 = entry.published.map_or(String::new(), |p| format!("{:.2} %", p.top1));
        let by = entry.published.map_or("", |p| p.by);
        let numbers = [count.total(), count.binary, count.real];
        let costs = [size.binary_macs, size.real_macs, size.file_bytes];
        let mut row = vec![entry.name.to_owned(), entry.source.to_owned(), input.to_string()];
        row.extend(numbers.into_iter().chain(costs).map(grouped));
        row.extend([top1, by.to_owned()]);
        row
    }

    fn json(&self) -> Value {
        let Self { entry, input, classes, count, size, .. } = self;
        let published = entry.published.map(|p| {
            let larq = p.larq.map(|l| json!({ "parameters": l.parameters, "mebibytes": l.mebibytes }));
            json!({ "top1": rounded(p.top1), "by": p.by, "larq": larq })
        });
        json!({
            "network": entry.name, "input": [input.h, input.w, input.c], "classes": classes, "parameters": count.total(),
            "binary_parameters": count.binary, "real_parameters": count.real, "numbers_in_training": count.every,
            "mebibytes": count.mebibytes(), "binary_macs": size.binary_macs, "real_macs": size.real_macs,
            "bytes": size.file_bytes, "published": published, "source": entry.source,
        })
    }
}

/// A percentage without the digits that f64 would add.
fn rounded(percent: f32) -> f64 {
    (f64::from(percent) * 100.0).round() / 100.0
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let out = args.json.out();
    let networks = ENTRIES.iter().map(|entry| {
        let network = zoo::blank(&Recipe::by_name(entry.name)?, entry.input, entry.classes)?;
        Sized::of(entry, entry.input, entry.classes, &network)
    });
    let networks = networks.collect::<Result<Vec<_>, Failure>>()?;
    let head =
        ["network", "described by", "input", "parameters", "1-bit", "32-bit", "1-bit MACs", "32-bit MACs", "bytes"];
    let head: Vec<_> = head.into_iter().chain(["top-1", "published by"]).collect();
    out.headed(table(&head, 3, networks.iter().map(Sized::row)))?;
    out.json(&json!({ "networks": networks.iter().map(Sized::json).collect::<Vec<_>>() }))
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let out = args.json.out();
    if let Some(path) = &args.output {
        files::check_output(path)?;
    }
    let entry = zoo::entry_of(&args.name).ok_or_else(|| RecipeError::Network(args.name.clone()))?;
    let (input, classes) = (args.input.unwrap_or(entry.input), args.classes.unwrap_or(entry.classes));
    let base = Recipe::by_name(entry.name)?;
    let recipe = Recipe { width: args.width.unwrap_or(base.width), ..base };
    // Numbers matter in a file only.
    let build = if args.output.is_some() { zoo::build } else { zoo::blank };
    let sized = Sized::of(entry, input, classes, &build(&recipe, input, classes)?)?;
    // Before anything is said, so that a file that cannot be written is all that is told.
    if let Some(path) = &args.output {
        file::save(&sized.model, path)?;
    }
    let Count { binary, real, every } = sized.count;
    out.text(format_args!("{}: {}", entry.name, entry.source))?;
    out.text(format_args!("input: {input}, classes: {}", grouped(classes as u64)))?;
    let total = grouped(sized.count.total());
    let [binary, real, every] = [binary, real, every].map(grouped);
    let mebibytes = sized.count.mebibytes();
    out.text(format_args!(
        "parameters: {total} = {binary} binary + {real} real, {mebibytes:.2} MiB; {every} numbers in training"
    ))?;
    if let Some(published) = entry.published {
        let shape = (entry.input, grouped(entry.classes as u64));
        out.text(format_args!(
            "published by {}: {:.2} % top-1 on {} with {} classes",
            published.by, published.top1, shape.0, shape.1
        ))?;
    }
    out.headed(&sized.size)?;
    let mut document = sized.json();
    if let Some(path) = &args.output {
        out.text(format_args!("untrained: {}", path.display()))?;
        document["model"] = json!(path.to_string_lossy());
    }
    document["size"] = serde_json::to_value(&sized.size).unwrap_or_default();
    out.json(&document)
}

/// A shape as in 224x224x3.
fn shape(text: &str) -> Result<Shape, String> {
    let sides: Option<Vec<usize>> = text.split('x').map(|side| side.parse().ok()).collect();
    match sides.as_deref() {
        Some(&[h, w, c]) if [h, w, c].iter().all(|side| (1..=MAX_SIDE).contains(side)) => Ok(Shape::new(h, w, c)),
        _ => Err(format!("write height, width and channels as in 32x32x3, each from 1 to {MAX_SIDE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert_eq!(shape("224x32x3"), Ok(Shape::new(224, 32, 3)));
        for wrong in ["", "3", "32x32", "32x32x3x1", "0x1x1", "axbxc", "-1x3x3", "99999x1x1"] {
            assert!(shape(wrong).unwrap_err().contains("32x32x3"), "{wrong}");
        }
    }
}
