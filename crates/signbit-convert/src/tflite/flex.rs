//! FlexBuffer maps of integers: the options of Larq Compute Engine's operators.
//!
//! A buffer ends with its root: the value, its packed type and its width. A packed type is `type * 4 + log2(width)`.
//! A map's values are a vector, with its keys' offset, their width and its length before it and its types behind it.

use super::Result;
use super::schema::malformed;

const INT: u8 = 1;
const UINT: u8 = 2;
const INDIRECT_INT: u8 = 6;
const INDIRECT_UINT: u8 = 7;
const MAP: u8 = 9;
const BOOL: u8 = 26;

/// Most entries that a map may have; the operators have up to 8.
const MAX_ENTRIES: u64 = 64;

/// A map from names to integers; entries of other types are left out.
#[derive(Debug)]
pub(super) struct Map<'a>(Vec<(&'a [u8], i64)>);

impl<'a> Map<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        Self::entries(bytes).map(Self).ok_or_else(|| malformed("an operator's options are no FlexBuffer map"))
    }

    /// An integer that must be there.
    pub(super) fn int(&self, key: &str) -> Result<i64> {
        let found = self.0.iter().find(|(name, _)| *name == key.as_bytes());
        found.map(|&(_, value)| value).ok_or_else(|| malformed(format!("an operator has no option `{key}`")))
    }

    fn entries(bytes: &'a [u8]) -> Option<Vec<(&'a [u8], i64)>> {
        let [head @ .., packed, width] = bytes else { return None };
        if packed >> 2 != MAP || !matches!(width, 1 | 2 | 4 | 8) {
            return None;
        }
        let root = head.len().checked_sub(usize::from(*width))?;
        let values = back(bytes, root, usize::from(*width))?;
        let width = 1_usize << (packed & 3);
        let count = unsigned(bytes, values.checked_sub(width)?, width).filter(|&n| n <= MAX_ENTRIES)? as usize;
        let keys = back(bytes, values.checked_sub(3 * width)?, width)?;
        let key_width = usize::try_from(unsigned(bytes, values.checked_sub(2 * width)?, width)?).ok()?;
        if !matches!(key_width, 1 | 2 | 4 | 8) {
            return None;
        }
        let types = bytes.get(values + count * width..)?.get(..count)?;
        let mut entries = Vec::new();
        for (i, &packed) in types.iter().enumerate() {
            let name = bytes.get(back(bytes, keys + i * key_width, key_width)?..)?;
            let name = name.get(..name.iter().position(|&b| b == 0)?)?;
            let at = values + i * width;
            let indirect_width = 1 << (packed & 3);
            let value = match packed >> 2 {
                INT => signed(bytes, at, width)?,
                UINT | BOOL => i64::try_from(unsigned(bytes, at, width)?).ok()?,
                INDIRECT_INT => signed(bytes, back(bytes, at, width)?, indirect_width)?,
                INDIRECT_UINT => i64::try_from(unsigned(bytes, back(bytes, at, width)?, indirect_width)?).ok()?,
                _ => continue,
            };
            entries.push((name, value));
        }
        Some(entries)
    }
}

/// The place that the offset at `at` points back to.
fn back(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    at.checked_sub(usize::try_from(unsigned(bytes, at, width)?).ok()?)
}

fn unsigned(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let number = bytes.get(at..at.checked_add(width)?)?;
    Some(number.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

fn signed(bytes: &[u8], at: usize, width: usize) -> Option<i64> {
    let unused = 64 - 8 * u32::try_from(width).ok()?;
    Some((unsigned(bytes, at, width)? << unused) as i64 >> unused)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"a": -2, "bc": 300}`: keys of one byte, values of two, a root of one.
    const SAMPLE: [u8; 28] = [
        b'a', 0, b'b', b'c', 0, 0, // The names, at 0 and 2.
        2, 7, 6, 0, // The keys at 7, with their length before them: 7 back to 0, 6 back to 2.
        3, 0, // The map's keys lie 3 back, at 7,
        1, 0, // of one byte each.
        2, 0, 0xfe, 0xff, 0x2c, 0x01, // Two values, at 16.
        5, 5, // Both INT of two bytes.
        0, 0, 0, 9, // The root, at 25: 9 back to 16,
        37, 1, // a MAP of two bytes.
    ];

    #[test]
    fn integers_are_found_by_name() {
        let map = Map::read(&SAMPLE).unwrap();
        assert_eq!(map.int("a").unwrap(), -2);
        assert_eq!(map.int("bc").unwrap(), 300);
        let error = map.int("b").unwrap_err().to_string();
        assert!(error.contains("no option `b`"), "{error}");
    }

    #[test]
    fn every_change_of_a_byte_is_a_map_or_an_error() {
        for i in 0..SAMPLE.len() {
            for value in 0..=255 {
                let mut bytes = SAMPLE;
                bytes[i] = value;
                let _ = Map::read(&bytes);
            }
            let _ = Map::read(&SAMPLE[..i]);
        }
        assert!(Map::read(&[]).is_err());
    }
}
