//! The real binary in a folder of its own.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder in which the binary runs.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// The command with these words, which have no blanks inside.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_signbit"));
        command.args(words.split_whitespace()).current_dir(self.0.path()).env_remove("SIGNBIT_ISA");
        command
    }

    pub(crate) fn output(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// Stdout of a command that must succeed and say nothing on stderr.
    pub(crate) fn run(&self, words: &str) -> String {
        let output = self.output(words);
        let (stdout, stderr) = text(&output);
        assert!(output.status.success(), "{words}: {}\n{stdout}{stderr}", output.status);
        assert!(stderr.is_empty(), "{words}: {stderr}");
        stdout
    }

    /// The one JSON document that a command prints.
    pub(crate) fn json(&self, words: &str) -> Value {
        let stdout = self.run(&format!("{words} --json"));
        serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{words}: {e}\n{stdout}"))
    }
}

/// Stdout and stderr.
pub(crate) fn text(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A `.npy` file.
pub(crate) fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let header = format!("{header:<117}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

/// Numbers as the bytes of a `.npy` file.
pub(crate) fn le_bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Elements that have no end.
const VOID: [&str; 3] = ["meta", "link", "img"];

/// Every element is closed in order, and nothing is asked of the network.
pub(crate) fn check_html(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>"));
    for scheme in ["http:", "https:", "src=\"/", "url(/", "<script", "@import"] {
        assert!(!page.contains(scheme), "the page contains {scheme}");
    }
    let (before, style) = page.split_once("<style>").unwrap();
    let markup = before.to_owned() + style.split_once("</style>").unwrap().1;
    let mut open = Vec::new();
    for tag in markup.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap_or_else(|| panic!("{tag} does not end"));
        let name = tag.split_whitespace().next().unwrap().trim_start_matches('/').trim_end_matches('/');
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !tag.starts_with('!') && !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
}
