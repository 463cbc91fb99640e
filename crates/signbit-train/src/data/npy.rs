//! NumPy's `.npy` files of numbers (NEP 1), as far as a network's input and output and labelled pictures need them.
//!
//! Layout: `\x93NUMPY`, major and minor version, the header's length (u16, from version 2 on u32, little-endian),
//! the header (a Python dictionary with `descr`, `fortran_order` and `shape`), the numbers. The file's length is
//! checked before anything of the size that the header announces is allocated.
//!
//! The ready readers do not survive a hostile header, which they parse before it can be checked: npyz 0.8 panics
//! where the product of the shape overflows, and the parser beneath it (py_literal) does not come to an end within
//! seconds on a hundred nested brackets.

const MAGIC: &[u8] = b"\x93NUMPY";
/// Where the numbers begin is a multiple of this.
const ALIGNMENT: usize = 64;

/// The numbers of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// `float32`.
    F32(Vec<f32>),
    /// `float64`.
    F64(Vec<f64>),
    /// `uint8`.
    U8(Vec<u8>),
    /// Every other integer, and bool. A `uint64` beyond the largest `i64` becomes that.
    Integers(Vec<i64>),
}

/// An array in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Outermost first.
    pub shape: Vec<usize>,
    /// The type of the numbers as the file spells it, such as `<f4`.
    pub descr: String,
    /// As many as the product of the shape.
    pub numbers: Numbers,
}

/// Bytes that are not an array of numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// Another kind of file.
    #[error("not a .npy file (they begin with \\x93NUMPY); numpy.save writes one")]
    Magic,
    /// The file ends early.
    #[error("the file ends inside of its header")]
    Truncated,
    /// A part of the header is missing or cannot be read.
    #[error("the header has no readable {0:?}")]
    Header(&'static str),
    /// Python objects, which may hold anything.
    #[error("the array holds Python objects; save one of numbers, such as numpy.asarray(x, dtype='float32')")]
    Objects,
    /// A type that is not read.
    #[error("the numbers are {0:?}, they must be float32 ('<f4'), float64 ('<f8') or integers such as uint8 ('|u1')")]
    DType(String),
    /// Columns first.
    #[error("the array is in Fortran order; save numpy.ascontiguousarray(x)")]
    Fortran,
    /// The file is longer or shorter than its header says.
    #[error("the header announces the shape {announced:?}, {found} bytes follow")]
    Length {
        /// The shape.
        announced: Vec<usize>,
        /// Bytes behind the header.
        found: usize,
    },
}

/// Reads the bytes of a file.
///
/// # Errors
/// Where they are no array of real numbers, integers or truth values in C order. What is allocated is at most eight
/// times as large as the file.
pub fn parse(bytes: &[u8]) -> Result<Array, NpyError> {
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
    let quoted = descr.strip_prefix('\'').and_then(|d| d.split('\'').next());
    let shortened = || quoted.unwrap_or(header).chars().take(40).collect();
    let shape = shape(value(header, "shape")?)?;
    if !value(header, "fortran_order")?.starts_with("False") && shape.len() > 1 {
        return Err(NpyError::Fortran);
    }
    let (big, kind, size) = match quoted.map(str::as_bytes) {
        Some([b'|', b'O', ..]) => return Err(NpyError::Objects),
        Some(&[order @ (b'<' | b'>' | b'|'), kind, size]) => (order == b'>', kind, size),
        Some(&[kind, size]) => (false, kind, size),
        _ => return Err(NpyError::DType(shortened())),
    };
    let bytes_each = usize::from(size.wrapping_sub(b'0'));
    let total = shape.iter().try_fold(bytes_each, |n: usize, &d| n.checked_mul(d));
    let numbers = match (kind, size) {
        (b'u', b'1') => |data: &[u8], _| Numbers::U8(data.to_vec()),
        (b'b', b'1') => |data: &[u8], _| Numbers::Integers(data.iter().map(|&b| b.into()).collect()),
        (b'i', b'1') => |data: &[u8], _| Numbers::Integers(data.iter().map(|&b| (b as i8).into()).collect()),
        (b'i', b'2') => |data: &[u8], big| Numbers::Integers(each(data, big, |b| i16::from_le_bytes(b).into())),
        (b'u', b'2') => |data: &[u8], big| Numbers::Integers(each(data, big, |b| u16::from_le_bytes(b).into())),
        (b'i', b'4') => |data: &[u8], big| Numbers::Integers(each(data, big, |b| i32::from_le_bytes(b).into())),
        (b'u', b'4') => |data: &[u8], big| Numbers::Integers(each(data, big, |b| u32::from_le_bytes(b).into())),
        (b'i', b'8') => |data: &[u8], big| Numbers::Integers(each(data, big, i64::from_le_bytes)),
        (b'u', b'8') => |data: &[u8], big| {
            Numbers::Integers(each(data, big, |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX)))
        },
        (b'f', b'4') => |data: &[u8], big| Numbers::F32(each(data, big, f32::from_le_bytes)),
        (b'f', b'8') => |data: &[u8], big| Numbers::F64(each(data, big, f64::from_le_bytes)),
        _ => return Err(NpyError::DType(shortened())),
    };
    if total != Some(data.len()) {
        return Err(NpyError::Length { announced: shape, found: data.len() });
    }
    Ok(Array { shape, descr: shortened(), numbers: numbers(data, big) })
}

/// The numbers of `N` bytes each, given least significant byte first.
fn each<const N: usize, T>(data: &[u8], big: bool, number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let little = |bytes: &[u8; N]| {
        let mut bytes = *bytes;
        if big {
            bytes.reverse();
        }
        number(bytes)
    };
    data.as_chunks::<N>().0.iter().map(little).collect()
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
pub fn to_bytes(shape: &[usize], numbers: &[f32]) -> Vec<u8> {
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
            let descr = "<f4".into();
            assert_eq!(parse(&bytes), Ok(Array { shape, descr, numbers: Numbers::F32(numbers) }));
        }
    }

    #[test]
    fn other_spellings_are_read() {
        let big = file("{'shape': (1,), 'fortran_order': False, 'descr': '>f4'}", &2.5_f32.to_be_bytes());
        assert_eq!(parse(&big).unwrap().numbers, Numbers::F32(vec![2.5]));
        let bytes = file("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1)}", &[7, 255]);
        let numbers = Numbers::U8(vec![7, 255]);
        assert_eq!(parse(&bytes), Ok(Array { shape: vec![2, 1], descr: "|u1".into(), numbers }));
    }

    #[test]
    fn every_type_of_number() {
        let of = |descr: &str, data: &[u8]| {
            let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}");
            parse(&file(&header, data)).unwrap().numbers
        };
        let cases = [
            ("|b1", vec![1], 1),
            ("|i1", vec![0xfe], -2),
            ("<i2", (-2_i16).to_le_bytes().to_vec(), -2),
            (">u2", 65_534_u16.to_be_bytes().to_vec(), 65_534),
            ("<i4", (-3_i32).to_le_bytes().to_vec(), -3),
            ("<u4", u32::MAX.to_le_bytes().to_vec(), 4_294_967_295),
            (">i8", (-4_i64).to_be_bytes().to_vec(), -4),
            ("<u8", u64::MAX.to_le_bytes().to_vec(), i64::MAX),
        ];
        for (descr, data, expected) in cases {
            assert_eq!(of(descr, &data), Numbers::Integers(vec![expected]), "{descr}");
        }
        assert_eq!(of("<f8", &1.5_f64.to_le_bytes()), Numbers::F64(vec![1.5]));
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
            (file(&good.replace("<f4", "<c8"), &[]), NpyError::DType("<c8".into())),
            (file(&good.replace("<f4", "<f2"), &[]), NpyError::DType("<f2".into())),
            (file(&good.replace("<f4", "<U10"), &[]), NpyError::DType("<U10".into())),
            (file(&good.replace("<f4", "|O"), &[]), NpyError::Objects),
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
