//! Binary convolutions and dense layers, thresholds and shifted signs.

use std::ops::Range;

use signbit_kernels::shape::Conv;
use signbit_kernels::weights::PackedWeights;
use signbit_kernels::{Isa, bits, conv, threshold, weights};

use super::Part;
use super::stage::PerChannel;
use crate::memory::Aligned;
use crate::plan::Values;

/// A binary convolution or dense layer with its packed weights.
#[derive(Debug)]
pub(crate) struct Binary {
    /// The geometry for one sample.
    pub(crate) conv: Conv,
    weights: Aligned<u64>,
}

impl Binary {
    /// Bytes of the packed weights; `conv` is valid.
    pub(crate) fn packed_bytes(isa: Isa, conv: &Conv) -> usize {
        weights::packed_len(isa, conv) * size_of::<u64>()
    }

    /// Packs canonical weight rows for `isa`; `conv` is valid. `None` where there is no memory.
    pub(crate) fn new(isa: Isa, conv: Conv, rows: &[u64]) -> Option<Self> {
        let mut packed = Aligned::zeros(weights::packed_len(isa, &conv))?;
        weights::pack(isa, &conv, rows, &mut packed);
        Some(Self { conv, weights: packed })
    }

    fn batch(&self, values: Values<'_>) -> (Isa, Conv, PackedWeights<'_>) {
        let (isa, conv) = (values.plan.isa, Conv { n: values.n, ..self.conv });
        (isa, conv, PackedWeights::new(isa, &conv, &self.weights))
    }

    fn part(&self, values: Values<'_>, part: &Part) -> (Isa, Conv, PackedWeights<'_>, Range<usize>) {
        let (isa, conv, weights) = self.batch(values);
        match part {
            Part::Rows(rows) => (isa, conv, weights, rows.clone()),
            Part::Channels(channels) => {
                let (conv, weights) = weights.channels(&conv, channels.clone());
                (isa, conv, weights, 0..1)
            }
        }
    }

    pub(super) fn dots(&self, values: Values<'_>, x: usize, part: &Part, out: &mut [i32]) {
        let (isa, conv, weights, rows) = self.part(values, part);
        conv::dots(isa, &conv, values.bits(x), &weights, rows, out);
    }

    pub(super) fn dots_f32(&self, values: Values<'_>, x: usize, part: &Part, out: &mut [f32]) {
        let (isa, conv, weights, rows) = self.part(values, part);
        conv::dots_f32(isa, &conv, values.bits(x), &weights, rows, out);
    }

    pub(super) fn bits(&self, values: Values<'_>, x: usize, t: &Thresholds, part: &Part, out: &mut [u64]) {
        let (isa, conv, weights, rows) = self.part(values, part);
        conv::bits(isa, &conv, values.bits(x), &weights, &t.view(part), rows, out);
    }
}

/// Thresholds with their directions, one per channel.
#[derive(Debug)]
pub(crate) struct Thresholds {
    pub(crate) t: Box<[i32]>,
    pub(crate) flip: Box<[u64]>,
}

impl Thresholds {
    /// The bits of a pixel whose dot products are all 0.
    pub(super) fn of_nothing(&self, out: &mut [u64]) {
        out.copy_from_slice(&self.flip);
        for (c, _) in self.t.iter().enumerate().filter(|(_, t)| **t <= 0) {
            out[c / 64] ^= 1 << (c % 64);
        }
    }

    /// Those of a part of the output.
    pub(super) fn view(&self, part: &Part) -> threshold::Thresholds<'_> {
        match part {
            Part::Rows(_) => threshold::Thresholds { t: &self.t, flip: &self.flip },
            Part::Channels(channels) => {
                let words = channels.start / 64..channels.end.div_ceil(64);
                threshold::Thresholds { t: &self.t[channels.clone()], flip: &self.flip[words] }
            }
        }
    }
}

/// Numbers that [`rsign`] shifts at a time; a multiple of 64, so that words do not straddle two blocks.
const BLOCK: usize = 1024;

/// `sign(x - shift[c])` of whole rows of channels.
pub(super) fn rsign(isa: Isa, x: &[f32], shift: &PerChannel, out: &mut [u64]) {
    let channels = shift.len();
    let mut block = [0.0; BLOCK];
    let mut subtract = |x: &[f32], shift: &[f32], out: &mut [u64]| {
        for ((y, x), shift) in block.iter_mut().zip(x).zip(shift.iter().cycle()) {
            *y = x - shift;
        }
        bits::pack_signs(isa, &block[..x.len()], channels.min(x.len()), out);
    };
    if channels <= BLOCK {
        let pixels = BLOCK / channels;
        let words = pixels * bits::words(channels);
        for (x, out) in x.chunks(pixels * channels).zip(out.chunks_mut(words)) {
            subtract(x, shift, out);
        }
        return;
    }
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(bits::words(channels))) {
        let blocks = x.chunks(BLOCK).zip(shift.chunks(BLOCK));
        for ((x, shift), out) in blocks.zip(out.chunks_mut(BLOCK / 64)) {
            subtract(x, shift, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Around the size of a block, and with numbers whose difference is not what a comparison says.
    #[test]
    fn rsign_is_the_sign_of_the_difference() {
        for channels in [1, 3, 64, 65, 1000, 1024, 1025, 2500] {
            let x: Vec<f32> = (0..channels * 3).map(|i| [0.5, -0.5, f32::INFINITY, -0.0, f32::NAN][i % 5]).collect();
            let shift: Vec<f32> = (0..channels).map(|i| [0.5, f32::INFINITY, -1.0, 0.0][i % 4]).collect();
            for isa in Isa::all() {
                let mut out = vec![u64::MAX; 3 * bits::words(channels)];
                rsign(isa, &x, &shift.clone().into(), &mut out);
                let mut expected = vec![0; out.len()];
                for (i, x) in x.iter().enumerate() {
                    let (row, c) = (i / channels, i % channels);
                    let bit = u64::from(x - shift[c] >= 0.0);
                    expected[row * bits::words(channels) + c / 64] |= bit << (c % 64);
                }
                assert_eq!(out, expected, "{channels} channels, {}", isa.name());
            }
        }
    }
}
