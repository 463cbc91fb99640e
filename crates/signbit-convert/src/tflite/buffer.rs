//! FlatBuffer tables, read where they lie: every offset and length is checked, nothing is copied.
//!
//! A table begins with the distance back to its vtable; the vtable says for each field where in the table it
//! lies, 0 for a field that is not there. The file's schema bounds the depth, so nothing here recurses.

use std::ops::Range;

use super::Result;
use super::schema::malformed;

/// One table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    vtable: usize,
    vtable_len: usize,
}

impl<'a> Table<'a> {
    /// The file's root.
    pub(super) fn root(bytes: &'a [u8]) -> Result<Self> {
        Self::at(bytes, follow(bytes, 0)?)
    }

    fn at(bytes: &'a [u8], at: usize) -> Result<Self> {
        let back = i64::from(i32::from_le_bytes(array(bytes, at)?));
        let vtable = i64::try_from(at).ok().and_then(|at| usize::try_from(at - back).ok()).ok_or_else(outside)?;
        let vtable_len = usize::from(u16::from_le_bytes(array(bytes, vtable)?));
        if vtable_len < 4 || vtable.checked_add(vtable_len).is_none_or(|end| end > bytes.len()) {
            return Err(outside());
        }
        Ok(Self { bytes, at, vtable, vtable_len })
    }

    /// The place of a field, `None` where the table does not have it.
    fn field(&self, field: usize) -> Result<Option<usize>> {
        let entry = 4 + 2 * field;
        if entry + 2 > self.vtable_len {
            return Ok(None);
        }
        let offset = u16::from_le_bytes(array(self.bytes, self.vtable + entry)?);
        Ok((offset != 0).then_some(self.at + usize::from(offset)))
    }

    /// The bytes of a number.
    pub(super) fn number<const N: usize>(&self, field: usize) -> Result<Option<[u8; N]>> {
        self.field(field)?.map(|at| array(self.bytes, at)).transpose()
    }

    /// A table inside of this one.
    pub(super) fn table(&self, field: usize) -> Result<Option<Self>> {
        self.field(field)?.map(|at| Self::at(self.bytes, follow(self.bytes, at)?)).transpose()
    }

    /// The bytes of a vector whose elements take `width` bytes each; `None` where there is none.
    pub(super) fn vector(&self, field: usize, width: usize) -> Result<Option<&'a [u8]>> {
        Ok(self.range(field, width)?.and_then(|range| self.bytes.get(range)))
    }

    /// A vector of tables, empty where there is none.
    pub(super) fn tables(&self, field: usize) -> Result<Tables<'a>> {
        let offsets = self.range(field, 4)?.unwrap_or(0..0);
        Ok(Tables { bytes: self.bytes, offsets })
    }

    /// Where the elements of a vector lie, inside of the file.
    fn range(&self, field: usize, width: usize) -> Result<Option<Range<usize>>> {
        let Some(at) = self.field(field)? else { return Ok(None) };
        let length = follow(self.bytes, at)?;
        let count = u32::from_le_bytes(array(self.bytes, length)?) as usize;
        let start = length + 4;
        let end = count.checked_mul(width).and_then(|size| start.checked_add(size)).ok_or_else(outside)?;
        if end > self.bytes.len() {
            return Err(outside());
        }
        Ok(Some(start..end))
    }
}

/// A vector of tables, each read when it is asked for.
#[derive(Debug, Clone)]
pub(super) struct Tables<'a> {
    bytes: &'a [u8],
    offsets: Range<usize>,
}

impl<'a> Tables<'a> {
    pub(super) fn len(&self) -> usize {
        self.offsets.len() / 4
    }

    /// The table `index`; `None` behind the last.
    pub(super) fn get(&self, index: usize) -> Result<Option<Table<'a>>> {
        if index >= self.len() {
            return Ok(None);
        }
        Table::at(self.bytes, follow(self.bytes, self.offsets.start + 4 * index)?).map(Some)
    }
}

/// The place that the offset at `at` points to.
fn follow(bytes: &[u8], at: usize) -> Result<usize> {
    let offset = u32::from_le_bytes(array(bytes, at)?) as usize;
    at.checked_add(offset).filter(|&to| to < bytes.len()).ok_or_else(outside)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let end = at.checked_add(N).ok_or_else(outside)?;
    bytes.get(at..end).and_then(|slice| slice.try_into().ok()).ok_or_else(outside)
}

fn outside() -> crate::ConvertError {
    malformed("an offset leads out of it")
}
