//! Operators of constants alone, evaluated as they are read.
//!
//! A converter leaves arithmetic on a large kernel in the graph: its clipping, its scale factor and its sign. All is
//! held as F32, packed bits too, as +1 and -1. Each result counts against the reader's budget, whether it is still
//! there or not, so that neither memory nor time can grow beyond a multiple of the file's size.

use std::rc::Rc;

use signbit_model::limits::MAX_RANK;

use super::Result;
use super::arithmetic::{ADD_OPTIONS, DIV_OPTIONS, MUL_OPTIONS, SUB_OPTIONS};
use super::constant::Reals;
use super::conv::{activation_of, axis};
use super::packed;
use super::reader::{Held, Reader};
use super::schema::{Kind, Operator};
use crate::Activation;

const REDUCER_OPTIONS: u8 = 27;

/// A constant that an operator made.
#[derive(Debug, Clone)]
pub(super) struct Folded {
    /// Of packed bits, the last dimension is of channels, not of words.
    pub(super) reals: Rc<Reals>,
    pub(super) packed: bool,
}

/// Evaluates an operator whose operands are all constants, and holds its result; `false` where it is another one.
pub(super) fn fold(reader: &mut Reader, op: &Operator) -> Result<bool> {
    type Step = fn(&mut Reader, &Operator) -> Result<Reals>;
    let (operands, step): (usize, Step) = match op.kind.as_str() {
        "RELU" => (1, |r, op| each(r, op, clipping(Activation::Relu))),
        "RELU6" => (1, |r, op| each(r, op, clipping(Activation::Relu6))),
        "RELU_N1_TO_1" => (1, |r, op| each(r, op, clipping(Activation::ReluN1To1))),
        "ABS" => (1, |r, op| each(r, op, f32::abs)),
        "NEG" => (1, |r, op| each(r, op, |v| -v)),
        // The engine's bit is `v < 0`.
        "LceQuantize" => (1, |r, op| each(r, op, |v| if v < 0.0 { -1.0 } else { 1.0 })),
        "LceDequantize" => (1, dequantize),
        "CAST" => (1, cast),
        "RESHAPE" | "SQUEEZE" | "EXPAND_DIMS" => (1, reshape),
        "TRANSPOSE" => (1, transpose),
        "MEAN" => (1, mean),
        "ADD" => (2, |r, op| pairs(r, op, ADD_OPTIONS, |a, b| a + b)),
        "SUB" => (2, |r, op| pairs(r, op, SUB_OPTIONS, |a, b| a - b)),
        "MUL" => (2, |r, op| pairs(r, op, MUL_OPTIONS, |a, b| a * b)),
        "DIV" => (2, |r, op| pairs(r, op, DIV_OPTIONS, |a, b| a / b)),
        _ => return Ok(false),
    };
    for i in 0..operands {
        if !reader.can_fold(op, i, op.kind == "LceDequantize")? {
            return Ok(false);
        }
    }
    let reals = step(reader, op)?;
    let packed = op.kind == "LceQuantize";
    check_output(reader, op, &reals, packed)?;
    reader.put_held(op, 0, Held::Folded(Folded { reals: Rc::new(reals), packed }))?;
    Ok(true)
}

/// The result must have the type and the shape that the file says.
fn check_output(reader: &mut Reader, op: &Operator, reals: &Reals, packed: bool) -> Result<()> {
    let tensor = reader.file.tensor(op.outputs.first().copied().unwrap_or(usize::MAX))?;
    let fits = if packed { tensor.kind == Kind::I32 } else { tensor.kind == Kind::F32 || tensor.kind.is_quantized() };
    if !fits {
        return Err(op.refuse(format!("a constant becomes {:?}", tensor.kind)));
    }
    reader.see_quantized(&tensor, &op.name);
    let mut shape = reals.shape.clone();
    if let (true, Some(last)) = (packed, shape.last_mut()) {
        *last = packed::words(*last);
    }
    // A shape without dimensions is a number's, or not known.
    if tensor.shape != shape && !tensor.shape.is_empty() {
        return Err(op.refuse(format!("its output is {:?} in the file, but {shape:?} by its operands", tensor.shape)));
    }
    Ok(())
}

/// The first operand, changed number by number.
fn each(reader: &mut Reader, op: &Operator, f: fn(f32) -> f32) -> Result<Reals> {
    let mut x = reader.reals(op, 0)?;
    reader.spend(x.data.len().checked_mul(4))?;
    x.data.iter_mut().for_each(|v| *v = f(*v));
    Ok(x)
}

/// Of another float type. A cast of integers takes them without their scale.
fn cast(reader: &mut Reader, op: &Operator) -> Result<Reals> {
    let index = reader.constant(op, 0)?.map_or_else(|| op.needs(0), Ok)?;
    match reader.file.tensor(index)?.kind {
        Kind::F16 | Kind::F32 => each(reader, op, |v| v),
        other => Err(op.refuse(format!("a cast of {other:?}"))),
    }
}

fn clipping(activation: Activation) -> fn(f32) -> f32 {
    match activation {
        Activation::None => |v| v,
        Activation::Relu => |v| v.clamp(0.0, f32::INFINITY),
        Activation::ReluN1To1 => |v| v.clamp(-1.0, 1.0),
        Activation::Relu6 => |v| v.clamp(0.0, 6.0),
    }
}

/// Two operands, number by number, then the fused activation.
fn pairs(reader: &mut Reader, op: &Operator, options: u8, f: fn(f32, f32) -> f32) -> Result<Reals> {
    let activation = activation_of(op, op.options(options)?.byte(0)?.into())?;
    let (a, b) = (reader.reals(op, 0)?, reader.reals(op, 1)?);
    let shape = broadcast(&a.shape, &b.shape)
        .ok_or_else(|| op.refuse(format!("constants of the shapes {:?} and {:?}", a.shape, b.shape)))?;
    reader.spend(count(&shape).and_then(|n| n.checked_mul(4)))?;
    let mut result = combine(&a, &b, shape, f);
    if activation != Activation::None {
        let clip = clipping(activation);
        result.data.iter_mut().for_each(|v| *v = clip(*v));
    }
    Ok(result)
}

/// Bits of the file, or bits that were packed here, as +1 and -1.
fn dequantize(reader: &mut Reader, op: &Operator) -> Result<Reals> {
    if let Some(reals) = reader.folded(op, 0)? {
        return Ok(reals);
    }
    let (mut shape, words) = reader.words(op, 0)?;
    let output = reader.file.tensor(op.outputs.first().copied().unwrap_or(usize::MAX))?;
    let (Some(last), Some(&channels)) = (shape.last_mut(), output.shape.last()) else {
        return Err(op.refuse("packed bits without channels"));
    };
    let per_pixel = std::mem::replace(last, channels);
    if channels == 0 || packed::words(channels) != per_pixel {
        return Err(op.refuse(format!("{channels} channels of {per_pixel} words")));
    }
    reader.spend(count(&shape).and_then(|n| n.checked_mul(4)))?;
    let bit = |word: u32, i: usize| if word >> i & 1 == 1 { -1.0 } else { 1.0 };
    let mut data = Vec::new();
    for pixel in words.chunks_exact(per_pixel) {
        let bits = pixel.iter().flat_map(|&word| (0..32).map(move |i| bit(u32::from_le_bytes(word), i)));
        data.extend(bits.take(channels));
    }
    Ok(Reals { shape, data })
}

/// Operators that keep the order of memory: the output's shape in the file says all.
fn reshape(reader: &mut Reader, op: &Operator) -> Result<Reals> {
    let mut x = reader.reals(op, 0)?;
    let shape = reader.file.tensor(op.outputs.first().copied().unwrap_or(usize::MAX))?.shape;
    if count(&shape) != Some(x.data.len()) {
        return Err(op.refuse(format!("a constant of the shape {:?} to {shape:?}", x.shape)));
    }
    x.shape = shape;
    Ok(x)
}

fn transpose(reader: &mut Reader, op: &Operator) -> Result<Reals> {
    let order = reader.integers(op, 1)?;
    let x = reader.reals(op, 0)?;
    let wrong = || op.refuse(format!("the order of axes {order:?} of {} dimensions", x.shape.len()));
    let order = order.iter().map(|&a| usize::try_from(a)).collect::<std::result::Result<Vec<_>, _>>();
    let order = order.map_err(|_| wrong())?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..x.shape.len()) {
        return Err(wrong());
    }
    reader.spend(x.data.len().checked_mul(4))?;
    Ok(permute(&x, &order))
}

/// `MEAN`, as a plain sum in the order of memory.
fn mean(reader: &mut Reader, op: &Operator) -> Result<Reals> {
    let keeps_dims = op.options(REDUCER_OPTIONS)?.flag(0)?;
    let axes = reader.integers(op, 1)?;
    let x = reader.reals(op, 0)?;
    let axes = axes.into_iter().map(|a| axis(op, a, x.shape.len())).collect::<Result<Vec<_>>>()?;
    reader.spend(x.data.len().checked_mul(4))?;
    Ok(average(&x, &axes, keeps_dims))
}

impl Reader<'_, '_> {
    /// Whether the operand is a constant of real numbers, or of packed bits.
    fn can_fold(&self, op: &Operator, i: usize, packed: bool) -> Result<bool> {
        if op.input(i).is_none() {
            return Ok(false);
        }
        if let Some(Held::Folded(folded)) = self.held(op, i)? {
            return Ok(folded.packed == packed);
        }
        let Some(index) = self.constant(op, i)? else { return Ok(false) };
        let tensor = self.file.tensor(index)?;
        let fits = if packed { tensor.kind == Kind::I32 } else { tensor.kind.is_real() };
        Ok(fits && tensor.data.is_some_and(|data| !data.is_empty()))
    }

    /// A constant that an operator made; not a copy where this is its last reader.
    pub(super) fn folded(&mut self, op: &Operator, i: usize) -> Result<Option<Reals>> {
        let index = op.needs(i)?;
        let Some(Held::Folded(Folded { reals, .. })) = self.held(op, i)?.cloned() else { return Ok(None) };
        // An operator may have it as both operands.
        if self.is_last_use(index) && op.inputs.iter().filter(|&&input| input == Some(index)).count() == 1 {
            self.forget(index);
        }
        let reals = match Rc::try_unwrap(reals) {
            Ok(reals) => reals,
            Err(shared) => {
                self.spend(shared.data.len().checked_mul(4))?;
                Reals::clone(&shared)
            }
        };
        Ok(Some(reals))
    }
}

/// The elements of a shape; `None` for too many, or none.
fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &d| product.checked_mul(d)).filter(|&n| n > 0)
}

/// The shape of two together; a dimension of 1 is repeated.
fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let padded = |shape: &[usize], i: usize| {
        (i + shape.len()).checked_sub(rank).and_then(|i| shape.get(i).copied()).unwrap_or(1)
    };
    let dim = |i| match (padded(a, i), padded(b, i)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    (0..rank).map(dim).collect()
}

/// The distance of two neighbours along each dimension.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1_usize;
    for &d in shape.iter().rev() {
        strides.push(stride);
        stride = stride.saturating_mul(d);
    }
    strides.reverse();
    strides
}

/// The places in memory of the elements of `shape` in their order, at these distances; all dimensions are above 0.
struct Places {
    shape: Vec<usize>,
    strides: Vec<usize>,
    index: [usize; MAX_RANK],
    next: Option<usize>,
}

impl Places {
    fn new(shape: &[usize], strides: Vec<usize>) -> Self {
        Self { shape: shape.to_vec(), strides, index: [0; MAX_RANK], next: Some(0) }
    }

    /// Of an operand that is repeated to `shape`.
    fn repeated(operand: &[usize], shape: &[usize]) -> Self {
        let mut own = vec![0; shape.len() - operand.len()];
        own.extend(strides(operand).into_iter().zip(operand).map(|(stride, &d)| if d == 1 { 0 } else { stride }));
        Self::new(shape, own)
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let place = self.next?;
        let mut after = place;
        let axes = self.shape.iter().zip(&self.strides).zip(&mut self.index).rev();
        for ((&d, &stride), index) in axes {
            *index += 1;
            after += stride;
            if *index < d {
                self.next = Some(after);
                return Some(place);
            }
            after -= stride * d;
            *index = 0;
        }
        self.next = None;
        Some(place)
    }
}

/// Two constants, number by number, to the shape of both.
fn combine(a: &Reals, b: &Reals, shape: Vec<usize>, f: fn(f32, f32) -> f32) -> Reals {
    let places = Places::repeated(&a.shape, &shape).zip(Places::repeated(&b.shape, &shape));
    let data = places.filter_map(|(i, j)| Some(f(*a.data.get(i)?, *b.data.get(j)?))).collect();
    Reals { shape, data }
}

/// `order` says which of the old dimensions each new one is.
fn permute(x: &Reals, order: &[usize]) -> Reals {
    let old = strides(&x.shape);
    let (shape, strides): (Vec<usize>, Vec<usize>) =
        order.iter().filter_map(|&a| x.shape.get(a).copied().zip(old.get(a).copied())).unzip();
    let places = Places::new(&shape, strides);
    Reals { data: places.filter_map(|i| x.data.get(i).copied()).collect(), shape }
}

fn average(x: &Reals, axes: &[usize], keeps_dims: bool) -> Reals {
    let ones: Vec<usize> = x.shape.iter().enumerate().map(|(i, &d)| if axes.contains(&i) { 1 } else { d }).collect();
    let mut data = vec![0.0_f32; ones.iter().product()];
    for (place, v) in Places::repeated(&ones, &x.shape).zip(&x.data) {
        if let Some(sum) = data.get_mut(place) {
            *sum += v;
        }
    }
    let share = x.data.len() / data.len().max(1);
    data.iter_mut().for_each(|sum| *sum /= share as f32);
    let kept = ones.iter().enumerate().filter(|(i, _)| keeps_dims || !axes.contains(i)).map(|(_, &d)| d);
    Reals { shape: kept.collect(), data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reals(shape: &[usize], data: &[f32]) -> Reals {
        Reals { shape: shape.to_vec(), data: data.to_vec() }
    }

    fn counted(shape: &[usize]) -> Reals {
        let n: usize = shape.iter().product();
        Reals { shape: shape.to_vec(), data: (0..n).map(|v| v as f32).collect() }
    }

    #[test]
    fn shapes_together() {
        assert_eq!(broadcast(&[1, 1, 4], &[2, 3, 4]), Some(vec![2, 3, 4]));
        assert_eq!(broadcast(&[3, 1], &[5]), Some(vec![3, 5]));
        assert_eq!(broadcast(&[], &[2]), Some(vec![2]));
        assert_eq!(broadcast(&[2], &[3]), None);
        assert_eq!(count(&[3, 0]), None);
        assert_eq!(count(&[usize::MAX, 2]), None);
    }

    #[test]
    fn operands_are_repeated() {
        let (column, row) = (reals(&[2, 1], &[10.0, 20.0]), reals(&[3], &[1.0, 2.0, 3.0]));
        let found = combine(&column, &row, vec![2, 3], |a, b| a - b);
        assert_eq!(found, reals(&[2, 3], &[9.0, 8.0, 7.0, 19.0, 18.0, 17.0]));
        let one = combine(&reals(&[], &[2.0]), &row, vec![3], |a, b| a / b);
        assert_eq!(one, reals(&[3], &[2.0, 1.0, 2.0 / 3.0]));
    }

    #[test]
    fn axes_are_permuted() {
        let found = permute(&counted(&[2, 3, 4]), &[2, 0, 1]);
        assert_eq!(found.shape, [4, 2, 3]);
        // The new [c, a, b] is the old [a, b, c].
        for (i, v) in found.data.iter().enumerate() {
            let (c, a, b) = (i / 6, i / 3 % 2, i % 3);
            assert_eq!(*v, (12 * a + 4 * b + c) as f32);
        }
        assert_eq!(permute(&reals(&[], &[5.0]), &[]), reals(&[], &[5.0]));
    }

    #[test]
    fn means_over_axes() {
        let x = counted(&[2, 3, 2]);
        assert_eq!(average(&x, &[0, 1], true), reals(&[1, 1, 2], &[5.0, 6.0]));
        assert_eq!(average(&x, &[2], false), reals(&[2, 3], &[0.5, 2.5, 4.5, 6.5, 8.5, 10.5]));
        assert_eq!(average(&x, &[0, 1, 2, 1], false), reals(&[], &[5.5]));
    }
}
