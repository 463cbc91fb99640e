//! `signbit doctor`: what this machine has, and whether the kernels compute here what they should.

use std::env;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::json;
use signbit::model::interpreter::{self, ValueData};
use signbit::model::{Geometry, ModelBuilder, Op, Padding, Shape, Tensor};
use signbit::{Isa, Model, Options};

use super::bench::noise;
use crate::args::{JsonArg, cores, isa_from_env};
use crate::failure::Failure;
use crate::fetch;
use crate::files;
use crate::machine::Machine;
use crate::output::{Out, counted};

/// Show what this machine has and where data is looked for, and check that every kernel computes the same bits
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit doctor
  signbit doctor --json

The exit code is 0 where every check is passed, else 1.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    json: JsonArg,
}

/// Samples of the self-check; more than one, so that threads have something to share.
const SAMPLES: usize = 3;

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    passed: bool,
    /// What was found.
    said: String,
}

/// A folder in which data sets are looked for.
#[derive(Debug, Serialize)]
struct Place {
    path: PathBuf,
    sets: Vec<&'static str>,
}

pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let out = args.json.out().working_on();
    let machine = Machine::look();
    let chosen = isa_from_env();
    let mut checks = vec![match &chosen {
        Ok(isa) => Check::new("SIGNBIT_ISA", true, format!("{} is used", isa.name())),
        Err(Failure::Input(line)) => Check::new("SIGNBIT_ISA", false, line.clone()),
        Err(_) => Check::new("SIGNBIT_ISA", false, "it cannot be read".to_owned()),
    }];
    checks.extend(kernels()?);
    let (places, passed) = (places(), checks.iter().all(|check| check.passed));
    tell(out, &machine, &places, &checks)?;
    let isas: Vec<_> = Isa::all().map(Isa::name).collect();
    out.json(&json!({
        "version": env!("CARGO_PKG_VERSION"), "os": env::consts::OS, "arch": env::consts::ARCH,
        "cpu": machine.cpu, "features": machine.features, "threads": cores(),
        "memory": machine.memory, "memory_available": machine.available,
        "isas": isas, "best_isa": Isa::best().name(), "isa": chosen.ok().map(Isa::name),
        "signbit_isa": variable("SIGNBIT_ISA"), "signbit_data": variable("SIGNBIT_DATA"),
        "data": places, "terminal": io::stdout().is_terminal(), "checks": checks, "passed": passed,
    }))?;
    if passed { Ok(()) } else { Err(Failure::Differs) }
}

impl Check {
    fn new(name: impl Into<String>, passed: bool, said: impl Into<String>) -> Self {
        Self { name: name.into(), passed, said: said.into() }
    }
}

fn tell(out: Out, machine: &Machine, places: &[Place], checks: &[Check]) -> Result<(), Failure> {
    let line = |name: &str, value: String| out.text(format_args!("{name:<9} {value}"));
    let unknown = || "not known".to_owned();
    let size =
        |bytes: Option<u64>| bytes.map_or_else(unknown, |b| format!("{:.1} GiB", b as f64 / (1_u64 << 30) as f64));
    line("signbit", format!("{}, {} {}", env!("CARGO_PKG_VERSION"), env::consts::OS, env::consts::ARCH))?;
    line("processor", machine.cpu.clone().unwrap_or_else(unknown))?;
    line("has", if machine.features.is_empty() { unknown() } else { machine.features.join(" ") })?;
    line("threads", format!("{} where --threads is not given", cores()))?;
    line("memory", format!("{}, {} available", size(machine.memory), size(machine.available)))?;
    let isas: Vec<_> = Isa::all().map(Isa::name).collect();
    line("kernels", format!("{}; the best is {}", isas.join(", "), Isa::best().name()))?;
    line("output", if io::stdout().is_terminal() { "a terminal" } else { "not a terminal" }.to_owned())?;
    let of = variable("SIGNBIT_DATA").filter(|folder| !folder.is_empty()).map_or("", |_| " (SIGNBIT_DATA)");
    out.text(format_args!("\ndata is looked for in{of}"))?;
    for Place { path, sets } in places {
        let found = if sets.is_empty() { "nothing there".to_owned() } else { sets.join(", ") };
        out.text(format_args!("  {}: {found}", path.display()))?;
    }
    out.text("  the program itself: digits\n\nchecks")?;
    for Check { name, passed, said } in checks {
        out.text(format_args!("  {:<6} {name}: {said}", if *passed { "passed" } else { "FAILED" }))?;
    }
    Ok(())
}

/// The environment variable, where it is set.
fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Where data sets are looked for, and which are there.
fn places() -> Vec<Place> {
    files::data_roots().into_iter().map(|path| Place { sets: sets(&path), path }).collect()
}

fn sets(folder: &Path) -> Vec<&'static str> {
    fetch::SETS.iter().map(|set| set.name).filter(|name| folder.join(name).is_dir()).collect()
}

/// Runs one small network with every kernel, on one thread and on two, beside the reference interpreter.
fn kernels() -> Result<Vec<Check>, Failure> {
    let model = sample()?;
    let input = noise(SAMPLES * model.data().graph.input.shape.elements());
    let expected = match interpreter::run(model.data(), SAMPLES, &input)?.data {
        ValueData::F32(numbers) => numbers,
        other => return Err(Failure::input(format!("the self-check gave {other:?}"))),
    };
    Isa::all().map(|isa| check(&model, isa, &input, &expected)).collect()
}

fn check(model: &Model, isa: Isa, input: &[f32], expected: &[f32]) -> Result<Check, Failure> {
    let mut wrong = 0;
    for threads in [1, 2] {
        let mut session = model.session(Options { isa, threads, batch: SAMPLES, ..Options::default() })?;
        let found = session.run(input, SAMPLES)?;
        wrong += found.iter().zip(expected).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    }
    let of = counted(2 * expected.len() as u64, "output");
    let said =
        if wrong == 0 { format!("{of} identical to the reference's") } else { format!("{wrong} of {of} differ") };
    Ok(Check::new(format!("kernels {}", isa.name()), wrong == 0, said))
}

/// A binary convolution, a threshold, a binary dense layer and a real one, with sizes that leave a tail everywhere.
fn sample() -> Result<Model, Failure> {
    let (c, filters, units, outputs) = (37, 41, 70, 11);
    let shape = Shape::new(7, 6, c);
    let geometry = Geometry::padded([3, 3], [1, 1], 1);
    let signs = |n: usize| noise(n).iter().map(|&x| if x >= 0.0 { 1 } else { -1 }).collect::<Vec<i8>>();
    let k = shape.h * shape.w * filters;
    let thresholds = noise(filters).iter().map(|x| (20.0 * x) as i32).collect();
    let mut b = ModelBuilder::new(shape);
    b.tensor("conv", Tensor::bits_from_signs([filters, 3, 3, c], &signs(filters * 9 * c))?);
    b.tensor("t", Tensor::i32([filters], thresholds)?);
    b.tensor("flip", Tensor::bits_from_signs([1, filters], &signs(filters))?);
    b.tensor("fc", Tensor::bits_from_signs([units, k], &signs(units * k))?);
    b.tensor("mul", Tensor::f32([units], noise(units))?);
    b.tensor("add", Tensor::f32([units], noise(units))?);
    b.tensor("last", Tensor::f32([outputs, units], noise(outputs * units))?);
    let x = b.node("sign", Op::Sign, &[b.input()]);
    let conv = Op::BinaryConv2d { weight: "conv".into(), geometry, groups: 1, padding: Padding::Zero };
    let x = b.node("conv", conv, &[x]);
    let x = b.node("threshold", Op::Threshold { threshold: "t".into(), flip: "flip".into() }, &[x]);
    let x = b.node("flatten", Op::Flatten, &[x]);
    let x = b.node("fc", Op::BinaryDense { weight: "fc".into() }, &[x]);
    let x = b.node("norm", Op::MulAdd { mul: "mul".into(), add: "add".into() }, &[x]);
    let x = b.node("last", Op::Dense { weight: "last".into(), bias: None }, &[x]);
    Ok(Model::new(b.finish(x)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_differs_is_found() {
        let model = sample().unwrap();
        let input = noise(SAMPLES * model.data().graph.input.shape.elements());
        let mut expected = model.session(Options { batch: SAMPLES, ..Options::default() }).unwrap();
        let mut expected = expected.run(&input, SAMPLES).unwrap().to_vec();
        assert!(expected.iter().any(|x| *x != expected[0]), "the check tells outputs apart");
        assert!(check(&model, Isa::best(), &input, &expected).unwrap().passed);
        expected[4] += 1.0;
        let found = check(&model, Isa::best(), &input, &expected).unwrap();
        assert!(!found.passed && found.said.starts_with("2 of 66 outputs differ"), "{found:?}");
    }

    #[test]
    fn sets_are_folders() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("mnist")).unwrap();
        std::fs::write(folder.path().join("cifar10"), "").unwrap();
        assert_eq!(sets(folder.path()), ["mnist"]);
    }
}
