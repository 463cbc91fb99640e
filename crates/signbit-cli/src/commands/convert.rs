//! `signbit convert`: a network of another system comes in, or goes out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use signbit_convert::{Target, Warning};
use signbit_model::{Model, Op, Preprocessing, Resize, ResizeFilter, Shape, SizeTable, file};

use crate::args::JsonArg;
use crate::failure::Failure;
use crate::files;
use crate::output::{counted, grouped, short};

/// Warnings that are printed before the rest is counted.
const SHOWN: usize = 12;

/// Take in a network of Larq, Keras, ONNX, PyTorch or BNN-PYNQ, or write one for ONNX Runtime or Larq Compute Engine
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit convert quicknet.tflite -o quicknet.signbit
  signbit convert weights.safetensors --architecture net.toml -o net.signbit
  signbit convert net.onnx --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --classes names.txt -o net.signbit
  signbit convert net.signbit -o net.onnx")]
pub(crate) struct ConvertArgs {
    /// .tflite, .h5, .keras, .onnx, .safetensors, .npz, a BNN-PYNQ folder, or .signbit
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// .signbit, .onnx or .tflite
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// What a file of weights alone needs: Keras' JSON (.h5), layers or a recipe in TOML (.safetensors)
    #[arg(long, value_name = "FILE")]
    architecture: Option<PathBuf>,
    /// Height, width and channels of the input, where a recipe's weights do not tell them
    #[arg(long, value_name = "H,W,C", value_delimiter = ',', num_args = 1, requires = "architecture")]
    shape: Vec<usize>,
    /// Names of the outputs, one per line
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// What the darkest and the brightest pixel become, as -1,1 or 0,255; for `predict` and `eval`
    #[arg(long, value_name = "MIN,MAX", value_delimiter = ',', num_args = 1, allow_hyphen_values = true)]
    range: Vec<f32>,
    /// Mean of each channel, of pixels from 0 to 1: with --std, as torchvision normalises
    #[arg(long, value_name = "M,...", value_delimiter = ',', requires = "std", conflicts_with = "range")]
    mean: Vec<f32>,
    /// Standard deviation of each channel, of pixels from 0 to 1
    #[arg(long, value_name = "S,...", value_delimiter = ',', requires = "mean")]
    std: Vec<f32>,
    #[command(flatten)]
    json: JsonArg,
}

pub(crate) fn run(args: &ConvertArgs) -> Result<(), Failure> {
    files::check_output(&args.output)?;
    let target = Target::of(&args.output)?;
    let mut found = Found::of(args)?;
    describe_input(args, &mut found.model)?;
    found.model.validate()?;
    let bytes = target.to_bytes(&found.model)?;
    file::replace(&args.output, &bytes)?;
    report(args, &found, bytes.len() as u64, target)
}

/// The network, and what is known of its source.
struct Found {
    model: Model,
    system: &'static str,
    bytes: u64,
    operators: BTreeMap<String, usize>,
    warnings: Vec<Warning>,
}

impl Found {
    fn of(args: &ConvertArgs) -> Result<Self, Failure> {
        let path = &args.input;
        if path.extension().is_some_and(|ending| ending == "signbit") {
            if let Some(architecture) = &args.architecture {
                return Err(Failure::path(architecture, "a .signbit file holds its own architecture; leave this out"));
            }
            let model = files::model(path)?.into_data();
            let bytes = SizeTable::of(&model)?.file_bytes;
            return Ok(Self { model, system: "signbit", bytes, operators: BTreeMap::new(), warnings: Vec::new() });
        }
        let shape = match args.shape[..] {
            [] => None,
            [h, w, c] if [h, w, c].iter().all(|n| (1..=65_535).contains(n)) => Some(Shape::new(h, w, c)),
            _ => return Err(Failure::input("--shape: give height, width and channels, as --shape 28,28,1")),
        };
        let opened =
            signbit_convert::open(path, args.architecture.as_deref(), shape).map_err(|error| named(path, error))?;
        let mut model = opened.imported.model;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        model.notes.insert("source".into(), format!("{}: {}", opened.system, crate::output::visible(&name)));
        let (operators, warnings) = (opened.imported.operators, opened.imported.warnings);
        Ok(Self { model, system: opened.system, bytes: opened.bytes, operators, warnings })
    }
}

/// A reader's error with the file's name in front, unless it has it already.
fn named(path: &Path, error: signbit_convert::ConvertError) -> Failure {
    use signbit_convert::ConvertError::{Architecture, Io, Kind};
    match error {
        Io { .. } | Kind { .. } | Architecture(_) => error.into(),
        error => Failure::path(path, error),
    }
}

/// Class names and the way from pixels to the input, where they are given.
fn describe_input(args: &ConvertArgs, model: &mut Model) -> Result<(), Failure> {
    if let Some(path) = &args.classes {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::path(path, error))?;
        let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).filter(|n| !n.is_empty()).collect();
        let expected = model.output_type()?.shape.elements();
        if names.len() != expected {
            let message = format!("{} for {expected} outputs; give one per line", counted(names.len() as u64, "name"));
            return Err(Failure::path(path, message));
        }
        model.classes = names;
    }
    let shape = model.graph.input.shape;
    let (scale, shift) = match (&args.range[..], &args.mean[..]) {
        ([], []) => return Ok(()),
        (&[min, max], []) if min < max => (vec![(max - min) / 255.0; shape.c], vec![min; shape.c]),
        ([..], []) => return Err(Failure::input("--range: give two numbers, the smaller first, as --range -1,1")),
        (_, mean) => {
            if mean.len() != shape.c || args.std.len() != shape.c || !args.std.iter().all(|&s| s > 0.0) {
                let wanted = counted(shape.c as u64, "number");
                return Err(Failure::input(format!(
                    "--mean and --std: give {wanted} each, one per channel; --std above 0"
                )));
            }
            let scale = args.std.iter().map(|std| 1.0 / (255.0 * std)).collect();
            (scale, mean.iter().zip(&args.std).map(|(mean, std)| -mean / std).collect())
        }
    };
    let resize = Some(Resize { filter: ResizeFilter::Bilinear, crop: true });
    let (channels, height, width) = (shape.c, shape.h, shape.w);
    let preprocessing = Preprocessing { channels, height, width, resize, scale, shift };
    preprocessing.validate().map_err(|error| Failure::input(format!("--range, --mean, --std: {error}")))?;
    model.preprocessing = Some(preprocessing);
    Ok(())
}

/// Layers of a model by what they compute with.
#[derive(Default)]
struct Layers {
    binary: u64,
    binary_weights: u64,
    real: u64,
}

impl Layers {
    fn of(model: &Model) -> Self {
        let mut layers = Self::default();
        for node in &model.graph.nodes {
            match &node.op {
                Op::BinaryConv2d { .. } | Op::BinaryConv2dTranspose { .. } | Op::BinaryDense { .. } => {
                    layers.binary += 1
                }
                Op::Conv2d { weight, .. } | Op::Conv2dTranspose { weight, .. } | Op::Dense { weight, .. } => {
                    let bits = model.tensors.get(weight).is_some_and(|tensor| tensor.as_rows().is_some());
                    *(if bits { &mut layers.binary_weights } else { &mut layers.real }) += 1;
                }
                _ => {}
            }
        }
        layers
    }
}

fn report(args: &ConvertArgs, found: &Found, bytes: u64, target: Target) -> Result<(), Failure> {
    let out = args.json.out();
    let (input, output) = (args.input.display(), args.output.display());
    let layers = Layers::of(&found.model);
    let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    out.text(format_args!("{input}: {}, {} bytes", found.system, grouped(found.bytes)))?;
    if !found.operators.is_empty() {
        let operators: Vec<String> = found.operators.iter().map(|(name, count)| format!("{count} {name}")).collect();
        out.text(format_args!("  operators: {}", operators.join(", ")))?;
    }
    let mut parts = vec![format!("{} binary", layers.binary)];
    if layers.binary_weights > 0 {
        parts.push(format!("{} of binary weights on real numbers", layers.binary_weights));
    }
    parts.push(format!("{} real", layers.real));
    out.text(format_args!("  layers with weights: {}", parts.join(", ")))?;
    for warning in warnings.iter().take(SHOWN) {
        out.text(format_args!("  warning: {warning}"))?;
    }
    if warnings.len() > SHOWN {
        let rest = counted((warnings.len() - SHOWN) as u64, "more warning");
        out.text(format_args!("  {rest}; --json lists all"))?;
    }
    let ratio = found.bytes as f64 / bytes.max(1) as f64;
    let compared = match ratio {
        r if r >= 1.0 => format!("{} times smaller than {input}", short(r)),
        r => format!("{} times larger than {input}", short(1.0 / r)),
    };
    out.text(format_args!("{output}: {} bytes, {compared}", grouped(bytes)))?;
    if target == Target::Signbit {
        let next = if found.model.preprocessing.is_some() { "predict" } else { "summary" };
        let picture = if next == "predict" { " photo.jpg" } else { "" };
        out.text(format_args!("next: signbit {next} {output}{picture}"))?;
    }
    out.json(&json!({
        "source": { "path": input.to_string(), "system": found.system, "bytes": found.bytes, "operators": found.operators },
        "output": { "path": output.to_string(), "bytes": bytes },
        "layers": { "binary": layers.binary, "binary_weights": layers.binary_weights, "real": layers.real },
        "warnings": warnings,
    }))
}
