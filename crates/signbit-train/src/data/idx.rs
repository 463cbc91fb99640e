//! The IDX format of MNIST: magic `00 00 08 rank`, one big-endian u32 per dimension, then bytes; plain or gzipped.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use signbit_model::Shape;

use super::{DataError, DataSet, MAX_BYTES, Pictures, STRETCH, numbered};

/// Bytes with dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// Outermost first.
    pub dims: Vec<usize>,
    /// As many as the product of the dimensions.
    pub bytes: Vec<u8>,
}

/// Reads an IDX file of bytes; gzip is recognised by its magic.
///
/// # Errors
/// Where the file cannot be read or is not IDX.
pub fn read_idx(path: &Path) -> Result<Idx, DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let gzip = file.fill_buf().map_err(io)?.starts_with(&GZIP);
    if gzip { read(path, GzDecoder::new(file)) } else { read(path, file) }
}

/// First bytes of a gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Parses an IDX file, gzipped or not; `path` is for messages.
///
/// # Errors
/// Where it is not IDX of bytes, or its length does not fit its header.
pub fn parse_idx(path: &Path, bytes: &[u8]) -> Result<Idx, DataError> {
    if bytes.starts_with(&GZIP) { read(path, GzDecoder::new(bytes)) } else { read(path, bytes) }
}

/// Reads the header, then as many bytes as it announces and one more, so that a longer file is noticed.
fn read(path: &Path, mut source: impl Read) -> Result<Idx, DataError> {
    let wrong = |reason: String| DataError::Format { path: path.into(), reason };
    let broken = |e: std::io::Error| match e.kind() {
        ErrorKind::UnexpectedEof => wrong("the file ends inside its header".into()),
        ErrorKind::InvalidInput | ErrorKind::InvalidData => wrong(format!("the gzip stream is damaged: {e}")),
        _ => DataError::Io { path: path.into(), source: e },
    };
    let mut magic = [0; 4];
    source.read_exact(&mut magic).map_err(broken)?;
    let rank = match magic {
        [0, 0, 8, rank @ 1..=4] => usize::from(rank),
        [0, 0, 8, _] => return Err(wrong("an IDX file has 1 to 4 dimensions".into())),
        [0, 0, ..] => return Err(wrong("an IDX file of bytes was expected, this one has another type".into())),
        _ => return Err(wrong("this is not an IDX file (they begin with 00 00 08)".into())),
    };
    let mut dims = Vec::new();
    for _ in 0..rank {
        let mut dim = [0; 4];
        source.read_exact(&mut dim).map_err(broken)?;
        dims.push(u32::from_be_bytes(dim) as usize);
    }
    let total = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= MAX_BYTES);
    let total = total.ok_or_else(|| wrong(format!("the header announces {dims:?} bytes, more than {MAX_BYTES}")))?;
    let mut bytes = Vec::new();
    source.take(total as u64 + 1).read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() != total {
        let found = if bytes.len() > total { "more follow".into() } else { format!("{} follow", bytes.len()) };
        return Err(wrong(format!("the header announces {dims:?} bytes, {found}")));
    }
    Ok(Idx { dims, bytes })
}

/// Pictures from an IDX file of rank 3 (grey) or 4 (`[n, h, w, c]`) and one of labels.
pub(super) fn pictures(path: &Path, images: Idx, labels: Idx) -> Result<Pictures, DataError> {
    let wrong = |reason: String| DataError::Format { path: path.into(), reason };
    let (n, shape) = match images.dims[..] {
        [n, h, w] => (n, Shape::new(h, w, 1)),
        [n, h, w, c @ (1 | 3)] => (n, Shape::new(h, w, c)),
        _ => return Err(wrong(format!("pictures need dimensions [n, height, width], not {:?}", images.dims))),
    };
    if labels.dims != [n] {
        return Err(wrong(format!("{n} pictures, but labels of dimensions {:?}", labels.dims)));
    }
    if n == 0 || shape.elements() == 0 {
        return Err(wrong("there are no pictures".into()));
    }
    Ok(Pictures { shape, pixels: images.bytes, labels: labels.bytes.into_iter().map(u32::from).collect() })
}

/// Whether the folder has files with names like MNIST's.
pub(super) fn is_here(folder: &Path) -> bool {
    let named = |part| find(folder, part).is_ok();
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
        .into_iter()
        .any(named)
}

/// A folder with the four files of MNIST, plain or `.gz`.
pub(super) fn load_folder(name: &str, folder: &Path, classes: Option<Vec<String>>) -> Result<DataSet, DataError> {
    let train = load_pair(folder, "train")?;
    let test = load_pair(folder, "t10k")?;
    let wrong = |reason: String| DataError::Format { path: folder.into(), reason };
    if train.shape != test.shape {
        return Err(wrong(format!("training pictures are {}, test pictures {}", train.shape, test.shape)));
    }
    let used = train.labels.iter().chain(&test.labels).max().map_or(0, |m| m + 1);
    let named = classes.is_some();
    let classes = classes.unwrap_or_else(|| numbered(used));
    if (used as usize) > classes.len() {
        return Err(wrong(format!("there is a label {}, but only {} classes", used - 1, classes.len())));
    }
    Ok(DataSet { name: name.into(), classes, named, train, test, resize: STRETCH })
}

fn load_pair(folder: &Path, part: &str) -> Result<Pictures, DataError> {
    let images = find(folder, &format!("{part}-images-idx3-ubyte"))?;
    let labels = find(folder, &format!("{part}-labels-idx1-ubyte"))?;
    pictures(&images, read_idx(&images)?, read_idx(&labels)?)
}

/// `folder/stem`, `folder/stem.gz`, or the names with a dot that some archives have.
fn find(folder: &Path, stem: &str) -> Result<PathBuf, DataError> {
    let dotted = stem.replace("-idx", ".idx");
    let candidates = [stem.to_string(), format!("{stem}.gz"), dotted.clone(), format!("{dotted}.gz")];
    candidates.iter().map(|name| folder.join(name)).find(|path| path.is_file()).ok_or_else(|| DataError::Format {
        path: folder.into(),
        reason: format!("the folder has no {stem} (or {stem}.gz); an IDX data set has four such files"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    #[test]
    fn plain_and_gzipped_files() {
        let plain = file(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&plain).unwrap();
        for bytes in [plain, encoder.finish().unwrap()] {
            let idx = parse_idx(Path::new("x"), &bytes).unwrap();
            assert_eq!((idx.dims, idx.bytes), (vec![2, 3], vec![1, 2, 3, 4, 5, 6]));
        }
    }

    #[test]
    fn each_way_to_be_wrong_has_its_message() {
        let cases = [
            (b"P5 28 28".to_vec(), "not an IDX file"),
            (vec![], "ends inside its header"),
            (vec![0, 0, 13, 1, 0, 0, 0, 0], "another type"),
            (vec![0, 0, 8, 9], "1 to 4 dimensions"),
            (vec![0, 0, 8, 2, 0, 0], "ends inside its header"),
            (file(&[2, 3], &[1, 2, 3]), "3 follow"),
            (file(&[2, 3], &[0; 7]), "more follow"),
            (file(&[u32::MAX, u32::MAX, u32::MAX], &[]), "more than"),
            (file(&[u32::MAX], &[]), "0 follow"),
            (vec![0x1f, 0x8b, 8, 0, 1, 2, 0, 0, 0, 0, 7, 7, 7], "gzip stream is damaged"),
        ];
        for (bytes, expected) in cases {
            let message = parse_idx(Path::new("x"), &bytes).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }

    #[test]
    fn pictures_and_labels_must_fit() {
        let images = |dims: &[usize]| Idx { dims: dims.into(), bytes: vec![0; dims.iter().product()] };
        let cases = [
            (images(&[2, 2]), 2, "need dimensions"),
            (images(&[2, 2, 2]), 3, "labels of"),
            (images(&[0, 2, 2]), 0, "no pictures"),
        ];
        for (pictures_of, labels, expected) in cases {
            let message = pictures(Path::new("x"), pictures_of, images(&[labels])).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
}
