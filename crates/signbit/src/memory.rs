//! The buffers that hold activations and packed weights.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use crate::Error;

/// Bytes of a cache line; kernels read fastest from addresses that are multiples of it.
const LINE: usize = 64;

/// A fixed slice whose first element lies at the beginning of a cache line.
#[derive(Debug, Default)]
pub(crate) struct Aligned<T> {
    storage: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// `len` zeros, or `None` where there is no memory for them.
    pub(crate) fn zeros(len: usize) -> Option<Self> {
        let room = len.checked_add(LINE / size_of::<T>())?;
        let mut storage = Vec::new();
        storage.try_reserve_exact(room).ok()?;
        storage.resize(room, T::default());
        // The offset is a wish: where it cannot be had, the slice begins at the storage's first element.
        let offset = storage.as_ptr().align_offset(LINE);
        let start = if offset <= room - len { offset } else { 0 };
        Some(Self { storage, start, len })
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.storage[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.storage[self.start..self.start + self.len]
    }
}

/// Makes `numbers` long enough for `n` samples of `elements`, and returns their length. `layer` is who needs them.
pub(crate) fn reserve(numbers: &mut Vec<f32>, layer: &str, n: usize, elements: usize) -> Result<usize, Error> {
    let no_memory = || Error::Memory {
        layer: layer.to_owned(),
        bytes: n.saturating_mul(elements).saturating_mul(size_of::<f32>()),
    };
    let len = n.checked_mul(elements).ok_or_else(no_memory)?;
    if len > numbers.len() {
        numbers.try_reserve_exact(len - numbers.len()).map_err(|_| no_memory())?;
        numbers.resize(len, 0.0);
    }
    Ok(len)
}

/// The bytes that a session may take, and those that are planned. Whoever plans to allocate takes from
/// it first.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    planned: Cell<u64>,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, planned: Cell::new(0) }
    }

    /// Plans `bytes` for a layer, to stay.
    pub(crate) fn take(&self, layer: &str, bytes: u64) -> Result<(), Error> {
        self.check(layer, bytes)?;
        self.planned.set(self.planned.get().saturating_add(bytes));
        Ok(())
    }

    /// Whether there is room for `bytes` that a layer needs for a moment.
    pub(crate) fn check(&self, layer: &str, bytes: u64) -> Result<(), Error> {
        let bytes = self.planned.get().saturating_add(bytes);
        if bytes <= self.limit {
            return Ok(());
        }
        Err(Error::MemoryLimit { layer: layer.to_owned(), bytes, limit: self.limit })
    }
}

/// The buffers of a session, by element type. A step takes its output's buffer out while it
/// fills it, so that it can read the others.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) f32: Vec<Aligned<f32>>,
    pub(crate) i32: Vec<Aligned<i32>>,
    pub(crate) bits: Vec<Aligned<u64>>,
}

impl Memory {
    /// The bytes of all buffers.
    pub(crate) fn bytes(&self) -> usize {
        let f32: usize = self.f32.iter().map(|buffer| buffer.len() * 4).sum();
        let i32: usize = self.i32.iter().map(|buffer| buffer.len() * 4).sum();
        let bits: usize = self.bits.iter().map(|buffer| buffer.len() * 8).sum();
        f32 + i32 + bits
    }
}

#[cfg(test)]
mod tests {
    use super::Aligned;

    #[test]
    fn begins_at_a_cache_line() {
        for len in [0, 1, 63, 1000] {
            let buffer = Aligned::<f32>::zeros(len).unwrap();
            assert_eq!((buffer.len(), buffer.as_ptr().align_offset(64)), (len, 0));
        }
    }

    #[test]
    fn too_much_is_none() {
        assert!(Aligned::<u64>::zeros(usize::MAX).is_none());
        assert!(Aligned::<u64>::zeros(usize::MAX / 16).is_none());
    }
}
