//! Where a layer's weights stand in the file: by name in the legacy layout, by number in that of Keras v3.

use std::collections::BTreeMap;

use super::hdf5::{Array, File};
use crate::ConvertError;

/// Where a layer stands in its network, as both layouts call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The names of the models it is nested in, outermost first, then its own; joined by `/` it is the node's name.
    pub(super) names: Vec<String>,
    /// Its path in the v3 layout: `layers/sequential/layers/conv2d_1`.
    pub(super) path: String,
}

impl Place {
    /// The name of the layer's node.
    pub(super) fn node(&self) -> String {
        self.names.join("/")
    }
}

/// One of a layer's variables: its name, and its number among the layer's variables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) number: usize,
}

/// The weights of a file.
pub(super) struct Weights {
    file: File,
    layout: Layout,
}

enum Layout {
    /// `ROOT/LAYER/WEIGHT`, the names in attributes.
    Legacy {
        root: &'static str,
        /// The weights of each outermost layer, read when first asked for.
        names: BTreeMap<String, Vec<String>>,
        /// The file's name for an outermost layer of the architecture, where the two differ.
        renamed: BTreeMap<String, String>,
    },
    /// `layers/CLASS_N/vars/I`. Before Keras 2.14 the outermost group had another name.
    V3 { root: &'static str },
}

impl Weights {
    /// Finds out the layout.
    pub(super) fn new(file: File) -> Result<Self, ConvertError> {
        let v3 = ["layers", "_layer_checkpoint_dependencies"];
        let layout = if file.has_group(&["model_weights"]) {
            Layout::Legacy { root: "model_weights", names: BTreeMap::new(), renamed: BTreeMap::new() }
        } else if let Some(root) = v3.into_iter().find(|root| file.has_group(&[root]) && file.has_group(&["vars"])) {
            Layout::V3 { root }
        } else {
            Layout::Legacy { root: "", names: BTreeMap::new(), renamed: BTreeMap::new() }
        };
        let mut weights = Self { file, layout };
        if let Layout::Legacy { root, .. } = weights.layout
            && weights.file.texts(&[root], "layer_names")?.is_none()
        {
            let what = "it has neither `layer_names` nor `layers`: not a file of Keras".to_owned();
            return Err(ConvertError::Malformed { format: "Keras", what });
        }
        Ok(weights)
    }

    /// Takes the file's layers for those of the architecture in their order, where the names differ.
    ///
    /// Keras numbers the names of layers through a whole session, and itself goes by the order. `layers` are the
    /// outermost layers that have weights, in the architecture's order.
    pub(super) fn match_names(&mut self, layers: &[&str]) -> Result<(), ConvertError> {
        let Layout::Legacy { root, .. } = self.layout else {
            return Ok(());
        };
        let mut found = Vec::new();
        for name in self.file.texts(&[root], "layer_names")?.unwrap_or_default() {
            if !self.legacy_names(&name)?.is_empty() {
                found.push(name);
            }
        }
        let same = layers.iter().all(|layer| found.iter().any(|name| name == layer));
        if let Layout::Legacy { renamed, .. } = &mut self.layout
            && !same
            && found.len() == layers.len()
        {
            *renamed = layers.iter().map(|&layer| layer.to_owned()).zip(found).collect();
        }
        Ok(())
    }

    /// A variable of a layer.
    pub(super) fn get(&mut self, place: &Place, variable: Variable) -> Result<Array, ConvertError> {
        let wanted = format!("{}/{}", place.node(), variable.name);
        match &self.layout {
            Layout::V3 { root } => {
                let path = place.path.strip_prefix("layers").unwrap_or(&place.path);
                let path = [root, path, "vars", &variable.number.to_string()];
                self.file.array(&path)?.ok_or(ConvertError::MissingWeight { name: wanted, nearest: None })
            }
            Layout::Legacy { root, renamed, .. } => {
                let root = *root;
                let outer = place.names.first().map(String::as_str).unwrap_or_default();
                let outer = renamed.get(outer).map_or(outer, String::as_str).to_owned();
                let names = self.legacy_names(&outer)?;
                let nested = place.names.get(1..).and_then(<[String]>::last).map(String::as_str);
                let found = names.iter().find(|name| is(name, nested, variable.name)).cloned();
                let array = match &found {
                    Some(name) => self.file.array(&[root, &outer, name])?,
                    None => None,
                };
                array.ok_or_else(|| self.missing(&outer, wanted))
            }
        }
    }

    fn missing(&mut self, outer: &str, name: String) -> ConvertError {
        let names = self.legacy_names(outer).unwrap_or_default();
        let nearest =
            names.into_iter().max_by(|a, b| strsim::jaro_winkler(a, &name).total_cmp(&strsim::jaro_winkler(b, &name)));
        ConvertError::MissingWeight { name, nearest }
    }

    /// The names of the weights of an outermost layer.
    fn legacy_names(&mut self, layer: &str) -> Result<Vec<String>, ConvertError> {
        let Layout::Legacy { root, names, .. } = &mut self.layout else {
            return Ok(Vec::new());
        };
        if let Some(names) = names.get(layer) {
            return Ok(names.clone());
        }
        let found = self.file.texts(&[root, layer], "weight_names")?.unwrap_or_default();
        names.insert(layer.to_owned(), found.clone());
        Ok(found)
    }
}

/// True where `full` (`inner/conv2d/kernel:0`) is the variable `name` (of the layer `layer`).
fn is(full: &str, layer: Option<&str>, name: &str) -> bool {
    let mut parts = full.rsplit('/');
    let last = parts.next().unwrap_or_default();
    let last = last.rsplit_once(':').map_or(last, |(name, _)| name);
    last == name && layer.is_none_or(|layer| parts.next() == Some(layer))
}

/// The name that Keras v3 makes of a class: `p_re_lu` of `PReLU`.
pub(super) fn snake_case(class: &str) -> String {
    // In two passes, as Keras does it: before a capital that small letters or digits follow, then between a small
    // letter and a capital. A character that one match has taken in is not looked at by the next.
    let letters: Vec<char> = class.chars().collect();
    let mut words = String::new();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        let tail = |i: usize| letters.get(i).is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        words.push(letter);
        at += 1;
        if letters.get(at).is_some_and(char::is_ascii_uppercase) && tail(at + 1) {
            words.push('_');
            words.extend(letters.get(at));
            at += 1;
            while tail(at) {
                words.extend(letters.get(at));
                at += 1;
            }
        }
    }
    let mut snake = String::new();
    let mut before = ' ';
    for letter in words.chars() {
        if before.is_ascii_lowercase() && letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
        before = letter;
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_become_the_names_of_keras() {
        // As written by Keras 2.15 into .keras files.
        let cases = [
            ("QuantConv2D", "quant_conv2d"),
            ("BatchNormalization", "batch_normalization"),
            ("PReLU", "p_re_lu"),
            ("TFOpLambda", "tf_op_lambda"),
            ("InputLayer", "input_layer"),
            ("LeakyReLU", "leaky_re_lu"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("Dense", "dense"),
        ];
        for (class, name) in cases {
            assert_eq!(snake_case(class), name);
        }
    }

    #[test]
    fn weights_are_found_by_the_end_of_their_names() {
        assert!(is("conv/kernel:0", None, "kernel"));
        assert!(is("model/inner/conv/kernel:0", Some("conv"), "kernel"));
        assert!(!is("inner/conv_1/kernel:0", Some("conv"), "kernel"));
        assert!(!is("conv/depthwise_kernel:0", None, "kernel"));
    }
}
