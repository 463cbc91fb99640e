//! The search for a learning rate, through the real binary.

mod common;

use common::{Folder, check_html, text};

#[test]
fn a_rate_is_suggested_that_learns() {
    let folder = Folder::new();
    let words = "find-rate mlp --data digits --set width=64 --set batch=50";
    let found = folder.json(&format!("{words} --threads 2"));
    let steps = found["steps"].as_array().unwrap();
    let number = |step: &serde_json::Value, key: &str| step[key].as_f64().unwrap();
    assert!(steps.len() > 100 && steps.len() <= 200, "{}", steps.len());
    assert!(steps.windows(2).all(|pair| number(&pair[0], "learning_rate") < number(&pair[1], "learning_rate")));
    let rate = found["suggested"].as_f64().unwrap();
    assert!(number(&found, "fastest") < rate && rate < number(&found, "lowest"), "{found}");
    let page = String::from_utf8(folder.read("rates.html")).unwrap();
    check_html(&page);
    assert!(page.contains("learning rate") && page.matches("<svg").count() == 1);
    // Any number of threads finds the same, and says what to do next.
    let said = folder.run(&format!("{words} --threads 1 -o other.html"));
    assert!(said.contains(&format!("suggested learning rate: {rate}, ")), "{rate}: {said}");
    assert!(folder.read("other.html") == folder.read("rates.html"));
    let next = said.lines().find_map(|line| line.strip_prefix("next: signbit ")).unwrap();
    folder.run(&format!("{} --epochs 6 --no-report", next.replace("RUN", "r")));
    let accuracy = folder.json("compare r")["runs"][0]["best_test_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.85, "{next}: {accuracy}");
}

#[test]
fn a_wrong_range_is_told_in_one_line_and_nothing_is_written() {
    let folder = Folder::new();
    for (words, expected) in [
        ("find-rate mlp", "there is no data"),
        ("find-rate mlpp --data digits", "there is no network \"mlpp\""),
        ("find-rate mlp --data digits --from 1 --to 0.1", "highest rate is 0.1; it must be above the lowest"),
        ("find-rate mlp --data digits --from 0", "lowest rate is 0; it must be from 1e-10"),
        ("find-rate mlp --data digits --steps 3", "number of steps is 3; it must be from 20"),
        ("find-rate mlp --data digits --set wdith=3", "did you mean width?"),
        ("find-rate mlp --data digits -o none/x.html --set width=8 --steps 20", "none/x.html: cannot write"),
    ] {
        let output = folder.output(words);
        let (stdout, stderr) = text(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{words}: {stderr}");
        assert!(stderr.contains(expected) && stderr.trim_end().lines().count() == 1, "{words}: {stderr}");
    }
    assert!(!folder.path("rates.html").exists());
}
