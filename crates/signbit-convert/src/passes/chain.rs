//! Chains of operators from a binary layer to a sign, and what they answer to every dot product.

use signbit_model::interpreter::{self, ValueData};
use signbit_model::{Model, ModelBuilder, Op, Shape, ValueId};

use super::rewrite::Rewrite;
use crate::ConvertError;

/// Most dot products times channels that are tried.
pub const LIMIT: usize = 1 << 28;

/// Numbers given to the interpreter at once.
const AT_ONCE: usize = 1 << 20;

/// A chain; places are those of nodes in the old graph.
pub(super) struct Chain {
    /// The binary layer.
    pub(super) layer: usize,
    /// Its output.
    pub(super) dot: ValueId,
    /// The max pools of the chain, from the layer to the sign.
    pub(super) pools: Vec<usize>,
    /// Elementwise operators before the last pool.
    below: Vec<usize>,
    /// Elementwise operators behind it, the sign the last.
    above: Vec<usize>,
}

impl Chain {
    /// The chain that ends in the sign at node `i`; `None` where there is no sign, or no such chain.
    pub(super) fn to(walk: &Rewrite, i: usize) -> Option<Self> {
        if !matches!(walk.node(i).op, Op::Sign | Op::RSign { .. }) {
            return None;
        }
        let (mut above, mut pools, mut between) = (vec![i], Vec::new(), Vec::new());
        let mut x = walk.node(i).inputs[0];
        loop {
            let (place, node) = walk.producer(x)?;
            let part = if pools.is_empty() { &mut above } else { &mut between };
            match node.op {
                Op::BinaryConv2d { .. } | Op::BinaryConv2dTranspose { .. } | Op::BinaryDense { .. } => {
                    above.reverse();
                    between.reverse();
                    pools.reverse();
                    // The sign of integers needs no threshold.
                    let some = above.len() + between.len() > 1;
                    return some.then_some(Self { layer: place, dot: x, pools, below: between, above });
                }
                Op::MulAdd { .. }
                | Op::Affine { .. }
                | Op::Relu
                | Op::Clip { .. }
                | Op::PRelu { .. }
                | Op::RPRelu { .. } => part.push(place),
                Op::MaxPool2d { .. } | Op::GlobalMaxPool => pools.push(place),
                _ => return None,
            }
            x = *walk.node(place).inputs.first()?;
        }
    }
}

/// How a channel's numbers go with the dot product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// They do not decrease.
    Rising,
    /// They do not increase, and somewhere decrease.
    Falling,
}

/// What a chain answers to every dot product, per channel.
pub(super) struct Responses {
    /// Before the pools.
    pub(super) below: Vec<Direction>,
    /// Bit of the smallest dot product, and the smallest one that changes it.
    bits: Vec<(bool, i32)>,
    /// Largest dot product.
    k: i32,
}

impl Responses {
    /// `None` where a channel has no single change, or there are too many dot products.
    pub(super) fn of(walk: &Rewrite, chain: &Chain) -> Result<Option<Self>, ConvertError> {
        let (Op::BinaryConv2d { weight, .. } | Op::BinaryConv2dTranspose { weight, .. } | Op::BinaryDense { weight }) =
            &walk.node(chain.layer).op
        else {
            return Ok(None);
        };
        let Some(tensor) = walk.tensors.get(weight) else {
            return Ok(None);
        };
        let channels = walk.value_type(chain.dot).shape.c;
        let (Ok(k), Some(tried)) = (i32::try_from(tensor.row_len()), tensor.row_len().checked_mul(2 * channels)) else {
            return Ok(None);
        };
        if tried > LIMIT {
            return Ok(None);
        }
        let below = match &chain.below[..] {
            [] => vec![Direction::Rising; channels],
            ops => match directions(walk, ops, k, channels)? {
                Some(directions) => directions,
                None => return Ok(None),
            },
        };
        // The whole function of d; where d is negated, its order is.
        let all: Vec<usize> = chain.below.iter().chain(&chain.above).copied().collect();
        let mut bits: Vec<Bits> = vec![Bits::default(); channels];
        for_every(walk, &all, k, channels, |d, c, y| bits[c].see(d, y))?;
        let mut single = Vec::with_capacity(channels);
        for (bits, direction) in bits.iter().zip(&below) {
            match bits.single(*direction, k) {
                Some(change) => single.push(change),
                None => return Ok(None),
            }
        }
        Ok(Some(Self { below, bits: single, k }))
    }

    /// The threshold of each channel, and +1 where it is flipped, else -1.
    pub(super) fn thresholds(&self) -> (Vec<i32>, Vec<i8>) {
        let of = |&(first, change): &(bool, i32)| match (first, change > self.k) {
            // A channel whose bit is always 1: every d is large enough, and no flip hinders a pool.
            (true, true) => (-self.k, -1),
            (first, _) => (change, if first { 1 } else { -1 }),
        };
        self.bits.iter().map(of).unzip()
    }
}

/// The bits of one channel over rising dot products.
#[derive(Clone, Copy, Default)]
struct Bits {
    first: Option<bool>,
    last: bool,
    changes: usize,
    change: i32,
}

impl Bits {
    fn see(&mut self, d: i32, y: f32) {
        let bit = y > 0.0;
        if self.first.is_none() {
            self.first = Some(bit);
        } else if bit != self.last {
            self.changes += 1;
            self.change = d;
        }
        self.last = bit;
    }

    /// The bit of the smallest dot product and the smallest one with another bit, `k + 1` where there is none; of the
    /// negated dot products where the direction is falling.
    fn single(&self, direction: Direction, k: i32) -> Option<(bool, i32)> {
        let first = self.first?;
        match (self.changes, direction) {
            (0, _) => Some((first, k.checked_add(1)?)),
            (1, Direction::Rising) => Some((first, self.change)),
            // bit(d) changes at t; with e = -d, the bits of e <= -t are the last ones.
            (1, Direction::Falling) => Some((self.last, 1 - self.change)),
            _ => None,
        }
    }
}

/// The direction of each channel of elementwise operators; `None` where one has none.
fn directions(walk: &Rewrite, ops: &[usize], k: i32, channels: usize) -> Result<Option<Vec<Direction>>, ConvertError> {
    let mut seen = vec![(f32::NAN, false, false, false); channels];
    for_every(walk, ops, k, channels, |_, c, y| {
        let (before, rises, falls, odd) = &mut seen[c];
        *rises |= y > *before;
        *falls |= y < *before;
        *odd |= y.is_nan();
        *before = y;
    })?;
    let direction = |&(_, rises, falls, odd): &(f32, bool, bool, bool)| match (rises, falls, odd) {
        (_, false, false) => Some(Direction::Rising),
        (false, true, false) => Some(Direction::Falling),
        _ => None,
    };
    Ok(seen.iter().map(direction).collect())
}

/// Runs elementwise operators on every dot product from `-k` to `k`, and shows each channel's answer; bits as +1
/// and -1.
fn for_every(
    walk: &Rewrite,
    ops: &[usize],
    k: i32,
    channels: usize,
    mut see: impl FnMut(i32, usize, f32),
) -> Result<(), ConvertError> {
    let model = elementwise(walk, ops, channels)?;
    let step = i32::try_from(AT_ONCE / channels.max(1)).unwrap_or(1).max(1);
    let mut from = -k;
    while from <= k {
        let to = from.saturating_add(step - 1).min(k);
        // An integer dot product becomes a real number first, in each of the operators.
        let input: Vec<f32> = (from..=to).flat_map(|d| std::iter::repeat_n(d as f32, channels)).collect();
        let answers = match interpreter::run(&model, (to - from + 1) as usize, &input)?.data {
            ValueData::F32(data) => data,
            ValueData::Bits(data) => data.into_iter().map(f32::from).collect(),
            ValueData::I32(data) => data.into_iter().map(|v| v as f32).collect(),
        };
        for (d, row) in (from..=to).zip(answers.chunks_exact(channels)) {
            row.iter().enumerate().for_each(|(c, &y)| see(d, c, y));
        }
        from = to + 1;
    }
    Ok(())
}

/// The operators alone, on a vector of one number per channel.
fn elementwise(walk: &Rewrite, ops: &[usize], channels: usize) -> Result<Model, ConvertError> {
    let mut builder = ModelBuilder::new(Shape::vector(channels));
    let mut x = builder.input();
    let mut taken = std::collections::BTreeSet::new();
    for (i, &place) in ops.iter().enumerate() {
        let op = walk.node(place).op.clone();
        for name in op.tensors() {
            if let Some(tensor) = walk.tensors.get(name).filter(|_| taken.insert(name.to_owned())) {
                builder.tensor(name, tensor.clone());
            }
        }
        x = builder.node(format!("{i}"), op, &[x]);
    }
    Ok(builder.finish(x)?)
}
