//! From a picture's file to the bytes of a network's input. Training and prediction both take this way, so that a
//! picture has the same bytes in both.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use crate::preprocessing::luma;
use crate::{Resize, ResizeFilter, Shape};

/// Most pixels of a picture that is decoded.
pub const MAX_PIXELS: u64 = 100_000_000;
/// Longest side of a picture that is decoded: it bounds what resizing takes on the way.
pub const MAX_SIDE: u32 = 65_535;
/// Most memory of a decoder: the largest picture in 16 bits with transparency, and some more.
const MAX_DECODER_BYTES: u64 = 9 * MAX_PIXELS;

/// A file that is no picture which can be taken in. The path is the caller's to say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The operating system refused.
    #[error("cannot read the picture: {0}")]
    Io(#[from] io::Error),
    /// The file begins as no picture does that can be decoded, whatever its name.
    #[error("cannot read the picture: its content is not PNG, JPEG, BMP or WebP")]
    Unknown,
    /// The picture is too large to be decoded.
    #[error(
        "the picture has {width}x{height} pixels, at most {MAX_PIXELS} and {MAX_SIDE} per side are taken; make it smaller"
    )]
    Large {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The file is damaged, or of a kind that the decoder does not know.
    #[error("cannot read the picture: {0}")]
    Decode(ImageError),
}

impl From<ImageError> for PictureError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::IoError(error) => Self::Io(error),
            ImageError::Unsupported(_) => Self::Unknown,
            error => Self::Decode(error),
        }
    }
}

/// Decodes a picture's file, upright (its EXIF orientation is applied). What it is decides its content, not its name.
///
/// # Errors
/// Where the file cannot be read, is no PNG, JPEG, BMP or WebP, or has more pixels than [`MAX_PIXELS`], which is
/// noticed before it is decoded.
pub fn open(path: &Path) -> Result<DynamicImage, PictureError> {
    let mut reader = ImageReader::new(BufReader::new(File::open(path)?)).with_guessed_format()?;
    if reader.format().is_none() {
        return Err(PictureError::Unknown);
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS || width.max(height) > MAX_SIDE {
        return Err(PictureError::Large { width, height });
    }
    // A picture with damaged metadata is still a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The picture as bytes of `shape` `[h, w, c]`, c being 1 or 3: brought to its size, then to 8 bits and its number of
/// channels. Colour becomes grey by [`luma`], grey becomes colour by repetition, transparency is dropped.
///
/// `None` where the picture has another size and `resize` is `None`, or the shape is no picture's.
#[must_use]
pub fn pixels(image: &DynamicImage, shape: Shape, resize: Option<Resize>) -> Option<Vec<u8>> {
    let (width, height) = (u32::try_from(shape.w).ok()?, u32::try_from(shape.h).ok()?);
    if width == 0 || height == 0 || image.width() == 0 || image.height() == 0 {
        return None;
    }
    let resized;
    let image = match (image.width(), image.height()) == (width, height) {
        true => image,
        false => {
            resized = resized_to(image, width, height, resize?);
            &resized
        }
    };
    match (shape.c, image.color().has_color()) {
        (1, false) => Some(image.to_luma8().into_raw()),
        (1, true) => Some(image.to_rgb8().pixels().map(|pixel| luma(pixel.0)).collect()),
        (3, false) => Some(image.to_luma8().into_raw().into_iter().flat_map(|grey| [grey; 3]).collect()),
        (3, true) => Some(image.to_rgb8().into_raw()),
        _ => None,
    }
}

fn resized_to(image: &DynamicImage, width: u32, height: u32, resize: Resize) -> DynamicImage {
    let filter = match resize.filter {
        ResizeFilter::Nearest => FilterType::Nearest,
        ResizeFilter::Bilinear => FilterType::Triangle,
        ResizeFilter::Bicubic => FilterType::CatmullRom,
        ResizeFilter::Lanczos3 => FilterType::Lanczos3,
    };
    if !resize.crop {
        return image.resize_exact(width, height, filter);
    }
    let (x, y, w, h) = centre(image.width(), image.height(), width, height);
    image.crop_imm(x, y, w, h).resize_exact(width, height, filter)
}

/// The largest part in the middle of a picture `w` x `h` that has the proportions of `width` x `height`, as its left,
/// top, width and height.
fn centre(w: u32, h: u32, width: u32, height: u32) -> (u32, u32, u32, u32) {
    // a * b / c to the nearest, at least 1 and at most `most`.
    let part = |a: u32, b: u32, c: u32, most: u32| {
        let (a, b, c) = (u64::from(a), u64::from(b), u64::from(c));
        ((a * b + c / 2) / c).clamp(1, most.into()) as u32
    };
    let wider = u64::from(w) * u64::from(height) > u64::from(h) * u64::from(width);
    let (part_w, part_h) = match wider {
        true => (part(h, width, height, w), h),
        false => (w, part(w, height, width, h)),
    };
    ((w - part_w) / 2, (h - part_h) / 2, part_w, part_h)
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;

    const NEAREST: Resize = Resize { filter: ResizeFilter::Nearest, crop: false };

    #[test]
    fn the_centre_has_the_wanted_proportions() {
        let cases = [
            ((40, 20, 8, 8), (10, 0, 20, 20)),
            ((20, 41, 8, 8), (0, 10, 20, 20)),
            ((30, 30, 10, 10), (0, 0, 30, 30)),
            ((30, 30, 20, 10), (0, 7, 30, 15)),
            ((1, 1, 32, 16), (0, 0, 1, 1)),
            ((60_000, 1, 32, 32), (29_999, 0, 1, 1)),
            ((1, 60_000, 64, 32), (0, 29_999, 1, 1)),
        ];
        for ((w, h, width, height), expected) in cases {
            assert_eq!(centre(w, h, width, height), expected, "{w}x{h} to {width}x{height}");
        }
    }

    #[test]
    fn a_crop_keeps_the_proportions_and_a_stretch_keeps_all() {
        // Black, white, white, black, in a row of four: the centre is white.
        let image = DynamicImage::from(GrayImage::from_raw(4, 2, [0, 255, 255, 0].repeat(2)).unwrap());
        let of = |crop| pixels(&image, Shape::new(2, 2, 1), Some(Resize { crop, ..NEAREST })).unwrap();
        assert_eq!(of(true), [255; 4]);
        assert_eq!(of(false).iter().filter(|&&p| p == 0).count(), 2);
    }

    #[test]
    fn channels_of_every_kind() {
        let grey = DynamicImage::from(GrayImage::from_pixel(1, 1, Luma([7])));
        let red = DynamicImage::from(RgbImage::from_pixel(1, 1, Rgb([255, 0, 0])));
        let of = |image, c| pixels(image, Shape::new(1, 1, c), None);
        assert_eq!([of(&grey, 1), of(&grey, 3)], [Some(vec![7]), Some(vec![7; 3])]);
        assert_eq!([of(&red, 1), of(&red, 3)], [Some(vec![76]), Some(vec![255, 0, 0])]);
        assert_eq!([of(&red, 2), pixels(&red, Shape::new(0, 1, 1), Some(NEAREST))], [None, None]);
        assert_eq!(pixels(&red, Shape::new(2, 2, 1), None), None, "of another size");
        let grown = pixels(&red, Shape::new(3, 2, 3), Some(Resize { crop: true, filter: ResizeFilter::Bilinear }));
        assert_eq!(grown, Some([255, 0, 0].repeat(6)), "one pixel grows");
    }

    #[test]
    fn files_that_are_no_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let opened = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            open(&path)
        };
        assert!(matches!(opened("text.png", b"no picture at all"), Err(PictureError::Unknown)));
        assert!(matches!(opened("empty.png", b""), Err(PictureError::Unknown)));
        assert!(matches!(opened("film.gif", b"GIF89a\x01\0\x01\0\0\0\0;"), Err(PictureError::Unknown)));
        assert!(opened("cut.png", b"\x89PNG\r\n\x1a\nand no more").is_err());
        assert!(matches!(open(&folder.path().join("none.png")), Err(PictureError::Io(_))));
        assert!(matches!(open(folder.path()), Err(PictureError::Io(_))));
        // The name does not matter where the content is a picture.
        let mut png = io::Cursor::new(Vec::new());
        GrayImage::new(3, 2).write_to(&mut png, image::ImageFormat::Png).unwrap();
        assert_eq!(opened("picture.jpg", png.get_ref()).unwrap().width(), 3);
    }

    #[test]
    fn a_picture_of_too_many_pixels_is_not_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.bmp");
        for (width, height) in [(20_000, 20_000), (10_001, 10_000)] {
            std::fs::write(&path, bmp(width, height)).unwrap();
            let message = open(&path).unwrap_err().to_string();
            assert!(message.contains(&format!("{width}x{height} pixels")), "{message}");
        }
    }

    /// The header of a picture of 24 bits, without its pixels.
    fn bmp(width: i32, height: i32) -> Vec<u8> {
        let mut bytes = b"BM".to_vec();
        [54_u32, 0, 54, 40].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        [width, height].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        bytes.extend([1, 0, 24, 0]);
        bytes.extend([0; 24]);
        bytes
    }

    #[test]
    fn a_picture_is_turned_upright() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turned.jpg");
        let mut jpeg = io::Cursor::new(Vec::new());
        GrayImage::new(16, 8).write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        let jpeg = jpeg.into_inner();
        // An APP1 segment with one entry: orientation 6, a quarter turn.
        let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let length = (2 + 6 + tiff.len() as u16).to_be_bytes();
        let app1 = [b"\xff\xe1", &length[..], b"Exif\0\0", tiff].concat();
        std::fs::write(&path, [&jpeg[..2], &app1, &jpeg[2..]].concat()).unwrap();
        let image = open(&path).unwrap();
        assert_eq!((image.width(), image.height()), (8, 16));
    }
}
