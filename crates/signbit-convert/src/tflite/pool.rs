//! Pooling, and reductions over a picture.

use signbit_model::{Geometry, Op, ValueId};

use super::Result;
use super::conv::{activation_of, axis, window_of};
use super::reader::Reader;
use super::schema::Operator;

const POOL_OPTIONS: u8 = 5;

pub(super) fn max(reader: &mut Reader, op: &Operator) -> Result<()> {
    pool(reader, op, true)
}

/// The mean is of the elements inside of the input.
pub(super) fn average(reader: &mut Reader, op: &Operator) -> Result<()> {
    pool(reader, op, false)
}

fn pool(reader: &mut Reader, op: &Operator, max: bool) -> Result<()> {
    let options = op.options(POOL_OPTIONS)?;
    let x = reader.real(op, 0)?;
    let size = |field| options.int(field, 0).map(|size| usize::try_from(size).unwrap_or(0));
    let (kernel, stride) = ([size(4)?, size(3)?], [2, 1].map(|f| options.int(f, 0)));
    let geometry = window_of(op, reader.draft.shape(x), options.byte(0)?, kernel, stride, [Ok(1), Ok(1)])?;
    let pooled = match max {
        true => Op::MaxPool2d { geometry },
        false => Op::AvgPool2d { geometry, count_include_pad: false },
    };
    let y = reader.draft.node(&op.name, pooled, &[x])?;
    reader.put_activated(op, y, activation_of(op, options.byte(5)?.into())?)
}

/// `MEAN` and the like, over height and width, or `MEAN` over the channels. Whether they stay as 1 makes no difference
/// per sample.
pub(super) fn reduce(reader: &mut Reader, op: &Operator, global: Op) -> Result<()> {
    let x = reader.real(op, 0)?;
    let rank = reader.rank(op, 0)?;
    let mut axes = reader.integers(op, 1)?.into_iter().map(|a| axis(op, a, rank)).collect::<Result<Vec<_>>>()?;
    axes.sort_unstable();
    if global == Op::GlobalAvgPool && rank == 4 && axes == [3] {
        return channel_mean(reader, op, x);
    }
    if rank != 4 || axes != [1, 2] {
        return Err(op.refuse(format!("over the axes {axes:?} of {rank} dimensions; height and width can be reduced")));
    }
    let y = reader.draft.node(&op.name, global, &[x])?;
    reader.put(op, 0, y)
}

/// The mean over the channels of each pixel, as a convolution of 1x1.
fn channel_mean(reader: &mut Reader, op: &Operator, x: ValueId) -> Result<()> {
    let channels = reader.draft.shape(x).c;
    reader.spend(channels.checked_mul(4))?;
    let weight = vec![1.0 / channels as f32; channels];
    let weight = reader.draft.f32(&format!("{}.weight", op.name), [1, 1, 1, channels], weight)?;
    let geometry = Geometry::valid([1, 1], [1, 1], [1, 1]);
    let y = reader.draft.node(&op.name, Op::Conv2d { weight, bias: None, geometry, groups: 1 }, &[x])?;
    reader.put(op, 0, y)
}
