//! Recipes as TOML: a file that names its network and whatever differs from that network's defaults, and single values
//! as a command line gives them.

use toml::{Table, Value};

use super::{NETWORKS, Recipe, RecipeError};
use crate::quantizer;

/// The key that every file must have.
const NETWORK: &str = "network";

impl Recipe {
    /// The recipe of a TOML file: the defaults of its `network` with the file's values in place.
    ///
    /// # Errors
    /// Names the line of what is no TOML, of an unknown key (with the nearest right one) or of a value of another kind;
    /// and what [`Recipe::validate`] finds.
    pub fn from_toml(text: &str) -> Result<Self, RecipeError> {
        let table: Table = toml::from_str(text).map_err(|error| RecipeError::File {
            line: error.span().map(|span| 1 + text.bytes().take(span.start).filter(|&b| b == b'\n').count()),
            reason: error.message().to_owned(),
        })?;
        let network = table.get(NETWORK).ok_or_else(|| RecipeError::File {
            line: None,
            reason: format!("there is no network; write network = \"NAME\" with one of {}", NETWORKS.join(", ")),
        })?;
        let at = |key: &str| line_of(text, key);
        let name = network.as_str().ok_or_else(|| RecipeError::File {
            line: at(NETWORK),
            reason: format!("network is a name in quotes, one of {}", NETWORKS.join(", ")),
        })?;
        let mut recipe = Self::by_name(name)?;
        for (key, value) in &table {
            match (value, is_table(key)) {
                (Value::Table(inner), true) => {
                    for (inner_key, value) in inner {
                        let key = format!("{key}.{inner_key}");
                        recipe = recipe.with_value(&key, value.clone()).map_err(|e| e.at(at(inner_key)))?;
                    }
                }
                _ => recipe = recipe.with_value(key, value.clone()).map_err(|e| e.at(at(key)))?,
            }
        }
        recipe.validate()?;
        Ok(recipe)
    }

    /// The recipe with one value in place of another. `key` is that of a file, inside of a table with a dot, as in
    /// `data.size`; `value` is written as in a file, quotes around a word may be left out.
    ///
    /// # Errors
    /// Where there is no such key, or the value is of another kind. The range is checked by [`Recipe::validate`].
    pub fn with(&self, key: &str, value: &str) -> Result<Self, RecipeError> {
        // A value of several lines would be more than a value.
        let parsed = match value.contains(['\n', '\r']) {
            true => None,
            false => toml::from_str::<Table>(&format!("v = {value}")).ok().and_then(|mut table| table.remove("v")),
        };
        let text = Value::String(value.to_owned());
        match parsed {
            Some(parsed) => self.with_value(key, parsed).or_else(|e| self.with_value(key, text).map_err(|_| e)),
            None => self.with_value(key, text),
        }
    }

    fn with_value(&self, key: &str, value: Value) -> Result<Self, RecipeError> {
        let wrong = |error: toml::de::Error| RecipeError::Value { key: key.into(), reason: one_line(error.message()) };
        let mut all =
            Table::try_from(self).map_err(|error| RecipeError::Value { key: key.into(), reason: error.to_string() })?;
        let place = match key.split_once('.') {
            Some((table, inner)) => all.get_mut(table).and_then(Value::as_table_mut).and_then(|t| t.get_mut(inner)),
            None => all.get_mut(key),
        };
        *place.ok_or_else(|| RecipeError::Key { key: key.into(), nearest: nearest(key) })? = value;
        all.try_into().map_err(wrong)
    }

    /// The recipe as TOML, every key with a comment. [`Recipe::from_toml`] gives the same recipe back.
    pub fn to_toml(&self) -> String {
        // Through text: a value in memory would widen an f32 to the seventeen digits of an f64.
        let json = serde_json::to_string(self).ok().and_then(|json| serde_json::from_str(&json).ok());
        let json: serde_json::Value = json.unwrap_or_default();
        let mut text = String::from("# A recipe of signbit: signbit train THIS.toml --data NAME|PATH --out RUN\n");
        let mut table = None;
        for (key, comment) in comments() {
            let (of, name) = key.split_once('.').map_or((None, key), |(table, name)| (Some(table), name));
            match of {
                Some(name) if of != table => text += &format!("\n{}[{name}]\n", about(name)),
                Some(_) => {}
                None => text += "\n",
            }
            table = of;
            let value = of.map_or(&json, |table| &json[table]);
            text += &format!("# {comment}\n{name} = {}\n", as_toml(&value[name]));
        }
        text
    }
}

/// Every key of a recipe, in the order of the file, and what is said of it.
fn comments() -> Vec<(&'static str, String)> {
    let networks = NETWORKS.join(", ");
    let (activations, weights) = (quantizer::for_activations().join(", "), quantizer::for_weights().join(", "));
    let fixed = |key, comment: &str| (key, comment.to_owned());
    vec![
        (NETWORK, format!("One of {networks}.")),
        fixed("width", "Units of mlp's hidden layers; channels of the first stage of the others."),
        fixed("twin", "Real numbers throughout, to compare with."),
        ("quantizer", format!("Sign's stand-in derivative, of activations: {activations}.")),
        ("weight_quantizer", format!("Of weights: {weights}. swish_sign(5) has a steepness of 5.")),
        fixed("scale", "Scale factors: none, alpha, alpha_k, abs_of_mean, learned or learned_map."),
        fixed("optimizer", "\"adam\", \"adamw\", or { sgd = { momentum = 0.9 } }."),
        fixed("learning_rate", "The highest."),
        fixed("decay", "\"constant\", \"cosine\", \"linear\", or { step = { parts = 3, factor = 0.1 } }."),
        fixed("warmup_epochs", "Epochs in which the learning rate rises; a fraction is allowed."),
        fixed("epochs", "Times that every training picture is seen."),
        fixed("patience", "Stop after so many epochs without a better test accuracy, and keep the best; 0: never."),
        fixed("batch", "Pictures per step."),
        fixed("loss", "cross_entropy or squared_error."),
        fixed("seed", "Decides initial weights, the order of pictures and their changes."),
        fixed("norm_momentum", "Share of batch norm's old running statistics in the new ones."),
        fixed(
            "binary_optimizer",
            "Of binary weights: \"latent\" (the optimizer), or { bop = { threshold = 1e-8, gamma = 1e-4 } }.",
        ),
        fixed("weight_decay", "Of real weights; batch norm and biases never decay."),
        fixed("decay_latent_weights", "Latent weights decay too."),
        fixed("clip_norm", "Largest norm of all gradients together; 0 for any."),
        fixed(
            "average",
            "Decay of averages of real parameters, such as 0.999, that are evaluated and packed; 0: none.",
        ),
        fixed("label_smoothing", "Share of the target that all classes have alike."),
        fixed("real_weights", "Only activations are binary: the first of two steps, whose run the second has as init."),
        fixed("init", "Folder of a run whose weights are the first; \"\" for random ones."),
        fixed("augmentation.flip", "Mirror half of them left to right."),
        fixed("augmentation.shift", "Move by up to so many pixels."),
        fixed(
            "augmentation.zoom",
            "Stretch a part to the whole, with sides shorter by up to this share, 0 to below 1.",
        ),
        fixed("augmentation.brightness", "Change the brightness by up to this share, 0 to 1."),
        fixed("augmentation.contrast", "Change the contrast by up to this share, 0 to 1."),
        fixed("augmentation.saturation", "Change the saturation of colours by up to this share, 0 to 1."),
        fixed("augmentation.mixup", "Mix pictures and classes of two, by Beta(a, a) with this a, up to 1; 0: none."),
        fixed("augmentation.cutmix", "Put a rectangle of another picture in, the same; with mixup, one of both."),
        fixed("data.source", "Name or path, where --data gives none."),
        fixed("data.size", "For a folder of pictures: height and width of all."),
        fixed("data.channels", "1 (grey), 3 (colour), or 0 for what the pictures have."),
        fixed("data.crop", "Cut the centre out instead of stretching."),
        fixed("data.test_share", "Share of each class that is kept for the test."),
        fixed("data.split_seed", "Decides which pictures these are."),
        fixed("distillation.teacher", "Folder of the run of a network to learn from; \"\" for none."),
        fixed("distillation.weight", "Share of the teacher in the loss, 0 to 1; the classes have the rest."),
        fixed("distillation.temperature", "Divides both networks' outputs before they are compared."),
        fixed("distillation.maps", "Layers whose attention maps are compared too, such as [\"pool2\", \"pool4\"]."),
        fixed("distillation.maps_weight", "What the sum of these comparisons is multiplied by."),
    ]
}

/// What is said of a table.
fn about(table: &str) -> &'static str {
    if table == "augmentation" { "# Training pictures are changed at random, anew in every epoch.\n" } else { "" }
}

/// A value in TOML; a choice with values of its own is a table in one line.
fn as_toml(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(map) => {
            let pairs: Vec<_> = map.iter().map(|(key, value)| format!("{key} = {}", as_toml(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        serde_json::Value::Array(list) => {
            format!("[{}]", list.iter().map(as_toml).collect::<Vec<_>>().join(", "))
        }
        // JSON's escapes are not TOML's.
        serde_json::Value::String(text) => Value::String(text.clone()).to_string(),
        other => other.to_string(),
    }
}

fn is_table(key: &str) -> bool {
    matches!(key, "augmentation" | "data" | "distillation")
}

/// Every key of a recipe, those of tables with a dot.
fn keys() -> Vec<String> {
    let default = Recipe::by_name(NETWORKS[0]).ok().and_then(|recipe| Table::try_from(recipe).ok()).unwrap_or_default();
    let names = |(key, value): (String, Value)| match value {
        Value::Table(table) if is_table(&key) => table.keys().map(|inner| format!("{key}.{inner}")).collect(),
        _ => vec![key],
    };
    default.into_iter().flat_map(names).collect()
}

/// The key that was meant, most likely.
fn nearest(key: &str) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness =
        |other: &String| strsim::jaro_winkler(key, other).max(strsim::jaro_winkler(&last(key), &last(other)) - 0.01);
    keys().into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default()
}

/// The line, counted from 1, on which a key is given.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let given = |line: &str| {
        let left = line.split(['=', ']']).next().unwrap_or_default().trim().trim_start_matches('[');
        left == key || left.rsplit('.').next().is_some_and(|last| last.trim() == key)
    };
    text.lines().position(|line| !line.trim_start().starts_with('#') && given(line)).map(|i| i + 1)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Augmentation, DataOptions};
    use crate::optim::Decay;
    use crate::recipe::{BinaryOptimizer, Distillation, LossKind, OptimizerKind, ScaleFactor};

    #[test]
    fn a_recipe_comes_back_from_its_text() {
        for name in NETWORKS {
            let base = Recipe::by_name(name).unwrap();
            let other = Recipe {
                width: 7,
                twin: true,
                quantizer: "swish_sign(2.5)".into(),
                scale: ScaleFactor::AbsOfMean,
                optimizer: OptimizerKind::Sgd { momentum: 0.85 },
                learning_rate: 1e-7,
                decay: Decay::Step { parts: 2, factor: 0.3 },
                warmup_epochs: 1.0,
                patience: 4,
                loss: LossKind::SquaredError,
                seed: i64::MAX as u64,
                binary_optimizer: BinaryOptimizer::Latent,
                weight_decay: 1e-5,
                decay_latent_weights: true,
                clip_norm: 2.5,
                average: 0.999,
                label_smoothing: 0.1,
                init: "runs/a \"b\"".into(),
                augmentation: Augmentation {
                    flip: false,
                    shift: 9,
                    zoom: 0.3,
                    brightness: 0.1,
                    contrast: 0.2,
                    saturation: 0.5,
                    mixup: 0.2,
                    cutmix: 1.0,
                },
                distillation: Distillation {
                    teacher: "runs/t".into(),
                    weight: 0.9,
                    temperature: 2.5,
                    maps: vec!["a".into(), "b".into()],
                    maps_weight: 0.3,
                },
                data: DataOptions { source: "a \"b\"\\c\n\u{7f}é".into(), size: [3, 900], ..DataOptions::default() },
                ..base.clone()
            };
            for recipe in [base, other] {
                let text = recipe.to_toml();
                assert_eq!(Recipe::from_toml(&text).map_err(|e| e.to_string()), Ok(recipe), "{text}");
                assert!(keys().iter().all(|key| text.contains(key.rsplit('.').next().unwrap())), "{text}");
            }
        }
    }

    #[test]
    fn the_rest_is_the_networks_default() {
        let recipe = Recipe::from_toml("network = \"binarynet\"\nwidth = 32\n[data]\ncrop = false").unwrap();
        let base = Recipe::by_name("binarynet").unwrap();
        let data = DataOptions { crop: false, ..DataOptions::default() };
        assert_eq!(recipe, Recipe { width: 32, data, ..base });
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_what_is_right() {
        let cases = [
            ("width = 3", "there is no network; write network = "),
            ("network = 3", "line 1: network is a name in quotes"),
            ("network = \"binarynt\"", "the networks are mlp"),
            ("network = \"mlp\"\n\nepochz = 3", "line 3: there is no key \"epochz\"; did you mean epochs?"),
            ("network = \"mlp\"\nlr = 3", "there is no key \"lr\""),
            (
                "network = \"mlp\"\n[augmentation]\nflipp = true",
                "line 3: there is no key \"augmentation.flipp\"; did you mean augmentation.flip?",
            ),
            ("network = \"mlp\"\nflip = true", "did you mean augmentation.flip?"),
            ("network = \"mlp\"\n[augment]\nflip = true", "line 2: there is no key \"augment\""),
            ("network = \"mlp\"\nepochs = \"ten\"", "line 2: epochs: invalid type: string \"ten\""),
            ("network = \"mlp\"\nepochs = -1", "line 2: epochs: "),
            (
                "network = \"mlp\"\noptimizer = \"adm\"",
                "line 2: optimizer: unknown variant `adm`, expected one of `adam`, `adamw`, `sgd`",
            ),
            ("network = \"mlp\"\nwidth = ", "line 2: "),
            ("network = \"mlp\"\nwidth = 3\nwidth = 4", "line 3: "),
            ("network = \"mlp\"\nwidth = 0", "width is 0; it must be from 1"),
            ("network = \"mlp\"\n[data]\ntest_share = 2", "test share is 2; it must be"),
            ("network = \"mlp\"\naugmentation = 3", "line 2: augmentation: "),
        ];
        let mut wrong = Vec::new();
        for (text, expected) in cases {
            let message = Recipe::from_toml(text).unwrap_err().to_string();
            if !message.contains(expected) {
                wrong.push(format!("{text:?}: {message:?} does not say {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn single_values_take_the_place_of_others() {
        let base = Recipe::by_name("mlp").unwrap();
        let with = |key: &str, value: &str| base.with(key, value).map_err(|e| e.to_string());
        assert_eq!(with("width", "12").unwrap().width, 12);
        assert_eq!(with("data.size", "[8, 9]").unwrap().data.size, [8, 9]);
        assert_eq!(with("quantizer", "approx_sign").unwrap().quantizer, "approx_sign");
        assert_eq!(with("data.source", "3").unwrap().data.source, "3");
        assert_eq!(with("learning_rate", "1").unwrap().learning_rate, 1.0);
        assert!(with("wdith", "3").unwrap_err().contains("did you mean width?"));
        assert!(with("data", "3").unwrap_err().contains("data: "));
        assert!(with("epochs", "ten").unwrap_err().contains("epochs: "));
    }
}
