//! LFC and CNV, the two networks that parameter folders are of. The widths are those of the files.

use signbit_model::{Geometry, Op, Padding, Preprocessing, Resize, ResizeFilter, Shape, Tensor, ValueId};

use super::folder::{Layer, Matrix};
use super::malformed;
use crate::{ConvertError, Draft, Imported};

/// LFC: rows and columns of its pictures.
pub(super) const LFC_SIDE: usize = 28;
/// CNV: rows and columns of its pictures, in three colours.
pub(super) const CNV_SIDE: usize = 32;
/// CNV: its convolutions, 3x3 without padding; a 2x2 max pooling follows where true.
pub(super) const CNV_CONVOLUTIONS: [bool; 6] = [false, true, false, true, false, false];
/// Layers of either.
const LFC_LAYERS: usize = 4;
const CNV_LAYERS: usize = CNV_CONVOLUTIONS.len() + 3;
/// The hardware reads its input in words of this many bits; LFC's pixels are padded to a multiple.
const WORD: usize = 64;
/// The largest magnitude of CNV's pixels, in steps of 1/128.
const PIXEL: usize = 128;

/// Whether a network of so many layers is CNV.
pub(super) fn is_cnv(layers: usize) -> bool {
    layers == CNV_LAYERS
}

/// The network of these layers.
pub(super) fn build(layers: &[Layer], classes: Option<Vec<String>>) -> Result<Imported, ConvertError> {
    match layers.len() {
        LFC_LAYERS => lfc(layers, classes),
        CNV_LAYERS => cnv(layers, classes),
        n => Err(malformed(format!("there are {n} layers; LFC has {LFC_LAYERS}, CNV {CNV_LAYERS}"))),
    }
}

/// Bytes of pictures, less 128: the sign is that of `byte >= 128`, and CNV's fixed-point number is so many 128ths.
pub(super) fn pixels(side: usize, channels: usize) -> Preprocessing {
    Preprocessing {
        channels,
        height: side,
        width: side,
        resize: Some(Resize { filter: ResizeFilter::Bilinear, crop: false }),
        scale: vec![1.0; channels],
        shift: vec![-(PIXEL as f32); channels],
    }
}

fn lfc(layers: &[Layer], classes: Option<Vec<String>>) -> Result<Imported, ConvertError> {
    let mut draft = Draft::new(Shape::new(LFC_SIDE, LFC_SIDE, 1));
    let bits = draft.node("binarize", Op::Sign, &[draft.input()])?;
    let mut x = draft.node("flatten", Op::Flatten, &[bits])?;
    let mut columns = LFC_SIDE * LFC_SIDE;
    for (i, layer) in layers.iter().enumerate() {
        let mut matrix = layer.matrix(if i == 0 { columns.next_multiple_of(WORD) } else { columns })?;
        if i == 0 {
            matrix = matrix.without_pads(columns);
        }
        if i + 1 == layers.len() {
            matrix.truncate(class_count(&matrix, classes.as_deref())?);
        }
        columns = matrix.rows;
        let name = format!("dense{i}");
        let dots = dense(&mut draft, &name, x, &matrix)?;
        x = threshold(&mut draft, &name, dots, &matrix)?;
    }
    // i + 1 for a bit that is set, 0 for one that is not.
    let half: Vec<f32> = (0..columns).map(|i| (i + 1) as f32 / 2.0).collect();
    let reals = draft.node("unpack", Op::Unpack, &[x])?;
    let output = draft.mul_add("highest", reals, half.clone(), half)?;
    finish(draft, output, pixels(LFC_SIDE, 1), classes)
}

fn cnv(layers: &[Layer], classes: Option<Vec<String>>) -> Result<Imported, ConvertError> {
    let mut draft = Draft::new(Shape::new(CNV_SIDE, CNV_SIDE, 3));
    let mut x = draft.input();
    for (i, (layer, &pool)) in layers.iter().zip(&CNV_CONVOLUTIONS).enumerate() {
        let name = format!("conv{i}");
        let matrix = layer.matrix(9 * draft.shape(x).c)?;
        let weight = [matrix.rows, 3, 3, draft.shape(x).c];
        let weight = draft.tensor(&format!("{name}.weight"), Tensor::bits_from_signs(weight, &matrix.signs)?);
        let geometry = Geometry::valid([3, 3], [1, 1], [1, 1]);
        draft.found("convolution");
        x = if i == 0 {
            let dots = draft.node(&name, Op::Conv2d { weight, bias: None, geometry, groups: 1 }, &[x])?;
            fixed_point_threshold(&mut draft, &name, dots, &matrix)?
        } else {
            let dots = Op::BinaryConv2d { weight, geometry, groups: 1, padding: Padding::Zero };
            let dots = draft.node(&name, dots, &[x])?;
            threshold(&mut draft, &name, dots, &matrix)?
        };
        if pool {
            draft.found("max pooling");
            let geometry = Geometry::valid([2, 2], [2, 2], [1, 1]);
            x = draft.node(&format!("pool{i}"), Op::MaxPool2d { geometry }, &[x])?;
        }
    }
    x = draft.node("flatten", Op::Flatten, &[x])?;
    for (i, layer) in layers.iter().enumerate().skip(CNV_CONVOLUTIONS.len()) {
        let name = format!("dense{i}");
        let columns = draft.shape(x).c;
        let mut matrix = layer.matrix(columns)?;
        if i + 1 < layers.len() {
            let dots = dense(&mut draft, &name, x, &matrix)?;
            x = threshold(&mut draft, &name, dots, &matrix)?;
        } else {
            matrix.truncate(class_count(&matrix, classes.as_deref())?);
            let dots = dense(&mut draft, &name, x, &matrix)?;
            let (half, offset) = (vec![0.5; matrix.rows], vec![columns as f32 / 2.0; matrix.rows]);
            x = draft.mul_add("popcount", dots, half, offset)?;
        }
    }
    finish(draft, x, pixels(CNV_SIDE, 3), classes)
}

fn dense(draft: &mut Draft, name: &str, x: ValueId, matrix: &Matrix) -> Result<ValueId, ConvertError> {
    let weight = Tensor::bits_from_signs([matrix.rows, matrix.columns], &matrix.signs)?;
    let weight = draft.tensor(&format!("{name}.weight"), weight);
    draft.found("dense");
    draft.node(name, Op::BinaryDense { weight }, &[x])
}

/// The bit popcount > threshold of dot products.
fn threshold(draft: &mut Draft, name: &str, x: ValueId, matrix: &Matrix) -> Result<ValueId, ConvertError> {
    // A row has fewer bits than a folder's largest file.
    let n = matrix.columns as i64;
    let of_dots = |&t: &i64| (2 * (t.clamp(-1, n) + 1) - n) as i32;
    let data: Vec<i32> = matrix.thresholds.iter().map(of_dots).collect();
    let threshold = draft.tensor(&format!("{name}.threshold"), Tensor::i32([data.len()], data)?);
    let flip = Tensor::bits_from_signs([1, matrix.rows], &vec![-1; matrix.rows])?;
    let flip = draft.tensor(&format!("{name}.flip"), flip);
    draft.found("threshold");
    draft.node(&format!("{name}.threshold"), Op::Threshold { threshold, flip }, &[x])
}

/// The bit of fixed-point sums: they are counted in 128ths, the threshold in 256ths, so `2 * sum > threshold`.
fn fixed_point_threshold(draft: &mut Draft, name: &str, x: ValueId, matrix: &Matrix) -> Result<ValueId, ConvertError> {
    let beyond = (matrix.columns * PIXEL + 1) as i64;
    let least = |&t: &i64| (t.div_euclid(2).clamp(-beyond, beyond) + 1) as f32;
    let data: Vec<f32> = matrix.thresholds.iter().map(least).collect();
    let shift = draft.f32(&format!("{name}.shift"), [data.len()], data)?;
    draft.found("threshold");
    draft.node(&format!("{name}.threshold"), Op::RSign { shift }, &[x])
}

/// How many of the last layer's rows are classes.
fn class_count(matrix: &Matrix, classes: Option<&[String]>) -> Result<usize, ConvertError> {
    match classes {
        None => Ok(matrix.real_rows()),
        Some(names) if (1..=matrix.rows).contains(&names.len()) => Ok(names.len()),
        Some(names) => {
            let (names, rows) = (names.len(), matrix.rows);
            Err(malformed(format!("classes.txt: {names} classes for a last layer of {rows} rows")))
        }
    }
}

fn finish(
    draft: Draft,
    output: ValueId,
    preprocessing: Preprocessing,
    classes: Option<Vec<String>>,
) -> Result<Imported, ConvertError> {
    let mut imported = draft.finish(output)?;
    imported.model.preprocessing = Some(preprocessing);
    imported.model.classes = classes.unwrap_or_default();
    imported.model.validate()?;
    Ok(imported)
}
