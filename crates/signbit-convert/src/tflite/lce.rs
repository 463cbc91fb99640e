//! Larq Compute Engine's own operators. Their bit 1 is -1, and tail bits are 0.

use signbit_model::{DType, Geometry, Op, Padding, Shape, Tensor, ValueId, words};

use super::Result;
use super::conv::{activation_of, window};
use super::flex::Map;
use super::reader::Reader;
use super::schema::{Kind, Operator, malformed};
use crate::Activation;

/// Channels in one word.
const WORD: usize = 32;

/// Real to packed. NaN is the one number of another sign than there.
pub(super) fn quantize(reader: &mut Reader, op: &Operator) -> Result<()> {
    let x = reader.real(op, 0)?;
    let y = reader.draft.node(&op.name, Op::Sign, &[x])?;
    reader.put(op, 0, y)
}

/// Packed to +1 and -1.
pub(super) fn dequantize(reader: &mut Reader, op: &Operator) -> Result<()> {
    let x = bits(reader, op)?;
    let y = reader.draft.node(&op.name, Op::Unpack, &[x])?;
    reader.put(op, 0, y)
}

/// Binary convolution with its scale and bias, or with thresholds.
pub(super) fn bconv2d(reader: &mut Reader, op: &Operator) -> Result<()> {
    let x = bits(reader, op)?;
    let input = reader.draft.shape(x);
    let options = Map::read(op.custom)?;
    if options.int("channels_in")? != input.c as i64 {
        return Err(op.refuse(format!("channels_in is {}, its input has {}", options.int("channels_in")?, input.c)));
    }
    let filter = filter(reader, op, input)?;
    let [_, kh, kw, cg] = filter.shape;
    let ints = |names: [&str; 2]| Ok([options.int(names[0])?, options.int(names[1])?]);
    let (stride, dilation): (Result<_>, Result<_>) =
        (ints(["stride_height", "stride_width"]), ints(["dilation_height_factor", "dilation_width_factor"]));
    let geometry = window(op, input, options.int("padding")?, [kh as i64, kw as i64], stride?, dilation?)?;
    let padding = match options.int("pad_values")? {
        0 => Padding::Zero,
        1 => Padding::One,
        other => return Err(op.refuse(format!("pad_values {other}"))),
    };
    let activation = activation_of(op, options.int("fused_activation_function")?)?;
    let weight = reader.draft.tensor(&format!("{}.weight", op.name), Tensor::bits(filter.shape, filter.rows)?);
    let conv = Op::BinaryConv2d { weight, geometry, groups: input.c / cg, padding };
    let packed = op.outputs.first().map(|&output| reader.file.tensor(output)).transpose()?;
    if packed.is_some_and(|output| output.kind == Kind::I32) {
        let dot = reader.draft.node(&format!("{}.dot", op.name), conv, &[x])?;
        let y = threshold(reader, op, dot, kh * kw * cg)?;
        return reader.put(op, 0, y);
    }
    let dot = reader.draft.node(&format!("{}.dot", op.name), conv, &[x])?;
    let y = scaled(reader, op, dot, kh * kw * cg, activation)?;
    reader.put(op, 0, y)
}

/// `activation(dot) * scale + bias`, in the engine's own order of steps, so that sums of several layers and their signs
/// are the engine's too: of the integer `count = k - dot`, twice the differing bits, `count * -scale + (bias + k * scale)`
/// with the last factor in f64 and rounded. All integers here are exact as F32 up to 2^24.
fn scaled(reader: &mut Reader, op: &Operator, dot: ValueId, k: usize, activation: Activation) -> Result<ValueId> {
    let channels = reader.draft.shape(dot).c;
    let (scale, bias) = (reader.vector(op, 2, channels)?, reader.vector(op, 3, channels)?);
    reader.spend(channels.checked_mul(16))?;
    let k = k as f32;
    // Clipped, a dot product is still an integer.
    let dot = reader.draft.activation(&op.name, dot, activation)?;
    let count = reader.draft.mul_add(&format!("{}.count", op.name), dot, vec![-1.0; channels], vec![k; channels])?;
    let add = scale.iter().zip(&bias).map(|(&s, &b)| (f64::from(b) + f64::from(k) * f64::from(s)) as f32).collect();
    let mul = scale.iter().map(|s| -s).collect();
    reader.draft.mul_add(&op.name, count, mul, add)
}

/// The bit is -1 where the number of differing bits, `(k - dot) / 2`, is above the threshold `t`:
/// +1 where `dot >= k - 2 * t`.
fn threshold(reader: &mut Reader, op: &Operator, dot: ValueId, k: usize) -> Result<ValueId> {
    let channels = reader.draft.shape(dot).c;
    let (_, thresholds) = reader.words(op, 4)?;
    if thresholds.len() != channels {
        return Err(op.refuse(format!("{} thresholds for {channels} channels", thresholds.len())));
    }
    reader.spend(channels.checked_mul(8))?;
    // A dot product is far inside of the limits of i32: beyond them a threshold says always, or never.
    let of_dot = |t: i32| (k as i64 - 2 * i64::from(t)).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    let data = thresholds.iter().map(|&t| of_dot(i32::from_le_bytes(t))).collect();
    let threshold = reader.draft.tensor(&format!("{}.threshold", op.name), Tensor::i32([channels], data)?);
    let none = Tensor::bits([1, channels], vec![0; words(channels)])?;
    let flip = reader.draft.tensor(&format!("{}.flip", op.name), none);
    reader.draft.node(&op.name, Op::Threshold { threshold, flip }, &[dot])
}

/// Max pooling of bits.
pub(super) fn bmaxpool2d(reader: &mut Reader, op: &Operator) -> Result<()> {
    let x = bits(reader, op)?;
    let options = Map::read(op.custom)?;
    let kernel = [options.int("filter_height")?, options.int("filter_width")?];
    let stride = [options.int("stride_height")?, options.int("stride_width")?];
    let geometry: Geometry = window(op, reader.draft.shape(x), options.int("padding")?, kernel, stride, [1, 1])?;
    let y = reader.draft.node(&op.name, Op::MaxPool2d { geometry }, &[x])?;
    reader.put(op, 0, y)
}

/// The first operand, packed bits.
fn bits(reader: &Reader, op: &Operator) -> Result<ValueId> {
    let value = reader.value(op, 0)?;
    match reader.draft.value_type(value).dtype {
        DType::Bits => Ok(value),
        other => Err(op.refuse(format!("its input is {other}, it must be packed bits"))),
    }
}

/// A packed filter as rows of bits.
struct Filter {
    /// `[O, kh, kw, C / groups]`.
    shape: [usize; 4],
    rows: Vec<u64>,
}

fn filter(reader: &mut Reader, op: &Operator, input: Shape) -> Result<Filter> {
    let (shape, packed) = reader.words(op, 1)?;
    let [o, kh, kw, group_words] = shape[..] else {
        return Err(op.refuse(format!("its filter has the shape {shape:?}, not [O, kh, kw, words]")));
    };
    let words_in = input.c.div_ceil(WORD);
    let groups = words_in.checked_div(group_words).unwrap_or(0);
    let whole = groups == 1 || input.c.is_multiple_of(groups * WORD);
    if groups == 0 || groups * group_words != words_in || !whole || !o.is_multiple_of(groups) || packed.is_empty() {
        return Err(op.refuse(format!("its filter {shape:?} does not fit {} channels", input.c)));
    }
    let cg = input.c / groups;
    let (taps, row) = (kh * kw, words(kh * kw * cg));
    reader.spend(o.checked_mul(row).and_then(|n| n.checked_mul(8)))?;
    let mut rows = vec![0_u64; o * row];
    for (row, packed) in rows.chunks_exact_mut(row).zip(packed.chunks_exact(taps * group_words)) {
        for (tap, packed) in packed.chunks_exact(group_words).enumerate() {
            for (word, &bytes) in packed.iter().enumerate() {
                let count = WORD.min(cg - word * WORD);
                let word_bits = u64::from(!u32::from_le_bytes(bytes));
                if count < WORD && word_bits >> count != u64::from(u32::MAX) >> count {
                    return Err(malformed(format!("`{}`: a bit behind the filter's last channel is 1", op.name)));
                }
                // Bits of neighbouring taps follow each other without a gap.
                let at = tap * cg + word * WORD;
                let kept = word_bits & (u64::MAX >> (64 - count));
                row[at / 64] |= kept << (at % 64);
                if at % 64 + count > 64 {
                    row[at / 64 + 1] |= kept >> (64 - at % 64);
                }
            }
        }
    }
    Ok(Filter { shape: [o, kh, kw, cg], rows })
}
