//! The `.npz` of a trained network: real weights and batch norm.
//!
//! `arr_0`, `arr_1` ... hold for each layer W, b, beta, gamma, mean and 1 / deviation; the last layer may be without b.
//! A dense W is `[in, out]`, a convolution's `[out, in, 3, 3]`, neither flipped. A hidden activation is
//! `sign(gamma * (dot + b - mean) * invstd + beta)`, of the signs of W, and the sign of 0 is +1. The output is the last
//! layer's batch norm. A batch norm of all channels together has single numbers.
//!
//! LFC reads signs of pixels. CNV reads pixels from -1 to 1, which its training rounds to 128ths; here they are not.
//! Its max poolings, which are not stored, stand before the batch norm.

use std::path::Path;

use signbit_model::{Geometry, Op, Preprocessing, Shape, ValueId};
use signbit_train::data::npy::{Array, Numbers};
use signbit_train::data::{DataError, numbered_arrays};

use super::malformed;
use super::networks::{CNV_CONVOLUTIONS, CNV_SIDE, LFC_SIDE, pixels};
use crate::{ConvertError, Draft, Imported};

/// Zip packs ±1 as f32 about thirty times: what an archive unpacks to is at most so many times its size.
const MOST_PACKED: usize = 64;
/// Room for the headers of the arrays of a small archive.
const HEADERS: usize = 1 << 16;

/// Reads the `.npz` of a trained dense network (LFC), or of CNV.
///
/// # Errors
/// [`ConvertError::Malformed`] where the archive is not whole, or names the array that does not fit.
pub fn read_npz(bytes: &[u8]) -> Result<Imported, ConvertError> {
    let most = bytes.len().saturating_mul(MOST_PACKED).saturating_add(HEADERS);
    let arrays = numbered_arrays(Path::new("npz"), bytes, most).map_err(|error| match error {
        DataError::Format { reason, .. } => malformed(reason),
        other => malformed(other.to_string()),
    })?;
    let layers = layers(&arrays)?;
    match layers.first().map(|layer| layer.weight.shape.len()) {
        Some(4) => cnv(&layers),
        Some(_) => lfc(&layers),
        None => Err(malformed("there is no arr_0, the first layer's weights")),
    }
}

/// A layer's arrays.
struct Layer<'a> {
    weight: &'a Array,
    /// Place of `weight` among the arrays.
    at: usize,
    /// Factor and summand of each output.
    norm: (Vec<f32>, Vec<f32>),
}

/// Groups the arrays: weights have more than one dimension, the others at most one.
fn layers(arrays: &[Array]) -> Result<Vec<Layer<'_>>, ConvertError> {
    let is_weight = |array: &Array| array.shape.len() > 1;
    let starts: Vec<usize> = (0..arrays.len()).filter(|&i| is_weight(&arrays[i])).collect();
    if starts.first() != Some(&0) && !arrays.is_empty() {
        return Err(malformed("arr_0 must be the first layer's weights, [in, out] or [out, in, 3, 3]"));
    }
    let ends = starts.iter().skip(1).copied().chain([arrays.len()]);
    let layer = |(at, end): (usize, usize)| {
        let weight = &arrays[at];
        let outputs = if weight.shape.len() == 2 { weight.shape[1] } else { weight.shape[0] };
        let mut rest = arrays[at + 1..end].iter().zip(at + 1..).map(|(array, i)| vector(array, i, outputs));
        let mut next = || rest.next().transpose();
        let vectors: Vec<Vec<f64>> = std::iter::from_fn(|| next().transpose()).collect::<Result<_, _>>()?;
        let (bias, norm) = match &vectors[..] {
            [bias, norm @ ..] if norm.len() == 4 => (Some(bias), norm),
            norm if norm.len() == 4 => (None, norm),
            _ => {
                let what = "arrays follow, not b, beta, gamma, mean, 1 / deviation (or without b)";
                return Err(malformed(format!("arr_{at}: {} {what}", vectors.len())));
            }
        };
        let factor = |i: usize| norm[1][i] * norm[3][i];
        let summand = |i: usize| norm[0][i] + (bias.map_or(0.0, |b| b[i]) - norm[2][i]) * factor(i);
        let floats = |of: &dyn Fn(usize) -> f64| (0..outputs).map(|i| of(i) as f32).collect::<Vec<f32>>();
        let norm = (floats(&factor), floats(&summand));
        if norm.0.iter().chain(&norm.1).any(|x| !x.is_finite()) {
            return Err(malformed(format!("arr_{at}: its batch norm is not finite")));
        }
        Ok(Layer { weight, at, norm })
    };
    starts.iter().copied().zip(ends).map(layer).collect()
}

/// The numbers of an array, one for each output; a single one serves all of them.
fn vector(array: &Array, at: usize, outputs: usize) -> Result<Vec<f64>, ConvertError> {
    let numbers: Vec<f64> = match &array.numbers {
        Numbers::F32(numbers) => numbers.iter().map(|&x| x.into()).collect(),
        Numbers::F64(numbers) => numbers.clone(),
        _ => return Err(malformed(format!("arr_{at} holds {:?}, not real numbers", array.descr))),
    };
    match numbers[..] {
        [single] => Ok(vec![single; outputs]),
        _ if numbers.len() == outputs => Ok(numbers),
        _ => Err(malformed(format!("arr_{at} has {} numbers for {outputs} outputs", numbers.len()))),
    }
}

/// The signs of weights, +1.0 and -1.0.
fn signs(layer: &Layer<'_>) -> Result<Vec<f32>, ConvertError> {
    let sign = |positive: bool| if positive { 1.0 } else { -1.0 };
    Ok(match &layer.weight.numbers {
        Numbers::F32(numbers) => numbers.iter().map(|&w| sign(w >= 0.0)).collect(),
        Numbers::F64(numbers) => numbers.iter().map(|&w| sign(w >= 0.0)).collect(),
        Numbers::Integers(numbers) => numbers.iter().map(|&w| sign(w >= 0)).collect(),
        Numbers::U8(_) => return Err(malformed(format!("arr_{} holds bytes, not ±1", layer.at))),
    })
}

fn lfc(layers: &[Layer<'_>]) -> Result<Imported, ConvertError> {
    let inputs = layers[0].weight.shape[0];
    let picture = inputs == LFC_SIDE * LFC_SIDE;
    let shape = if picture { Shape::new(LFC_SIDE, LFC_SIDE, 1) } else { Shape::vector(inputs) };
    if shape.checked_elements().is_none() {
        return Err(malformed(format!("arr_0: {inputs} inputs")));
    }
    let mut draft = Draft::new(shape);
    let mut x = draft.sign("binarize", draft.input())?;
    if picture {
        x = draft.node("flatten", Op::Flatten, &[x])?;
    }
    let output = dense(&mut draft, layers, x)?;
    finish(draft, output, picture.then(|| pixels(LFC_SIDE, 1)))
}

fn cnv(layers: &[Layer<'_>]) -> Result<Imported, ConvertError> {
    let (convolutions, dense_layers) = match layers.split_at_checked(CNV_CONVOLUTIONS.len()) {
        Some((convolutions, dense)) if !dense.is_empty() => (convolutions, dense),
        _ => return Err(malformed(format!("there are {} layers, too few for CNV", layers.len()))),
    };
    let mut draft = Draft::new(Shape::new(CNV_SIDE, CNV_SIDE, 3));
    let mut x = draft.input();
    for (i, (layer, &pool)) in convolutions.iter().zip(&CNV_CONVOLUTIONS).enumerate() {
        let name = format!("conv{i}");
        let c = draft.shape(x).c;
        let outputs = match layer.weight.shape[..] {
            [outputs, inputs, 3, 3] if inputs == c => outputs,
            _ => return Err(unfit(layer, &format!("[out, {c}, 3, 3]"))),
        };
        let signs = signs(layer)?;
        let tap = |row: usize, t: usize| (row * c..(row + 1) * c).map(move |i| i * 9 + t);
        let order = (0..outputs).flat_map(|row| (0..9).flat_map(move |t| tap(row, t)));
        let weight = order.filter_map(|i| signs.get(i).copied()).collect();
        let weight = draft.f32(&format!("{name}.weight"), [outputs, 3, 3, c], weight)?;
        let geometry = Geometry::valid([3, 3], [1, 1], [1, 1]);
        draft.found("convolution");
        x = draft.node(&name, Op::Conv2d { weight, bias: None, geometry, groups: 1 }, &[x])?;
        if pool {
            draft.found("max pooling");
            let geometry = Geometry::valid([2, 2], [2, 2], [1, 1]);
            x = draft.node(&format!("pool{i}"), Op::MaxPool2d { geometry }, &[x])?;
        }
        x = norm(&mut draft, &format!("norm{i}"), x, layer)?;
        x = draft.sign(&format!("sign{i}"), x)?;
    }
    x = draft.node("flatten", Op::Flatten, &[x])?;
    let output = dense(&mut draft, dense_layers, x)?;
    // Training's own range; see the module.
    let preprocessing = Preprocessing { scale: vec![2.0 / 255.0; 3], shift: vec![-1.0; 3], ..pixels(CNV_SIDE, 3) };
    finish(draft, output, Some(preprocessing))
}

/// Dense layers on signs, a sign between each two.
fn dense(draft: &mut Draft, layers: &[Layer<'_>], mut x: ValueId) -> Result<ValueId, ConvertError> {
    for (i, layer) in layers.iter().enumerate() {
        let name = format!("dense{i}");
        let c = draft.shape(x).c;
        let outputs = match layer.weight.shape[..] {
            [inputs, outputs] if inputs == c => outputs,
            _ => return Err(unfit(layer, &format!("[{c}, out]"))),
        };
        let signs = signs(layer)?;
        let column = |o: usize| signs.iter().skip(o).step_by(outputs).copied();
        let weight = draft.f32(&format!("{name}.weight"), [outputs, c], (0..outputs).flat_map(column).collect())?;
        draft.found("dense");
        x = draft.node(&name, Op::Dense { weight, bias: None }, &[x])?;
        x = norm(draft, &format!("{name}.norm"), x, layer)?;
        if i + 1 < layers.len() {
            x = draft.sign(&format!("{name}.sign"), x)?;
        }
    }
    Ok(x)
}

fn norm(draft: &mut Draft, name: &str, x: ValueId, layer: &Layer<'_>) -> Result<ValueId, ConvertError> {
    draft.found("batch norm");
    let (mul, add) = layer.norm.clone();
    draft.mul_add(name, x, mul, add)
}

fn unfit(layer: &Layer<'_>, expected: &str) -> ConvertError {
    ConvertError::WeightShape {
        name: format!("arr_{}", layer.at),
        expected: expected.into(),
        found: layer.weight.shape.clone(),
    }
}

fn finish(draft: Draft, output: ValueId, preprocessing: Option<Preprocessing>) -> Result<Imported, ConvertError> {
    let mut imported = draft.finish(output)?;
    imported.model.preprocessing = preprocessing;
    imported.model.validate()?;
    Ok(imported)
}
