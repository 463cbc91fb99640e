//! Reading a model, from bytes that may be anything.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use super::header::{self, CHECKSUM_AT, Description, Entry, Header, PREFIX};
use super::write::{checksum, describe, finish_checksum, start_checksum};
use super::{FORMAT_VERSION, MAX_HEADER};
use crate::error::{FileError, ModelError};
use crate::tensor::rows_and_bits;
use crate::types::checked_product;
use crate::{Model, Tensor, words};

/// Reads a model's file: what its header announces, and one byte more to see that nothing follows.
///
/// # Errors
/// [`FileError::Io`], and as [`from_bytes`].
pub fn load(path: impl AsRef<Path>) -> Result<Model, ModelError> {
    let path = path.as_ref();
    let io = |source| FileError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return read(file, 0, io);
    }
    if let Some(model) = read_by_pieces(&mut file, metadata.len()) {
        return Ok(model);
    }
    file.rewind().map_err(io)?;
    read(file, metadata.len(), io)
}

/// Bytes of a piece, about: few enough for the second cache.
const PIECE: usize = 64 << 10;

/// Reads a file of `length` bytes without ever having all of them in memory: each piece goes into the checksum and into its
/// tensor while it is in the cache. `None` for a file with anything wrong; what it is, [`read`] says.
fn read_by_pieces(source: &mut impl Read, length: u64) -> Option<Model> {
    let mut bytes = Vec::new();
    append(source, 8, &mut bytes).ok()?;
    let header = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length))?;
    if header > MAX_HEADER as u64 {
        return None;
    }
    append(source, header, &mut bytes).ok()?;
    let (header, _) = split(&bytes).ok()?;
    let entries = in_order(&header).ok()?;
    let body = entries.last().map_or(0, |(_, entry)| entry.data_offsets[1]);
    if length.checked_sub(bytes.len() as u64) != Some(body as u64) {
        return None;
    }
    let stored =
        header.metadata.get(header::CHECKSUM).filter(|stored| bytes.get(CHECKSUM_AT) == Some(stored.as_bytes()))?;
    let mut crc = start_checksum(&bytes);
    let read = |bit_shapes: &BTreeMap<String, Vec<usize>>| -> Result<BTreeMap<String, Tensor>, ModelError> {
        let mut tensors = BTreeMap::new();
        let mut piece = Vec::new();
        for (name, entry) in entries {
            let [begin, end] = entry.data_offsets;
            let (mut tensor, row) = announced(name, entry, end - begin, bit_shapes.get(name))?;
            let rows = (PIECE / row).max(1) * row;
            for at in (begin..end).step_by(rows) {
                piece.clear();
                let len = rows.min(end - at);
                let io = |source| FileError::Io { path: Default::default(), source };
                append(source, len as u64, &mut piece).map_err(io)?;
                if piece.len() != len {
                    return Err(FileError::BodyLength { expected: body, found: at + piece.len() }.into());
                }
                crc.update(&piece);
                append_rows(&mut tensor, &piece);
            }
            tensors.insert(name.clone(), tensor);
        }
        let computed = finish_checksum(crc);
        if *stored != computed {
            return Err(FileError::Checksum { stored: stored.clone(), computed }.into());
        }
        check_bit_shapes(bit_shapes, &tensors)?;
        Ok(tensors)
    };
    read_model(&header, read).ok()
}

/// Reads a model from a source that may be without end, of which `length` bytes are known to exist.
fn read(mut source: impl Read, length: u64, io: impl Fn(io::Error) -> FileError) -> Result<Model, ModelError> {
    let mut bytes = Vec::new();
    append(&mut source, 8, &mut bytes).map_err(&io)?;
    if let Some(header) = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length))
        && header <= MAX_HEADER as u64
    {
        append(&mut source, header, &mut bytes).map_err(&io)?;
    }
    let (header, _) = split(&bytes)?;
    let body_at = bytes.len();
    let announced = header.entries.iter().map(|(_, entry)| entry.data_offsets[1]).max().unwrap_or(0) as u64;
    let body = announced.saturating_add(1);
    let known = length.saturating_sub(body_at as u64).min(body);
    let no_memory = || io(io::ErrorKind::OutOfMemory.into());
    bytes.try_reserve_exact(usize::try_from(known).map_err(|_| no_memory())?).map_err(|_| no_memory())?;
    append(&mut source, body, &mut bytes).map_err(&io)?;
    check_checksum(&header, &bytes)?;
    read_model(&header, |shapes| read_tensors(&header, Cow::Owned(bytes), body_at, shapes))
}

/// Appends at most `count` bytes of `source`.
fn append(source: &mut impl Read, count: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    source.take(count).read_to_end(bytes).map(|_| ())
}

/// Reads a model from the bytes of its file.
///
/// # Errors
/// [`ModelError::File`] for anything wrong with the file, else what [`Model::validate`] finds.
pub fn from_bytes(bytes: &[u8]) -> Result<Model, ModelError> {
    let (header, body) = split(bytes)?;
    check_checksum(&header, bytes)?;
    read_model(&header, |shapes| read_tensors(&header, Cow::Borrowed(body), 0, shapes))
}

/// As [`from_bytes`], but does not compare the checksum: for fuzzing, and for looking into a damaged file.
///
/// # Errors
/// As [`from_bytes`].
pub fn from_bytes_unverified(bytes: &[u8]) -> Result<Model, ModelError> {
    let (header, body) = split(bytes)?;
    read_model(&header, |shapes| read_tensors(&header, Cow::Borrowed(body), 0, shapes))
}

/// The header of a file of this format and version, and the bytes behind it.
fn split(bytes: &[u8]) -> Result<(Header, &[u8]), FileError> {
    let truncated = |expected| FileError::Truncated { expected, found: bytes.len() };
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(truncated(8))?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER as u64 {
        return Err(FileError::HeaderTooLarge { found: length, allowed: MAX_HEADER });
    }
    let (json, body) = rest.split_at_checked(length as usize).ok_or(truncated(8 + length))?;
    let header: Header = serde_json::from_slice(json).map_err(|e| FileError::Header(e.to_string()))?;
    match header.metadata.get(header::FORMAT) {
        None => Err(FileError::NotSignbit),
        Some(version) if version != FORMAT_VERSION => {
            Err(FileError::Version { found: version.chars().take(40).collect(), supported: FORMAT_VERSION })
        }
        Some(_) if json.starts_with(PREFIX) && header.metadata.len() == 3 => Ok((header, body)),
        Some(_) => Err(FileError::Metadata),
    }
}

fn check_checksum(header: &Header, bytes: &[u8]) -> Result<(), FileError> {
    let stored = header.metadata.get(header::CHECKSUM).ok_or(FileError::Metadata)?;
    let computed = checksum(bytes);
    // The digits at the fixed place and not only the string: another spelling may not hide there.
    if *stored == computed && bytes.get(CHECKSUM_AT) == Some(computed.as_bytes()) {
        return Ok(());
    }
    Err(FileError::Checksum { stored: stored.chars().take(40).collect(), computed })
}

/// The model of a file; `tensors` reads them, given the logical shapes of the packed ones.
fn read_model(
    header: &Header,
    tensors: impl FnOnce(&BTreeMap<String, Vec<usize>>) -> Result<BTreeMap<String, Tensor>, ModelError>,
) -> Result<Model, ModelError> {
    let json = header.metadata.get(header::MODEL).ok_or(FileError::Metadata)?;
    let graph_error = |e: serde_json::Error| FileError::Graph(e.to_string());
    let description: Description<'_> = serde_json::from_str(json).map_err(graph_error)?;
    let model = Model {
        tensors: tensors(&description.bits)?,
        graph: description.graph.into_owned(),
        preprocessing: description.preprocessing.map(Cow::into_owned),
        classes: description.classes.into_owned(),
        notes: description.notes.into_owned(),
    };
    model.validate()?;
    // Fields that the types above skip would be lost on the next save.
    let mut found: serde_json::Value = serde_json::from_str(json).map_err(graph_error)?;
    leave_out_defaults(&mut found);
    let written = serde_json::to_value(describe(&model)).map_err(graph_error)?;
    if found != written {
        return Err(FileError::NotCanonical.into());
    }
    Ok(model)
}

/// Takes the fields of operators out that a writer leaves out today, but older ones wrote.
fn leave_out_defaults(model: &mut serde_json::Value) {
    let nodes = model.get_mut("graph").and_then(|graph| graph.get_mut("nodes")).and_then(|nodes| nodes.as_array_mut());
    for op in nodes.into_iter().flatten().filter_map(|node| node.get_mut("op")?.as_object_mut()) {
        if op.get("groups").is_some_and(|groups| groups.as_u64() == Some(1)) {
            op.remove("groups");
        }
        if let Some(window) = op.get_mut("geometry").and_then(|geometry| geometry.as_object_mut()) {
            for (field, default) in [("stride", 1), ("dilation", 1), ("pads", 0)] {
                let is_default = |value: &serde_json::Value| value.as_u64() == Some(default);
                if window.get(field).and_then(|v| v.as_array()).is_some_and(|v| v.iter().all(is_default)) {
                    window.remove(field);
                }
            }
        }
    }
}

/// Reads the tensors, the last of the file first: bytes that are owned are given back as they have been read, so that a
/// model and its file do not lie in memory together.
fn read_tensors(
    header: &Header,
    mut bytes: Cow<'_, [u8]>,
    body: usize,
    bit_shapes: &BTreeMap<String, Vec<usize>>,
) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let entries = in_order(header)?;
    let end = entries.last().map_or(0, |(_, entry)| entry.data_offsets[1]);
    let found = bytes.len() - body;
    if end != found {
        return Err(FileError::BodyLength { expected: end, found }.into());
    }
    let mut tensors = BTreeMap::new();
    for (name, entry) in entries.into_iter().rev() {
        let begin = body + entry.data_offsets[0];
        let data = &bytes[begin..];
        let (mut tensor, _) = announced(name, entry, data.len(), bit_shapes.get(name))?;
        append_rows(&mut tensor, data);
        tensors.insert(name.clone(), tensor);
        match &mut bytes {
            Cow::Borrowed(bytes) => *bytes = &bytes[..begin],
            Cow::Owned(bytes) => {
                bytes.truncate(begin);
                bytes.shrink_to_fit();
            }
        }
    }
    check_bit_shapes(bit_shapes, &tensors)?;
    Ok(tensors)
}

/// The entries in the order of their bytes, which have no gaps.
fn in_order(header: &Header) -> Result<Vec<&(String, Entry)>, FileError> {
    let mut entries: Vec<&(String, Entry)> = header.entries.iter().collect();
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut end = 0;
    for (name, entry) in &entries {
        let [begin, next] = entry.data_offsets;
        if begin != end || next < begin {
            return Err(FileError::Offsets { tensor: name.clone() });
        }
        end = next;
    }
    Ok(entries)
}

/// A logical shape needs a tensor.
fn check_bit_shapes(
    bit_shapes: &BTreeMap<String, Vec<usize>>,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<(), FileError> {
    match bit_shapes.keys().find(|&name| !tensors.contains_key(name)) {
        Some(name) => Err(FileError::BitShape { tensor: name.clone() }),
        None => Ok(()),
    }
}

/// The tensor of `len` bytes that an entry announces, with room for its numbers, but none yet; and the bytes of one of its
/// numbers or rows of bits.
fn announced(
    name: &str,
    entry: &Entry,
    len: usize,
    bit_shape: Option<&Vec<usize>>,
) -> Result<(Tensor, usize), ModelError> {
    let tensor = || name.to_owned();
    let bit_shape_error = || FileError::BitShape { tensor: tensor() };
    let size = match entry.dtype.as_str() {
        "F32" | "I32" => 4,
        "U8" => 1,
        other => {
            let dtype = other.chars().take(40).collect();
            return Err(FileError::TensorDType { tensor: tensor(), dtype }.into());
        }
    };
    let elements = checked_product(&entry.shape);
    if elements.and_then(|n| n.checked_mul(size)) != Some(len) {
        return Err(FileError::Offsets { tensor: tensor() }.into());
    }
    if (entry.dtype == "U8") != bit_shape.is_some() {
        return Err(bit_shape_error().into());
    }
    let shape = entry.shape.clone();
    Ok(match (entry.dtype.as_str(), bit_shape) {
        (_, Some(logical)) => {
            let unnamed = |source| ModelError::Tensor { tensor: tensor(), source };
            let (rows, bits) = rows_and_bits(logical).map_err(unnamed)?;
            let row = bits.div_ceil(8);
            if shape != [rows, row] {
                return Err(bit_shape_error().into());
            }
            (Tensor::Bits { shape: logical.clone(), rows: Vec::with_capacity(rows * words(bits)) }, row)
        }
        ("F32", None) => (Tensor::F32 { shape, data: Vec::with_capacity(len / 4) }, 4),
        (_, None) => (Tensor::I32 { shape, data: Vec::with_capacity(len / 4) }, 4),
    })
}

/// Appends whole numbers, or whole rows of bits, to a tensor.
fn append_rows(tensor: &mut Tensor, bytes: &[u8]) {
    let (numbers, bits) = (bytes.as_chunks::<4>().0.iter(), tensor.row_len());
    match tensor {
        Tensor::F32 { data, .. } => data.extend(numbers.map(|b| f32::from_le_bytes(*b))),
        Tensor::I32 { data, .. } => data.extend(numbers.map(|b| i32::from_le_bytes(*b))),
        Tensor::Bits { rows, .. } => {
            let mut append = |(words, rest): (&[[u8; 8]], &[u8])| {
                rows.extend(words.iter().map(|b| u64::from_le_bytes(*b)));
                if !rest.is_empty() {
                    let mut word = [0; 8];
                    word[..rest.len()].copy_from_slice(rest);
                    rows.push(u64::from_le_bytes(word));
                }
            };
            // Rows that are whole words are one row.
            let row = bits.div_ceil(8);
            let at_once = if row.is_multiple_of(8) { bytes.len() } else { row };
            bytes.chunks(at_once.max(1)).for_each(|row| append(row.as_chunks()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::to_bytes;
    use crate::{ModelBuilder, Op, Shape};

    /// A source without end, and how much of it was read.
    struct Endless(Vec<u8>, usize);

    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            for out in out.iter_mut() {
                *out = self.0.get(self.1).copied().unwrap_or(0);
                self.1 += 1;
            }
            Ok(out.len())
        }
    }

    fn read_all(source: impl Read, length: u64) -> Result<Model, ModelError> {
        read(source, length, |source| FileError::Io { path: "source".into(), source })
    }

    fn prelu() -> Model {
        let mut b = ModelBuilder::new(Shape::vector(300));
        b.tensor("s", Tensor::f32([300], vec![0.5; 300]).unwrap());
        let y = b.node("prelu", Op::PRelu { slope: "s".into() }, &[b.input()]);
        b.finish(y).unwrap()
    }

    /// Whatever is known of the length, or wrongly believed.
    #[test]
    fn a_source_with_an_end() {
        let bytes = to_bytes(&prelu()).unwrap();
        for length in [0, 5, bytes.len() as u64, 100_000] {
            assert_eq!(read_all(&bytes[..], length).unwrap(), prelu());
        }
    }

    #[test]
    fn a_source_without_end_is_read_one_byte_too_far() {
        let bytes = to_bytes(&prelu()).unwrap();
        let mut source = Endless(bytes.clone(), 0);
        let error = read_all(&mut source, 0).unwrap_err();
        assert!(matches!(error, ModelError::File(FileError::Checksum { .. })), "{error}");
        assert_eq!(source.1, bytes.len() + 1);
    }

    #[test]
    fn a_header_that_is_too_large_is_not_read() {
        let mut source = Endless(vec![0xFF; 8], 0);
        let error = read_all(&mut source, 0).unwrap_err();
        assert!(matches!(error, ModelError::File(FileError::HeaderTooLarge { found: u64::MAX, .. })), "{error}");
        assert_eq!(source.1, 8);
    }

    /// In pieces or not, what is read is the same; a byte that is wrong, missing or too many is for the other way to tell.
    #[test]
    fn by_pieces() {
        let mut b = ModelBuilder::new(Shape::vector(70_001));
        let numbers = |seed: u32| (0..70_001).map(move |i: u32| i.wrapping_mul(seed));
        b.tensor("s", Tensor::f32([70_001], numbers(3).map(|i| i as f32).collect()).unwrap());
        let bits = |shape: [usize; 2]| {
            let row: Vec<i8> = numbers(2_654_435_769).map(|i| if i >> 31 == 1 { 1 } else { -1 }).collect();
            Tensor::bits_from_signs(shape, &row.repeat(shape[0])[..shape[0] * shape[1]]).unwrap()
        };
        b.tensor("w", bits([9, 70_001]));
        b.tensor("w2", bits([40, 9]));
        b.tensor("w3", bits([64, 40]));
        b.tensor("w4", bits([3, 64]));
        let mut x = b.node("prelu", Op::PRelu { slope: "s".into() }, &[b.input()]);
        for weight in ["w", "w2", "w3", "w4"] {
            let sign = b.node(format!("sign {weight}"), Op::Sign, &[x]);
            x = b.node(weight, Op::BinaryDense { weight: weight.into() }, &[sign]);
        }
        let model = b.finish(x).unwrap();
        for model in [model, prelu()] {
            let mut bytes = to_bytes(&model).unwrap();
            let by_pieces = |bytes: &[u8]| read_by_pieces(&mut &bytes[..], bytes.len() as u64);
            assert_eq!(by_pieces(&bytes).as_ref(), Some(&model));
            assert_eq!(from_bytes(&bytes).unwrap(), model);
            for end in [0, 7, 8, 100, bytes.len() - 1200, bytes.len() - 1] {
                assert_eq!(by_pieces(&bytes[..end]), None);
                assert_eq!(read_by_pieces(&mut &bytes[..end], bytes.len() as u64), None);
            }
            for at in [8, CHECKSUM_AT.start, bytes.len() - 700, bytes.len() - 1] {
                bytes[at] ^= 1;
                assert_eq!(by_pieces(&bytes), None, "{at}");
                bytes[at] ^= 1;
            }
            bytes.push(0);
            assert_eq!(by_pieces(&bytes), None);
        }
    }

    /// Cut anywhere, a file gives the error that its bytes give.
    #[test]
    fn errors_are_those_of_the_bytes() {
        let bytes = to_bytes(&prelu()).unwrap();
        for end in [0, 7, 8, 100, bytes.len() - 1200, bytes.len() - 1] {
            let (read, whole) = (read_all(&bytes[..end], 0).unwrap_err(), from_bytes(&bytes[..end]).unwrap_err());
            assert_eq!(read.to_string(), whole.to_string(), "{end}");
        }
    }
}
