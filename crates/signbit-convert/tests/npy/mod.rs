//! Arrays of numpy, as the samples hold them: version 1, C order, `<f4`, `<i4` or `|i1`.

#![allow(dead_code, reason = "each test reads what it needs")]

use std::path::Path;

pub(crate) struct Array<T> {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<T>,
}

pub(crate) fn f32s(path: &Path) -> Array<f32> {
    read(path, "<f4", f32::from_le_bytes)
}

pub(crate) fn i32s(path: &Path) -> Array<i32> {
    read(path, "<i4", i32::from_le_bytes)
}

pub(crate) fn i8s(path: &Path) -> Array<i8> {
    read(path, "|i1", i8::from_le_bytes)
}

fn read<T, const N: usize>(path: &Path, descr: &str, number: fn([u8; N]) -> T) -> Array<T> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let header_len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + header_len]).unwrap();
    assert!(header.contains(descr) && header.contains("'fortran_order': False"), "{}: {header}", path.display());
    let (_, shape) = header.split_once("'shape': (").unwrap();
    let (shape, _) = shape.split_once(')').unwrap();
    let shape: Vec<usize> = shape.split(',').filter_map(|d| d.trim().parse().ok()).collect();
    let data: Vec<T> = bytes[10 + header_len..].as_chunks().0.iter().map(|&b| number(b)).collect();
    assert_eq!(data.len(), shape.iter().product::<usize>());
    Array { shape, data }
}
