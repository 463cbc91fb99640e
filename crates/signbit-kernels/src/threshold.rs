//! Integer thresholds: what a batch normalisation before a sign becomes.

use crate::{Isa, arch, bits::words};

/// One threshold and one direction per output channel: `bit = (x >= t) xor flip`.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds<'a> {
    /// The thresholds, one per channel. A channel whose bit is constant has one beyond the range of `x`.
    pub t: &'a [i32],
    /// The directions, one bit per channel in [`words`]`(channels)` words.
    pub flip: &'a [u64],
}

impl Thresholds<'_> {
    #[track_caller]
    pub(crate) fn check(&self, channels: usize) {
        assert!(self.t.len() == channels, "{} thresholds for {channels} channels", self.t.len());
        assert!(self.flip.len() == words(channels), "{} flip words for {channels} channels", self.flip.len());
    }

    /// The bit of one value.
    pub(crate) fn bit(&self, channel: usize, x: i32) -> bool {
        (x >= self.t[channel]) ^ (self.flip[channel / 64] >> (channel % 64) & 1 == 1)
    }
}

/// Applies thresholds to rows of `channels` integers. Each row gives [`words`]`(channels)` words, tail bits 0.
///
/// # Panics
/// If `channels` is 0, or a length does not fit `channels`.
pub fn apply_i32(isa: Isa, x: &[i32], channels: usize, thresholds: &Thresholds<'_>, out: &mut [u64]) {
    assert!(channels > 0 && x.len().is_multiple_of(channels), "{} numbers are not rows of {channels}", x.len());
    let rows = x.len() / channels;
    assert!(out.len() == rows * words(channels), "{} words for {rows} rows of {channels} bits", out.len());
    thresholds.check(channels);
    match isa {
        Isa::Reference(_) => arch::reference::threshold(x, channels, thresholds, out),
        Isa::Portable(_) => arch::portable::threshold(x, channels, thresholds, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::threshold(token, x, channels, thresholds, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx2::threshold(token.into(), x, channels, thresholds, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx2::threshold(token.into(), x, channels, thresholds, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::threshold(x, channels, thresholds, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::threshold(token, x, channels, thresholds, out),
    }
}
