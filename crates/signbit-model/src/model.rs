//! A whole model: graph, tensors and what goes with them.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{ModelError, PreprocessingError};
use crate::infer::check_name;
use crate::{Graph, Preprocessing, Tensor, ValueType, infer};

/// A network, ready to be saved or run.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The structure.
    pub graph: Graph,
    /// The weights, thresholds and other constants by name; each is used by a node.
    pub tensors: BTreeMap<String, Tensor>,
    /// How a picture becomes the input; `None` where the input is not a picture.
    pub preprocessing: Option<Preprocessing>,
    /// The name of each output element, without control characters; empty where they have none.
    pub classes: Vec<String>,
    /// Anything else to be remembered: data set, recipe, accuracy, licence. Without control characters, but
    /// a value may have newlines.
    pub notes: BTreeMap<String, String>,
}

impl Model {
    /// Checks the whole model and returns the types of its values, as [`infer`] does.
    ///
    /// # Errors
    /// The first problem: of the tensors, the graph, their fit, the preprocessing, the classes or the notes.
    pub fn validate(&self) -> Result<Vec<ValueType>, ModelError> {
        for (name, tensor) in &self.tensors {
            check_name(name)?;
            tensor.check().map_err(|source| ModelError::Tensor { tensor: name.clone(), source })?;
        }
        let types = infer(&self.graph, &self.tensors)?;
        let used: BTreeSet<&str> = self.graph.nodes.iter().flat_map(|node| node.op.tensors()).collect();
        if let Some(unused) = self.tensors.keys().find(|name| !used.contains(name.as_str())) {
            return Err(ModelError::UnusedTensor { tensor: unused.clone() });
        }
        if let Some(preprocessing) = &self.preprocessing {
            preprocessing.validate()?;
            let (expected, found) = (self.graph.input.shape, preprocessing.shape());
            if expected != found {
                return Err(PreprocessingError::Shape { expected, found }.into());
            }
        }
        let expected = types[self.graph.output.index()].shape.elements();
        if !self.classes.is_empty() && self.classes.len() != expected {
            return Err(ModelError::Classes { expected, found: self.classes.len() });
        }
        self.check_texts()?;
        Ok(types)
    }

    /// Class names and notes are printed: a control character could lead a terminal astray.
    fn check_texts(&self) -> Result<(), ModelError> {
        let shortened = |text: &str| text.chars().take(40).collect();
        for (index, name) in self.classes.iter().enumerate() {
            if name.chars().any(char::is_control) {
                return Err(ModelError::ClassName { index, name: shortened(name) });
            }
        }
        for (key, note) in &self.notes {
            if key.chars().any(char::is_control) {
                return Err(ModelError::NoteKey { key: shortened(key) });
            }
            if note.chars().any(|c| c.is_control() && c != '\n') {
                return Err(ModelError::Note { key: shortened(key) });
            }
        }
        Ok(())
    }

    /// The type of the output.
    ///
    /// # Errors
    /// As [`infer`].
    pub fn output_type(&self) -> Result<ValueType, ModelError> {
        let types = infer(&self.graph, &self.tensors)?;
        Ok(types[self.graph.output.index()])
    }
}
