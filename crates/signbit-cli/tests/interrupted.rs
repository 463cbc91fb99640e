//! Trainings that are stopped, killed or begun twice: nothing but the work since the last checkpoint is lost.
#![cfg(unix)]

mod common;

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Folder, text};

const CHECKPOINT: &str = "checkpoint.safetensors";
const TRAIN: &str = "train mlp --data digits --width 96 --epochs 30 --threads 1 --no-report --out";

fn spawn(folder: &Folder, words: &str) -> Child {
    folder.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Waits until the run has a checkpoint.
fn wait_for(folder: &Folder, run: &str) {
    let start = Instant::now();
    while !folder.path(&format!("{run}/{CHECKPOINT}")).exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint after a minute");
        sleep(Duration::from_millis(2));
    }
}

fn lines(folder: &Folder, run: &str) -> usize {
    String::from_utf8(folder.read(&format!("{run}/metrics.csv"))).unwrap().lines().count()
}

#[test]
fn ctrl_c_saves_and_the_run_goes_on_to_the_same_bytes() {
    let folder = Folder::new();
    folder.run(&format!("{TRAIN} whole"));
    for (name, run) in [("-INT", "int"), ("-TERM", "term")] {
        let child = spawn(&folder, &format!("{TRAIN} {run}"));
        wait_for(&folder, run);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let (_, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        assert!(stderr.contains("stopped after") && stderr.contains("--resume goes on"), "{stderr}");
        folder.run(&format!("{TRAIN} {run} --resume"));
        let file = |run: &str| folder.read(&format!("{run}/{CHECKPOINT}"));
        assert!(file("whole") == file(run), "{run}: the weights differ");
        assert_eq!(lines(&folder, run), 31);
    }
}

#[test]
fn a_killed_run_goes_on_from_its_last_epoch() {
    let folder = Folder::new();
    let mut child = spawn(&folder, &format!("{TRAIN} r"));
    wait_for(&folder, "r");
    child.kill().unwrap();
    child.wait().unwrap();
    folder.write("r/.checkpoint.safetensors.0123456789abcdef.tmp", "half a checkpoint");
    folder.write("r/mine.tmp", "not of the run");
    folder.run(&format!("{TRAIN} r --resume"));
    folder.run(&format!("{TRAIN} whole"));
    assert!(folder.read(&format!("r/{CHECKPOINT}")) == folder.read(&format!("whole/{CHECKPOINT}")));
    assert_eq!(lines(&folder, "r"), 31);
    let mut left: Vec<_> = std::fs::read_dir(folder.path("r")).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.retain(|name| name.to_string_lossy().ends_with(".tmp"));
    assert_eq!(left, ["mine.tmp"]);
}

#[test]
fn two_trainings_do_not_write_into_one_folder() {
    let folder = Folder::new();
    let mut first = spawn(&folder, &TRAIN.replace("30", "3000").replace("--out", "--out r"));
    wait_for(&folder, "r");
    for words in [format!("{TRAIN} r --force"), format!("{TRAIN} r --resume")] {
        let output = folder.output(&words);
        let (stdout, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(2), "{words}: {stdout}{stderr}");
        assert!(stderr.contains("another training is writing into this folder"), "{words}: {stderr}");
    }
    first.kill().unwrap();
    first.wait().unwrap();
}

/// A limit on the size of files does to a write what a full disk does: it fails in the middle.
#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
    let folder = Folder::new();
    folder.run(&format!("{} r", TRAIN.replace("--epochs 30", "--epochs 2")));
    let before = folder.read(&format!("r/{CHECKPOINT}"));
    let script = format!("trap '' XFSZ; ulimit -f 100; exec \"$0\" {TRAIN} r --resume");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_signbit")]).current_dir(folder.path(""));
    let output = command.output().unwrap();
    let (_, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(CHECKPOINT) && stderr.contains("the checkpoint before it is whole"), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert!(folder.read(&format!("r/{CHECKPOINT}")) == before);
    folder.run(&format!("{TRAIN} r --resume"));
    assert_eq!(lines(&folder, "r"), 31);
}
