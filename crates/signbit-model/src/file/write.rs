//! Writing a model.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use super::header::{self, CHECKSUM_AT, Description, Entry, Header, NO_CHECKSUM};
use super::replace::replace;
use super::{FORMAT_VERSION, MAX_HEADER};
use crate::error::{FileError, ModelError};
use crate::{Model, Tensor, words};

/// The bytes of the model's file.
///
/// # Errors
/// What [`Model::validate`] finds, and [`FileError::HeaderTooLarge`].
pub fn to_bytes(model: &Model) -> Result<Vec<u8>, ModelError> {
    model.validate()?;
    let mut bytes = header_bytes(model)?;
    for (_, tensor) in in_file_order(model) {
        append(&mut bytes, tensor);
    }
    let checksum = checksum(&bytes);
    bytes[CHECKSUM_AT].copy_from_slice(checksum.as_bytes());
    Ok(bytes)
}

/// Writes the model to `path`: to a temporary file beside it, flushed to the disk and then renamed, so that
/// `path` holds the old file or the new one, never a part. Of links, pipes and folders see [`replace`].
///
/// # Errors
/// As [`to_bytes`], and [`FileError::Io`].
pub fn save(model: &Model, path: impl AsRef<Path>) -> Result<(), ModelError> {
    let path = path.as_ref();
    let bytes = to_bytes(model)?;
    replace(path, &bytes).map_err(|source| ModelError::File(FileError::Io { path: path.to_owned(), source }))
}

/// The bytes in front of the tensors: the length and the padded header.
pub(crate) fn header_len(model: &Model) -> Result<usize, ModelError> {
    Ok(header_bytes(model)?.len())
}

/// The checksum of a file whose checksum digits may hold anything, or nothing where they are not.
pub(super) fn checksum(bytes: &[u8]) -> String {
    finish_checksum(start_checksum(bytes))
}

/// The checksum over the beginning of a file, its digits counted as zeros; what follows is added to it.
pub(super) fn start_checksum(bytes: &[u8]) -> crc32fast::Hasher {
    let before = bytes.get(..CHECKSUM_AT.start).unwrap_or(bytes);
    let behind = bytes.get(CHECKSUM_AT.end..).unwrap_or(&[]);
    let mut crc = crc32fast::Hasher::new();
    [before, NO_CHECKSUM.as_bytes(), behind].into_iter().for_each(|part| crc.update(part));
    crc
}

/// The digits.
pub(super) fn finish_checksum(crc: crc32fast::Hasher) -> String {
    format!("{:08x}", crc.finalize())
}

/// The length and the padded header, with zeros for the checksum.
fn header_bytes(model: &Model) -> Result<Vec<u8>, ModelError> {
    let text =
        |description: &Description<'_>| serde_json::to_string(description).map_err(|e| FileError::Graph(e.to_string()));
    let metadata = [
        (header::CHECKSUM, NO_CHECKSUM.to_owned()),
        (header::FORMAT, FORMAT_VERSION.to_owned()),
        (header::MODEL, text(&describe(model))?),
    ];
    let header =
        Header { metadata: metadata.map(|(key, value)| (key.to_owned(), value)).into(), entries: entries(model) };
    let json = serde_json::to_string(&header).map_err(|e| FileError::Header(e.to_string()))?;
    let length = json.len().next_multiple_of(8);
    if length > MAX_HEADER {
        return Err(FileError::HeaderTooLarge { found: length as u64, allowed: MAX_HEADER }.into());
    }
    let mut bytes = (length as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes.resize(8 + length, b' ');
    Ok(bytes)
}

/// All of the model but its tensors' bytes.
pub(super) fn describe(model: &Model) -> Description<'_> {
    let packed = model.tensors.iter().filter(|(_, tensor)| tensor.as_rows().is_some());
    Description {
        graph: Cow::Borrowed(&model.graph),
        bits: packed.map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect(),
        preprocessing: model.preprocessing.as_ref().map(Cow::Borrowed),
        classes: Cow::Borrowed(model.classes.as_slice()),
        notes: Cow::Borrowed(&model.notes),
    }
}

/// The tensors by type, the widest alignment first, then by name.
fn in_file_order(model: &Model) -> impl Iterator<Item = (&String, &Tensor)> {
    let mut by_type: BTreeMap<_, _> = BTreeMap::new();
    for (name, tensor) in &model.tensors {
        let place = match tensor {
            Tensor::F32 { .. } => 0,
            Tensor::I32 { .. } => 1,
            Tensor::Bits { .. } => 2,
        };
        by_type.insert((place, name), tensor);
    }
    by_type.into_iter().map(|((_, name), tensor)| (name, tensor))
}

fn entries(model: &Model) -> Vec<(String, Entry)> {
    let mut start = 0_usize;
    let entry = |(name, tensor): (&String, &Tensor)| {
        let (dtype, shape) = match tensor {
            Tensor::F32 { shape, .. } => ("F32", shape.clone()),
            Tensor::I32 { shape, .. } => ("I32", shape.clone()),
            Tensor::Bits { shape, .. } => ("U8", vec![shape[0], tensor.row_len().div_ceil(8)]),
        };
        let end = start + tensor.file_bytes();
        let data_offsets = [std::mem::replace(&mut start, end), end];
        (name.clone(), Entry { dtype: dtype.to_owned(), shape, data_offsets })
    };
    in_file_order(model).map(entry).collect()
}

fn append(bytes: &mut Vec<u8>, tensor: &Tensor) {
    match tensor {
        Tensor::F32 { data, .. } => bytes.extend(data.iter().flat_map(|v| v.to_le_bytes())),
        Tensor::I32 { data, .. } => bytes.extend(data.iter().flat_map(|v| v.to_le_bytes())),
        Tensor::Bits { rows, .. } => {
            let bits = tensor.row_len();
            for row in rows.chunks_exact(words(bits)) {
                bytes.extend(row.iter().flat_map(|v| v.to_le_bytes()).take(bits.div_ceil(8)));
            }
        }
    }
}
