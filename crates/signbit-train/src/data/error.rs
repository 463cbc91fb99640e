//! What is wrong with data.

use std::path::PathBuf;

use signbit_model::picture::PictureError;

use super::NAMES;
use crate::range::OutOfRange;

/// Data that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or folder is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file with a picture's name is no picture.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PictureError,
    },
    /// A choice of [`super::DataOptions`] or [`super::Augmentation`] is out of range.
    #[error(transparent)]
    Range(#[from] OutOfRange),
    /// Nothing of this name or path.
    #[error(
        "there is no data set {name:?}{hint}; give {}, a folder or a .npz file", NAMES.join(", "),
        hint = nearest.map(|name| format!(", did you mean {name}?")).unwrap_or_default()
    )]
    Unknown {
        /// What was given.
        name: String,
        /// The known name that is most like it.
        nearest: Option<&'static str>,
    },
    /// The data set is known but not on this machine.
    #[error("{name} is not on this machine: looked for {}; `signbit data fetch {name}` gets it", listed(searched))]
    Missing {
        /// The data set.
        name: String,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
}

impl DataError {
    pub(super) fn format(path: &std::path::Path, reason: impl Into<String>) -> Self {
        Self::Format { path: path.into(), reason: reason.into() }
    }
}
