//! HDF5 with bounds: what the file's own size does not justify is refused before it is allocated.

use std::ops::Range;

use hdf5_reader::error::ByteOrder;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::attribute::AttributeMessage;
use hdf5_reader::{Datatype, Hdf5File, OpenOptions, StorageBuffer, StringPadding, StringSize};

use crate::ConvertError;

/// How many times the file's size all its tensors and texts may take together. Keras writes tensors
/// uncompressed; the room is for files that were compressed afterwards.
const EXPANSION: usize = 32;
/// Deepest path of groups.
const MAX_DEPTH: usize = 64;
/// Most pieces of an attribute that Keras writes in pieces.
const MAX_PIECES: usize = 10_000;

/// An open HDF5 file.
pub(super) struct File {
    bytes: StorageBuffer,
    file: Hdf5File,
    /// Bytes that may still be read out of the file.
    budget: usize,
}

/// A tensor as it stands in the file, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f32>,
}

impl File {
    /// Opens a file that is in memory.
    pub(super) fn open(bytes: Vec<u8>) -> Result<Self, ConvertError> {
        // The reader's own cache is of no use: every tensor is read once.
        let options = OpenOptions { chunk_cache_bytes: 1 << 20, chunk_cache_slots: 16, ..OpenOptions::default() };
        let length = bytes.len();
        let file = Hdf5File::from_vec_with_options(bytes, options).map_err(malformed)?;
        let bytes = file.storage().read_range(0, length).map_err(malformed)?;
        let budget = bytes.len().saturating_mul(EXPANSION);
        Ok(Self { bytes, file, budget })
    }

    /// True where there is a group of that path.
    pub(super) fn has_group(&self, path: &[&str]) -> bool {
        self.group(path).is_some()
    }

    /// An attribute of one text; `None` where there is none.
    pub(super) fn text(&mut self, group: &[&str], attribute: &str) -> Result<Option<String>, ConvertError> {
        Ok(self.strings(group, attribute)?.and_then(|strings| strings.into_iter().next()))
    }

    /// An attribute of many texts, or its pieces `NAME0`, `NAME1` ...; `None` where there is none.
    pub(super) fn texts(&mut self, group: &[&str], attribute: &str) -> Result<Option<Vec<String>>, ConvertError> {
        if let Some(strings) = self.strings(group, attribute)? {
            return Ok(Some(strings));
        }
        let mut all = None;
        for piece in 0..MAX_PIECES {
            let Some(strings) = self.strings(group, &format!("{attribute}{piece}"))? else {
                break;
            };
            all.get_or_insert_with(Vec::new).extend(strings);
        }
        Ok(all)
    }

    /// A tensor of real numbers; `None` where there is none.
    pub(super) fn array(&mut self, path: &[&str]) -> Result<Option<Array>, ConvertError> {
        let Some(dataset) = self.dataset(path) else {
            return Ok(None);
        };
        let name = || path.join("/");
        let (size, order) = match dataset.dtype() {
            Datatype::FloatingPoint { size, byte_order } if matches!(size, 2 | 4 | 8) => (*size, *byte_order),
            other => return Err(corrupt(format!("`{}` is of type {other:?}, not of real numbers", name()))),
        };
        let shape: Option<Vec<usize>> = dataset.shape().iter().map(|&d| usize::try_from(d).ok()).collect();
        let elements = shape.as_deref().and_then(|s| s.iter().try_fold(1_usize, |p, &d| p.checked_mul(d)));
        let chunk = dataset.chunks().unwrap_or_default();
        let chunk = chunk.iter().try_fold(usize::from(size), |p, &d| p.checked_mul(usize::try_from(d).ok()?));
        let (Some(shape), Some(elements), Some(chunk)) = (shape, elements, chunk) else {
            return Err(self.too_large(&name()));
        };
        // A chunk is unpacked as a whole, the tensor comes as bytes and then as f32.
        let taken = elements.saturating_mul(usize::from(size).max(4)).max(chunk);
        self.spend(taken).ok_or_else(|| self.too_large(&name()))?;
        let raw = dataset.read_raw_bytes().map_err(malformed)?;
        let data = decode(&raw, size, matches!(order, ByteOrder::BigEndian));
        if data.len() != elements {
            return Err(corrupt(format!("`{}` holds {} numbers, its shape is {shape:?}", name(), data.len())));
        }
        Ok(Some(Array { shape, data }))
    }

    fn too_large(&self, name: &str) -> ConvertError {
        corrupt(format!("`{name}` takes more than a file of {} bytes can hold", self.bytes.len()))
    }

    /// Takes bytes from the budget.
    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.budget = self.budget.checked_sub(bytes)?;
        Some(())
    }

    fn group(&self, path: &[&str]) -> Option<hdf5_reader::group::Group> {
        let mut group = self.file.root_group().ok()?;
        for part in path.iter().flat_map(|p| p.split('/')).filter(|p| !p.is_empty()).take(MAX_DEPTH) {
            group = group.group(part).ok()?;
        }
        Some(group)
    }

    fn dataset(&self, path: &[&str]) -> Option<hdf5_reader::Dataset> {
        let (last, groups) = path.split_last()?;
        let (inner, last) = last.rsplit_once('/').unwrap_or(("", last));
        let mut group = self.group(groups)?;
        for part in inner.split('/').filter(|p| !p.is_empty()).take(MAX_DEPTH) {
            group = group.group(part).ok()?;
        }
        group.dataset(last).ok()
    }

    /// The texts of an attribute that stands in the group's header itself, as Keras' always do.
    fn strings(&mut self, group: &[&str], attribute: &str) -> Result<Option<Vec<String>>, ConvertError> {
        let Some(group) = self.group(group) else {
            return Ok(None);
        };
        let header = self.file.get_or_parse_header(group.address()).map_err(malformed)?;
        let found = header.messages.iter().find_map(|message| match message {
            HdfMessage::Attribute(found) if found.name == attribute => Some(found),
            _ => None,
        });
        match found {
            Some(found) => self.decode_strings(found).map(Some),
            None => Ok(None),
        }
    }

    fn decode_strings(&mut self, attribute: &AttributeMessage) -> Result<Vec<String>, ConvertError> {
        let name = &attribute.name;
        let count = attribute.dataspace.num_elements().ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        if count == 0 {
            return Ok(Vec::new());
        }
        let (width, variable, padding) = match &attribute.datatype {
            Datatype::String { size: StringSize::Fixed(width), padding, .. } => (*width as usize, false, *padding),
            Datatype::String { size: StringSize::Variable, padding, .. } | Datatype::VarLen { padding, .. } => {
                (8 + usize::from(self.file.superblock().offset_size), true, *padding)
            }
            // An empty list comes as an empty array of numbers.
            other => return Err(corrupt(format!("the attribute `{name}` is of type {other:?}, not of text"))),
        };
        if width == 0 || count.checked_mul(width).is_none_or(|bytes| bytes > attribute.raw_data.len()) {
            return Err(corrupt(format!("the attribute `{name}` is cut short")));
        }
        let mut strings = Vec::with_capacity(count);
        for element in attribute.raw_data.chunks_exact(width).take(count) {
            let bytes = if variable { self.heap_object(element)? } else { element.to_vec() };
            let end = match padding {
                StringPadding::SpacePad => bytes.iter().rposition(|&b| b != b' ' && b != 0).map_or(0, |i| i + 1),
                _ => bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len()),
            };
            let text = bytes.get(..end).and_then(|text| std::str::from_utf8(text).ok());
            strings.push(text.ok_or_else(|| corrupt(format!("the attribute `{name}` is not UTF-8")))?.to_owned());
        }
        Ok(strings)
    }

    /// A text of the global heap. Its reference is the length (u32), the heap's address and the index (u32).
    ///
    /// Read here, for the library copies the whole heap for every text.
    fn heap_object(&mut self, reference: &[u8]) -> Result<Vec<u8>, ConvertError> {
        let address_end = reference.len().saturating_sub(4);
        let address = reference.get(4..address_end).and_then(little_endian);
        let index = reference.get(address_end..).and_then(little_endian);
        let (Some(address), Some(index)) = (address, index) else {
            return Err(corrupt("a text's reference is cut short".to_owned()));
        };
        if index == 0 {
            return Ok(Vec::new());
        }
        let range = self.find_heap_object(address, index);
        let range = range.ok_or_else(|| corrupt(format!("there is no text {index} in the heap at {address}")))?;
        self.spend(range.len()).ok_or_else(|| self.too_large("the heap of texts"))?;
        Ok(self.bytes.get(range).unwrap_or_default().to_vec())
    }

    /// Where an object of the global heap at `address` stands in the file.
    fn find_heap_object(&self, address: usize, index: usize) -> Option<Range<usize>> {
        let length_size = usize::from(self.file.superblock().length_size);
        let number = |at: usize, size: usize| little_endian(self.bytes.get(at..at.checked_add(size)?)?);
        if self.bytes.get(address..address.checked_add(5)?)? != b"GCOL\x01" {
            return None;
        }
        let end = address.checked_add(number(address.checked_add(8)?, length_size)?)?;
        let mut at = address.checked_add(8 + length_size)?;
        while at < end {
            let found = number(at, 2)?;
            let size = number(at.checked_add(8)?, length_size)?;
            let start = at.checked_add(8 + length_size)?;
            let stop = start.checked_add(size)?;
            if found == 0 || stop > self.bytes.len() {
                return None;
            }
            if found == index {
                return Some(start..stop);
            }
            at = start.checked_add(size.checked_next_multiple_of(8)?)?;
        }
        None
    }
}

/// An unsigned number of up to eight bytes.
fn little_endian(bytes: &[u8]) -> Option<usize> {
    if bytes.len() > 8 {
        return None;
    }
    let number = bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    usize::try_from(number).ok()
}

/// Real numbers of `size` bytes as f32.
fn decode(raw: &[u8], size: u8, big_endian: bool) -> Vec<f32> {
    let number = |bytes: &[u8]| {
        let bits = if big_endian {
            bytes.iter().fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte))
        } else {
            bytes.iter().rev().fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte))
        };
        match size {
            2 => half(bits as u16),
            4 => f32::from_bits(bits as u32),
            _ => f64::from_bits(bits) as f32,
        }
    };
    raw.chunks_exact(usize::from(size).max(1)).map(number).collect()
}

/// IEEE 754 half precision.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (bits >> 10 & 31, bits & 1023);
    let magnitude = match (exponent, fraction) {
        (31, 0) => f32::INFINITY,
        (31, _) => f32::NAN,
        (0, _) => f32::from(fraction) * (-24_f32).exp2(),
        _ => (1.0 + f32::from(fraction) / 1024.0) * (f32::from(exponent) - 15.0).exp2(),
    };
    sign * magnitude
}

fn malformed(error: hdf5_reader::error::Error) -> ConvertError {
    corrupt(error.to_string())
}

fn corrupt(what: String) -> ConvertError {
    ConvertError::Malformed { format: "HDF5", what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        let cases =
            [(0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (0x0001, 5.960_464_5e-8), (0x7bff, 65504.0)];
        for (bits, number) in cases {
            assert_eq!(half(bits), number, "{bits:#x}");
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }

    #[test]
    fn numbers_of_both_byte_orders() {
        assert_eq!(decode(&1.5_f32.to_le_bytes(), 4, false), [1.5]);
        assert_eq!(decode(&(-0.25_f64).to_be_bytes(), 8, true), [-0.25]);
    }

    #[test]
    fn what_is_not_hdf5_is_an_error() {
        for bytes in [&b""[..], b"\x89HDF\r\n\x1a\n", b"nothing of the kind"] {
            assert!(matches!(File::open(bytes.to_vec()), Err(ConvertError::Malformed { format: "HDF5", .. })));
        }
    }
}
