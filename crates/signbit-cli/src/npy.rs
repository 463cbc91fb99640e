//! NumPy's `.npy` files of real numbers and bytes (NEP 1), as far as a network's input and output need them.
//!
//! Layout: `\x93NUMPY`, major and minor version, the header's length (u16, from version 2 on u32, little-endian),
//! the header (a Python dictionary with `descr`, `fortran_order` and `shape`), the numbers. The file's length is
//! checked before anything of the size that the header announces is allocated.
//!
//! The ready readers do not survive a hostile header, which they parse before it can be checked: npyz 0.8 panics
//! where the product of the shape overflows, and the parser beneath it (py_literal) does not come to an end within
//! seconds on a hundred nested brackets.

use std::fmt;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Where the numbers begin is a multiple of this.
const ALIGNMENT: usize = 64;

/// The numbers of an array.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    F32(Vec<f32>),
    U8(Vec<u8>),
}

/// An array in C order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    /// Outermost first.
    pub(crate) shape: Vec<usize>,
    /// As many as the product of the shape.
    pub(crate) numbers: Numbers,
}

/// Bytes that are not an array that a network takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NpyError {
    Magic,
    Truncated,
    Header(&'static str),
    DType(String),
    Fortran,
    Length { announced: Vec<usize>, found: usize },
}

impl fmt::Display for NpyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("not a .npy file (they begin with \\x93NUMPY); numpy.save writes one"),
            Self::Truncated => f.write_str("the file ends inside of its header"),
            Self::Header(key) => write!(f, "the header has no readable {key:?}"),
            Self::DType(found) => write!(f, "the numbers are {found:?}, they must be float32 ('<f4') or uint8 ('|u1')"),
            Self::Fortran => f.write_str("the array is in Fortran order; save numpy.ascontiguousarray(x)"),
            Self::Length { announced, found } => {
                write!(f, "the header announces the shape {announced:?}, {found} bytes follow")
            }
        }
    }
}

impl std::error::Error for NpyError {}

/// Reads the bytes of a file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Array, NpyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::Magic)?;
    let (length, rest) = match *rest {
        [1, _, a, b, ref rest @ ..] => (usize::from(u16::from_le_bytes([a, b])), rest),
        [2 | 3, _, a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]) as usize, rest),
        [1..=3, ..] | [] => return Err(NpyError::Truncated),
        _ => return Err(NpyError::Header("version")),
    };
    let (header, data) = rest.split_at_checked(length).ok_or(NpyError::Truncated)?;
    let header = std::str::from_utf8(header).map_err(|_| NpyError::Header("text"))?;
    let descr = value(header, "descr")?;
    let descr = descr.strip_prefix('\'').and_then(|d| d.split('\'').next());
    let shape = shape(value(header, "shape")?)?;
    if !value(header, "fortran_order")?.starts_with("False") && shape.len() > 1 {
        return Err(NpyError::Fortran);
    }
    let size = match descr {
        Some("<f4" | ">f4") => 4,
        Some("|u1" | "<u1" | "u1") => 1,
        _ => {
            let found = descr.unwrap_or(header).chars().take(40).collect();
            return Err(NpyError::DType(found));
        }
    };
    let total = shape.iter().try_fold(size, |n: usize, &d| n.checked_mul(d));
    if total != Some(data.len()) {
        return Err(NpyError::Length { announced: shape, found: data.len() });
    }
    let fours = data.as_chunks::<4>().0.iter();
    let numbers = match descr {
        Some("<f4") => Numbers::F32(fours.map(|b| f32::from_le_bytes(*b)).collect()),
        Some(">f4") => Numbers::F32(fours.map(|b| f32::from_be_bytes(*b)).collect()),
        _ => Numbers::U8(data.to_vec()),
    };
    Ok(Array { shape, numbers })
}

/// What stands behind a key of the header.
fn value<'a>(header: &'a str, key: &'static str) -> Result<&'a str, NpyError> {
    let quoted = format!("'{key}':");
    let at = header.find(&quoted).ok_or(NpyError::Header(key))?;
    Ok(header[at + quoted.len()..].trim_start())
}

/// The numbers of a Python tuple.
fn shape(text: &str) -> Result<Vec<usize>, NpyError> {
    let inside = text.strip_prefix('(').and_then(|text| text.split_once(')')).ok_or(NpyError::Header("shape"))?.0;
    let dims = inside.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    dims.map(|dim| dim.parse().map_err(|_| NpyError::Header("shape"))).collect()
}

/// The bytes of a file with real numbers.
pub(crate) fn to_bytes(shape: &[usize], numbers: &[f32]) -> Vec<u8> {
    let dims: Vec<String> = shape.iter().map(|dim| format!("{dim},")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", dims.join(" "));
    let before = MAGIC.len() + 4;
    let length = (before + header.len() + 1).next_multiple_of(ALIGNMENT) - before;
    header.push_str(&" ".repeat(length - header.len() - 1));
    header.push('\n');
    let mut bytes = Vec::with_capacity(before + length + size_of_val(numbers));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    // A shape of a few dimensions stays far below 65,536 characters.
    bytes.extend_from_slice(&(length as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn what_is_written_is_read() {
        for shape in [vec![3], vec![1, 3], vec![3, 1, 1, 1], vec![0, 3]] {
            let numbers = vec![1.5; shape.iter().product()];
            let bytes = to_bytes(&shape, &numbers);
            assert_eq!((bytes.len() - 4 * numbers.len()) % ALIGNMENT, 0);
            assert_eq!(parse(&bytes), Ok(Array { shape, numbers: Numbers::F32(numbers) }));
        }
    }

    #[test]
    fn other_spellings_are_read() {
        let big = file("{'shape': (1,), 'fortran_order': False, 'descr': '>f4'}", &2.5_f32.to_be_bytes());
        assert_eq!(parse(&big).unwrap().numbers, Numbers::F32(vec![2.5]));
        let bytes = file("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1)}", &[7, 255]);
        assert_eq!(parse(&bytes), Ok(Array { shape: vec![2, 1], numbers: Numbers::U8(vec![7, 255]) }));
    }

    #[test]
    fn each_way_to_be_wrong() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
        let length = |announced, found| NpyError::Length { announced, found };
        let cases = [
            (b"PK\x03\x04".to_vec(), NpyError::Magic),
            (MAGIC.to_vec(), NpyError::Truncated),
            ([MAGIC, &[1, 0, 9]].concat(), NpyError::Truncated),
            ([MAGIC, &[1, 0, 9, 0, b'{']].concat(), NpyError::Truncated),
            ([MAGIC, &[9, 0, 0, 0, 0, 0]].concat(), NpyError::Header("version")),
            (file("{'shape': (2,)}", &[]), NpyError::Header("descr")),
            (file(&good.replace("(2,)", "(-2,)"), &[]), NpyError::Header("shape")),
            (file(&good.replace("(2,)", "2"), &[]), NpyError::Header("shape")),
            (file(&good.replace("<f4", "<f8"), &[]), NpyError::DType("<f8".into())),
            (file(&good.replace("False", "True").replace("(2,)", "(2, 1)"), &[0; 8]), NpyError::Fortran),
            (file(good, &[0; 7]), length(vec![2], 7)),
            (file(&good.replace("(2,)", "(4294967296, 4294967296)"), &[]), length(vec![1 << 32, 1 << 32], 0)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(parse(&bytes), Err(expected));
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = to_bytes(&[2, 3], &[1.0; 6]);
        assert!((0..bytes.len()).all(|n| parse(&bytes[..n]).is_err()));
    }
}
