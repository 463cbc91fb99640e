//! 1,797 handwritten digits of 8x8 pixels inside the crate (`digits/README.md` has the source and the licence).

use std::path::Path;

use super::{DataError, DataSet, STRETCH, idx, numbered};

const IMAGES: &[u8] = include_bytes!("digits/images.idx3.gz");
const LABELS: &[u8] = include_bytes!("digits/labels.idx1.gz");
/// Every fifth picture is for the test.
const TEST_EVERY: usize = 5;

/// 1,438 pictures for training, 359 for the test.
pub(super) fn load() -> Result<DataSet, DataError> {
    let images = idx::parse_idx(Path::new("digits/images.idx3.gz"), IMAGES)?;
    let labels = idx::parse_idx(Path::new("digits/labels.idx1.gz"), LABELS)?;
    let all = idx::pictures(Path::new("digits"), images, labels)?;
    let part = |test: bool| {
        let chosen: Vec<usize> = (0..all.len()).filter(|i| (i % TEST_EVERY == TEST_EVERY - 1) == test).collect();
        all.chosen(&chosen)
    };
    Ok(DataSet {
        name: "digits".into(),
        classes: numbered(10),
        named: true,
        train: part(false),
        test: part(true),
        resize: STRETCH,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_inside_the_crate() {
        let data = load().unwrap();
        assert_eq!((data.train.len(), data.test.len()), (1438, 359));
        assert_eq!((data.train.shape.h, data.train.shape.w, data.train.shape.c), (8, 8, 1));
        let of_class = |c| data.train.labels.iter().chain(&data.test.labels).filter(|&&l| l == c).count();
        assert_eq!((0..10).map(of_class).collect::<Vec<_>>(), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!(data.train.pixels.iter().max(), Some(&255));
    }
}
