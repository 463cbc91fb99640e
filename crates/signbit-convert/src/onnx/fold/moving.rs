//! Operators that move the elements of constants, and shape arithmetic.

use super::{Context, arithmetic};
use crate::ConvertError;
use crate::onnx::constant::{Constant, Data, MAX_RANK, elements, strides};
use crate::onnx::shape::{self, Range};

/// A moving operator's value; `None` for another operator.
pub(super) fn evaluate(
    cx: &mut Context<'_, '_>,
    operator: &str,
    x: &Constant,
) -> Result<Option<Constant>, ConvertError> {
    let rank = x.dims().len();
    let dims: Vec<usize> = match operator {
        "Shape" => {
            let sizes: Vec<i64> = x.dims().iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect();
            let (start, end) = shape::part(cx.node, rank);
            return Ok(Some(Constant::ints(sizes.get(start..end).unwrap_or_default().to_vec())));
        }
        "Size" => return Ok(Some(integer(cx, x.len())?)),
        "Reshape" => {
            let wanted = cx.list("shape", 1)?.ok_or_else(|| cx.wrong())?;
            shape::resolve(cx.node, &wanted, x.dims())?
        }
        "Flatten" => {
            let axis = shape::flatten_axis(cx.node, rank)?;
            let (front, back) = x.dims().split_at_checked(axis).ok_or_else(|| cx.wrong())?;
            vec![front.iter().product(), back.iter().product()]
        }
        "Unsqueeze" => {
            let axes = cx.list("axes", 1)?.ok_or_else(|| cx.wrong())?;
            let mut dims = x.dims().to_vec();
            for axis in cx.node.axes(&axes, rank.saturating_add(axes.len()))? {
                dims.insert(axis.min(dims.len()), 1);
            }
            dims
        }
        "Squeeze" => {
            let axes = match cx.list("axes", 1)? {
                Some(axes) => cx.node.axes(&axes, rank)?,
                None => (0..rank).filter(|&i| x.dims()[i] == 1).collect(),
            };
            (0..rank).filter(|i| !axes.contains(i)).map(|i| x.dims()[i]).collect()
        }
        "Transpose" => return transpose(cx, x).map(Some),
        "Gather" => return gather(cx, x).map(Some),
        "Slice" => return slice(cx, x).map(Some),
        "Concat" => return concat(cx).map(Some),
        "Expand" => {
            let wanted = cx.operand(1).and_then(|c| sizes(c)).ok_or_else(|| cx.wrong())?;
            let dims = arithmetic::joined(x.dims(), &wanted).ok_or_else(|| cx.wrong())?;
            return arithmetic::broadcast(cx, x, &dims).map(Some);
        }
        _ => return Ok(None),
    };
    x.reshaped(dims).map(Some).ok_or_else(|| cx.wrong())
}

fn integer(cx: &Context<'_, '_>, value: usize) -> Result<Constant, ConvertError> {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    Constant::new(Vec::new(), Data::Int(vec![value])).ok_or_else(|| cx.wrong())
}

/// The numbers of a constant as sizes.
pub(super) fn sizes(constant: &Constant) -> Option<Vec<usize>> {
    let ints = constant.as_ints().filter(|ints| ints.len() <= MAX_RANK)?;
    ints.iter().map(|&d| usize::try_from(d).ok()).collect()
}

fn transpose(cx: &mut Context<'_, '_>, x: &Constant) -> Result<Constant, ConvertError> {
    let permutation = shape::permutation(cx.node, x.dims().len())?;
    let steps = strides(x.dims());
    let dims: Vec<usize> = permutation.iter().map(|&p| x.dims()[p]).collect();
    let steps: Vec<isize> = permutation.iter().map(|&p| isize::try_from(steps[p]).unwrap_or(isize::MAX)).collect();
    strided(x.data(), &dims, &steps, 0).and_then(|data| Constant::new(dims, data)).ok_or_else(|| cx.wrong())
}

fn gather(cx: &mut Context<'_, '_>, x: &Constant) -> Result<Constant, ConvertError> {
    let axis = cx.node.axis(cx.node.int("axis").unwrap_or(0), x.dims().len())?;
    let indices = cx.operand(1).cloned().ok_or_else(|| cx.wrong())?;
    let wanted = indices.as_ints().ok_or_else(|| cx.wrong())?;
    let size = i64::try_from(x.dims()[axis]).unwrap_or(i64::MAX);
    let (front, back) = (&x.dims()[..axis], &x.dims()[axis + 1..]);
    let dims = [front, indices.dims(), back].concat();
    let len = elements(&dims).ok_or_else(|| cx.wrong())?;
    if len == 0 {
        return Constant::new(dims, Data::Float(Vec::new())).ok_or_else(|| cx.wrong());
    }
    cx.charge(len)?;
    let block: usize = back.iter().product();
    let blocks: usize = front.iter().product();
    let mut places = Vec::with_capacity(blocks.saturating_mul(wanted.len()));
    for i in 0..blocks {
        for &index in wanted {
            let index = if index < 0 { index.saturating_add(size) } else { index };
            let index = usize::try_from(index).ok().filter(|&index| index < x.dims()[axis]);
            places.push(index.map(|index| (i * x.dims()[axis] + index) * block).ok_or_else(|| cx.wrong())?);
        }
    }
    let data = match x.data() {
        Data::Float(v) => pieces(v, &places, block).map(Data::Float),
        Data::Int(v) => pieces(v, &places, block).map(Data::Int),
    };
    data.and_then(|data| Constant::new(dims, data)).ok_or_else(|| cx.wrong())
}

fn pieces<T: Copy>(data: &[T], places: &[usize], len: usize) -> Option<Vec<T>> {
    let mut out = Vec::with_capacity(places.len().checked_mul(len)?);
    for &place in places {
        out.extend_from_slice(data.get(place..place.checked_add(len)?)?);
    }
    Some(out)
}

fn slice(cx: &mut Context<'_, '_>, x: &Constant) -> Result<Constant, ConvertError> {
    let operands: Vec<Option<Vec<i64>>> =
        (1..5).map(|i| cx.operand(i).and_then(|c| c.as_ints()).map(<[i64]>::to_vec)).collect();
    let ranges = shape::ranges(cx.node, x.dims(), |i| operands.get(i - 1).cloned().flatten())?;
    let (mut dims, mut start) = (Vec::new(), 0_isize);
    let mut steps = Vec::new();
    for (Range { first, step, len }, stride) in ranges.into_iter().zip(strides(x.dims())) {
        let stride = isize::try_from(stride).unwrap_or(isize::MAX);
        let offset = isize::try_from(first).unwrap_or(isize::MAX).saturating_mul(stride);
        start = start.saturating_add(offset);
        steps.push(isize::try_from(step).unwrap_or(isize::MAX).saturating_mul(stride));
        dims.push(len);
    }
    strided(x.data(), &dims, &steps, start).and_then(|data| Constant::new(dims, data)).ok_or_else(|| cx.wrong())
}

fn concat(cx: &mut Context<'_, '_>) -> Result<Constant, ConvertError> {
    let parts: Option<Vec<_>> = cx.operands.iter().cloned().collect();
    let parts = parts.ok_or_else(|| cx.wrong())?;
    let Some(first) = parts.first() else {
        return Err(cx.wrong());
    };
    let rank = first.dims().len();
    let axis = cx.node.axis(cx.node.int("axis").unwrap_or(0), rank)?;
    let mut dims = first.dims().to_vec();
    dims[axis] = 0;
    for part in &parts {
        let fits = part.dims().len() == rank && (0..rank).all(|i| i == axis || part.dims()[i] == dims[i]);
        if !fits {
            return Err(cx.wrong());
        }
        dims[axis] = dims[axis].saturating_add(part.dims()[axis]);
    }
    let blocks: usize = dims.iter().take(axis).product();
    let run = |part: &Constant| part.dims().iter().skip(axis).product::<usize>();
    let len = elements(&dims).ok_or_else(|| cx.wrong())?;
    cx.charge(len)?;
    let all_ints = parts.iter().all(|part| part.as_ints().is_some());
    let data = if all_ints {
        let ints: Vec<&[i64]> = parts.iter().filter_map(|part| part.as_ints()).collect();
        interleave(&ints, parts.iter().map(|p| run(p)), blocks).map(Data::Int)
    } else {
        let floats: Vec<Vec<f32>> = parts.iter().map(|part| part.to_floats()).collect();
        let floats: Vec<&[f32]> = floats.iter().map(Vec::as_slice).collect();
        interleave(&floats, parts.iter().map(|p| run(p)), blocks).map(Data::Float)
    };
    data.and_then(|data| Constant::new(dims, data)).ok_or_else(|| cx.wrong())
}

fn interleave<T: Copy>(parts: &[&[T]], runs: impl Iterator<Item = usize> + Clone, blocks: usize) -> Option<Vec<T>> {
    let mut out = Vec::new();
    // Without elements there may be any number of blocks.
    if parts.iter().all(|part| part.is_empty()) {
        return Some(out);
    }
    for block in 0..blocks {
        for (part, run) in parts.iter().zip(runs.clone()) {
            let start = block.checked_mul(run)?;
            out.extend_from_slice(part.get(start..start.checked_add(run)?)?);
        }
    }
    Some(out)
}

/// The elements at `start` and `steps` further along each axis of the new shape; `None` where one is outside.
pub(super) fn strided(data: &Data, dims: &[usize], steps: &[isize], start: isize) -> Option<Data> {
    match data {
        Data::Float(v) => walk(v, dims, steps, start).map(Data::Float),
        Data::Int(v) => walk(v, dims, steps, start).map(Data::Int),
    }
}

fn walk<T: Copy>(data: &[T], dims: &[usize], steps: &[isize], start: isize) -> Option<Vec<T>> {
    let len = elements(dims)?;
    let mut out = Vec::with_capacity(len);
    let mut position = vec![0_usize; dims.len()];
    for _ in 0..len {
        let mut at = start;
        for (&p, &step) in position.iter().zip(steps) {
            at = at.checked_add(isize::try_from(p).ok()?.checked_mul(step)?)?;
        }
        out.push(*data.get(usize::try_from(at).ok()?)?);
        advance(&mut position, dims);
    }
    Some(out)
}

/// The next position in row-major order.
pub(super) fn advance(position: &mut [usize], dims: &[usize]) {
    for (p, &dim) in position.iter_mut().zip(dims).rev() {
        *p += 1;
        if *p < dim {
            return;
        }
        *p = 0;
    }
}
