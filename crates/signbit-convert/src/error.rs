//! What can be wrong with another system's file.

use std::path::PathBuf;

use signbit_model::ModelError;

/// Why a network cannot be taken in or written out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The file does not keep its own format.
    #[error("not a whole {format} file: {what}")]
    Malformed {
        /// The format: "TFLite", "ONNX", "HDF5" ...
        format: &'static str,
        /// What is wrong, in one line.
        what: String,
    },
    /// An operator that the graph cannot express.
    #[error("node `{node}`: {operator} cannot be taken in: {reason}")]
    Unsupported {
        /// The node's name, or its output's where it has none.
        node: String,
        /// The operator, as its system calls it.
        operator: String,
        /// Which option, shape or type it is that stands in the way.
        reason: String,
    },
    /// A node of the graph that the target format cannot express.
    #[error("node `{node}`: {operator} cannot be written as {format}: {reason}")]
    NotExpressible {
        /// The node's name.
        node: String,
        /// The operator's name in the graph.
        operator: &'static str,
        /// The target format.
        format: &'static str,
        /// Why not.
        reason: String,
    },
    /// A weight that the architecture asks for is not in the file.
    #[error("there is no weight `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    MissingWeight {
        /// Its name.
        name: String,
        /// The most alike name that is there.
        nearest: Option<String>,
    },
    /// A weight has another shape than the architecture says.
    #[error("the weight `{name}` has shape {found:?}, it must be {expected}")]
    WeightShape {
        /// Its name.
        name: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: Vec<usize>,
    },
    /// The architecture or recipe that goes with a file of weights is wrong or missing.
    #[error("{0}")]
    Architecture(String),
    /// The file's kind is not known.
    #[error("{path}: {what}")]
    Kind {
        /// The file.
        path: PathBuf,
        /// What would be right.
        what: String,
    },
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The graph that came out is not valid.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl ConvertError {
    /// An operator that the graph cannot express.
    pub(crate) fn unsupported(node: &str, operator: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unsupported { node: node.to_owned(), operator: operator.into(), reason: reason.into() }
    }
}
