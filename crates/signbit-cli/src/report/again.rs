//! The commands that repeat a run, and the recipe's choices as names and values.

use std::path::Path;

use serde_json::Value;
use signbit_train::checkpoint::Header;
use signbit_train::recipe::Recipe;

use crate::failure::Failure;
use crate::files::RECIPE;

/// Choices that `train` has an option of the same name for.
const OPTIONS: [&str; 14] = [
    "epochs",
    "patience",
    "batch",
    "seed",
    "learning_rate",
    "width",
    "quantizer",
    "weight_quantizer",
    "scale",
    "warmup_epochs",
    "loss",
    "optimizer",
    "momentum",
    "decay",
];

/// Every choice of a recipe by its name; those inside of another as `other.name`.
pub(super) fn choices(recipe: &Recipe) -> Result<Vec<(String, String)>, Failure> {
    let mut all = Vec::new();
    // By way of the text, which has the digits of an f32 and not those of the f64 nearest to it.
    flatten("", &serde_json::from_str(&serde_json::to_string(recipe)?)?, &mut all);
    Ok(all)
}

fn flatten(name: &str, value: &Value, all: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            let inner = |key: &String| if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            map.iter().for_each(|(key, value)| flatten(&inner(key), value, all));
        }
        Value::String(text) => all.push((name.to_owned(), text.clone())),
        other => all.push((name.to_owned(), other.to_string())),
    }
}

/// The command lines, in order. `twin` is the learning rate of a twin that was trained.
pub(super) fn commands(run: &Path, header: &Header, twin: Option<f32>) -> Result<Vec<String>, Failure> {
    let (folder, data) = (quoted(&run.display().to_string()), quoted(&header.data));
    let file = run.join(RECIPE);
    let train = match file.exists() {
        true => format!("signbit train {} --data {data} --out again", quoted(&file.display().to_string())),
        false => format!("signbit train {} --data {data} --out again", flags(&header.recipe)?),
    };
    let twin = twin.map(|rate| format!(" --twin --twin-learning-rate {rate}")).unwrap_or_default();
    let model = "model.signbit";
    Ok(vec![
        train + &twin,
        format!("signbit pack {folder} -o {model}"),
        format!("signbit verify {folder} {model} --data {data}"),
        format!("signbit report {folder} --data {data}"),
    ])
}

/// The network's name and an option for each choice that is not its default.
fn flags(recipe: &Recipe) -> Result<String, Failure> {
    let wanted = choices(recipe)?;
    let of = |all: &[(String, String)], name: &str| all.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let network = of(&wanted, "network").unwrap_or_default();
    let usual = choices(&Recipe::by_name(&network)?)?;
    let mut line = quoted(&network);
    // --quantizer alone would be that of the weights, too.
    let quantized = of(&wanted, "quantizer") != of(&usual, "quantizer");
    let own = |pair: &&(String, String)| !usual.contains(pair) || quantized && pair.0 == "weight_quantizer";
    for (name, value) in wanted.iter().filter(own) {
        let (option, value) = match name.as_str() {
            "optimizer.sgd.momentum" => ("optimizer sgd --momentum".to_owned(), value.clone()),
            "decay.step.parts" => ("decay step --decay-parts".to_owned(), value.clone()),
            "decay.step.factor" => ("decay-factor".to_owned(), value.clone()),
            name if OPTIONS.contains(&name) => (name.replace('_', "-"), quoted(value)),
            _ => continue,
        };
        line += &format!(" --{option} {value}");
    }
    Ok(line)
}

/// A word as a POSIX shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use signbit_train::optim::Decay;
    use signbit_train::recipe::OptimizerKind;

    use super::*;

    #[test]
    fn words_for_the_shell() {
        for (word, expected) in [("runs/a-1", "runs/a-1"), ("", "''"), ("a b", "'a b'"), ("it's $1", r"'it'\''s $1'")] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn only_choices_of_ones_own_are_options() {
        let base = Recipe::by_name("small-cnn").unwrap();
        assert_eq!(flags(&base).unwrap(), "small-cnn");
        let other = Recipe {
            learning_rate: 0.01,
            optimizer: OptimizerKind::Sgd { momentum: 0.8 },
            decay: Decay::Step { parts: 2, factor: 0.5 },
            quantizer: "swish_sign".into(),
            ..base
        };
        let line = flags(&other).unwrap();
        let parts = [
            "--optimizer sgd --momentum 0.8",
            "--learning-rate 0.01",
            "--quantizer swish_sign --weight-quantizer ste_sign",
        ];
        for part in parts.into_iter().chain(["--decay step --decay-parts 2", "--decay-factor 0.5"]) {
            assert!(line.contains(part), "{line}");
        }
    }
}
