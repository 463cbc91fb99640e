//! Building a model node by node.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::error::ModelError;
use crate::{DType, Graph, Model, Node, Op, Preprocessing, Shape, Tensor, ValueId, ValueType};

/// Collects nodes and tensors; [`ModelBuilder::finish`] checks them all.
#[derive(Clone, Debug)]
pub struct ModelBuilder {
    model: Model,
    duplicate: Option<String>,
}

impl ModelBuilder {
    /// A network whose input is F32 of the given shape.
    #[must_use]
    pub fn new(input: Shape) -> Self {
        let input = ValueType { shape: input, dtype: DType::F32 };
        Self {
            model: Model {
                graph: Graph { input, nodes: Vec::new(), output: ValueId::INPUT },
                tensors: BTreeMap::new(),
                preprocessing: None,
                classes: Vec::new(),
                notes: BTreeMap::new(),
            },
            duplicate: None,
        }
    }

    /// The network's input.
    #[must_use]
    pub fn input(&self) -> ValueId {
        ValueId::INPUT
    }

    /// Adds a tensor; a second one of the same name is an error of [`ModelBuilder::finish`].
    pub fn tensor(&mut self, name: impl Into<String>, tensor: Tensor) -> &mut Self {
        match self.model.tensors.entry(name.into()) {
            Entry::Vacant(place) => {
                place.insert(tensor);
            }
            Entry::Occupied(place) => {
                self.duplicate.get_or_insert_with(|| place.key().clone());
            }
        }
        self
    }

    /// Adds a node and returns its output.
    pub fn node(&mut self, name: impl Into<String>, op: Op, inputs: &[ValueId]) -> ValueId {
        let nodes = &mut self.model.graph.nodes;
        nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec() });
        ValueId::of_node(nodes.len() - 1)
    }

    /// Sets how a picture becomes the input.
    pub fn preprocessing(&mut self, preprocessing: Preprocessing) -> &mut Self {
        self.model.preprocessing = Some(preprocessing);
        self
    }

    /// Names the output's elements.
    pub fn classes(&mut self, classes: impl IntoIterator<Item = impl Into<String>>) -> &mut Self {
        self.model.classes = classes.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a note; a second one of the same key replaces the first.
    pub fn note(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.model.notes.insert(key.into(), value.into());
        self
    }

    /// The finished model, validated.
    ///
    /// # Errors
    /// [`ModelError::DuplicateTensor`], and what [`Model::validate`] finds.
    pub fn finish(mut self, output: ValueId) -> Result<Model, ModelError> {
        if let Some(tensor) = self.duplicate {
            return Err(ModelError::DuplicateTensor { tensor });
        }
        self.model.graph.output = output;
        self.model.validate()?;
        Ok(self.model)
    }
}
