//! The zip of the Keras v3 format: `config.json` and `model.weights.h5`.

use std::io::{Cursor, Read};

use crate::ConvertError;

/// How many times the archive's size its files may take unpacked; Keras stores them unpacked.
const EXPANSION: usize = 32;

/// What a `.keras` file holds.
pub(super) struct Contents {
    /// The architecture, JSON.
    pub(super) config: String,
    /// The weights, HDF5.
    pub(super) weights: Vec<u8>,
}

/// Unpacks a `.keras` file.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, ConvertError> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| corrupt(e.to_string()))?;
    let mut room = bytes.len().saturating_mul(EXPANSION);
    let mut unpack = |name: &str| -> Result<Vec<u8>, ConvertError> {
        let file = archive.by_name(name).map_err(|e| corrupt(format!("{name}: {e}")))?;
        let mut contents = Vec::new();
        let limit = u64::try_from(room).unwrap_or(u64::MAX);
        file.take(limit.saturating_add(1)).read_to_end(&mut contents).map_err(|e| corrupt(format!("{name}: {e}")))?;
        let left = room.checked_sub(contents.len());
        room = left.ok_or_else(|| corrupt(format!("{name} takes more than {EXPANSION} times the archive's size")))?;
        Ok(contents)
    };
    let config = String::from_utf8(unpack("config.json")?).map_err(|_| corrupt("config.json is not UTF-8".into()))?;
    let weights = unpack("model.weights.h5")?;
    Ok(Contents { config, weights })
}

fn corrupt(what: String) -> ConvertError {
    ConvertError::Malformed { format: "Keras", what }
}
