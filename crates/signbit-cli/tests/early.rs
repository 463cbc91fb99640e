//! Trainings that end before their last epoch, through the real binary.

mod common;

use common::{Folder, text};
use signbit_train::checkpoint;

fn history(folder: &Folder, run: &str) -> Vec<checkpoint::EpochRecord> {
    checkpoint::load(&folder.path(run)).unwrap().header.history
}

#[test]
fn without_a_better_accuracy_the_training_ends_and_the_best_epoch_is_kept() {
    let folder = Folder::new();
    let train = "train mlp --data digits --out r --width 8 --epochs 500 --decay constant --no-report --threads 2";
    let said = folder.run(&format!("{train} --patience 2"));
    let done = history(&folder, "r");
    let best = done.iter().map(|record| record.test_accuracy).fold(0.0, f64::max);
    let first = done.iter().find(|record| record.test_accuracy == best).unwrap();
    assert_eq!(done.len(), first.epoch as usize + 2, "{said}");
    let line = format!("binary: stopped after epoch {} of 500: no better test accuracy for 2 epochs; ", done.len());
    assert!(said.contains(&line) && said.contains(&format!("after epoch {}, is in r/best", first.epoch)), "{said}");
    // The best epoch is a run of its own.
    assert_eq!(history(&folder, "r/best"), done[..first.epoch as usize]);
    let packed = folder.run("pack r --best -o best.signbit");
    assert!(packed.contains("signbit verify r/best best.signbit"), "{packed}");
    folder.run("verify r/best best.signbit --first 20");
    let found = folder.json("eval best.signbit --data digits");
    assert_eq!(found["accuracy"].as_f64(), Some(best), "{found}");
    folder.run("pack r -o last.signbit");
    assert!(folder.read("best.signbit") != folder.read("last.signbit"));
    assert_eq!(folder.json("compare r")["runs"][0]["best_epoch"], first.epoch);
    // It has ended; with another patience it goes on.
    folder.run("train --data digits --out r --resume --no-report");
    assert_eq!(history(&folder, "r").len(), done.len());
    let more = done.len() + 1;
    folder.run(&format!("train --data digits --out r --resume --no-report --patience 0 --epochs {more}"));
    assert_eq!(history(&folder, "r").len(), more);
    // A new run forgets the old one's best.
    folder.run("train mlp --data digits --out r --width 8 --epochs 1 --no-report --force");
    let output = folder.output("pack r --best -o none.signbit");
    let (_, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("r: the best epoch was not kept; train with --patience N to keep it"), "{stderr}");
    assert!(!folder.path("none.signbit").exists());
}

#[test]
fn programs_are_told_of_an_early_end() {
    let folder = Folder::new();
    for (patience, early) in [(1, true), (0, false)] {
        let words = format!(
            "train mlp --data digits --out r{patience} --width 4 --epochs 60 --decay constant --no-report --json \
             --set patience={patience}"
        );
        let said = folder.run(&words);
        let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (first, last) = (&lines[1], lines.last().unwrap());
        assert_eq!((last["event"].as_str(), last["stopped_early"].as_bool()), (Some("done"), Some(early)), "{last}");
        for figure in ["flip_ratio", "dead", "saturated", "gradient_norm"] {
            assert!(first[figure].as_f64().is_some(), "{figure}: {first}");
        }
        assert_eq!(folder.path(&format!("r{patience}/best")).exists(), early);
        let csv = String::from_utf8(folder.read(&format!("r{patience}/metrics.csv"))).unwrap();
        let columns = csv.lines().next().unwrap().split(',').count();
        assert!(csv.contains(",flip_ratio,dead,saturated,gradient_norm,seconds\n"), "{csv}");
        assert!(csv.lines().all(|line| line.split(',').count() == columns && !line.contains(",,")), "{csv}");
    }
}
