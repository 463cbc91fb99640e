//! Channels joined and taken apart, and the same of computed shapes.

use signbit_model::{Op, ValueId};

use super::Result;
use super::conv::{activation_of, axis};
use super::packed;
use super::reader::{Held, Reader};
use super::schema::Operator;
use super::shape;

const CONCATENATION_OPTIONS: u8 = 10;
const STRIDED_SLICE_OPTIONS: u8 = 32;
const SPLIT_OPTIONS: u8 = 35;

/// `CONCATENATION` of channels, or of dimensions.
pub(super) fn concatenation(reader: &mut Reader, op: &Operator) -> Result<()> {
    let options = op.options(CONCATENATION_OPTIONS)?;
    for i in 0..op.inputs.len() {
        if let Some(Held::Dims(_)) = reader.held(op, i)? {
            return dims(reader, op);
        }
    }
    let rank = reader.rank(op, 0)?;
    channel_axis(op, options.int(0, 0)?.into(), rank)?;
    let first = reader.value(op, 0)?;
    if packed::is(reader, first) {
        let parts = (0..op.inputs.len()).map(|i| reader.value(op, i)).collect::<Result<Vec<_>>>()?;
        let y = packed::concat(reader, op, &parts)?;
        return reader.put(op, 0, y);
    }
    let parts = (0..op.inputs.len()).map(|i| reader.real(op, i)).collect::<Result<Vec<_>>>()?;
    reader.spend(parts.len().checked_mul(size_of::<ValueId>()))?;
    let y = match parts[..] {
        [one] => one,
        _ => reader.draft.node(&op.name, Op::Concat, &parts)?,
    };
    reader.put_activated(op, y, activation_of(op, options.byte(1)?.into())?)
}

fn dims(reader: &mut Reader, op: &Operator) -> Result<()> {
    let mut all = Vec::new();
    for i in 0..op.inputs.len() {
        all.extend(reader.dims(op, i)?.ok_or_else(|| op.refuse(format!("its input {i} is not of a shape")))?);
        if all.len() > signbit_model::limits::MAX_RANK {
            return Err(op.refuse("more dimensions than a tensor can have"));
        }
    }
    reader.put_held(op, 0, Held::Dims(all))
}

/// An axis that must be the channels'.
fn channel_axis(op: &Operator, given: i64, rank: usize) -> Result<()> {
    let found = axis(op, given, rank)?;
    if rank < 2 || found + 1 != rank {
        return Err(op.refuse(format!("along axis {found} of {rank}; only channels can be joined or divided")));
    }
    Ok(())
}

/// `SPLIT` into equal parts: the axis, then the value.
pub(super) fn split(reader: &mut Reader, op: &Operator) -> Result<()> {
    let parts = usize::try_from(op.options(SPLIT_OPTIONS)?.int(0, 0)?).unwrap_or(0);
    let x = reader.value(op, 1)?;
    let channels = reader.draft.shape(x).c;
    if parts == 0 || parts != op.outputs.len() || !channels.is_multiple_of(parts) {
        return Err(op.refuse(format!("{channels} channels in {parts} parts")));
    }
    let axis = one(op, &reader.integers(op, 0)?)?;
    parts_of(reader, op, x, 1, axis, &vec![(channels / parts) as i64; parts])
}

/// `SPLIT_V` into parts of given sizes: the value, the sizes, the axis.
pub(super) fn split_v(reader: &mut Reader, op: &Operator) -> Result<()> {
    let x = reader.value(op, 0)?;
    let mut sizes = reader.integers(op, 1)?;
    let rest = sizes.iter().filter(|&&s| s >= 0).try_fold(0_i64, |sum, &s| sum.checked_add(s));
    let rest = rest.map_or(-1, |sum| reader.draft.shape(x).c as i64 - sum);
    if let Some(size) = sizes.iter_mut().find(|s| **s == -1) {
        *size = rest;
    }
    let axis = one(op, &reader.integers(op, 2)?)?;
    parts_of(reader, op, x, 0, axis, &sizes)
}

fn one(op: &Operator, list: &[i64]) -> Result<i64> {
    match list {
        [one] => Ok(*one),
        _ => Err(op.refuse(format!("an axis of {list:?}"))),
    }
}

fn parts_of(reader: &mut Reader, op: &Operator, x: ValueId, input: usize, axis: i64, sizes: &[i64]) -> Result<()> {
    channel_axis(op, axis, reader.rank(op, input)?)?;
    if packed::is(reader, x) {
        return Err(op.refuse("of packed bits"));
    }
    if sizes.len() != op.outputs.len() {
        return Err(op.refuse(format!("{} parts for {} outputs", sizes.len(), op.outputs.len())));
    }
    let mut start = 0_usize;
    for (i, &size) in sizes.iter().enumerate() {
        let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size));
        let end = end.ok_or_else(|| op.refuse(format!("parts of {sizes:?} channels")))?;
        let y = channels(reader, op, x, start, end)?;
        reader.put(op, i, y)?;
        start = end;
    }
    Ok(())
}

/// The channels `start..end`.
fn channels(reader: &mut Reader, op: &Operator, x: ValueId, start: usize, end: usize) -> Result<ValueId> {
    if start == 0 && end == reader.draft.shape(x).c {
        return Ok(x);
    }
    reader.draft.node(&op.name, Op::Slice { start, end }, &[x])
}

/// `SLICE`: where each dimension begins, and how many are taken (-1: the rest).
pub(super) fn slice(reader: &mut Reader, op: &Operator) -> Result<()> {
    let (begin, size) = (reader.integers(op, 1)?, reader.integers(op, 2)?);
    let end = begin.iter().zip(&size).map(|(&b, &s)| if s == -1 { Ok(None) } else { end_of(op, b, s).map(Some) });
    let end = end.collect::<Result<Vec<_>>>()?;
    let begin: Vec<Option<i64>> = begin.into_iter().map(Some).collect();
    cut(reader, op, &begin, &end)
}

fn end_of(op: &Operator, begin: i64, size: i64) -> Result<i64> {
    begin.checked_add(size).filter(|&end| end >= 0).ok_or_else(|| op.refuse(format!("{size} elements from {begin}")))
}

/// `STRIDED_SLICE` in steps of 1.
pub(super) fn strided_slice(reader: &mut Reader, op: &Operator) -> Result<()> {
    let options = op.options(STRIDED_SLICE_OPTIONS)?;
    let (begin, end, strides) = (reader.integers(op, 1)?, reader.integers(op, 2)?, reader.integers(op, 3)?);
    let (begin_mask, end_mask) = (options.int(0, 0)?, options.int(1, 0)?);
    let of_dims = matches!(reader.held(op, 0)?, Some(Held::Dims(_)));
    let shrink = options.int(4, 0)?;
    if strides.iter().any(|&s| s != 1) || options.int(2, 0)? != 0 || options.int(3, 0)? != 0 || options.flag(5)? {
        return Err(op.refuse("a step that is not 1, an ellipsis, a new axis, or ends that are offsets"));
    }
    if shrink != 0 && !of_dims {
        return Err(op.refuse("it takes a dimension away"));
    }
    // With a dimension taken away, only where it begins counts.
    let masked = |list: Vec<i64>, mask: i32| -> Vec<Option<i64>> {
        list.into_iter().enumerate().map(|(i, v)| (i >= 31 || mask >> i & 1 == 0).then_some(v)).collect()
    };
    let end = match (&begin[..], shrink) {
        ([first], 1) => vec![Some(first.saturating_add(1)).filter(|&end| end != 0)],
        _ => masked(end, end_mask),
    };
    cut(reader, op, &masked(begin, begin_mask), &end)
}

/// Takes `begin[d]..end[d]` of each dimension `d`; `None` is the dimension's own limit, a negative one counts from it.
fn cut(reader: &mut Reader, op: &Operator, begin: &[Option<i64>], end: &[Option<i64>]) -> Result<()> {
    if let Some(Held::Dims(dims)) = reader.held(op, 0)? {
        let size = dims.len();
        let ([begin], [end]) = (begin, end) else { return Err(op.refuse("of a shape, more than one axis")) };
        return shape::part(reader, op, limit(*begin, 0, size), limit(*end, size, size));
    }
    let x = reader.value(op, 0)?;
    let tensor = reader.file.tensor(op.needs(0)?)?;
    let rank = tensor.dims.len();
    if rank < 2 || begin.len() != rank || end.len() != rank {
        return Err(op.refuse(format!("{} limits for {rank} dimensions", begin.len())));
    }
    let (bits, channel_count) = (packed::is(reader, x), reader.draft.shape(x).c);
    let last = if bits { packed::words(channel_count) } else { channel_count };
    let mut range = (0, last);
    for (d, (&begin, &end)) in begin.iter().zip(end).enumerate() {
        // The batch may be of any size: only its own limits take it all.
        let size = if d + 1 == rank { last } else { tensor.shape.get(d).copied().unwrap_or(1) };
        let (from, to) = (limit(begin, 0, size), limit(end, size, size));
        if d + 1 == rank {
            range = (from, to);
        } else if (from, to) != (0, size) {
            return Err(op.refuse(format!("a part of dimension {d}; only channels can be divided")));
        }
    }
    if bits {
        range = packed::channels(range.0, range.1, channel_count);
    }
    let y = channels(reader, op, x, range.0, range.1)?;
    reader.put(op, 0, y)
}

/// A limit in a dimension of `size`, as numpy takes it.
fn limit(given: Option<i64>, default: usize, size: usize) -> usize {
    match given {
        None => default,
        Some(v) if v < 0 => usize::try_from(v.saturating_add(size as i64)).unwrap_or(0),
        Some(v) => usize::try_from(v).unwrap_or(size).min(size),
    }
}
