//! `signbit bench` as a whole: records, comparisons, one call by steps, the kernels by themselves.

mod common;

use common::{Folder, text};
use serde_json::{Value, json};
use signbit::Isa;

/// A small model.
fn setup() -> Folder {
    let folder = Folder::new();
    folder.run("train small-cnn --data digits --out r --width 8 --epochs 1");
    folder.run("pack r -o m.signbit");
    folder
}

fn record(folder: &Folder, name: &str) -> Value {
    serde_json::from_slice(&folder.read(name)).unwrap()
}

#[test]
fn a_record_beside_itself() {
    let folder = setup();
    let words = "bench m.signbit --seconds 0.02 --threads 1";
    let said = folder.run(&format!("{words} --out run.json"));
    assert!(said.ends_with("record: run.json\n"), "{said}");
    let saved = record(&folder, "run.json");
    assert_eq!((&saved["record"], &saved["model"]["name"]), (&"signbit bench".into(), &"m.signbit".into()));
    assert_eq!(saved["version"], env!("CARGO_PKG_VERSION"));
    assert!(saved["date"].as_str().unwrap().ends_with(" UTC"), "{saved}");
    assert_eq!(saved["model"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(saved["command"][0], "bench");
    for layer in saved["layers"].as_array().unwrap() {
        let bytes = |key: &str| layer[key].as_u64().unwrap();
        assert!(bytes("macs") == 0 || (bytes("weight_bytes") > 0 && bytes("activation_bytes") > 0), "{layer}");
    }

    let said = folder.run(&format!("{words} --compare run.json"));
    assert!(said.contains("before ms") && said.contains("times as fast as before"), "{said}");
    assert!(!said.contains("warning"), "{said}");
    let found = folder.json(&format!("{words} --compare run.json"));
    let comparison = &found["comparison"];
    assert_eq!(comparison["warnings"], json!([]));
    let (before, lines) = (saved["layers"].as_array().unwrap(), comparison["layers"].as_array().unwrap());
    assert_eq!(before.len(), lines.len());
    for ((before, now), line) in before.iter().zip(found["layers"].as_array().unwrap()).zip(lines) {
        assert_eq!((&line["name"], &line["before_ms"]), (&before["layer"], &before["ms"]));
        assert_eq!((&line["name"], &line["now_ms"]), (&now["layer"], &now["ms"]));
    }
    let number = |key: &str| comparison["bits"][key].as_f64().unwrap();
    assert!((number("before_ms") / number("now_ms") / number("ratio") - 1.0).abs() < 1e-9, "{comparison}");

    // What --json printed is a record too, and a comparison may take the place of what it was made with.
    folder.write("printed.json", serde_json::to_vec(&found).unwrap());
    folder.run(&format!("{words} --compare printed.json --out printed.json"));
    assert_eq!(record(&folder, "printed.json")["comparison"], Value::Null);
}

#[test]
fn what_differs_from_the_record_is_said() {
    let folder = setup();
    folder.run("bench m.signbit --seconds 0.01 --threads 1 --isa portable --out run.json");
    let mut saved = record(&folder, "run.json");
    saved["machine"]["cpu"] = "abacus \u{1b}[2J".into();
    saved["model"]["sha256"] = "00".into();
    saved["layers"][0]["layer"] = "gone".into();
    folder.write("other.json", saved.to_string());
    let output =
        folder.output("bench m.signbit --seconds 0.01 --threads 2 --batch 3 --isa reference --compare other.json");
    let (said, stderr) = text(&output);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    for what in [
        "another machine: abacus \\u{1b}[2J",
        "another instruction set: portable before, reference now",
        "another number of threads: 1 before, 2 now",
        "another batch: 1 before, 3 now",
        "another model: m.signbit (SHA-256 00) before",
    ] {
        assert!(said.contains(&format!("warning: {what}")), "{what}: {said}");
    }
    assert!(said.lines().any(|line| line.starts_with("gone ") && line.split_whitespace().count() == 2), "{said}");
}

#[test]
fn what_is_no_record_is_one_line() {
    let folder = setup();
    folder.run("bench m.signbit --seconds 0.01 --threads 1 --out run.json");
    let saved = record(&folder, "run.json");
    let changed = |change: fn(&mut Value)| {
        let mut other = saved.clone();
        change(&mut other);
        other.to_string()
    };
    let files = [
        ("empty.json", String::new(), "not a record of signbit bench: EOF"),
        ("text.json", "not JSON".into(), "not a record of signbit bench: expected"),
        ("list.json", "[1, 2]".into(), "not a record of signbit bench"),
        ("other.json", folder.run("summary m.signbit --json"), "it has no `\"record\": \"signbit bench\"`"),
        ("kernels.json", folder.run("bench kernels --shape 64,64 --seconds 0.001 --json"), "it has no `\"record\""),
        ("profile.json", folder.run("bench m.signbit --profile --json"), "it has no `\"record\""),
        ("later.json", changed(|r| r["format"] = 2.into()), "its format is 2, and this version reads 1"),
        ("half.json", changed(|r| r["layers"] = Value::Null), "not a record of signbit bench: invalid type: null"),
        ("negative.json", changed(|r| r["layers"][0]["ms"] = (-1.0).into()), "is -1"),
        ("infinite.json", saved.to_string().replacen("\"median\":", "\"median\":1e999,\"x\":", 1), "out of range"),
        ("deep.json", "[".repeat(100_000), "not a record of signbit bench"),
        ("bytes.json", "\u{0}\u{1}".into(), "not a record of signbit bench"),
        ("cut.json", saved.to_string()[..300].into(), "not a record of signbit bench: EOF"),
    ];
    let mut wrong = Vec::new();
    let mut check = |words: &str, expected: &str| {
        let output = folder.output(words);
        let (stdout, stderr) = text(&output);
        let one_line = stderr.lines().count() == 1 && stderr.starts_with("signbit: ") && !stderr.contains("panicked");
        if output.status.code() != Some(2) || !one_line || !stderr.contains(expected) || !stdout.is_empty() {
            wrong.push(format!("{words}: {stdout}{stderr}  expected: {expected}"));
        }
    };
    for (name, content, expected) in files {
        folder.write(name, content);
        check(&format!("bench m.signbit --compare {name}"), expected);
    }
    check("bench m.signbit --compare none.json", "none.json: cannot read the record");
    check("bench m.signbit --compare r", "r: not a record of signbit bench: this is a folder");
    check("bench m.signbit --compare m.signbit", "m.signbit: not a record of signbit bench");
    check("bench m.signbit --out r", "r: this is a folder");
    check("bench m.signbit --seconds 0.001 --out none/run.json", "cannot write the record");
    check("bench m.signbit --profile --out run.json", "--profile");
    check("bench", "<MODEL>");
    check("bench m.signbit kernels", "kernels");
    check("bench kernels --shape 56x56x64", "write HEIGHTxWIDTHxCHANNELS,KERNEL,OUTPUTS as in 28x28x128,3,128");
    check("bench kernels --shape 65536x65536x64,3,64", "give a smaller shape");
    check("bench kernels --seconds 0", "--seconds");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(record(&folder, "run.json") == saved);
}

#[test]
fn one_call_step_by_step() {
    let folder = setup();
    let found = folder.json("bench m.signbit --profile --threads 1 --batch 2");
    let steps = found["steps"].as_array().unwrap();
    let sum = |key: &str| steps.iter().map(|step| step[key].as_f64().unwrap()).sum::<f64>();
    assert!((sum("share") - 1.0).abs() < 1e-9 && (sum("ms") - found["ms"].as_f64().unwrap()).abs() < 1e-9, "{found}");
    let summary = folder.json("summary m.signbit");
    assert_eq!(sum("macs"), 2.0 * (summary["binary_macs"].as_f64().unwrap() + summary["real_macs"].as_f64().unwrap()));
    // The order of running is that of the graph: the first step reads the picture, the last one makes the scores.
    let names: Vec<_> = summary["nodes"].as_array().unwrap().iter().map(|layer| layer["name"].clone()).collect();
    let of_steps: Vec<_> = steps.iter().flat_map(|step| step["nodes"].as_array().unwrap().clone()).collect();
    assert_eq!(of_steps, names);
    assert!(found.get("f32_ms").is_none());
    let said = folder.run("bench m.signbit --profile --threads 1");
    assert!(said.starts_with("step") && said.contains(" ms in one call"), "{said}");
    assert!(!said.contains("f32 ms"), "{said}");
}

#[test]
fn kernels_by_themselves() {
    let folder = Folder::new();
    let shapes = ["28x28x33,3,20", "64,64,batch=3", "6x5x8,3x1,8,groups=8,stride=2"];
    let words = format!("bench kernels --seconds 0.001 --shape {} {} --shape {}", shapes[0], shapes[1], shapes[2]);
    let found = folder.json(&words);
    assert_eq!(
        found["shapes"].as_array().unwrap().iter().map(|s| s["shape"].as_str().unwrap()).collect::<Vec<_>>(),
        shapes
    );
    let isas: Vec<_> = Isa::all().map(Isa::name).filter(|name| *name != "reference").collect();
    for shape in found["shapes"].as_array().unwrap() {
        let kernels = shape["kernels"].as_array().unwrap();
        assert_eq!(kernels.iter().map(|k| k["isa"].as_str().unwrap()).collect::<Vec<_>>(), isas);
        for kernel in kernels {
            assert_eq!(kernel["pick"], kernel["isa"] == Isa::best().name());
            assert!(kernel["gmac_per_second"].as_f64().unwrap() > 0.0, "{kernel}");
        }
    }
    assert_eq!(found["shapes"][0]["macs"], 28 * 28 * 33 * 9 * 20);
    assert_eq!(found["shapes"][1]["macs"], 3 * 64 * 64);
    let said = folder.run("bench kernels --seconds 0.001");
    assert!(
        said.contains(&format!("{} *", Isa::best().name())) && said.contains("28x28x128,3,128,groups=128"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 15, "{said}");
}

#[test]
fn a_model_called_kernels() {
    let folder = setup();
    std::fs::copy(folder.path("m.signbit"), folder.path("kernels")).unwrap();
    let said = folder.run("bench ./kernels --profile");
    assert!(said.starts_with("step"), "{said}");
}
