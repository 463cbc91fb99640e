//! What stands around the work: completions, manual pages, the doctor, `--quiet` and colours.

mod common;

use common::{Folder, text};

/// The words that the help lists.
fn words(folder: &Folder) -> Vec<String> {
    let help = folder.run("--help");
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A description that goes on in the next line is indented further.
    let starts = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let words: Vec<_> = starts.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(words.len() > 10 && words.iter().any(|word| word == "train"), "{words:?}");
    words.into_iter().filter(|word| word != "help").collect()
}

#[test]
fn completions_know_every_word() {
    let folder = Folder::new();
    let words = words(&folder);
    let mut missing = Vec::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.run(&format!("completions {shell}"));
        let known = |word: &str| script.split(|c: char| !c.is_alphanumeric() && c != '-').any(|part| part == word);
        missing.extend(words.iter().filter(|word| !known(word)).map(|word| format!("{shell}: {word}")));
    }
    assert!(missing.is_empty(), "{missing:?}");
    let (_, stderr) = text(&folder.output("completions tcsh"));
    assert!(stderr.contains("fish") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn every_word_has_a_manual_page() {
    let folder = Folder::new();
    let main = folder.run("man");
    assert!(main.contains(".TH signbit 1") && main.contains("EXIT CODES"), "{main}");
    folder.run("man --out pages/man1");
    for word in words(&folder) {
        let page = String::from_utf8(folder.read(&format!("pages/man1/signbit-{word}.1"))).unwrap();
        assert!(page.contains(&format!("signbit\\-{}", word.replace('-', "\\-"))), "{word}: {page}");
        assert!(page.contains("EXAMPLE"), "{word}");
    }
    assert_eq!(String::from_utf8(folder.read("pages/man1/signbit.1")).unwrap(), main);
    folder.write("file", "");
    let output = folder.output("man --out file");
    assert!(output.status.code() == Some(2) && text(&output).1.contains("file: cannot make the folder"), "{output:?}");
}

#[test]
fn the_doctor_looks_at_everything() {
    let folder = Folder::new();
    let told = folder.run("doctor");
    for word in ["processor", "threads", "memory", "kernels", "portable", "data is looked for", "digits", "passed"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(!told.contains("FAILED"), "{told}");

    std::fs::create_dir_all(folder.path("data/mnist")).unwrap();
    std::fs::create_dir_all(folder.path("elsewhere/cifar10")).unwrap();
    let output = folder.command("doctor").env("SIGNBIT_DATA", "elsewhere").output().unwrap();
    let (told, _) = text(&output);
    assert!(told.contains("(SIGNBIT_DATA)\n  elsewhere: cifar10\n") && !told.contains("  data: "), "{told}");

    let report: serde_json::Value = serde_json::from_slice(&{
        let mut command = folder.command("doctor --json");
        command.env_remove("SIGNBIT_DATA").output().unwrap().stdout
    })
    .unwrap();
    assert_eq!(report["passed"], true);
    assert_eq!(report["terminal"], false);
    let checks = report["checks"].as_array().unwrap();
    let kernels = checks.iter().filter(|check| check["name"].as_str().unwrap().starts_with("kernels "));
    assert_eq!(kernels.count(), report["isas"].as_array().unwrap().len());
    let places = report["data"].as_array().unwrap();
    let beside = places.iter().find(|place| place["path"] == "data").unwrap();
    assert_eq!(beside["sets"], serde_json::json!(["mnist"]));
}

#[test]
fn the_doctor_finds_what_is_wrong() {
    let folder = Folder::new();
    let output = folder.command("doctor").env("SIGNBIT_ISA", "sse9").output().unwrap();
    let (stdout, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stdout.contains("FAILED SIGNBIT_ISA") && stdout.contains("sse9"), "{stdout}");
    let output = folder.command("doctor -q").env("SIGNBIT_ISA", "sse9").output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(1), 0, 0));
}

/// Nothing for people; files, JSON, errors and what was asked for as a file remain.
#[test]
fn quiet_prints_nothing() {
    let folder = Folder::new();
    for words in [
        "train mlp --data digits --out r --width 16 --epochs 1 --quiet",
        "-q pack r -o r.signbit",
        "verify r r.signbit --data digits -q",
        "eval r.signbit --data digits -q",
        "summary r.signbit -q",
        "bench r.signbit --seconds 0.01 -q",
        "doctor -q",
        "man --out pages -q",
    ] {
        assert_eq!(folder.run(words), "", "{words}");
    }
    assert!(folder.path("r.signbit").exists() && folder.path("pages/signbit.1").exists());
    assert!(folder.json("-q eval r.signbit --data digits")["accuracy"].is_number());
    assert!(folder.run("-q man").contains("signbit"));
    assert!(folder.run("-q completions fish").contains("signbit"));
    let (stdout, stderr) = text(&folder.output("-q summary none"));
    assert!(stdout.is_empty() && stderr.starts_with("signbit: none: "), "{stderr}");
}

/// Colours are for terminals. `CLICOLOR_FORCE` shows that there are some, and what wins over it.
#[test]
fn styles_are_for_terminals() {
    let folder = Folder::new();
    folder.run("train mlp --data digits --out r --width 16 --epochs 1");
    let bytes = |words: &str, variables: &[(&str, &str)]| {
        let mut command = folder.command(words);
        command.env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR").envs(variables.iter().copied());
        let output = command.output().unwrap();
        [output.stdout, output.stderr].concat()
    };
    let styled = |words: &str, variables: &[(&str, &str)]| bytes(words, variables).contains(&0x1b);
    for words in ["summary r", "summary none", "doctor", "--help", "train --help"] {
        assert!(!styled(words, &[]), "{words}");
        assert!(!styled(words, &[("NO_COLOR", "1")]), "{words}");
    }
    let forced = [("CLICOLOR_FORCE", "1")];
    for words in ["summary r", "summary none"] {
        assert!(styled(words, &forced), "{words}");
    }
    let error = String::from_utf8(bytes("summary none", &forced)).unwrap();
    assert!(error.contains("signbit:\x1b[0m none: "), "{error:?}");
    // Machines get none, whatever is forced.
    for words in ["summary r --json", "completions bash", "man"] {
        assert!(!styled(words, &forced), "{words}");
    }
}
