//! The contact sheet of a data set: a row of pictures for each class, as they are, magnified where they are small.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use signbit_train::data::{DataSet, Pictures};

use crate::failure::Failure;
use crate::files;

/// Pictures in a row.
const COLUMNS: usize = 12;

/// Rows at most: more classes than that make no picture that anybody looks at.
const ROWS: usize = 100;

/// Pixels between pictures.
const GAP: usize = 4;

/// Pictures lower than this are magnified.
const HEIGHT: usize = 64;

/// The sheet can be written where the user said.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    files::check_output(path)?;
    match path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
        true => Ok(()),
        false => Err(Failure::path(path, "the sheet is a PNG file; give a name that ends in .png")),
    }
}

/// Draws the sheet and writes it.
pub(super) fn write(data: &DataSet, path: &Path) -> Result<(), Failure> {
    let mut png = Cursor::new(Vec::new());
    draw(data).write_to(&mut png, ImageFormat::Png).map_err(|e| Failure::path(path, e))?;
    signbit_model::file::replace(path, png.get_ref())
        .map_err(|error| Failure::path(path, format!("cannot write the sheet: {error}")))
}

/// The first training pictures of each class, one row per class, in the order of the classes.
fn draw(data: &DataSet) -> RgbImage {
    let shape = data.train.shape;
    let rows = data.classes.len().min(ROWS);
    let scale = HEIGHT.div_ceil(shape.h.max(1));
    let (height, width) = (shape.h * scale + GAP, shape.w * scale + GAP);
    let size = [COLUMNS * width + GAP, rows * height + GAP].map(|n| n as u32);
    let mut sheet = RgbImage::from_pixel(size[0], size[1], Rgb([255; 3]));
    let mut drawn = vec![0; rows];
    for (i, &class) in data.train.labels.iter().enumerate() {
        let Some(column) = drawn.get_mut(class as usize).filter(|n| **n < COLUMNS) else { continue };
        paste(&mut sheet, &data.train, i, (GAP + *column * width, GAP + class as usize * height), scale);
        *column += 1;
    }
    sheet
}

/// Draws picture `i` with its upper left corner at `(x, y)`.
fn paste(sheet: &mut RgbImage, pictures: &Pictures, i: usize, (left, top): (usize, usize), scale: usize) {
    let (shape, pixels) = (pictures.shape, pictures.picture(i));
    for y in 0..shape.h * scale {
        for x in 0..shape.w * scale {
            let pixel = &pixels[(y / scale * shape.w + x / scale) * shape.c..][..shape.c];
            let colour = if shape.c >= 3 { [pixel[0], pixel[1], pixel[2]] } else { [pixel[0]; 3] };
            sheet.put_pixel((left + x) as u32, (top + y) as u32, Rgb(colour));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_row() {
        let shape = signbit_model::Shape::new(2, 1, 3);
        let train = Pictures { shape, pixels: (0..12).collect(), labels: vec![1, 0] };
        let classes = vec!["a".into(), "b".into()];
        let resize = signbit_model::Resize { filter: signbit_model::ResizeFilter::Nearest, crop: false };
        let sheet = draw(&DataSet { name: "x".into(), classes, named: true, test: train.clone(), train, resize });
        assert_eq!(sheet.dimensions(), (12 * 36 + 4, 2 * 68 + 4));
        let cases = [((4, 4), [6, 7, 8]), ((4, 67), [9, 10, 11]), ((35, 72), [0, 1, 2]), ((36, 72), [255; 3])];
        for ((x, y), colour) in cases {
            assert_eq!(sheet.get_pixel(x, y).0, colour, "{x}, {y}");
        }
    }
}
