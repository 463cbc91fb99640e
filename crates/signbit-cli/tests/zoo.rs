//! The zoo through the real binary: what is listed, what is shown, what is refused.

mod common;

use common::{Folder, text};

#[test]
fn the_list_names_every_network_with_its_numbers() {
    let folder = Folder::new();
    let listed = folder.run("zoo list");
    for part in ["bireal-resnet20", "reactnet-a", "13,234,088", "63.30 %", "arXiv 2011.09398"] {
        assert!(listed.contains(part), "{part} is not in\n{listed}");
    }
    let document = folder.json("zoo list");
    let networks = document["networks"].as_array().unwrap();
    assert_eq!(networks.len(), listed.lines().count() - 1);
    let quicknet = networks.iter().find(|network| network["network"] == "quicknet").unwrap();
    assert_eq!(quicknet["parameters"], 13_234_088);
    assert_eq!(quicknet["published"]["top1"], 63.3);
    // The file holds bits and two numbers for each channel of a batch norm, so it is about what Larq names.
    let bytes = quicknet["bytes"].as_f64().unwrap() / f64::from(1 << 20);
    assert!((bytes / quicknet["mebibytes"].as_f64().unwrap() - 1.0).abs() < 0.05, "{quicknet}");
}

/// The book's table is that of the list.
#[test]
fn the_book_has_the_list() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/zoo.md")).unwrap();
    let rows: Vec<Vec<&str>> = page.lines().filter(|line| line.starts_with('|')).map(cells).collect();
    let listed = Folder::new().run("zoo list");
    let listed: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), listed.len() + 1, "a head, a line and the networks");
    let mut wrong = Vec::new();
    for (row, listed) in rows.iter().skip(2).zip(listed.iter().skip(1)) {
        let words: Vec<_> = row.iter().flat_map(|cell| cell.split_whitespace()).collect();
        if words != *listed {
            wrong.push(format!("{words:?}\n{listed:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The cells of a row of Markdown, without their code marks.
fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()
}

/// What is shown is what a run of the same network packs to.
#[test]
fn the_layers_shown_are_those_of_a_packed_run() {
    let folder = Folder::new();
    folder.run("train bireal-resnet20 --data digits --out r --width 4 --epochs 1 --batch 500 --quiet");
    folder.run("pack r -o r.signbit --quiet");
    folder.run("verify r r.signbit --first 20");
    let packed = folder.json("summary r.signbit");
    let shown = folder.json("zoo show bireal-resnet20 --width 4 --input 8x8x1 --classes 10");
    for number in ["binary_params", "real_params", "binary_macs", "real_macs", "packed_bytes", "real_bytes"] {
        assert_eq!(shown["size"][number], packed[number], "{number}");
    }
    assert!(folder.run("zoo show bireal-resnet20").contains("stage3.6.conv"));
}

/// An untrained file is as large as it is said to be, and runs.
#[test]
fn a_network_is_packed_untrained() {
    let folder = Folder::new();
    let shown = folder.json("zoo show bireal-resnet20 --width 4 -o u.signbit");
    assert_eq!(shown["model"], "u.signbit");
    assert_eq!(folder.read("u.signbit").len() as u64, shown["bytes"]);
    assert_eq!(folder.json("summary u.signbit")["binary_params"], shown["size"]["binary_params"]);
    assert!(folder.run("zoo show bireal-resnet20 --width 4 -o u.signbit").ends_with("untrained: u.signbit\n"));
    folder.run("bench u.signbit --seconds 0.01");
}

#[test]
fn what_cannot_be_shown_is_told_in_a_line() {
    let folder = Folder::new();
    for (words, expected) in [
        ("zoo show lenet", "the networks are mlp"),
        ("zoo show quicknet --input 32", "32x32x3"),
        ("zoo show quicknet --input 0x1x3", "32x32x3"),
        ("zoo show quicknet --width 0", "width is 0"),
        ("zoo show quicknet --width 60000", "at most"),
        ("zoo show quicknet --classes 0", "--classes"),
        ("zoo show mlp -o nowhere/m.signbit", "nowhere"),
    ] {
        let output = folder.output(words);
        let (stdout, stderr) = text(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{words}: {stderr}");
        assert!(stderr.contains(expected) && stderr.lines().count() == 1, "{words}: {stderr}");
    }
}
