//! Reshapes that keep the order of memory, and the operators that compute their shapes.

use signbit_model::{Op, Shape};

use super::Result;
use super::packed;
use super::reader::{Dim, Held, Reader};
use super::schema::{File, Operator, TensorInfo, malformed};

const RESHAPE_OPTIONS: u8 = 17;

/// The reshapes that are followed from the input to its picture.
const MAX_CHAIN: usize = 8;

/// The shape per sample of dimensions without the batch; `None` for too many, or one that is 0.
fn per_sample(dims: &[usize]) -> Option<Shape> {
    let shape = match *dims {
        [] => Shape::vector(1),
        [c] => Shape::vector(c),
        [w, c] => Shape::new(1, w, c),
        [h, w, c] => Shape::new(h, w, c),
        _ => return None,
    };
    shape.checked_elements().map(|_| shape)
}

/// The shape per sample of the graph's input. Where the graph begins with a reshape to a picture, it is the picture's.
pub(super) fn of_input(file: &File, input: usize) -> Result<Shape> {
    let known = |tensor: &TensorInfo| tensor.shape.get(1..).and_then(per_sample);
    let tensor = file.tensor(input)?;
    let wrong = || malformed(format!("its input has the shape {:?}, not [N, H, W, C] or [N, C]", tensor.shape));
    let mut shape = known(&tensor).ok_or_else(wrong)?;
    let mut at = input;
    for _ in 0..MAX_CHAIN {
        let mut consumers = Vec::new();
        for i in 0..file.operators() {
            let op = file.operator(i)?;
            // Of the shape, only the batch is asked for.
            if op.inputs.contains(&Some(at)) && op.kind != "SHAPE" {
                consumers.push(op);
            }
        }
        let [op] = &consumers[..] else { break };
        let (true, [output]) = (matches!(op.kind.as_str(), "RESHAPE" | "EXPAND_DIMS" | "SQUEEZE"), &op.outputs[..])
        else {
            break;
        };
        match known(&file.tensor(*output)?).filter(|s| !s.is_vector() && s.elements() == shape.elements()) {
            Some(picture) => shape = picture,
            None => break,
        }
        at = *output;
    }
    Ok(shape)
}

/// `RESHAPE` to a constant or computed shape.
pub(super) fn reshape(reader: &mut Reader, op: &Operator) -> Result<()> {
    let dims = match op.input(1) {
        Some(_) => reader.dims(op, 1)?,
        None => Some(op.options(RESHAPE_OPTIONS)?.list(0)?.into_iter().map(|d| Dim::Known(d.into())).collect()),
    };
    let dims = dims.ok_or_else(|| op.refuse("its shape is neither constant nor of the input's batch"))?;
    to_dims(reader, op, &dims)
}

/// `SQUEEZE` and `EXPAND_DIMS`: the output's shape in the file says all.
pub(super) fn same_order(reader: &mut Reader, op: &Operator) -> Result<()> {
    let tensor = reader.file.tensor(op.outputs.first().copied().unwrap_or(usize::MAX))?;
    let known = |d: &Option<usize>| d.map_or(Dim::Known(-1), |d| Dim::Known(d as i64));
    let dims: Vec<Dim> = tensor.dims.iter().map(known).collect();
    to_dims(reader, op, &dims)
}

fn to_dims(reader: &mut Reader, op: &Operator, dims: &[Dim]) -> Result<()> {
    let x = reader.value(op, 0)?;
    let wrong = || op.refuse(format!("to the shape {dims:?}"));
    let (first, rest) = dims.split_first().ok_or_else(wrong)?;
    let shape = reader.draft.shape(x);
    // Of packed bits, the last dimension is of words.
    let of_words = packed::is(reader, x);
    let elements = if of_words { shape.h * shape.w * packed::words(shape.c) } else { shape.elements() };
    let known = |dim: &Dim| match dim {
        Dim::Known(d) => usize::try_from(*d).ok(),
        Dim::Batch => None,
    };
    let product = rest.iter().filter_map(known).try_fold(1_usize, usize::checked_mul).filter(|&p| p > 0);
    let product = product.ok_or_else(wrong)?;
    let unknown = rest.iter().filter(|&dim| known(dim).is_none()).count();
    // Of the batch and one other dimension, at most one is to be computed.
    let batch_is_computed = *first == Dim::Known(-1);
    let batch_fits = *first == Dim::Batch || known(first).is_some_and(|n| reader.batch.unwrap_or(1) == n);
    if rest.contains(&Dim::Batch) || !(batch_fits && unknown <= 1 || batch_is_computed && unknown == 0) {
        return Err(wrong());
    }
    if !elements.is_multiple_of(product) || (unknown == 0 && product != elements) {
        return Err(wrong());
    }
    let mut sizes: Vec<usize> = rest.iter().map(|dim| known(dim).unwrap_or(elements / product)).collect();
    if let (true, Some(last)) = (of_words, sizes.last_mut()) {
        let channels = packed::channels(0, *last, shape.elements()).1;
        *last = if *last == packed::words(shape.c) { shape.c } else { channels };
    }
    let target = per_sample(&sizes).ok_or_else(wrong)?;
    let before = reader.draft.operands_of(x).first().copied();
    let y = if target == shape {
        x
    } else if target.is_vector() && target.c == shape.elements() && (!of_words || shape.c.is_multiple_of(32)) {
        reader.draft.node(&op.name, Op::Flatten, &[x])?
    } else if let Some(before) = before
        && matches!(reader.draft.op_of(x), Some(Op::Flatten))
        && reader.draft.shape(before) == target
    {
        before
    } else {
        return Err(op.refuse(format!("{shape} per sample to {target}; only a vector can be made")));
    };
    reader.put(op, 0, y)
}

/// `TRANSPOSE` that moves nothing, of a value or a constant.
pub(super) fn transpose(reader: &mut Reader, op: &Operator) -> Result<()> {
    let order = reader.integers(op, 1)?;
    if !order.iter().copied().eq(0..order.len() as i64) {
        return Err(op.refuse(format!("the order of axes {order:?}")));
    }
    let x = reader.value(op, 0)?;
    reader.put(op, 0, x)
}

/// `SHAPE` of a value.
pub(super) fn shape_of(reader: &mut Reader, op: &Operator) -> Result<()> {
    reader.value(op, 0)?;
    let tensor = reader.file.tensor(op.needs(0)?)?;
    let mut dims = vec![Dim::Batch];
    for (d, size) in tensor.dims.iter().enumerate().skip(1) {
        let size = size.ok_or_else(|| op.refuse(format!("dimension {d} of its input is not known")))?;
        dims.push(Dim::Known(size as i64));
    }
    reader.put_held(op, 0, Held::Dims(dims))
}

/// `PACK` of dimensions.
pub(super) fn pack(reader: &mut Reader, op: &Operator) -> Result<()> {
    let mut dims = Vec::new();
    for i in 0..op.inputs.len() {
        match reader.dims(op, i)?.as_deref() {
            Some([dim]) => dims.push(*dim),
            _ => return Err(op.refuse(format!("its input {i} is not one dimension of a shape"))),
        }
    }
    reader.put_held(op, 0, Held::Dims(dims))
}

/// `CAST` of dimensions.
pub(super) fn cast(reader: &mut Reader, op: &Operator) -> Result<()> {
    match reader.dims(op, 0)? {
        Some(dims) => reader.put_held(op, 0, Held::Dims(dims)),
        None => Err(op.refuse("only the dimensions of a shape can be cast")),
    }
}

/// The dimensions `begin..end` of a computed shape.
pub(super) fn part(reader: &mut Reader, op: &Operator, begin: usize, end: usize) -> Result<()> {
    let dims = reader.dims(op, 0)?.unwrap_or_default();
    let part =
        dims.get(begin..end).ok_or_else(|| op.refuse(format!("{begin} to {end} of {} dimensions", dims.len())))?;
    reader.put_held(op, 0, Held::Dims(part.to_vec()))
}
