//! Convolutions of small groups of any size, and depthwise ones with several outputs of a channel, as the depthwise
//! convolution that they are when every output channel has an input of its own.
//!
//! Input channel `r` of each group is copied for all output channels of the group, for each `r` in turn: a pixel becomes as many
//! pixels side by side as a group has input channels, and a tap as many taps. The copies are made of a few rows at a time.

use core::ops::Range;

use super::{counters::Lanes, depthwise};
use crate::{
    bits::{read_bits, words},
    conv::Out,
    shape::Conv,
};

/// Words of copies at a time.
const ROOM: usize = 4096;

/// Input channels of a group at most: bits of an index of [`Table`].
const MAX_GROUP: usize = 8;

/// Whether the layout and the kernel here are for this geometry.
pub(crate) fn is_sliced(conv: &Conv) -> bool {
    depthwise::is_sliced(conv) || as_depthwise(conv).is_some()
}

/// Length of the packed weights.
pub(crate) fn packed_len(conv: &Conv) -> usize {
    depthwise::packed_len(&as_depthwise(conv).unwrap_or(*conv))
}

/// Packs rows of weights, whose bits are in the order of the depthwise convolution's taps already.
pub(crate) fn pack_weights(conv: &Conv, rows: &[u64], out: &mut [u64]) {
    depthwise::pack_weights(&as_depthwise(conv).unwrap_or(*conv), rows, out);
}

/// The depthwise convolution of the copies; `None` where the groups are its own, or where other kernels are better.
fn as_depthwise(conv: &Conv) -> Option<Conv> {
    let (group_in, group_out) = (conv.group_in(), conv.group_out());
    // Larger groups fill enough of the lanes of kernels whose lanes are output channels.
    let small = group_in <= MAX_GROUP && group_out < 32 && (group_out < 8 || group_in < 4);
    if conv.groups == 1 || !small || depthwise::is_sliced(conv) {
        return None;
    }
    let ([kh, kw], [dh, dw], [sh, sw]) = (conv.kernel, conv.dilation, conv.stride);
    // The copies of neighbouring taps have to be neighbours.
    if group_in > 1 && kw > 1 && dw > 1 {
        return None;
    }
    let [top, left, bottom, right] = conv.pads;
    let times = |columns: usize| columns.checked_mul(group_in);
    let copies = Conv {
        w: times(conv.w)?,
        c_in: conv.c_out,
        kernel: [kh, times(kw)?],
        stride: [sh, times(sw)?],
        dilation: [dh, if group_in == 1 { dw } else { 1 }],
        pads: [top, times(left)?, bottom, times(right)?],
        groups: conv.c_out,
        ..*conv
    };
    let window = [reach(conv, 0), reach(conv, 1), group_in, words(conv.c_out)];
    let fits = window.into_iter().try_fold(1usize, usize::checked_mul).is_some_and(|words| words <= ROOM);
    (fits && depthwise::is_sliced(&copies)).then_some(copies)
}

/// Inputs from the first to the last tap of a window, vertically or horizontally.
fn reach(conv: &Conv, axis: usize) -> usize {
    (conv.kernel[axis] - 1) * conv.dilation[axis] + 1
}

#[inline(always)]
pub(crate) fn conv<L: Lanes>(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, mut out: Out<'_>) {
    let Some(copies) = as_depthwise(conv) else {
        return depthwise::conv::<L>(conv, acts, weights, rows, out);
    };
    let table = Table::new(conv);
    let mut buffer = [0; ROOM];
    let (out_h, out_w) = (conv.out_h(), conv.out_w());
    // As many whole rows as there is room for, or a part of one.
    let pixel = conv.group_in() * words(conv.c_out);
    let [height, width] = [reach(conv, 0), reach(conv, 1)];
    let line = conv.w.saturating_mul(pixel);
    let [rows_at_once, columns_at_once] = match ROOM / height / line {
        0 => [1, (ROOM / height / pixel - width) / conv.stride[1] + 1],
        _ => [(ROOM / line - height) / conv.stride[0] + 1, out_w],
    };
    let mut row = rows.start;
    while row < rows.end {
        let (image, oy) = (row / out_h, row % out_h);
        let down = rows_at_once.min(out_h - oy).min(rows.end - row);
        let y = Inputs::of(conv, 0, oy..oy + down);
        for ox in (0..out_w).step_by(columns_at_once) {
            let across = columns_at_once.min(out_w - ox);
            let x = Inputs::of(conv, 1, ox..ox + across);
            let mut used = 0;
            for y in y.inside.clone() {
                for x in x.inside.clone() {
                    let at = ((image * conv.h + y) * conv.w + x) * words(conv.c_in);
                    table.copy(conv, &acts[at..][..words(conv.c_in)], &mut buffer[used..][..pixel]);
                    used += pixel;
                }
            }
            let part = Conv {
                n: 1,
                h: y.inside.len(),
                w: x.inside.len() * conv.group_in(),
                pads: [y.before, x.before * conv.group_in(), y.behind, x.behind * conv.group_in()],
                ..copies
            };
            let first = (row - rows.start) * out_w + ox;
            let out = out.part(conv.c_out, first..first + down * across);
            depthwise::conv::<L>(&part, &buffer[..used], weights, 0..down, out);
        }
        row += down;
    }
}

/// The inputs of neighbouring outputs along one axis.
struct Inputs {
    /// Those that there are.
    inside: Range<usize>,
    /// How many lie before the first and behind the last one.
    before: usize,
    behind: usize,
}

impl Inputs {
    #[inline(always)]
    fn of(conv: &Conv, axis: usize, outputs: Range<usize>) -> Self {
        let (pad, size) = (conv.pads[axis], [conv.h, conv.w][axis]);
        // Counted from the padding's first one.
        let start = outputs.start * conv.stride[axis];
        let end = (outputs.end - 1) * conv.stride[axis] + reach(conv, axis);
        let inside = start.saturating_sub(pad).min(size)..end.saturating_sub(pad).min(size);
        let before = pad.saturating_sub(start).min(end - start);
        Self { before, behind: end - start - before - inside.len(), inside }
    }
}

/// The copies of the channels of some groups, by their bits in the input.
struct Table {
    /// How many groups an index has.
    groups: usize,
    /// For each channel of a group: its copies.
    copies: [[u64; 1 << MAX_GROUP]; MAX_GROUP],
}

impl Table {
    #[inline(always)]
    fn new(conv: &Conv) -> Self {
        let (group_in, group_out) = (conv.group_in(), conv.group_out());
        let groups = (MAX_GROUP / group_in).min(64 / group_out);
        let mut copies = [[0; 1 << MAX_GROUP]; MAX_GROUP];
        let copy = (1 << group_out) - 1;
        for (channel, copies) in copies[..group_in].iter_mut().enumerate() {
            for (index, copies) in copies[..1 << (groups * group_in)].iter_mut().enumerate() {
                for group in (0..groups).filter(|group| index >> (group * group_in + channel) & 1 == 1) {
                    *copies |= copy << (group * group_out);
                }
            }
        }
        Self { groups, copies }
    }

    /// The copies of a pixel, `[group_in][words(c_out)]`.
    #[inline(always)]
    fn copy(&self, conv: &Conv, pixel: &[u64], out: &mut [u64]) {
        let (group_in, group_out, words) = (conv.group_in(), conv.group_out(), words(conv.c_out));
        let mut started = [0; MAX_GROUP];
        // Bits of the words that are started.
        let (mut word, mut bits) = (0, 0);
        for group in (0..conv.groups).step_by(self.groups) {
            let groups = self.groups.min(conv.groups - group);
            let index = read_bits(pixel, group * group_in, groups * group_in) as usize;
            let len = groups * group_out;
            for channel in 0..group_in {
                let copies = self.copies[channel][index];
                started[channel] |= copies << bits;
                if bits + len >= 64 {
                    out[channel * words + word] = started[channel];
                    started[channel] = if bits == 0 { 0 } else { copies >> (64 - bits) };
                }
            }
            bits += len;
            if bits >= 64 {
                (word, bits) = (word + 1, bits - 64);
            }
        }
        if bits > 0 {
            for channel in 0..group_in {
                out[channel * words + word] = started[channel];
            }
        }
    }
}
