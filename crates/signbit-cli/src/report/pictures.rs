//! Pictures inside of the page: PNG files as data URIs, one bit per pixel where that is enough.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use png::{BitDepth, ColorType, Encoder};
use signbit_model::{Model, Op, Shape, Tensor};

use crate::failure::Failure;

/// Most filters, and most rows and columns of a plane, that are shown.
const FILTERS: usize = 64;
const ROWS: usize = 256;
const COLUMNS: usize = 1024;
/// The colour of a +1 in a plane, which stands out on light and on dark; a -1 is clear.
const ON: [u8; 3] = [0x14, 0xb8, 0xa6];

/// A picture with its size in pixels.
pub(super) struct Png {
    pub(super) uri: String,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// A grey or RGB picture.
pub(super) fn bytes(shape: Shape, pixels: &[u8]) -> Result<Png, Failure> {
    let color = if shape.c == 3 { ColorType::Rgb } else { ColorType::Grayscale };
    encode(shape.w, shape.h, color, BitDepth::Eight, pixels)
}

fn encode(width: usize, height: usize, color: ColorType, depth: BitDepth, data: &[u8]) -> Result<Png, Failure> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, u32::try_from(width)?, u32::try_from(height)?);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette([[0; 3], ON].concat());
        encoder.set_trns([0, 255].as_slice());
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(data)?;
    writer.finish()?;
    Ok(Png { uri: format!("data:image/png;base64,{}", STANDARD.encode(file)), width, height })
}

/// The packed weights of a binary layer.
pub(super) struct Plane {
    pub(super) layer: String,
    pub(super) png: Png,
    /// Output channels and bits of each, all of them.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Share of bits that are 1.
    pub(super) ones: f64,
}

/// The planes of all binary layers, in the order of the network.
pub(super) fn planes(model: &Model) -> Result<Vec<Plane>, Failure> {
    let mut planes = Vec::new();
    for node in &model.graph.nodes {
        let Some(tensor) = weight(model, &node.op).filter(|tensor| tensor.as_rows().is_some()) else { continue };
        let (rows, columns) = (tensor.shape()[0], tensor.row_len());
        let words = tensor.as_rows().unwrap_or_default();
        let ones: u64 = words.iter().map(|word| u64::from(word.count_ones())).sum();
        planes.push(Plane {
            layer: node.name.clone(),
            png: bits(words, columns, rows.min(ROWS), columns.min(COLUMNS))?,
            rows,
            columns,
            ones: ones as f64 / (rows * columns) as f64,
        });
    }
    Ok(planes)
}

/// The first bits of all binary layers as a picture of this size, for decoration; `None` if there are too few.
pub(super) fn banner(model: &Model, width: usize, height: usize) -> Result<Option<Png>, Failure> {
    let tensors = model.graph.nodes.iter().filter_map(|node| weight(model, &node.op));
    let words: Vec<u64> =
        tensors.filter(|t| t.row_len() >= 64).filter_map(Tensor::as_rows).flatten().copied().collect();
    let fits = words.len() >= height * width.div_ceil(64);
    fits.then(|| bits(&words, width, height, width)).transpose()
}

/// Rows of `columns` bits, cut to the first `height` and `width`.
fn bits(words: &[u64], columns: usize, height: usize, width: usize) -> Result<Png, Failure> {
    let mut data = Vec::with_capacity(height * width.div_ceil(8));
    for row in words.chunks_exact(columns.div_ceil(64)).take(height) {
        // PNG has the leftmost pixel in the most significant bit.
        data.extend(row.iter().flat_map(|word| word.to_le_bytes()).map(u8::reverse_bits).take(width.div_ceil(8)));
    }
    encode(width, height, ColorType::Indexed, BitDepth::One, &data)
}

/// The filters of the first layer with weights.
pub(super) struct Filters {
    pub(super) layer: String,
    /// Whether the weights are ±1.
    pub(super) binary: bool,
    /// How many there are, of which [`Filters::pictures`] shows the first.
    pub(super) count: usize,
    pub(super) pictures: Vec<Png>,
}

/// The filters of the first layer, where they have the form of a picture.
pub(super) fn filters(model: &Model) -> Result<Option<Filters>, Failure> {
    let mut nodes = model.graph.nodes.iter();
    let Some((node, tensor)) = nodes.find_map(|node| Some((node, weight(model, &node.op)?))) else { return Ok(None) };
    let input = model.graph.input.shape;
    let shape = match *tensor.shape() {
        [_, h, w, c] => Shape::new(h, w, c),
        _ if tensor.row_len() == input.elements() => input,
        _ => return Ok(None),
    };
    let signs = tensor.to_signs();
    let numbers: Vec<f32> = match (&signs, tensor.as_f32()) {
        (Some(signs), _) => signs.iter().map(|&s| f32::from(s)).collect(),
        (None, Some(numbers)) => numbers.to_vec(),
        _ => return Ok(None),
    };
    let shown = numbers.chunks_exact(shape.elements()).take(FILTERS);
    let pictures = shown.map(|filter| picture(shape, filter)).collect::<Result<_, _>>()?;
    Ok(Some(Filters { layer: node.name.clone(), binary: signs.is_some(), count: tensor.shape()[0], pictures }))
}

/// A filter as a picture: 0 is the middle, its largest number black or white. Of other than one or three channels
/// their mean is shown.
fn picture(shape: Shape, filter: &[f32]) -> Result<Png, Failure> {
    let mean = |pixel: &[f32]| pixel.iter().sum::<f32>() / pixel.len() as f32;
    let (channels, numbers) = match shape.c {
        1 | 3 => (shape.c, filter.to_vec()),
        c => (1, filter.chunks_exact(c).map(mean).collect()),
    };
    let largest = numbers.iter().fold(f32::MIN_POSITIVE, |a, x| a.max(x.abs()));
    let grey = |x: &f32| (127.5 + 127.5 * x / largest).round() as u8;
    bytes(Shape::new(shape.h, shape.w, channels), &numbers.iter().map(grey).collect::<Vec<_>>())
}

/// The weights of a layer that multiplies.
fn weight<'m>(model: &'m Model, op: &Op) -> Option<&'m Tensor> {
    match op {
        Op::Conv2d { weight, .. }
        | Op::Dense { weight, .. }
        | Op::Conv2dTranspose { weight, .. }
        | Op::BinaryConv2d { weight, .. }
        | Op::BinaryConv2dTranspose { weight, .. }
        | Op::BinaryDense { weight } => model.tensors.get(weight),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(png: &Png) -> image::RgbaImage {
        let file = STANDARD.decode(png.uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        image::load_from_memory(&file).unwrap().to_rgba8()
    }

    #[test]
    fn a_bit_is_a_pixel() {
        let mut words = vec![0_u64; 2 * 2];
        // Row 0: bits 0 and 65; row 1: bit 9.
        (words[0], words[1], words[2]) = (1, 1 << 1, 1 << 9);
        for width in [70, 66, 10] {
            let image = decoded(&bits(&words, 70, 2, width).unwrap());
            assert_eq!(image.dimensions(), (width as u32, 2));
            let on = image.enumerate_pixels().filter(|(.., p)| p[3] == 255).map(|(x, y, _)| (x, y));
            let expected: Vec<_> = [(0, 0), (65, 0), (9, 1)].into_iter().filter(|&(x, _)| x < width as u32).collect();
            assert_eq!(on.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn filters_are_normalised() {
        let image = decoded(&picture(Shape::new(1, 3, 1), &[-0.5, 0.0, 0.25]).unwrap());
        assert_eq!(image.pixels().map(|p| p[0]).collect::<Vec<_>>(), [0, 128, 191]);
        let mean = decoded(&picture(Shape::new(1, 2, 2), &[1.0, 0.0, -1.0, -1.0]).unwrap());
        assert_eq!(mean.pixels().map(|p| p[0]).collect::<Vec<_>>(), [191, 0]);
        assert!(picture(Shape::new(1, 1, 3), &[0.0; 3]).is_ok());
    }
}
