//! Runs beside each other, through the real binary.

mod common;

use common::{Folder, check_html, text};
use signbit_train::checkpoint;

/// Two runs that differ in width and learning rate; the first has a twin.
fn two_runs() -> Folder {
    let folder = Folder::new();
    folder.run("train mlp --data digits --out a --width 16 --epochs 2 --no-report --twin --threads 2");
    folder.run("train mlp --data digits --out b --width 24 --epochs 3 --learning-rate 0.01 --no-report --threads 2");
    folder
}

#[test]
fn what_differs_and_the_figures_of_each_run() {
    let folder = two_runs();
    let found = folder.json("compare a b");
    assert_eq!(found["differ"], serde_json::json!(["epochs", "learning_rate", "width"]), "{found}");
    for (i, name) in ["a", "b"].into_iter().enumerate() {
        let (run, header) = (&found["runs"][i], checkpoint::load(&folder.path(name)).unwrap().header);
        let last = header.history.last().unwrap();
        let best = header.history.iter().map(|record| record.test_accuracy).fold(0.0, f64::max);
        assert_eq!(run["run"], name);
        assert_eq!(run["epochs"], header.history.len());
        assert_eq!((run["best_test_accuracy"].as_f64(), run["loss"].as_f64()), (Some(best), Some(last.loss)));
        let epoch = run["best_epoch"].as_u64().unwrap() as usize;
        assert_eq!(header.history[epoch - 1].test_accuracy, best);
        assert_eq!(run["file_bytes"], folder.json(&format!("summary {name}"))["file_bytes"]);
        assert!(run["seconds"].as_f64().unwrap() > 0.0, "{run}");
    }
    let twin = checkpoint::load(&folder.path("a/twin")).unwrap().header.history[1].test_accuracy;
    assert_eq!(found["runs"][0]["twin_test_accuracy"].as_f64(), Some(twin));
    assert!(found["runs"][1]["twin_test_accuracy"].is_null());
    let page = String::from_utf8(folder.read("compare.html")).unwrap();
    check_html(&page);
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(page.contains("key layer1\"></span>b"), "the legend names the runs");
}

#[test]
fn for_people_a_table_and_what_differs() {
    let folder = two_runs();
    let said = folder.run("compare a b a/twin -o page.html");
    let row = |start: &str| -> Vec<&str> {
        let line = said.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {said}"));
        line.split_whitespace().collect()
    };
    assert_eq!(row("width"), ["width", "16", "24", "16"]);
    assert_eq!(row("twin"), ["twin", "false", "false", "true"]);
    assert_eq!(row("a/twin")[1], "2");
    assert!(said.contains("\nbest: ") && said.ends_with("curves: page.html\n"), "{said}");
    assert!(!said.lines().any(|line| line.starts_with("seed")), "equal choices are left out: {said}");
    assert!(folder.path("page.html").exists() && !folder.path("compare.html").exists());
    // More runs than there are colours.
    folder.run(&format!("compare {}", "a b ".repeat(5)));
    let page = String::from_utf8(folder.read("compare.html")).unwrap();
    check_html(&page);
    assert!(page.contains("The 8 runs with the highest test accuracy are drawn."));
}

#[test]
fn what_is_no_run_is_told_in_one_line_and_nothing_is_written() {
    let folder = Folder::new();
    folder.run("train mlp --data digits --out a --width 8 --epochs 1 --no-report");
    std::fs::create_dir(folder.path("empty")).unwrap();
    folder.write("file", "no run");
    for (words, expected) in [
        ("compare", "required"),
        ("compare a empty", "empty is not a training run: it has no checkpoint.safetensors"),
        ("compare absent a", "absent is not a training run"),
        ("compare a file", "file is not a training run"),
        ("compare a -o empty", "empty: this is a folder"),
        ("compare a -o none/x.html", "none/x.html: cannot write"),
    ] {
        let output = folder.output(words);
        let (stdout, stderr) = text(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{words}: {stderr}");
        assert!(stderr.contains(expected) && stderr.trim_end().lines().count() == 1, "{words}: {stderr}");
    }
    assert!(!folder.path("compare.html").exists());
}
