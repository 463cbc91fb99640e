//! The contact sheet of a data set: a row of pictures for each class, as they are or as a recipe changes one of them, magnified
//! where they are small.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use signbit_model::Shape;
use signbit_train::data::DataSet;
use signbit_train::recipe::Recipe;

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
pub(super) fn write(data: &DataSet, recipe: Option<&Recipe>, path: &Path) -> Result<(), Failure> {
    let mut png = Cursor::new(Vec::new());
    draw(data, recipe).write_to(&mut png, ImageFormat::Png).map_err(|e| Failure::path(path, e))?;
    signbit_model::file::replace(path, png.get_ref())
        .map_err(|error| Failure::path(path, format!("cannot write the sheet: {error}")))
}

/// The first training pictures of each class, one row per class, in the order of the classes. Where a recipe changes
/// pictures: the first of each class, and what becomes of it in the first epochs.
fn draw(data: &DataSet, recipe: Option<&Recipe>) -> RgbImage {
    let shape = data.train.shape;
    let rows = data.classes.len().min(ROWS);
    let scale = HEIGHT.div_ceil(shape.h.max(1));
    let (height, width) = (shape.h * scale + GAP, shape.w * scale + GAP);
    let size = [COLUMNS * width + GAP, rows * height + GAP].map(|n| n as u32);
    let mut sheet = RgbImage::from_pixel(size[0], size[1], Rgb([255; 3]));
    let mut drawn = vec![0; rows];
    let recipe = recipe.filter(|recipe| !recipe.augmentation.is_none());
    for (i, &class) in data.train.labels.iter().enumerate() {
        let Some(column) = drawn.get_mut(class as usize).filter(|n| **n < COLUMNS) else { continue };
        let picture = data.train.picture(i);
        let mut put = |pixels: &[u8]| {
            paste(&mut sheet, shape, pixels, (GAP + *column * width, GAP + class as usize * height), scale);
            *column += 1;
        };
        put(picture);
        if let Some(recipe) = recipe {
            let mut changed = vec![0; picture.len()];
            for epoch in 0..COLUMNS as u32 - 1 {
                recipe.augmentation.apply(recipe.seed, epoch, i, shape, picture, &mut changed);
                put(&changed);
            }
        }
    }
    sheet
}

/// Draws a picture with its upper left corner at `(left, top)`.
fn paste(sheet: &mut RgbImage, shape: Shape, pixels: &[u8], (left, top): (usize, usize), scale: usize) {
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
    use signbit_train::data::Pictures;

    use super::*;

    #[test]
    fn each_class_has_its_row() {
        let shape = Shape::new(2, 1, 3);
        let train = Pictures { shape, pixels: (0..12).collect(), labels: vec![1, 0] };
        let classes = vec!["a".into(), "b".into()];
        let resize = signbit_model::Resize { filter: signbit_model::ResizeFilter::Nearest, crop: false };
        let sheet = draw(&DataSet { name: "x".into(), classes, named: true, test: train.clone(), train, resize }, None);
        assert_eq!(sheet.dimensions(), (12 * 36 + 4, 2 * 68 + 4));
        let cases = [((4, 4), [6, 7, 8]), ((4, 67), [9, 10, 11]), ((35, 72), [0, 1, 2]), ((36, 72), [255; 3])];
        for ((x, y), colour) in cases {
            assert_eq!(sheet.get_pixel(x, y).0, colour, "{x}, {y}");
        }
    }
}
