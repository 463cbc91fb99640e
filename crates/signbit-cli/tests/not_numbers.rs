//! Networks whose outputs are no numbers: such a picture has no class, and its answer is wrong.

mod common;

use common::Folder;
use serde_json::Value;
use signbit_model::{Tensor, file};
use signbit_train::checkpoint;

fn trained() -> Folder {
    let folder = Folder::new();
    folder.run("train mlp --data digits --out r --width 64 --epochs 2 --no-report");
    folder.run("pack r -o r.signbit");
    folder
}

/// Writes `broken.signbit`, the model whose outputs `chosen` are NaN, by their biases.
fn break_outputs(folder: &Folder, chosen: &[usize]) {
    let mut model = file::load(folder.path("r.signbit")).unwrap();
    let bias = model.tensors.get_mut("dense4.bias").unwrap();
    let mut numbers = bias.as_f32().unwrap().to_vec();
    chosen.iter().for_each(|&i| numbers[i] = f32::NAN);
    *bias = Tensor::f32([numbers.len()], numbers).unwrap();
    file::save(&model, folder.path("broken.signbit")).unwrap();
}

/// The sums of the rows of the confusion matrix, and of its columns.
fn sums(found: &Value) -> [Vec<u64>; 2] {
    let rows: Vec<Vec<u64>> = serde_json::from_value(found["confusion"].clone()).unwrap();
    [rows.iter().map(|row| row.iter().sum()).collect(), (0..10).map(|i| rows.iter().map(|row| row[i]).sum()).collect()]
}

/// What `verify` counts as right with the broken model, which it must find to differ.
fn verified_right(folder: &Folder) -> Value {
    let output = folder.output("verify r broken.signbit --isa portable --threads 1 --json");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["verdict"].as_str().unwrap().contains("packed NaN"), "{found}");
    found["runs"][0]["right"].clone()
}

#[test]
fn without_a_number_every_answer_is_wrong() {
    let folder = trained();
    break_outputs(&folder, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let found = folder.json("eval broken.signbit --data digits");
    let counts = ["right", "pictures", "without_class"].map(|key| found[key].as_u64());
    assert_eq!(counts, [Some(0), Some(359), Some(359)], "{found}");
    assert_eq!(sums(&found), [[0; 10], [0; 10]], "{found}");
    let said = folder.run("eval broken.signbit --data digits");
    assert!(said.contains("0 of 359") && said.contains("no output is a number: 359 pictures"), "{said}");
    assert_eq!(verified_right(&folder), 0);
}

/// A class whose output is no number is never said; the other answers stay.
#[test]
fn one_output_that_is_no_number_is_never_the_class() {
    let folder = trained();
    let before = folder.json("eval r.signbit --data digits");
    break_outputs(&folder, &[0]);
    let found = folder.json("eval broken.signbit --data digits");
    let [rows, columns] = sums(&found);
    assert_eq!((&rows, columns[0]), (&sums(&before)[0], 0), "{found}");
    assert_eq!((&before["without_class"], &found["without_class"]), (&0.into(), &0.into()));
    let zeros = before["confusion"][0][0].as_u64().unwrap();
    assert!(zeros > 0 && found["right"].as_u64().unwrap() + zeros >= before["right"].as_u64().unwrap(), "{found}");
    assert_eq!(verified_right(&folder), found["right"]);
}

/// A run holds finite numbers only, but its outputs may be infinite: then a difference of two is no number.
#[test]
fn infinite_outputs_have_a_softmax() {
    let folder = trained();
    let mut run = checkpoint::load(&folder.path("r")).unwrap();
    let params = run.network.params_mut();
    let weights = params.infos().iter().find(|info| info.name == "dense4.weight").unwrap().range.clone();
    params.values_mut()[weights].iter_mut().for_each(|w| *w = f32::MAX.copysign(*w));
    checkpoint::save(&folder.path("r"), &run.header, &run.network, &*run.optimizer).unwrap();
    folder.run("pack r -o r.signbit");
    let found = folder.json("report r --seconds 0.01");
    let accuracy = folder.json("eval r.signbit --data digits")["accuracy"].clone();
    assert_eq!((&found["accuracy"], &found["pictures"]), (&accuracy, &359.into()), "{found}");
    let page = String::from_utf8(folder.read("r/report.html")).unwrap();
    assert!(page.contains("<figure class=\"mistake\">") && !page.contains("NaN %"));
}
