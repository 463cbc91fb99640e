//! Padding: of height and width, or of channels.

use signbit_model::{Op, ValueId};

use super::Result;
use super::packed;
use super::reader::Reader;
use super::schema::Operator;

/// `PAD` with 0, `PADV2` with a constant: of numbers, or of height and width of packed bits.
pub(super) fn pad(reader: &mut Reader, op: &Operator) -> Result<()> {
    let mut x = reader.value(op, 0)?;
    let bits = packed::is(reader, x);
    if !bits {
        x = reader.real(op, 0)?;
    }
    let value = match op.input(2) {
        _ if bits => packed::frame(reader, op, x)?,
        Some(_) => reader.vector(op, 2, 1)?.first().copied().unwrap_or(0.0),
        None => 0.0,
    };
    let pads = reader.integers(op, 1)?;
    let pads: Vec<usize> = pads.into_iter().map(|n| usize::try_from(n).unwrap_or(usize::MAX)).collect();
    let y = match pads[..] {
        [0, 0, 0, 0, 0, 0, before, after] | [0, 0, before, after] if !bits => {
            of_channels(reader, op, x, [before, after], value)?
        }
        [0, 0, top, bottom, left, right, 0, 0] => {
            reader.draft.node(&op.name, Op::Pad { pads: [top, left, bottom, right], value }, &[x])?
        }
        _ => return Err(op.refuse(format!("pads of {pads:?}; height and width can be padded, or channels"))),
    };
    reader.put(op, 0, y)
}

/// Channels of one number before and behind those of `x`: channels of `x`, clipped to that number.
fn of_channels(reader: &mut Reader, op: &Operator, x: ValueId, counts: [usize; 2], value: f32) -> Result<ValueId> {
    let channels = reader.draft.shape(x).c;
    let fill = Op::Clip { min: value, max: value };
    let fill = reader.draft.node(&format!("{}.fill", op.name), fill, &[x])?;
    let mut parts = Vec::new();
    for (place, count) in counts.into_iter().enumerate() {
        let (copies, rest) = (count / channels, count % channels);
        reader.spend(copies.checked_mul(2 * size_of::<ValueId>()))?;
        parts.extend(std::iter::repeat_n(fill, copies));
        if rest > 0 {
            let part = Op::Slice { start: 0, end: rest };
            parts.push(reader.draft.node(&format!("{}.part", op.name), part, &[fill])?);
        }
        if place == 0 {
            parts.push(x);
        }
    }
    match parts[..] {
        [one] => Ok(one),
        _ => reader.draft.node(&op.name, Op::Concat, &parts),
    }
}
