//! What a person sees: the progress of a training in a real terminal (tmux), and nothing of it in a pipe.
#![cfg(unix)]

mod common;

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Folder, text};

const TRAIN: &str = "train mlp --data digits --out r --width 512 --epochs 400 --no-report";

/// A tmux server of its own; it ends with the test.
struct Terminal(String);

impl Terminal {
    /// `None` where there is no tmux.
    fn open(folder: &Folder) -> Option<Self> {
        let name = format!("signbit-{}", std::process::id());
        let terminal = Self(name);
        let folder = folder.path("");
        let session = ["new-session", "-d", "-x", "120", "-y", "30", "-c", folder.to_str()?, "sh"];
        match Command::new("tmux").args(["-L", &terminal.0]).args(session).output() {
            Ok(output) if output.status.success() => Some(terminal),
            _ => None,
        }
    }

    fn tmux(&self, words: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.0]).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn keys(&self, keys: &str) {
        self.tmux(&["send-keys", keys]);
    }

    /// Waits until the screen has all of `words` in one line, and gives the screen.
    fn wait_for(&self, words: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if screen.lines().any(|line| words.iter().all(|word| line.contains(word))) {
                return screen;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "no line with {words:?} after a minute:\n{screen}");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn a_terminal_shows_how_far_a_training_is() {
    let folder = Folder::new();
    let Some(terminal) = Terminal::open(&folder) else {
        println!("skipped: tmux is not installed");
        return;
    };
    let words = format!("{} {TRAIN}; echo code $?", env!("CARGO_BIN_EXE_signbit"));
    terminal.tmux(&["send-keys", "-l", &words]);
    terminal.keys("Enter");
    terminal.wait_for(&["binary epoch", "1/400", "test"]);
    terminal.wait_for(&["binary [", "ETA", "epoch", "loss", "train", "test", "pictures/s"]);
    terminal.keys("C-c");
    let screen = terminal.wait_for(&["code 130"]);
    assert!(screen.replace('\n', "").contains("--resume goes on"), "{screen}");
}

#[test]
fn a_pipe_gets_neither_a_bar_nor_an_escape_sequence() {
    let folder = Folder::new();
    let output = folder.output(&TRAIN.replace("400", "2"));
    let (stdout, stderr) = text(&output);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    assert!(!stdout.contains('\x1b') && !stdout.contains('\r'), "{stdout}");
    assert_eq!(stdout.lines().filter(|line| line.contains(" epoch ")).count(), 2, "{stdout}");
}
