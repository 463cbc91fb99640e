//! The whole way on the digits inside the program, with the real binary.

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::{Folder, le_bytes, npy, text};
use serde_json::Value;
use signbit::Isa;
use signbit_train::checkpoint;
use signbit_train::data::DataSet;

fn isas() -> Vec<&'static str> {
    Isa::all().map(Isa::name).collect()
}

#[test]
fn from_training_to_predictions() {
    let folder = Folder::new();
    let said = folder.run("train mlp --data digits --out r --width 64 --epochs 2 --threads 2");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines.len(), lines[0]), (6, "binary: learning rate 0.003"), "{said}");
    assert!(lines[1].starts_with("binary epoch 1/2") && lines[2].starts_with("binary epoch 2/2"), "{said}");
    assert!(lines[4] == "report: r/report.html" && lines[5].contains("signbit pack r -o"), "{said}");
    assert!(folder.read("r/report.html").starts_with(b"<!DOCTYPE html>"));

    let packed = folder.json("pack r -o m.signbit");
    assert_eq!(packed["bytes"], folder.read("m.signbit").len());
    let said = folder.run("verify r m.signbit --isa all --threads 1,2");
    assert!(said.lines().last().unwrap().starts_with("identical: 68,928 bits and 3,590 outputs on 359"), "{said}");
    check_verify(&folder);

    let accuracy = check_eval(&folder);
    assert!(accuracy > 0.4, "accuracy {accuracy}");
    let scores = check_run(&folder);
    check_predict(&folder, &scores);

    for what in ["r", "m.signbit"] {
        let size = folder.json(&format!("summary {what}"));
        assert_eq!(size["file_bytes"], folder.read("m.signbit").len(), "{what}");
    }
    assert!(folder.run("summary m.signbit").contains("binary_dense"));
    check_bench(&folder);
}

fn check_verify(folder: &Folder) {
    let verified = folder.json("verify r m.signbit --data digits --isa all --threads 1,2");
    let runs = verified["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2 * isas().len());
    for (i, run) in runs.iter().enumerate() {
        assert_eq!((run["isa"].as_str(), run["threads"].as_u64()), (Some(isas()[i / 2]), Some(i as u64 % 2 + 1)));
        let counts = ["pictures", "layers", "bits", "outputs", "differing_bits", "differing_outputs"];
        let counts = counts.map(|key| run[key].as_u64().unwrap());
        assert_eq!(counts, [359, 3, 359 * 3 * 64, 3590, 0, 0], "{run}");
    }
    // What is not asked for has ten seconds, plenty for so few pictures; the best comes first.
    let runs = folder.json("verify r m.signbit --threads 1")["runs"].take();
    let found: Vec<_> =
        runs.as_array().unwrap().iter().map(|run| (run["isa"].as_str(), run["pictures"].as_u64())).collect();
    assert_eq!(found[0], (Some(Isa::best().name()), Some(359)), "{found:?}");
    assert!(found.len() == isas().len() && found.iter().all(|&(_, pictures)| pictures == Some(359)), "{found:?}");
    let first = folder.json("verify r m.signbit --data digits --isa portable --threads 1 --first 7");
    assert_eq!(first["runs"][0]["pictures"], 7);
}

/// Accuracy is the same as at the end of the training, on every instruction set.
fn check_eval(folder: &Folder) -> f64 {
    let csv = String::from_utf8(folder.read("r/metrics.csv")).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 3, "{csv}");
    assert_eq!(rows[0][..5], ["epoch", "loss", "train_accuracy", "test_loss", "test_accuracy"]);
    let trained: f64 = rows[2][4].parse().unwrap();
    for isa in isas() {
        let found = folder.json(&format!("eval m.signbit --data digits --isa {isa}"));
        assert_eq!((found["accuracy"].as_f64(), found["isa"].as_str()), (Some(trained), Some(isa)));
        let confusion = found["confusion"].as_array().unwrap();
        let count = |row: &Value| row.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
        assert_eq!(confusion.iter().map(count).sum::<u64>(), 359);
        let right: u64 = (0..10).map(|i| confusion[i][i].as_u64().unwrap()).sum();
        assert_eq!(found["right"], right);
    }
    let output = folder.command("eval m.signbit --data digits").env("SIGNBIT_ISA", "portable").output().unwrap();
    assert!(text(&output).0.contains("(portable, "), "{output:?}");
    trained
}

/// Runs the test pictures from a file, as real numbers and as bytes, in different ways. Returns the scores.
fn check_run(folder: &Folder) -> Vec<f32> {
    let test = DataSet::digits().unwrap().test;
    let real: Vec<f32> = test.pixels.iter().map(|&p| f32::from(p) * (2.0 / 255.0) - 1.0).collect();
    folder.write("x.npy", npy("<f4", "359, 8, 8, 1", &le_bytes(&real)));
    folder.write("u8.npy", npy("|u1", "359, 8, 8, 1", &test.pixels));
    folder.run("run m.signbit --input x.npy --output y.npy");
    let file = folder.read("y.npy");
    assert!(String::from_utf8_lossy(&file[..128]).contains("'shape': (359, 10,)"));
    let ways = ["x.npy --threads 2 --batch 7", "x.npy --threads 1 --batch 1", "x.npy --isa reference", "u8.npy"];
    for way in ways {
        folder.run(&format!("run m.signbit --output other.npy --input {way}"));
        assert!(folder.read("other.npy") == file, "{way}");
    }
    folder.write("none.npy", npy("<f4", "0, 8, 8, 1", &[]));
    let none = folder.json("run m.signbit --input none.npy --output none-out.npy");
    assert_eq!(none["shape"], serde_json::json!([0, 10]));
    let data = &file[file.len() - 359 * 10 * 4..];
    data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Predictions of pictures on disk have the scores that `run` gave.
fn check_predict(folder: &Folder, scores: &[f32]) {
    let test = DataSet::digits().unwrap().test;
    let mut words = String::from("predict m.signbit --top 10");
    for i in 0..3 {
        let ending = ["png", "bmp", "webp"][i];
        let name = format!("digit-{i}.{ending}");
        let picture = image::GrayImage::from_raw(8, 8, test.picture(i).to_vec()).unwrap();
        // WebP is written in colour only.
        image::DynamicImage::from(picture).to_rgb8().save(folder.path(&name)).unwrap();
        words += &format!(" {name}");
    }
    let found = folder.json(&words);
    for (i, picture) in found.as_array().unwrap().iter().enumerate() {
        let list = picture["predictions"].as_array().unwrap();
        assert_eq!(list.len(), 10);
        for p in list {
            let index = p["index"].as_u64().unwrap() as usize;
            assert_eq!(p["score"].as_f64().unwrap() as f32, scores[10 * i + index], "{picture}");
        }
        let order: Vec<f64> = list.iter().map(|p| p["probability"].as_f64().unwrap()).collect();
        assert!(order.is_sorted_by(|a, b| a >= b), "{order:?}");
    }
    // Another size is resized as the model says.
    image::GrayImage::new(20, 30).save(folder.path("large.png")).unwrap();
    let said = folder.run("predict m.signbit digit-0.png large.png");
    assert_eq!(said.lines().count(), 2);
    assert_eq!(said.lines().next().unwrap().matches('%').count(), 3, "{said}");
}

fn check_bench(folder: &Folder) {
    let found = folder.json("bench m.signbit --seconds 0.05 --batch 2 --threads 1");
    assert!(found["ratio"]["median"].as_f64().unwrap() > 0.0 && found["bits_per_second"].as_f64().unwrap() > 0.0);
    let layers = found["layers"].as_array().unwrap();
    let sum = |key: &str| layers.iter().map(|l| l[key].as_f64().unwrap()).sum::<f64>();
    assert!((sum("share") - 1.0).abs() < 1e-9);
    assert_eq!(sum("macs"), 2.0 * (64.0 * 64.0 * 3.0 + 640.0), "two samples");
    let said = folder.run("bench m.signbit --seconds 0.05");
    assert!(said.contains("times as fast as f32 in signbit's own fixed-order kernels ("), "{said}");
}

#[test]
fn a_killed_training_goes_on_to_the_same_checkpoint() {
    let folder = Folder::new();
    let words = "train small-cnn --data digits --width 8 --epochs 4 --seed 3 --out";
    folder.run(&format!("{words} whole"));
    let mut child = folder.command(&format!("{words} killed")).stdout(Stdio::piped()).spawn().unwrap();
    let first = BufReader::new(child.stdout.take().unwrap()).lines().nth(1).unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(first.contains("epoch 1/4"), "{first}");
    assert!(folder.read("killed/checkpoint.safetensors") != folder.read("whole/checkpoint.safetensors"));
    let said = folder.run("train small-cnn --data digits --out killed --resume");
    assert!(said.contains("epoch 4/4") && !said.contains("epoch 1/4"), "{said}");
    assert!(folder.read("killed/checkpoint.safetensors") == folder.read("whole/checkpoint.safetensors"));
    let csv = String::from_utf8(folder.read("killed/metrics.csv")).unwrap();
    assert_eq!(csv.lines().count(), 5, "{csv}");
}

#[test]
fn the_same_seed_gives_the_same_checkpoint() {
    let folder = Folder::new();
    let words = "train mlp --data digits --width 32 --decay constant";
    let ways = [
        ("a", "--epochs 2 --seed 5 --threads 1"),
        ("b", "--epochs 2 --seed 5 --threads 2"),
        ("c", "--epochs 2 --seed 6 --threads 1"),
        // One epoch, then one more.
        ("d", "--epochs 1 --seed 5 --threads 1"),
        ("d", "--epochs 2 --threads 1 --resume"),
        // What was there before does not matter.
        ("c2", "--epochs 1 --seed 5 --threads 1"),
        ("c2", "--epochs 2 --seed 6 --threads 1 --force"),
    ];
    for (run, way) in ways {
        folder.run(&format!("{words} {way} --out {run}"));
    }
    let same = |a: &str, b: &str| {
        folder.read(&format!("{a}/checkpoint.safetensors")) == folder.read(&format!("{b}/checkpoint.safetensors"))
    };
    let found = [same("a", "b"), same("a", "c"), same("a", "d"), same("c", "c2")];
    assert_eq!(found, [true, false, true, true]);
}

#[test]
fn every_kind_of_recipe_is_packed_without_a_difference() {
    let folder = Folder::new();
    let recipes = [
        "small-cnn --width 8 --scale alpha_k",
        "small-cnn --width 8 --scale alpha --quantizer approx_sign",
        "mlp --width 24 --scale alpha_k --quantizer swish_sign",
        "mlp --width 24 --scale learned --quantizer rsign",
        "small-cnn --width 8 --quantizer ede --weight-quantizer libra_pb",
        "mlp --width 24 --scale abs_of_mean --optimizer sgd --momentum 0.8 --learning-rate 0.01",
        "mlp --width 65 --loss squared_error --decay step --decay-parts 2 --decay-factor 0.5 --warmup-epochs 0.5",
    ];
    for (i, recipe) in recipes.into_iter().enumerate() {
        let run = format!("r{i}");
        folder.run(&format!("train {recipe} --data digits --out {run} --epochs 1 --batch 50"));
        folder.run(&format!("pack {run} -o {run}.signbit"));
        let verified = folder.json(&format!("verify {run} {run}.signbit --data digits"));
        assert_eq!(verified["identical"], true, "{recipe}: {verified}");
        assert_ne!(verified["runs"][0]["bits"], 0, "{recipe}: {verified}");
    }
}

#[test]
fn the_twin_is_trained_packed_and_verified() {
    let folder = Folder::new();
    let train = "train mlp --data digits --out r --width 16 --epochs 1 --twin --json";
    let said = folder.run(&format!("{train} --twin-learning-rate 0.002"));
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = lines.iter().map(|l| (l["network"].as_str().unwrap(), l["event"].as_str().unwrap())).collect();
    let of = |network| ["start", "epoch", "done"].map(|event| (network, event));
    assert_eq!(events, [of("binary"), of("twin")].concat());
    let rates = [&lines[0]["learning_rate"], &lines[3]["learning_rate"]];
    assert_eq!(rates, [&Value::from(0.003), &Value::from(0.002)], "{said}");
    let packed = folder.json("pack r --twin -o twin.signbit");
    assert_eq!(packed["binary_params"], 0);
    let verified = folder.json("verify r/twin twin.signbit --data digits --threads 1");
    assert_eq!((&verified["identical"], &verified["runs"][0]["bits"]), (&true.into(), &0.into()));
    // With --resume a run that is done stays as it is, and a twin keeps its learning rate.
    let files = ["r/checkpoint.safetensors", "r/twin/checkpoint.safetensors"];
    let before = files.map(|file| folder.read(file));
    folder.run("train mlp --data digits --out r --resume --twin");
    assert!(files.map(|file| folder.read(file)) == before);
    let output = folder.output("train mlp --data digits --out r --resume --twin --twin-learning-rate 0.001");
    assert!(output.status.code() == Some(2) && text(&output).1.contains("another learning rate"), "{output:?}");
    let said = folder.run("train mlp --data digits --out default --width 16 --epochs 1 --twin");
    assert!(said.contains("\ntwin: learning rate 0.001\n"), "{said}");
}

#[test]
fn training_steps_are_measured() {
    let found = Folder::new().json("bench-train mlp --batch 10 --threads 1 --steps 2");
    assert_eq!((found["step_ms"].as_array().unwrap().len(), &found["network"]), (2, &"mlp".into()));
}

/// The output of a command whose stdout nobody reads.
fn unread(folder: &Folder, words: &str) -> std::process::Output {
    // The reader is gone before the command starts: no race with what it prints first.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    folder.command(words).stdout(writer).output().unwrap()
}

#[test]
fn a_training_goes_on_where_nobody_reads() {
    let folder = Folder::new();
    for (run, json) in [("text", ""), ("json", "--json")] {
        let words = format!("train mlp --data digits --out {run} --width 16 --epochs 3 --twin {json}");
        let output = unread(&folder, &words);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        for run in [run.to_owned(), format!("{run}/twin")] {
            let loaded = checkpoint::load(&folder.path(&run)).unwrap();
            assert_eq!(loaded.header.history.len(), 3, "{run}");
        }
    }
}

#[test]
fn other_commands_end_quietly_where_nobody_reads() {
    let folder = Folder::new();
    folder.run("train mlp --data digits --out r --width 16 --epochs 1");
    for words in ["summary r", "summary r --json", "pack r -o m.signbit"] {
        let output = unread(&folder, words);
        assert!(output.status.code() == Some(141) && output.stderr.is_empty(), "{words}: {output:?}");
    }
}

#[test]
fn demo() {
    let folder = Folder::new();
    let said = folder.run("demo --out d");
    let line = said.lines().find(|line| line.starts_with("bits: identical: ")).unwrap();
    assert!(line.contains("on 359 pictures, 0 differ"), "{line}");
    let next = said.lines().find_map(|line| line.strip_prefix("next: signbit ")).unwrap();
    let predicted = folder.run(next);
    assert_eq!(predicted.lines().count(), 3, "{predicted}");
    let accuracy = |file: &str| {
        let found = folder.json(&format!("eval d/{file} --data digits"));
        found["accuracy"].as_f64().unwrap()
    };
    assert!(accuracy("model.signbit") > 0.97 && accuracy("twin.signbit") > 0.97, "{said}");
    assert!(said.contains("times as fast as f32 in signbit's own fixed-order kernels"), "{said}");
}
