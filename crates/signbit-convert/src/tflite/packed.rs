//! TensorFlow Lite's own operators on packed bits: what they do to words of 32 channels.

use signbit_model::{DType, Op, ValueId};

use super::Result;
use super::reader::Reader;
use super::schema::Operator;

/// Channels in one word.
const WORD: usize = 32;

/// Whether a value is packed bits.
pub(super) fn is(reader: &Reader, value: ValueId) -> bool {
    reader.draft.value_type(value).dtype == DType::Bits
}

/// The words of a pixel.
pub(super) fn words(channels: usize) -> usize {
    channels.div_ceil(WORD)
}

/// The channels in the words `from..to`, of a pixel of so many channels.
pub(super) fn channels(from: usize, to: usize, channels: usize) -> (usize, usize) {
    (from.saturating_mul(WORD), to.saturating_mul(WORD).min(channels))
}

/// What a frame of words holds: 0 is 32 times +1; -1 is 32 times -1, where the last word is a whole one.
pub(super) fn frame(reader: &mut Reader, op: &Operator, x: ValueId) -> Result<f32> {
    let word = match op.input(2) {
        None => 0,
        Some(_) => match reader.words(op, 2)?.1 {
            [word] => i32::from_le_bytes(*word),
            words => return Err(op.refuse(format!("{} values for a frame", words.len()))),
        },
    };
    match word {
        0 => Ok(1.0),
        -1 if reader.draft.shape(x).c.is_multiple_of(WORD) => Ok(-1.0),
        other => Err(op.refuse(format!("a frame of the word {other} around packed bits"))),
    }
}

/// Joins bits whose pixels end at whole words, but for the last one's.
pub(super) fn concat(reader: &mut Reader, op: &Operator, parts: &[ValueId]) -> Result<ValueId> {
    let whole = |&x: &ValueId| is(reader, x) && reader.draft.shape(x).c.is_multiple_of(WORD);
    let (last, first) = parts.split_last().ok_or_else(|| op.refuse("it has no input"))?;
    if !first.iter().all(whole) || !is(reader, *last) {
        return Err(op.refuse("packed bits that do not end at whole words, or bits and numbers"));
    }
    reader.draft.node(&op.name, Op::Concat, parts)
}
