//! CIFAR-10 in its binary version (Krizhevsky 2009): per record one byte of label, then the 32x32 pixels, first all of
//! red, then green, then blue.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use signbit_model::Shape;

use super::{DataError, DataSet, MAX_BYTES, Pictures, STRETCH};

const SHAPE: Shape = Shape::new(32, 32, 3);
const PLANE: usize = 32 * 32;
const RECORD: usize = 1 + 3 * PLANE;
/// The folder inside of the archive.
const INSIDE: &str = "cifar-10-batches-bin";
const TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST: &str = "test_batch.bin";
/// Names of the classes, one a line.
const NAMES_FILE: &str = "batches.meta.txt";
const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Whether the folder has any of the files.
pub(super) fn is_here(folder: &Path) -> bool {
    folder.join(INSIDE).is_dir() || TRAIN.iter().chain([&TEST]).any(|name| folder.join(name).is_file())
}

/// A folder with the six files, or with the archive's folder in it.
pub(super) fn load(name: &str, folder: &Path) -> Result<DataSet, DataError> {
    let inside = folder.join(INSIDE);
    let folder = if inside.is_dir() { inside } else { folder.to_owned() };
    let missing = TRAIN.iter().chain([&TEST]).find(|name| !folder.join(name).is_file());
    if let Some(missing) = missing {
        let reason =
            format!("the folder has no {missing}; CIFAR-10 has data_batch_1.bin to data_batch_5.bin and {TEST}");
        return Err(DataError::format(&folder, reason));
    }
    let classes = class_names(&folder.join(NAMES_FILE))?;
    let part = |files: &[&str]| -> Result<Pictures, DataError> {
        let mut all = Pictures { shape: SHAPE, pixels: Vec::new(), labels: Vec::new() };
        for name in files {
            let path = folder.join(name);
            let Pictures { pixels, labels, .. } = parse_records(&path, &read(&path)?)?;
            all.pixels.extend(pixels);
            all.labels.extend(labels);
        }
        Ok(all)
    };
    Ok(DataSet { name: name.into(), classes, named: true, train: part(&TRAIN)?, test: part(&[TEST])?, resize: STRETCH })
}

fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MAX_BYTES as u64 / 6).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Parses the records of one file into NHWC; `path` is for messages.
///
/// # Errors
/// Where it is not whole records, or a label is none of the ten.
pub fn parse_records(path: &Path, bytes: &[u8]) -> Result<Pictures, DataError> {
    let wrong = |reason: String| DataError::format(path, reason);
    let (records, rest) = bytes.as_chunks::<RECORD>();
    if records.is_empty() || !rest.is_empty() {
        let reason = format!("{} bytes are not whole records of {RECORD} bytes (1 label and 32x32x3)", bytes.len());
        return Err(wrong(reason));
    }
    let mut pixels = Vec::with_capacity(records.len() * 3 * PLANE);
    for (i, record) in records.iter().enumerate() {
        if usize::from(record[0]) >= CLASSES.len() {
            return Err(wrong(format!("record {i} has the label {}, CIFAR-10 has 0 to 9", record[0])));
        }
        let planes = &record[1..];
        pixels.extend((0..PLANE).flat_map(|p| [planes[p], planes[PLANE + p], planes[2 * PLANE + p]]));
    }
    Ok(Pictures { shape: SHAPE, pixels, labels: records.iter().map(|record| record[0].into()).collect() })
}

/// The names in the file where it is there, else the ones that are known.
fn class_names(path: &PathBuf) -> Result<Vec<String>, DataError> {
    if !path.is_file() {
        return Ok(CLASSES.map(String::from).to_vec());
    }
    let text = std::fs::read_to_string(path).map_err(|source| DataError::Io { path: path.into(), source })?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect();
    if names.len() != CLASSES.len() || names.iter().any(|name| name.chars().any(char::is_control)) {
        return Err(DataError::format(path, "the file does not have the names of ten classes, one a line"));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(label: u8, rgb: [u8; 3]) -> Vec<u8> {
        let mut record = vec![label];
        rgb.iter().for_each(|&value| record.extend([value; PLANE]));
        record
    }

    #[test]
    fn planes_become_channels_last() {
        let mut bytes = [record(3, [1, 2, 3]), record(9, [4, 5, 6])].concat();
        bytes[2] = 77; // Red of the second pixel.
        let pictures = parse_records(Path::new("x"), &bytes).unwrap();
        assert_eq!((pictures.labels.as_slice(), pictures.len()), ([3, 9].as_slice(), 2));
        assert_eq!(pictures.picture(0)[..9], [1, 2, 3, 77, 2, 3, 1, 2, 3]);
        assert_eq!(pictures.picture(1)[3 * PLANE - 3..], [4, 5, 6]);
    }

    #[test]
    fn each_way_to_be_wrong() {
        let whole = record(1, [0; 3]);
        let cases =
            [(&[][..], "0 bytes are not whole"), (&whole[1..], "3072 bytes"), (&record(10, [0; 3]), "label 10")];
        for (bytes, expected) in cases {
            let message = parse_records(Path::new("x"), bytes).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_folder_with_the_six_files() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(INSIDE);
        std::fs::create_dir(&folder).unwrap();
        for (i, name) in TRAIN.iter().enumerate() {
            std::fs::write(folder.join(name), record(i as u8, [9; 3])).unwrap();
        }
        let message = load("x", root.path()).unwrap_err().to_string();
        assert!(is_here(root.path()) && message.contains("no test_batch.bin"), "{message}");
        std::fs::write(folder.join(TEST), record(7, [8; 3]).repeat(2)).unwrap();
        let data = load("x", root.path()).unwrap();
        assert_eq!(
            (data.train.labels.as_slice(), data.test.labels.as_slice()),
            ([0, 1, 2, 3, 4].as_slice(), [7, 7].as_slice())
        );
        assert_eq!((data.classes[7].as_str(), data.train.shape), ("horse", SHAPE));
        assert_eq!(load("x", &folder).unwrap(), data);
        std::fs::write(folder.join(NAMES_FILE), "a\nb\n").unwrap();
        assert!(load("x", &folder).unwrap_err().to_string().contains("ten classes"));
        std::fs::write(folder.join(NAMES_FILE), "a b c d e f g h i j\n\n".replace(' ', "\n")).unwrap();
        assert_eq!(load("x", &folder).unwrap().classes[9], "j");
    }
}
