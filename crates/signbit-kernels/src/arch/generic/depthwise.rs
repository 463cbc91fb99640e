//! The binary depthwise convolution, and others of small groups with as many output as input channels.
//!
//! A word holds the same tap of 64 channels, and the mismatches of all of them are counted at once, in vertical
//! counters: plane `p` is the word of bits `p` of 64 counts. Two bits enter by a full adder on plane 0 whose carry
//! ripples upwards. Words go four at a time, of one pixel or, where a pixel has fewer, of neighbouring ones.
//!
//! In groups of `g` channels each tap is `g` steps: with the activations turned by `r` places within each group,
//! output channel `j` meets input channel `(j + r) mod g`. Depthwise is `g = 1`.
//!
//! # Thresholds
//! With `m` mismatches of `T` bits, `dot >= t` is `m <= limit`, with `limit = (T - t) / 2` rounded down. The counters of
//! `P` planes begin at `2^(P-1) - 1 - limit`, so that the last plane is the bit `m > limit` of each channel.
//!
//! # Taps outside
//! Padding of +1 or -1 is a word of its own. Where taps outside do not count, every second bit of them is a
//! mismatch: two of them then add 1 - 1 = 0 to the dot product. An odd one out takes 1 from `T`.

use core::ops::Range;

use super::counters::{LANES, Lanes, add, counts, planes};
use crate::{
    bits::{read_bits, words},
    conv::Out,
    shape::{Conv, Padding},
    threshold::Thresholds,
    window::Window,
};

/// Taps at most: bits of a word.
const MAX_TAPS: usize = 63;

/// Channels of a group at most. In larger ones the words of one channel are long enough for other kernels.
const MAX_GROUP: usize = 16;

/// Whether the layout and the kernel here are for this geometry.
pub(crate) fn is_sliced(conv: &Conv) -> bool {
    let group = conv.group_in();
    // 9 planes count up to 255.
    let counts = conv.taps() <= MAX_TAPS && conv.k() <= 255;
    let groups = group == 1 || (group <= MAX_GROUP && group.is_power_of_two() && conv.groups > 1);
    conv.c_in == conv.c_out && groups && counts
}

/// For each block of four words, for each tap and turn: four words, `[blocks][taps][group][4]`.
pub(crate) fn packed_len(conv: &Conv) -> usize {
    words(conv.c_in).div_ceil(LANES) * conv.k() * LANES
}

pub(crate) fn pack_weights(conv: &Conv, rows: &[u64], out: &mut [u64]) {
    let (k, group, words_in) = (conv.k(), conv.group_in(), words(conv.c_in));
    for (block, out) in out.chunks_exact_mut(k * LANES).enumerate() {
        for (i, out) in out.iter_mut().enumerate() {
            let (step, word) = (i / LANES, word_of_lane(words_in, block, i % LANES));
            let (tap, turn) = (step / group, step % group);
            // Lanes behind the last word have no rows.
            let rows = rows.chunks_exact(words(k)).skip(word * 64).take(64);
            *out = rows.enumerate().fold(0, |word, (channel, row)| {
                word | read_bits(row, tap * group + (channel + turn) % group, 1) << channel
            });
        }
    }
}

/// The word of its pixel that a lane holds: of the pixel after where a pixel is one or two words.
fn word_of_lane(words: usize, block: usize, lane: usize) -> usize {
    if LANES.is_multiple_of(words) { lane % words } else { block * LANES + lane }
}

#[inline(always)]
pub(crate) fn conv<L: Lanes>(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, out: Out<'_>) {
    // As many planes as count to K, and one more.
    match conv.k() {
        0..16 => Job::<5>::new(conv, acts).run::<L>(weights, rows, out),
        16..64 => Job::<7>::new(conv, acts).run::<L>(weights, rows, out),
        _ => Job::<9>::new(conv, acts).run::<L>(weights, rows, out),
    }
}

/// What is the same for all of one call with counters of `P` planes.
struct Job<'a, const P: usize> {
    conv: &'a Conv,
    acts: &'a [u64],
    words: usize,
    /// Of each turn, the bits that stay in their group when shifted down.
    stay: [u64; MAX_GROUP],
    /// Words from the first tap of a window to each tap.
    offsets: [usize; MAX_TAPS],
    /// The output columns whose windows have all tap columns inside.
    full: Range<usize>,
}

/// The output of four words, at a place that counts in words from the start of the output.
struct Place {
    at: usize,
    /// How many of the four are there.
    lanes: usize,
    /// Taps outside that do not count, modulo 2.
    odd: bool,
}

/// Taps of a window as bits.
#[derive(Clone, Copy)]
struct Taps {
    inside: u64,
    /// Of the taps outside, those that count as mismatches.
    mismatches: u64,
}

impl<'a, const P: usize> Job<'a, P> {
    #[inline(always)]
    fn new(conv: &'a Conv, acts: &'a [u64]) -> Self {
        let words = words(conv.c_in);
        let mut offsets = [0; MAX_TAPS];
        for (tap, offset) in offsets[..conv.taps()].iter_mut().enumerate() {
            let [ky, kx] = [tap / conv.kernel[1], tap % conv.kernel[1]];
            // Taps that lie in no window may be anywhere.
            let pixels = (ky * conv.dilation[0]).wrapping_mul(conv.w).wrapping_add(kx * conv.dilation[1]);
            *offset = pixels.wrapping_mul(words);
        }
        let (pad, stride, reach) = (conv.pads[1], conv.stride[1], (conv.kernel[1] - 1) * conv.dilation[1]);
        let end = match (pad + conv.w).checked_sub(reach + 1) {
            Some(last) => (last / stride + 1).min(conv.out_w()),
            None => 0,
        };
        let mut stay = [u64::MAX; MAX_GROUP];
        let group = conv.group_in();
        for (turn, stay) in stay[..group].iter_mut().enumerate() {
            // The low `group - turn` bits of each group.
            *stay = ((1 << (group - turn)) - 1) * (u64::MAX / ((1 << group) - 1));
        }
        Self { conv, acts, words, stay, offsets, full: pad.div_ceil(stride).min(end)..end }
    }

    #[inline(always)]
    fn run<L: Lanes>(&self, weights: &[u64], rows: Range<usize>, mut out: Out<'_>) {
        let (conv, out_w) = (self.conv, self.conv.out_w());
        for (block, weights) in weights.chunks_exact(conv.k() * LANES).enumerate() {
            let counters = Counters::<P>::of(conv, block, &out);
            for (i, row) in rows.clone().enumerate() {
                let [n, oy] = [row / conv.out_h(), row % conv.out_h()];
                let mut ox = 0;
                while ox < out_w {
                    let pixels = if ox == self.full.start { self.full.len().max(1) } else { 1 };
                    let window = Window::of(conv, [n, oy, ox]);
                    self.pixels::<L>(weights, &counters, &window, block, i * out_w + ox, pixels, &mut out);
                    ox += pixels;
                }
            }
        }
    }

    /// One block of words at neighbouring pixels whose windows have the same taps inside.
    #[inline(always)]
    fn pixels<L: Lanes>(
        &self,
        weights: &[u64],
        counters: &Counters<P>,
        window: &Window,
        block: usize,
        pixel: usize,
        pixels: usize,
        out: &mut Out<'_>,
    ) {
        let (conv, words) = (self.conv, self.words);
        let weights = weights.as_chunks::<LANES>().0;
        let first = window.input(conv, 0, 0).wrapping_mul(words).wrapping_add(block * LANES);
        let at = pixel * words + block * LANES;
        // Words from one step to the next in the input and in the output, and lanes of a step at most.
        let [step_in, step_out, lanes] = if conv.stride[1] == 1 && LANES.is_multiple_of(words) {
            [LANES, LANES, LANES]
        } else {
            [conv.stride[1] * words, words, (words - block * LANES).min(LANES)]
        };
        let total = pixels * words;
        let whole = [window.ky().len(), window.kx().len()] == conv.kernel;
        let (taps, odd) = if whole { (Taps { inside: u64::MAX, mismatches: 0 }, false) } else { self.taps(window) };
        let mut start = first;
        for done in (0..total).step_by(step_out) {
            let place = Place { at: at + done, lanes: lanes.min(total - done), odd };
            let planes = counters.start[odd as usize].map(|plane| L::load(&plane));
            let planes = match whole {
                _ if conv.group_in() > 1 => self.count_groups(planes, weights, start, taps),
                true => self.count::<L, true>(planes, weights, start, taps),
                false => self.count::<L, false>(planes, weights, start, taps),
            };
            self.store(out, &place, planes, counters);
            start = start.wrapping_add(step_in);
        }
    }

    /// The taps of a window that has some outside, and whether the number of those that do not count is odd.
    #[inline(always)]
    fn taps(&self, window: &Window) -> (Taps, bool) {
        let [width, len] = [self.conv.kernel[1], self.conv.taps()];
        let row = ((1u64 << window.kx().len()) - 1) << window.kx().start;
        let inside = window.ky().fold(0, |inside, ky| inside | row << (ky * width));
        if self.conv.padding != Padding::Zero || self.conv.group_in() > 1 {
            return (Taps { inside, mismatches: 0 }, false);
        }
        let (mut outside, mut mismatches, mut odd) = (!inside & ((1 << len) - 1), 0, false);
        while outside != 0 {
            let first = outside & outside.wrapping_neg();
            mismatches |= if odd { first } else { 0 };
            outside ^= first;
            odd = !odd;
        }
        (Taps { inside, mismatches }, odd)
    }

    /// `planes` and the mismatches of the depthwise window whose first tap would be at word `start`. `WHOLE`: no tap is
    /// outside.
    #[inline(always)]
    fn count<L: Lanes, const WHOLE: bool>(
        &self,
        mut planes: [L; P],
        weights: &[[u64; LANES]],
        start: usize,
        taps: Taps,
    ) -> [L; P] {
        let (first, pairs) = weights.as_rchunks::<2>();
        let (first_offset, offset_pairs) = self.offsets[..weights.len()].as_rchunks::<2>();
        if let ([weight], [offset]) = (first, first_offset) {
            planes = add(planes, self.tap::<L, WHOLE>(0, weight, start.wrapping_add(*offset), taps), L::all(0));
        }
        for (i, (pair, offsets)) in pairs.iter().zip(offset_pairs).enumerate() {
            let i = first.len() + 2 * i;
            let a = self.tap::<L, WHOLE>(i, &pair[0], start.wrapping_add(offsets[0]), taps);
            let b = self.tap::<L, WHOLE>(i + 1, &pair[1], start.wrapping_add(offsets[1]), taps);
            planes = add(planes, a, b);
        }
        planes
    }

    /// The mismatches of one tap, which is at word `at` if it is inside.
    #[inline(always)]
    fn tap<L: Lanes, const WHOLE: bool>(&self, tap: usize, weight: &[u64; LANES], at: usize, taps: Taps) -> L {
        let weight = L::load(weight);
        if WHOLE || taps.inside >> tap & 1 == 1 {
            return load::<L>(self.acts, at).xor(weight);
        }
        match self.conv.padding {
            Padding::Zero => L::all((taps.mismatches >> tap & 1).wrapping_neg()),
            Padding::One => L::all(u64::MAX).xor(weight),
            Padding::MinusOne => weight,
        }
    }

    /// `planes` and the mismatches of a window of groups of more than one channel, which are an even number.
    #[inline(always)]
    fn count_groups<L: Lanes>(&self, mut planes: [L; P], weights: &[[u64; LANES]], start: usize, taps: Taps) -> [L; P] {
        let group = self.conv.group_in();
        let offsets = self.offsets.iter().zip(weights.chunks_exact(group));
        for (tap, (offset, weights)) in offsets.enumerate() {
            let acts = match self.conv.padding {
                _ if taps.inside >> tap & 1 == 1 => load::<L>(self.acts, start.wrapping_add(*offset)),
                Padding::One => L::all(u64::MAX),
                Padding::MinusOne => L::all(0),
                Padding::Zero => {
                    for _ in 0..group / 2 {
                        planes = add(planes, L::all(u64::MAX), L::all(0));
                    }
                    continue;
                }
            };
            let turns = self.stay[..group].as_chunks::<2>().0;
            for (i, (pair, stay)) in weights.as_chunks::<2>().0.iter().zip(turns).enumerate() {
                let a = turn(acts, 2 * i, group, stay[0]).xor(L::load(&pair[0]));
                let b = turn(acts, 2 * i + 1, group, stay[1]).xor(L::load(&pair[1]));
                planes = add(planes, a, b);
            }
        }
        planes
    }

    #[inline(always)]
    fn store<L: Lanes>(&self, out: &mut Out<'_>, place: &Place, planes: [L; P], counters: &Counters<P>) {
        match out {
            Out::Bits(out, _) => {
                // `!more & keep ^ flip`, and `flip` lies within `keep`.
                let not = L::load(&counters.flip).xor(L::load(&counters.keep));
                let bits = planes[P - 1].and(L::load(&counters.keep)).xor(not).get();
                let out = &mut out[place.at..][..place.lanes];
                match out.as_mut_array() {
                    Some(out) => *out = bits,
                    None => out.copy_from_slice(&bits[..place.lanes]),
                }
            }
            Out::I32(out) => self.store_dots(out, place, &planes.map(L::get), |dot| dot),
            Out::F32(out) => self.store_dots(out, place, &planes.map(L::get), |dot| dot as f32),
        }
    }

    #[inline(always)]
    fn store_dots<T>(&self, out: &mut [T], place: &Place, planes: &[[u64; LANES]; P], number: impl Fn(i32) -> T) {
        let bits = self.conv.k() as i32 - place.odd as i32;
        for lane in 0..place.lanes {
            let (pixel, word) = ((place.at + lane) / self.words, (place.at + lane) % self.words);
            let row = &mut out[pixel * self.conv.c_out..][..self.conv.c_out];
            let counts = counts(planes.map(|plane| plane[lane]));
            for (out, count) in row[word * 64..].iter_mut().zip(&counts) {
                *out = number(bits - 2 * *count as i32);
            }
        }
    }
}

/// The counters of one block of words before the first tap, and what makes bits of their last plane.
struct Counters<const P: usize> {
    /// With an even and an odd number of taps that do not count.
    start: [[[u64; LANES]; P]; 2],
    keep: [u64; LANES],
    flip: [u64; LANES],
}

impl<const P: usize> Counters<P> {
    // Once per block: it stays out of the loops.
    #[inline(never)]
    fn of(conv: &Conv, block: usize, out: &Out<'_>) -> Self {
        let mut counters = Self { start: [[[0; LANES]; P]; 2], keep: [0; LANES], flip: [0; LANES] };
        let Out::Bits(_, Thresholds { t, flip }) = out else { return counters };
        let k = conv.k() as i32;
        // Lanes of a pixel after have the same channels.
        let different = if LANES.is_multiple_of(flip.len()) { flip.len() } else { LANES };
        for lane in 0..different {
            let word = word_of_lane(flip.len(), block, lane);
            let Some(t) = t.chunks(64).nth(word) else { break };
            counters.keep[lane] = u64::MAX >> (64 - t.len());
            counters.flip[lane] = flip[word] & counters.keep[lane];
            // Only bits that do not count can be an odd number.
            let kinds =
                if conv.padding == Padding::Zero && conv.group_in() == 1 && conv.pads != [0; 4] { 2 } else { 1 };
            for odd in 0..kinds {
                let mut starts = [0; 64];
                for (start, t) in starts.iter_mut().zip(t) {
                    let limit = ((k - odd as i32).saturating_sub(*t) >> 1).clamp(-1, k);
                    *start = ((1 << (P - 1)) - 1 - limit) as u16;
                }
                let planes = planes::<P>(&starts);
                for p in 0..P {
                    counters.start[odd][p][lane] = planes[p];
                }
            }
        }
        let planes = counters.start.as_flattened_mut().iter_mut();
        for lanes in planes.chain([&mut counters.keep, &mut counters.flip]) {
            for lane in different..LANES {
                lanes[lane] = lanes[lane - different];
            }
        }
        counters
    }
}

/// Four words from word `at` on; 0 behind the last, where only lanes are that nobody stores.
#[inline(always)]
fn load<L: Lanes>(acts: &[u64], at: usize) -> L {
    #[cold]
    fn end(acts: &[u64]) -> [u64; LANES] {
        core::array::from_fn(|i| acts.get(i).copied().unwrap_or(0))
    }
    let acts = &acts[at..];
    match acts.first_chunk() {
        Some(acts) => L::load(acts),
        None => L::load(&end(acts)),
    }
}

/// Bit `j` of each group from bit `(j + turn) mod group`. `stay`: the low `group - turn` bits of each.
#[inline(always)]
fn turn<L: Lanes>(acts: L, turn: usize, group: usize, stay: u64) -> L {
    let (down, up) = (acts.shift_down(turn), acts.shift_up(group - turn));
    // Of each bit, the one or the other.
    up.xor(up.xor(down).and(L::all(stay)))
}
