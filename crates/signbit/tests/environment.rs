//! The environment variable `SIGNBIT_ISA`: each value in a process of its own.

use std::process::Command;

use signbit::model::{ModelBuilder, Op, Shape};
use signbit::{Isa, Model, Options};

/// The name that the child process is to find.
const EXPECTED: &str = "SIGNBIT_TEST_EXPECTED_ISA";

/// Where `scripts/check-aarch64` tells cargo the emulator, which a child process needs as well.
const RUNNER: &str = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER";

/// This program again, under the emulator if there is one.
fn this_program() -> Command {
    let exe = std::env::current_exe().unwrap();
    let runner = if cfg!(target_arch = "aarch64") { std::env::var(RUNNER).unwrap_or_default() } else { String::new() };
    let mut words = runner.split_whitespace();
    let Some(emulator) = words.next() else {
        return Command::new(exe);
    };
    let mut command = Command::new(emulator);
    command.args(words).arg(exe);
    command
}

#[test]
fn default_options_follow_the_environment() {
    if let Ok(expected) = std::env::var(EXPECTED) {
        let mut b = ModelBuilder::new(Shape::vector(2));
        let y = b.node("relu", Op::Relu, &[b.input()]);
        let session = Model::new(b.finish(y).unwrap()).unwrap().session(Options::default()).unwrap();
        assert_eq!((Options::default().isa.name(), session.isa().name()), (&*expected, &*expected));
        return;
    }
    let best = Isa::best().name();
    let mut wrong = Vec::new();
    for (value, expected) in [("reference", "reference"), ("portable", "portable"), ("", best), ("sse9", best)] {
        let child = this_program()
            .args(["--exact", "default_options_follow_the_environment"])
            .env("SIGNBIT_ISA", value)
            .env(EXPECTED, expected)
            .output()
            .unwrap();
        if !child.status.success() || !String::from_utf8_lossy(&child.stdout).contains("1 passed") {
            wrong.push((value, String::from_utf8_lossy(&child.stdout).into_owned()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
