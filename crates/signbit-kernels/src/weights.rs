//! Binary weights in the layout of an instruction set. The canonical form is for files; each kernel
//! wants the bits in another order, which is its own affair and may change with every version.

use core::ops::Range;

use crate::{Isa, arch, bits::words, shape::Conv};

/// What of a geometry the layout of its weights depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    kernel: [usize; 2],
    c_in: usize,
    c_out: usize,
    groups: usize,
}

impl Geometry {
    fn of(conv: &Conv) -> Self {
        Self { kernel: conv.kernel, c_in: conv.c_in, c_out: conv.c_out, groups: conv.groups }
    }
}

/// Length in words of the packed weights of `conv` for `isa`.
///
/// # Panics
/// If the geometry is not valid.
pub fn packed_len(isa: Isa, conv: &Conv) -> usize {
    conv.check_rows(&(0..0));
    match isa {
        Isa::Reference(_) => arch::reference::packed_len(conv),
        Isa::Portable(_) => arch::portable::packed_len(conv),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) => arch::avx2::packed_len(conv),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(_) => arch::avx512::table::packed_len(conv),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(_) => arch::avx512::popcnt::packed_len(conv),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::packed_len(conv),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) => arch::neon::packed_len(conv),
    }
}

/// Brings canonical weights (`c_out` rows of `words(k)` words, see the crate's conventions) into the layout of `isa`.
///
/// # Panics
/// If the geometry is not valid, `rows` is not `c_out * words(k)` long, or `out` not [`packed_len`].
pub fn pack(isa: Isa, conv: &Conv, rows: &[u64], out: &mut [u64]) {
    let len = packed_len(isa, conv);
    assert!(out.len() == len, "{} words for {len} packed words", out.len());
    assert!(rows.len() == conv.c_out * words(conv.k()), "{} weight words for {conv:?}", rows.len());
    match isa {
        Isa::Reference(_) => arch::reference::pack_weights(rows, out),
        Isa::Portable(_) => arch::portable::pack_weights(conv, rows, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) => arch::avx2::pack_weights(conv, rows, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(_) => arch::avx512::table::pack_weights(conv, rows, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(_) => arch::avx512::popcnt::pack_weights(conv, rows, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::pack_weights(conv, rows, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) => arch::neon::pack_weights(conv, rows, out),
    }
}

/// Weights that [`pack`] wrote, together with what they were written for. The words are borrowed; an
/// alignment of 64 bytes makes reading them fastest, but none is needed.
#[derive(Clone, Copy, Debug)]
pub struct PackedWeights<'a> {
    isa: Isa,
    geometry: Geometry,
    words: &'a [u64],
}

impl<'a> PackedWeights<'a> {
    /// A view of `words`, which [`pack`] has filled for the same `isa` and the same kernel, channels and
    /// groups (batch, image size, strides, dilation and padding may differ).
    ///
    /// # Panics
    /// If the geometry is not valid or `words` is not [`packed_len`] long.
    pub fn new(isa: Isa, conv: &Conv, words: &'a [u64]) -> Self {
        let len = packed_len(isa, conv);
        assert!(words.len() == len, "{} words for {len} packed words", words.len());
        Self { isa, geometry: Geometry::of(conv), words }
    }

    /// The instruction set whose layout this is.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The layer of some of the output channels: its geometry and its weights, a part of these. What it computes is
    /// what the whole layer computes for them.
    ///
    /// # Panics
    /// If these weights do not fit `conv`, or the part is not one that [`Conv::channels`] allows.
    pub fn channels(&self, conv: &Conv, channels: Range<usize>) -> (Conv, PackedWeights<'a>) {
        let words = self.words_for(self.isa, conv);
        let part = conv.channels(channels.clone());
        // Layouts are blocks of output channels, of which 64 are always whole ones.
        let len = packed_len(self.isa, &part);
        let start = if channels.start == 0 { 0 } else { packed_len(self.isa, &conv.channels(0..channels.start)) };
        (part, PackedWeights { isa: self.isa, geometry: Geometry::of(&part), words: &words[start..start + len] })
    }

    /// The words, if they are for `isa` and fit `conv`.
    #[track_caller]
    pub(crate) fn words_for(&self, isa: Isa, conv: &Conv) -> &'a [u64] {
        assert!(self.isa == isa, "weights packed for {} given to {}", self.isa.name(), isa.name());
        assert!(self.geometry == Geometry::of(conv), "weights of {:?} given to {conv:?}", self.geometry);
        self.words
    }
}
