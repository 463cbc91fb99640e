//! CIFAR-10 as sheets of PNG, each row of pixels one picture of 32 x 32, with the labels in a JSON list beside them:
//! turned into the official binary layout, a label and the red, green and blue planes of each picture.

use std::io::Cursor;

use image::{ImageFormat, ImageReader, Limits};

/// The sheets, the files of the official layout that they hold, and the file and place of their labels.
pub(super) const SHEETS: [(&str, &str, &str, usize); 6] = [
    ("data_batch_1.png", "data_batch_1.bin", TRAINING_LABELS, 0),
    ("data_batch_2.png", "data_batch_2.bin", TRAINING_LABELS, ROWS),
    ("data_batch_3.png", "data_batch_3.bin", TRAINING_LABELS, 2 * ROWS),
    ("data_batch_4.png", "data_batch_4.bin", TRAINING_LABELS, 3 * ROWS),
    ("data_batch_5.png", "data_batch_5.bin", TRAINING_LABELS, 4 * ROWS),
    ("test_batch.png", "test_batch.bin", TEST_LABELS, 0),
];

/// The files of labels; their makers spell them so.
pub(super) const TRAINING_LABELS: &str = "train_lables.json";
pub(super) const TEST_LABELS: &str = "test_lables.json";

/// Pictures of a sheet.
pub(super) const ROWS: usize = 10_000;

/// Pixels of a picture.
const PIXELS: usize = 32 * 32;

/// The labels of a JSON list.
pub(super) fn labels(json: &[u8]) -> Result<Vec<u8>, String> {
    serde_json::from_slice(json).map_err(|error| format!("is not a JSON list of labels: {error}"))
}

/// A sheet with one row per label as bytes of the official layout.
pub(super) fn batch(png: &[u8], labels: &[u8]) -> Result<Vec<u8>, String> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(PIXELS as u32);
    limits.max_image_height = Some(labels.len() as u32);
    let mut reader = ImageReader::with_format(Cursor::new(png), ImageFormat::Png);
    reader.limits(limits);
    let sheet = reader.decode().map_err(|error| format!("cannot be read as PNG: {error}"))?.into_rgb8();
    if sheet.dimensions() != (PIXELS as u32, labels.len() as u32) {
        let (width, height) = sheet.dimensions();
        return Err(format!("is {width} x {height} pixels, not {PIXELS} x {}", labels.len()));
    }
    let mut bytes = Vec::with_capacity(labels.len() * (1 + 3 * PIXELS));
    for (picture, &label) in sheet.as_raw().chunks_exact(3 * PIXELS).zip(labels) {
        bytes.push(label);
        for channel in 0..3 {
            bytes.extend(picture.iter().skip(channel).step_by(3));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let sheet = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 7]));
        let mut png = Cursor::new(Vec::new());
        sheet.write_to(&mut png, ImageFormat::Png).unwrap();
        png.into_inner()
    }

    #[test]
    fn a_row_becomes_a_label_and_three_planes() {
        let bytes = batch(&png(1024, 2), &[9, 4]).unwrap();
        assert_eq!(bytes.len(), 2 * 3073);
        let (first, second) = bytes.split_at(3073);
        assert_eq!((first[0], second[0]), (9, 4));
        assert!((0..1024).all(|x| second[1 + x] == x as u8 && second[1025 + x] == 1 && second[2049 + x] == 7));
    }

    #[test]
    fn other_sizes_are_refused() {
        for (png, labels) in [(png(1024, 1), 2), (png(1024, 3), 2), (png(1023, 2), 2), (b"GIF89a".to_vec(), 1)] {
            assert!(batch(&png, &vec![0; labels]).is_err());
        }
        assert!(labels(b"[1,256]").is_err() && labels(b"{}").is_err());
        assert_eq!(labels(b"[1,2]").unwrap(), [1, 2]);
    }
}
