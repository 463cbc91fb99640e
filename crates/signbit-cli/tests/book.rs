//! The book and the README against the program: commands that are marked `<!-- runs -->` run, every other one uses
//! words and options that exist, links lead somewhere, and the worked example of the file format is the file.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Folder, text};
use signbit_model::{ModelBuilder, Op, Shape, Tensor, file};

/// What stands in the line above a block whose commands run here.
const MARK: &str = "<!-- runs -->";

/// A fenced block of shell commands.
#[derive(Debug, PartialEq)]
struct Block {
    /// Of its first command, counted from 1.
    line: usize,
    runs: bool,
    lines: Vec<String>,
}

/// The blocks of a page that begin with ```` ```sh ````.
fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut open, mut fenced, mut before) = (Vec::new(), None, false, "");
    for (i, line) in page.lines().enumerate() {
        // Within a block of text, only a bare fence ends it.
        if line == "```" || (!fenced && line.starts_with("```")) {
            blocks.extend(open.take());
            if !fenced && line == "```sh" {
                open = Some(Block { line: i + 2, runs: before == MARK, lines: vec![] });
            }
            fenced = !fenced;
        } else if let Some(block) = &mut open {
            block.lines.push(line.to_owned());
        }
        before = line;
    }
    blocks
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every page of the book and the pages beside it, by name.
fn pages() -> BTreeMap<String, String> {
    let mut paths: Vec<_> = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(|name| root().join(name)).into();
    let mut folders = vec![root().join("docs/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                paths.push(path);
            }
        }
    }
    let name = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    paths.into_iter().map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn blocks_are_found() {
    let page = "a\n<!-- runs -->\n```sh\nsignbit x\n```\n```text\n```sh\n```\n```sh\ny\n```\n";
    let block = |line, runs, lines: &[&str]| Block { line, runs, lines: lines.iter().map(|l| (*l).into()).collect() };
    assert_eq!(blocks(page), [block(4, true, &["signbit x"]), block(10, false, &["y"])]);
}

/// The marked blocks of each page, in a folder of the page's own.
#[test]
fn marked_commands_run() {
    if Command::new("bash").arg("--version").output().is_err() {
        println!("skipped: there is no bash");
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_signbit")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(program.to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let (path, mut ran, mut failed) = (path.unwrap(), 0, Vec::new());
    for (name, page) in pages() {
        let marked: Vec<_> = blocks(&page).into_iter().filter(|block| block.runs).collect();
        assert_eq!(marked.len(), page.lines().filter(|line| *line == MARK).count(), "{name}: a mark without a block");
        if marked.is_empty() {
            continue;
        }
        ran += marked.len();
        let script: Vec<_> = marked.iter().flat_map(|block| &block.lines).map(String::as_str).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut bash = Command::new("bash");
        bash.args(["-e", "-o", "pipefail", "-c", &script.join("\n")]).current_dir(&folder).env("PATH", &path);
        let output = bash.env_remove("SIGNBIT_ISA").env_remove("SIGNBIT_DATA").output().unwrap();
        if !output.status.success() {
            let (stdout, stderr) = text(&output);
            failed.push(format!("{name}: {}\n{stdout}{stderr}", output.status));
        }
    }
    assert!(ran > 3, "{ran} blocks ran");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What `--help` knows of a word: its own words and its options.
struct Known {
    words: BTreeSet<String>,
    /// Whether it takes something else than its words.
    takes_more: bool,
    options: BTreeSet<String>,
}

/// The help of `signbit WORDS`, where there are such words.
fn known(folder: &Folder, words: &str) -> Option<Known> {
    let output = folder.output(&format!("{words} --help"));
    let help = output.status.success().then(|| text(&output).0)?;
    let section = |title: &'static str| {
        let lines = help.lines().skip_while(move |line| *line != title).skip(1);
        lines.take_while(|line| line.is_empty() || line.starts_with(' ')).map(str::to_owned).collect::<Vec<_>>()
    };
    let words = section("Commands:")
        .iter()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect();
    let mut options = BTreeSet::new();
    for line in section("Options:").iter().map(|line| line.trim_start()).filter(|line| line.starts_with('-')) {
        let parts = line.split([' ', ',']).take_while(|part| part.is_empty() || part.starts_with(['-', '<', '[']));
        options.extend(parts.filter(|part| part.starts_with('-')).map(str::to_owned));
    }
    Some(Known { words, takes_more: !section("Arguments:").is_empty(), options })
}

/// The commands of a block that call signbit, as their arguments.
fn calls(block: &Block) -> Vec<Vec<String>> {
    let script = block.lines.join("\n").replace("\\\n", " ");
    let mut calls = Vec::new();
    for line in script.lines() {
        let line = line.split_once(" #").map_or(line, |(command, _)| command);
        for command in line.split(['|', ';', '&']) {
            let command = command.replace("cargo run --release -- ", "signbit ");
            let mut words = command.split_whitespace().skip_while(|word| word.contains('='));
            if words.next() == Some("signbit") {
                calls.push(words.take_while(|word| !word.starts_with('>')).map(str::to_owned).collect());
            }
        }
    }
    calls
}

#[test]
fn every_command_uses_words_and_options_that_exist() {
    let folder = Folder::new();
    let top = known(&folder, "").unwrap();
    let (mut seen, mut checked, mut wrong) = (BTreeMap::new(), 0, Vec::new());
    for (name, page) in pages() {
        for block in blocks(&page) {
            for call in calls(&block) {
                checked += 1;
                let mut place = |what: String| wrong.push(format!("{name}:{}: {what} in {call:?}", block.line));
                let Some(word) = call.iter().find(|part| !part.starts_with('-')) else { continue };
                if !top.words.contains(word) {
                    place(format!("no word {word}"));
                    continue;
                }
                let mut path = word.clone();
                let mut help = seen.entry(path.clone()).or_insert_with(|| known(&folder, &path)).as_ref().unwrap();
                if !help.words.is_empty() {
                    let next = call.iter().skip_while(|part| *part != word).nth(1).cloned().unwrap_or_default();
                    if help.words.contains(&next) {
                        path = format!("{path} {next}");
                        help = seen.entry(path.clone()).or_insert_with(|| known(&folder, &path)).as_ref().unwrap();
                    } else if !help.takes_more {
                        place(format!("no word {path} {next}"));
                        continue;
                    }
                }
                let number = |part: &str| part[1..].starts_with(|c: char| c.is_ascii_digit());
                for option in call.iter().filter(|part| part.starts_with('-') && part.len() > 1 && !number(part)) {
                    let option = option.split('=').next().unwrap_or_default();
                    if !help.options.contains(option) {
                        place(format!("{path} has no option {option}"));
                    }
                }
            }
        }
    }
    assert!(checked > 20, "{checked} commands found");
    assert!(wrong.is_empty(), "{} of {checked} commands:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a page links to or includes is there; `mdbook` itself does not fail for want of it.
#[test]
fn links_and_includes_lead_somewhere() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for (name, page) in pages() {
        let folder = root().join(&name).parent().unwrap().to_owned();
        for link in page.split("](").skip(1).filter_map(|rest| rest.split([')', ' ', '\n']).next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || link.contains("://") {
                continue;
            }
            checked += 1;
            if !folder.join(path).exists() {
                wrong.push(format!("{name}: {link}"));
            }
        }
        for include in page.split("{{#include ").skip(1).filter_map(|rest| rest.split("}}").next()) {
            checked += 1;
            let (path, part) = include.split_once(':').unwrap_or((include, ""));
            let text = std::fs::read_to_string(folder.join(path)).unwrap_or_default();
            let lines = part.chars().all(|c| c.is_ascii_digit() || c == ':');
            let found = if lines { !text.is_empty() } else { text.contains(&format!("ANCHOR: {part}\n")) };
            if !found {
                wrong.push(format!("{name}: {include}"));
            }
        }
    }
    assert!(checked > 30, "{checked} links found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every page stands in the table of contents.
#[test]
fn the_table_of_contents_is_whole() {
    let pages = pages();
    let contents = &pages["docs/src/SUMMARY.md"];
    let listed =
        |name: &str| name.strip_prefix("docs/src/").is_none_or(|page| contents.contains(&format!("]({page})")));
    let missing: Vec<_> = pages.keys().filter(|name| !name.ends_with("SUMMARY.md") && !listed(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// As `hexdump -C` prints.
fn hexdump(bytes: &[u8]) -> Vec<String> {
    let line = |(i, part): (usize, &[u8])| {
        let hex = |part: &[u8]| part.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        let (left, right) = part.split_at(part.len().min(8));
        let shown: String = part.iter().map(|&b| if (0x20..0x7f).contains(&b) { char::from(b) } else { '.' }).collect();
        format!("{:08x}  {:<23}  {:<23}  |{shown}|", 16 * i, hex(left), hex(right))
    };
    bytes.chunks(16).enumerate().map(line).collect()
}

#[test]
fn the_worked_file_is_the_one_in_the_book() -> Result<(), Box<dyn std::error::Error>> {
    let mut b = ModelBuilder::new(Shape::vector(3));
    b.tensor("w", Tensor::bits_from_signs([2, 3], &[1, 1, 1, -1, 1, -1])?);
    let bits = b.node("sign", Op::Sign, &[b.input()]);
    let dots = b.node("fc", Op::BinaryDense { weight: "w".into() }, &[bits]);
    let bytes = file::to_bytes(&b.finish(dots)?)?;
    let page = std::fs::read_to_string(root().join("docs/src/file-format.md"))?;
    let told: Vec<_> = page.lines().collect();
    let dump = hexdump(&bytes);
    // The book shows the beginning and the end.
    let shown: Vec<_> = dump.iter().filter(|line| told.contains(&line.as_str())).collect();
    let ends = dump.first().into_iter().chain(dump.last());
    assert!(shown.len() >= 8 && ends.clone().all(|line| shown.contains(&line)), "the file is now\n{}", dump.join("\n"));
    let wrong = told
        .iter()
        .filter(|line| line.ends_with('|') && line.starts_with("000"))
        .filter(|line| !dump.iter().any(|right| right == *line));
    assert_eq!(wrong.count(), 0, "the file is now\n{}", dump.join("\n"));
    assert!(page.contains(&format!("{} bytes", bytes.len())), "the file has {} bytes", bytes.len());
    Ok(())
}

/// The numbers of "How it works". (Those of the latent weight and of alpha stand beside their code, too.)
#[test]
fn the_worked_numbers_are_right() {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
    // A latent weight flips; the bit itself would not.
    assert!(near(0.05 - 0.1 * 3.0, -0.25) && near(1.0 - 0.1 * 3.0, 0.7));
    // XNOR and popcount.
    let (a, w) = ([1, -1, -1, 1, 1, -1, 1, 1], [1, 1, -1, -1, 1, -1, -1, 1]);
    let bits = |signs: [i32; 8]| signs.iter().enumerate().fold(0_u8, |b, (i, &s)| b | (u8::from(s > 0) << i));
    let agreements = (!(bits(a) ^ bits(w))).count_ones() as i32;
    assert_eq!((agreements, 2 * agreements - 8), (5, 2));
    assert_eq!(a.iter().zip(w).map(|(a, w)| a * w).sum::<i32>(), 2);
    // alpha.
    let weights = [0.2_f64, 0.2, -0.6, -0.6];
    let error = |alpha: f64| weights.iter().map(|w| (w - alpha * w.signum()).powi(2)).sum::<f64>();
    let (mean_abs, abs_mean) =
        (weights.map(f64::abs).iter().sum::<f64>() / 4.0, weights.iter().sum::<f64>().abs() / 4.0);
    assert!(near(mean_abs, 0.4) && near(abs_mean, 0.2) && near(error(mean_abs), 0.16) && near(error(abs_mean), 0.32));
    // K.
    let means = |y: usize, x: usize| (1 + 3 * y + x) as f64 / 10.0;
    let k = |y, x| (means(y, x) + means(y, x + 1) + means(y + 1, x) + means(y + 1, x + 1)) / 4.0;
    assert!(near(k(0, 0), 0.3) && near(k(0, 1), 0.4) && near(k(1, 0), 0.6) && near(k(1, 1), 0.7));
    // Batch norm as a comparison.
    for x in -20..=20 {
        let norm = |gamma: f64| gamma * (f64::from(x) - 3.0) / 2.0 - 0.75 >= 0.0;
        assert_eq!((norm(0.5), norm(-0.5)), (x >= 6, x < 1), "{x}");
    }
}
