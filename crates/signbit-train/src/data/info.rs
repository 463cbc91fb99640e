//! What a data set holds, in numbers and as a picture.

use image::{Rgb, RgbImage};
use signbit_model::Shape;

use super::{DataSet, Pictures};

/// A small picture is enlarged until a side has at least so many pixels.
const VISIBLE: usize = 48;
/// Pixels between pictures.
const GAP: usize = 2;
/// Longest side of a contact sheet.
const MAX_SIDE: usize = 8_192;
/// Between the pictures.
const PAPER: Rgb<u8> = Rgb([255; 3]);

/// The figures of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Name or path.
    pub name: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Height, width and channels of a picture.
    pub shape: Shape,
    /// Pictures of each class for training.
    pub train: Vec<usize>,
    /// Pictures of each class for the test.
    pub test: Vec<usize>,
}

impl DataSet {
    /// The figures.
    pub fn info(&self) -> Info {
        let counts = |pictures: &Pictures| {
            let mut counts = vec![0; self.classes.len()];
            pictures.labels.iter().for_each(|&label| counts[label as usize] += 1);
            counts
        };
        let (train, test) = (counts(&self.train), counts(&self.test));
        Info { name: self.name.clone(), classes: self.classes.clone(), shape: self.train.shape, train, test }
    }

    /// The first `per_class` training pictures of each class, a row per class, small ones enlarged by a whole number.
    /// What would make the sheet longer than 8,192 pixels on a side is left out; one picture always fits.
    pub fn contact_sheet(&self, per_class: usize) -> RgbImage {
        let Shape { h, w, c } = self.train.shape;
        let scale = VISIBLE.div_ceil(h.max(w).max(1));
        let (cell_h, cell_w) = (h * scale + GAP, w * scale + GAP);
        let most = |cell: usize| (MAX_SIDE / cell).max(1);
        let (rows, columns) = (self.classes.len().min(most(cell_h)), per_class.max(1).min(most(cell_w)));
        let of_class =
            |class: usize| (0..self.train.len()).filter(move |&i| self.train.labels[i] as usize == class).take(columns);
        let chosen: Vec<Vec<usize>> = (0..rows).map(|class| of_class(class).collect()).collect();
        let columns = chosen.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let (width, height) = (columns * cell_w + GAP, rows.max(1) * cell_h + GAP);
        let mut sheet = RgbImage::from_pixel(width as u32, height as u32, PAPER);
        for (row, indices) in chosen.iter().enumerate() {
            for (column, &i) in indices.iter().enumerate() {
                let picture = self.train.picture(i);
                for (y, x) in (0..h * scale).flat_map(|y| (0..w * scale).map(move |x| (y, x))) {
                    let pixel = &picture[(y / scale * w + x / scale) * c..][..c];
                    // Grey is the same in all three.
                    let colour = Rgb([pixel[0], pixel[c / 2], pixel[c - 1]]);
                    sheet.put_pixel((GAP + column * cell_w + x) as u32, (GAP + row * cell_h + y) as u32, colour);
                }
            }
        }
        sheet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::STRETCH;

    fn data(shape: Shape, labels: &[u32], classes: usize) -> DataSet {
        let pixels = (0..labels.len() * shape.elements()).map(|i| i as u8).collect();
        let train = Pictures { shape, pixels, labels: labels.into() };
        let classes = (0..classes).map(|class| class.to_string()).collect();
        DataSet { name: "x".into(), classes, test: train.clone(), train, resize: STRETCH }
    }

    #[test]
    fn pictures_are_counted_by_class() {
        let info = data(Shape::new(1, 2, 1), &[0, 2, 2], 4).info();
        assert_eq!((info.train, info.test), (vec![1, 0, 2, 0], vec![1, 0, 2, 0]));
    }

    #[test]
    fn a_row_per_class_with_enlarged_pictures() {
        let sheet = data(Shape::new(1, 2, 3), &[1, 0, 1, 1], 2).contact_sheet(2);
        // Twenty-four times as large.
        assert_eq!(sheet.dimensions(), (2 * (48 + 2) + 2, 2 * (24 + 2) + 2));
        let at = |x, y| sheet.get_pixel(x, y).0;
        assert_eq!(
            [at(0, 0), at(2, 2), at(25, 25), at(26, 2), at(49, 2)],
            [[255; 3], [6, 7, 8], [6, 7, 8], [9, 10, 11], [9, 10, 11]]
        );
        assert_eq!([at(52, 2), at(2, 28), at(52, 28)], [[255; 3], [0, 1, 2], [12, 13, 14]]);
    }

    #[test]
    fn a_sheet_stays_within_bounds() {
        let sheet = data(Shape::new(100, 100, 1), &[0; 100], 1000).contact_sheet(usize::MAX);
        assert!(sheet.width() <= 8192 && sheet.height() <= 8200, "{:?}", sheet.dimensions());
    }
}
