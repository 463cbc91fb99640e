//! NumPy's `.npz`: a zip archive of arrays. `x_train`, `y_train`, `x_test` and `y_test`, or one pair of pictures and
//! labels that is split.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use signbit_model::Shape;
use zip::ZipArchive;
use zip::result::ZipError;

use super::npy::{self, Array, Numbers};
use super::{DataError, DataOptions, DataSet, MAX_BYTES, MAX_CLASSES, Pictures, STRETCH, numbered, split};

/// Names of the arrays where training and test part are apart.
const PARTS: [[&str; 2]; 2] = [["x_train", "y_train"], ["x_test", "y_test"]];
/// Names of pictures and labels where they are not; `arr_0` and `arr_1` are `numpy.savez`'s own.
const PAIRS: [[&str; 2]; 4] = [["x", "y"], ["images", "labels"], ["data", "labels"], ["arr_0", "arr_1"]];

/// A `.npz` file.
pub(super) fn load(name: &str, path: &Path, options: &DataOptions) -> Result<DataSet, DataError> {
    let file = File::open(path).map_err(|source| DataError::Io { path: path.into(), source })?;
    read(name, path, BufReader::new(file), options)
}

/// Parses the bytes of a `.npz` file; `path` is for messages and the name.
///
/// # Errors
/// Where an array is missing or wrong, or the arrays do not fit each other.
pub fn parse_npz(path: &Path, bytes: &[u8], options: &DataOptions) -> Result<DataSet, DataError> {
    read(&path.display().to_string(), path, Cursor::new(bytes), options)
}

fn read(name: &str, path: &Path, source: impl Read + Seek, options: &DataOptions) -> Result<DataSet, DataError> {
    options.validate()?;
    let wrong = |reason: String| DataError::format(path, reason);
    let mut archive = ZipArchive::new(source).map_err(|e| wrong(format!("not a whole .npz file: {e}")))?;
    let has = |pair: &[&str; 2]| pair.iter().all(|name| archive.index_for_name(&format!("{name}.npy")).is_some());
    let pairs: Vec<[&str; 2]> = match PARTS.iter().all(has) {
        true => PARTS.to_vec(),
        false => PAIRS.into_iter().find(has).into_iter().collect(),
    };
    if pairs.is_empty() {
        let found: Vec<_> = archive.file_names().filter_map(Result::ok).take(8).map(|n| format!("{n:?}")).collect();
        let found = if found.is_empty() { "nothing".into() } else { found.join(", ") };
        let wanted = "x_train, y_train, x_test and y_test, or x and y (images and labels, arr_0 and arr_1)";
        return Err(wrong(format!("the arrays must be {wanted}; it holds {found}")));
    }
    let mut parts = Vec::new();
    for [x, y] in pairs {
        let of = |name: &str, reason: String| wrong(format!("{name}: {reason}"));
        let mut read = |name| array(&mut archive, name, MAX_BYTES).map(|(array, _)| array);
        let labels = read(y).and_then(labels).map_err(|reason| of(y, reason))?;
        let images = read(x).and_then(Images::new).map_err(|reason| of(x, reason))?;
        if images.n != labels.len() {
            return Err(wrong(format!("{x} has {} pictures, {y} {} labels", images.n, labels.len())));
        }
        parts.push((images, labels));
    }
    // One scale for both parts: a dark test part alone could look like pixels of 0 to 1.
    let largest = parts.iter().map(|(images, _)| images.largest).fold(0.0, f64::max);
    let pictures = parts.into_iter().map(|(i, labels)| Pictures { shape: i.shape, pixels: i.bytes(largest), labels });
    let pictures: Vec<Pictures> = pictures.collect();
    if let [train, test] = &pictures[..]
        && train.shape != test.shape
    {
        return Err(wrong(format!("training pictures are {}, test pictures {}", train.shape, test.shape)));
    }
    let classes = pictures.iter().flat_map(|p| &p.labels).max().map_or(0, |&most| most as usize + 1);
    let n = pictures[0].len();
    if classes < 2 || classes > n {
        let range = format!("from 2 classes to as many as there are pictures ({n})");
        return Err(wrong(format!("the labels make {classes} classes; they must count from 0, {range}")));
    }
    let [train, test] = match <[Pictures; 2]>::try_from(pictures) {
        Ok(parts) => parts,
        Err(all) => {
            let split = split::stratified(&all[0].labels, classes, options).map_err(|class| {
                wrong(format!("class {class} has 1 picture, which cannot be split into training and test; give 2"))
            })?;
            [all[0].chosen(&split.train), all[0].chosen(&split.test)]
        }
    };
    Ok(DataSet { name: name.into(), classes: numbered(classes as u32), named: false, train, test, resize: STRETCH })
}

/// The arrays `arr_0`, `arr_1` ... of a `.npz` file's bytes, as `numpy.savez` numbers them.
///
/// # Errors
/// Where the archive or an array is damaged, or all arrays together have more than `most` bytes; `path` is for messages.
pub fn numbered_arrays(path: &Path, bytes: &[u8], most: usize) -> Result<Vec<Array>, DataError> {
    let wrong = |reason: String| DataError::format(path, reason);
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| wrong(format!("not a whole .npz file: {e}")))?;
    let mut left = most;
    let mut arrays = Vec::new();
    for name in (0..).map(|i| format!("arr_{i}")) {
        if archive.index_for_name(&format!("{name}.npy")).is_none() {
            break;
        }
        let (array, size) = array(&mut archive, &name, left).map_err(|reason| wrong(format!("{name}: {reason}")))?;
        left -= size;
        arrays.push(array);
    }
    Ok(arrays)
}

/// One array of the archive of at most so many bytes, and how many it had.
fn array(archive: &mut ZipArchive<impl Read + Seek>, name: &str, most: usize) -> Result<(Array, usize), String> {
    let damaged = |e: &dyn std::fmt::Display| format!("the archive is damaged: {e}");
    let entry = archive.by_name(&format!("{name}.npy")).map_err(|e| match e {
        ZipError::CompressionMethodNotSupported(_) => "its compression is unknown; use numpy.savez_compressed".into(),
        e => damaged(&e),
    })?;
    let mut bytes = Vec::new();
    entry.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|e| damaged(&e))?;
    if bytes.len() > most {
        return Err(format!("the array has more than {most} bytes"));
    }
    npy::parse(&bytes).map(|array| (array, bytes.len())).map_err(|e| e.to_string())
}

fn labels(array: Array) -> Result<Vec<u32>, String> {
    if !matches!(array.shape[..], [_] | [_, 1]) {
        let one_hot = "; of one-hot ones, numpy.argmax(y, axis=1)";
        return Err(format!("labels have the shape [n] or [n, 1], not {:?}{one_hot}", array.shape));
    }
    let numbers = match array.numbers {
        Numbers::U8(labels) => return Ok(labels.into_iter().map(u32::from).collect()),
        Numbers::Integers(labels) => labels,
        Numbers::F32(_) | Numbers::F64(_) => {
            return Err(format!("labels are integers, not {:?}; y.astype('int64') makes them so", array.descr));
        }
    };
    let label = |(i, &label): (usize, &i64)| match u32::try_from(label) {
        Ok(label) if (label as usize) < MAX_CLASSES => Ok(label),
        _ => Err(format!("label {i} is {label}; labels are 0 to {}", MAX_CLASSES - 1)),
    };
    numbers.iter().enumerate().map(label).collect()
}

/// Pictures whose scale is not known yet.
struct Images {
    n: usize,
    shape: Shape,
    numbers: Numbers,
    largest: f64,
}

impl Images {
    fn new(array: Array) -> Result<Self, String> {
        let (n, shape) = match array.shape[..] {
            [n, h, w] => (n, Shape::new(h, w, 1)),
            [n, h, w, c @ (1 | 3)] => (n, Shape::new(h, w, c)),
            [_, 1 | 3, _, _] => return Err("channels come first; numpy.moveaxis(x, 1, -1) puts them last".into()),
            _ => return Err(format!("pictures have the shape [n, h, w] or [n, h, w, 1 or 3], not {:?}", array.shape)),
        };
        if n == 0 || shape.elements() == 0 {
            return Err(format!("there are no pictures in the shape {:?}", array.shape));
        }
        let largest = match &array.numbers {
            Numbers::U8(_) => 255.0,
            Numbers::Integers(numbers) => largest(numbers.iter().map(|&x| x as f64))?.max(2.0),
            Numbers::F32(numbers) => largest(numbers.iter().map(|&x| x.into()))?,
            Numbers::F64(numbers) => largest(numbers.iter().copied())?,
        };
        Ok(Self { n, shape, numbers: array.numbers, largest })
    }

    /// 0 to 255, from numbers of 0 to 1 where `largest`, the largest of all parts, is at most 1.
    fn bytes(self, largest: f64) -> Vec<u8> {
        let scale = if largest <= 1.0 { 255.0 } else { 1.0 };
        // The numbers are within 0 and 255: checked before.
        match self.numbers {
            Numbers::U8(bytes) => bytes,
            Numbers::Integers(numbers) => numbers.into_iter().map(|x| x as u8).collect(),
            Numbers::F32(numbers) => numbers.into_iter().map(|x| (f64::from(x) * scale).round() as u8).collect(),
            Numbers::F64(numbers) => numbers.into_iter().map(|x| (x * scale).round() as u8).collect(),
        }
    }
}

/// The largest of pixels, all of which must be within 0 and 255.
fn largest(mut pixels: impl Iterator<Item = f64>) -> Result<f64, String> {
    pixels.try_fold(0.0, |most: f64, x| match x {
        0.0..=255.0 => Ok(most.max(x)),
        _ => Err(format!("a pixel is {x}; pixels are 0 to 255, or 0 to 1")),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    type Arrays = Vec<(&'static str, Vec<u8>)>;

    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn parsed(arrays: &[(&str, Vec<u8>)]) -> Result<DataSet, String> {
        parse_npz(Path::new("x.npz"), &npz(arrays), &DataOptions::default()).map_err(|e| e.to_string())
    }

    fn f32s(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    #[test]
    fn four_arrays_are_two_parts() {
        let labels = [0_i64, 1, 1].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let data = parsed(&[
            ("x_train", npy("<f4", "3, 1, 2", &f32s(&[0.0, 1.0, 0.5, 0.25, 0.0, 0.1]))),
            ("y_train", npy("<i8", "3, 1", &labels)),
            ("x_test", npy("<f4", "1, 1, 2, 1", &f32s(&[0.2, 0.0]))),
            ("y_test", npy("|u1", "1,", &[1])),
        ])
        .unwrap();
        assert_eq!((data.train.pixels, data.train.labels), (vec![0, 255, 128, 64, 0, 26], vec![0, 1, 1]));
        assert_eq!((data.test.pixels, data.test.labels, data.classes.len()), (vec![51, 0], vec![1], 2));
    }

    #[test]
    fn one_pair_is_split() {
        for names in PAIRS {
            let arrays = [(names[0], npy("|u1", "4, 1, 1, 3", &[9; 12])), (names[1], npy("|b1", "4,", &[0, 1, 1, 0]))];
            let data = parsed(&arrays).unwrap();
            assert_eq!((data.train.len(), data.test.len(), data.train.shape.c), (2, 2, 3), "{names:?}");
        }
    }

    #[test]
    fn each_scale_of_pixels() {
        let of = |descr: &str, data: Vec<u8>| {
            let arrays = [("x", npy(descr, "4, 1, 1", &data)), ("y", npy("|u1", "4,", &[0, 1, 0, 1]))];
            let data = parsed(&arrays).unwrap();
            let mut all = [data.train.pixels, data.test.pixels].concat();
            all.sort_unstable();
            all
        };
        assert_eq!(of("<f4", f32s(&[0.0, 0.4, 1.0, 0.2])), [0, 51, 102, 255]);
        assert_eq!(of("<f4", f32s(&[0.0, 0.4, 2.6, 255.0])), [0, 0, 3, 255]);
        assert_eq!(
            of("<f8", [0.0_f64, 1.0, 254.4, 7.0].iter().flat_map(|x| x.to_le_bytes()).collect()),
            [0, 1, 7, 254]
        );
        assert_eq!(of("<i2", [0_i16, 1, 1, 0].iter().flat_map(|x| x.to_le_bytes()).collect()), [0, 0, 1, 1]);
    }

    #[test]
    fn each_way_to_be_wrong_has_its_message() {
        let x = |numbers: &[f32]| ("x", npy("<f4", "4, 1, 1", &f32s(numbers)));
        let y = |labels: &[u8]| ("y", npy("|i1", &format!("{},", labels.len()), labels));
        let (good_x, good_y) = (x(&[0.0; 4]), y(&[0, 1, 0, 1]));
        let cases: Vec<(Arrays, &str)> = vec![
            (vec![], "it holds nothing"),
            (vec![("weights", vec![])], "it holds \"weights.npy\""),
            (vec![good_x.clone()], "it holds \"x.npy\""),
            (vec![x(&[0.0, f32::NAN, 0.0, 0.0]), good_y.clone()], "x: a pixel is NaN"),
            (vec![x(&[0.0, f32::INFINITY, 0.0, 0.0]), good_y.clone()], "a pixel is inf"),
            (vec![x(&[0.0, -0.5, 0.0, 0.0]), good_y.clone()], "a pixel is -0.5"),
            (vec![x(&[0.0, 256.0, 0.0, 0.0]), good_y.clone()], "a pixel is 256"),
            (vec![good_x.clone(), y(&[0, 1, 0])], "x has 4 pictures, y 3 labels"),
            (vec![good_x.clone(), y(&[0, 1, 0, 0xff])], "y: label 3 is -1"),
            (vec![good_x.clone(), y(&[0, 1, 0, 100])], "101 classes"),
            (vec![good_x.clone(), y(&[0; 4])], "1 classes"),
            (vec![good_x.clone(), y(&[0, 1, 0, 0])], "class 1 has 1 picture"),
            (vec![good_x.clone(), ("y", npy("<u4", "1,", &u32::MAX.to_le_bytes()))], "label 0 is 4294967295"),
            (vec![good_x.clone(), ("y", npy("<f4", "4,", &f32s(&[0.0; 4])))], "labels are integers"),
            (vec![good_x.clone(), ("y", npy("|u1", "4, 10", &[0; 40]))], "argmax"),
            (vec![good_x.clone(), ("y", npy("|O", "4,", &[0; 40]))], "y: the array holds Python objects"),
            (vec![("x", npy("|u1", "4, 3, 8, 8", &[0; 768])), good_y.clone()], "channels come first"),
            (vec![("x", npy("|u1", "4, 64", &[0; 256])), good_y.clone()], "pictures have the shape"),
            (vec![("x", npy("|u1", "0, 8, 8", &[])), good_y.clone()], "no pictures"),
            (vec![("x", npy("|u1", "4, 4294967296, 4294967296", &[])), good_y.clone()], "0 bytes follow"),
            (vec![("x", b"text".to_vec()), good_y], "not a .npy file"),
        ];
        for (arrays, expected) in cases {
            let message = parsed(&arrays).unwrap_err();
            assert!(message.starts_with("x.npz: ") && message.contains(expected), "{expected}: {message}");
        }
    }

    #[test]
    fn damaged_archives() {
        let whole = npz(&[("x", npy("|u1", "4, 1, 1", &[1; 4])), ("y", npy("|u1", "4,", &[0, 1, 0, 1]))]);
        let parse = |bytes: &[u8]| parse_npz(Path::new("x"), bytes, &DataOptions::default());
        assert!(parse(&whole).is_ok());
        assert!((0..whole.len()).all(|n| parse(&whole[..n]).is_err()));
        assert!(parse(b"no archive").unwrap_err().to_string().contains("not a whole .npz file"));
    }
}
