//! Real-valued steps whose order of operations is fixed, so that every instruction set gives the same
//! floats: the first and last layer of a network, and the scale map K of XNOR-Net.
//!
//! Multiplication and addition are rounded separately; none is ever fused.

use core::ops::Range;

use crate::{
    Isa, arch,
    shape::{Conv, Padding},
};

/// Output channels of one block of packed weights.
pub(crate) const LANES: usize = 16;

/// Whether the lanes run over the groups: one input and one output channel each.
pub(crate) fn is_depthwise(conv: &Conv) -> bool {
    conv.group_in() == 1 && conv.group_out() == 1
}

/// Length of the packed weights of `conv`. The layout is the same for every `isa` today; callers name theirs, as
/// for [`crate::weights::packed_len`], so that an instruction set can have a layout of its own.
///
/// # Panics
/// If the geometry is not valid.
pub fn pack_len(_isa: Isa, conv: &Conv) -> usize {
    conv.check_rows(&(0..0));
    if is_depthwise(conv) {
        return conv.taps() * conv.c_out.next_multiple_of(LANES);
    }
    conv.groups * conv.k() * conv.group_out().next_multiple_of(LANES)
}

/// Brings real weights from OHWI, `[c_out, kh, kw, c_in / groups]`, into blocks of output channels.
///
/// # Panics
/// If the geometry is not valid, `ohwi` is not `c_out * k` long, or `out` not [`pack_len`].
pub fn pack(isa: Isa, conv: &Conv, ohwi: &[f32], out: &mut [f32]) {
    let len = pack_len(isa, conv);
    assert!(out.len() == len, "{} numbers for {len} packed weights", out.len());
    assert!(ohwi.len() == conv.c_out * conv.k(), "{} weights for {conv:?}", ohwi.len());
    out.fill(0.0);
    // A depthwise convolution is packed like one group: K runs over the taps, lanes over the channels.
    let (k_len, group_out) = (conv.k(), if is_depthwise(conv) { conv.c_out } else { conv.group_out() });
    let block_len = k_len * LANES;
    let group_len = group_out.div_ceil(LANES) * block_len;
    for (o, row) in ohwi.chunks_exact(k_len).enumerate() {
        let (group, o) = (o / group_out, o % group_out);
        let block = &mut out[group * group_len + o / LANES * block_len..][..block_len];
        for (k, &w) in row.iter().enumerate() {
            block[k * LANES + o % LANES] = w;
        }
    }
}

/// The layer of some of the output channels: its geometry, and its part of the packed weights.
///
/// # Panics
/// If `w` is not what [`pack`] wrote for `conv`, or the part is not one that [`Conv::channels`] allows.
pub fn channels<'a>(isa: Isa, conv: &Conv, w: &'a [f32], channels: Range<usize>) -> (Conv, &'a [f32]) {
    let len = pack_len(isa, conv);
    assert!(w.len() == len, "{} numbers for {len} packed weights", w.len());
    let part = conv.channels(channels.clone());
    let start = if channels.start == 0 { 0 } else { pack_len(isa, &conv.channels(0..channels.start)) };
    (part, &w[start..start + pack_len(isa, &part)])
}

/// Real convolution of output `rows` (a range of `n * out_h`; `out` holds just those).
///
/// `x` is `[n, h, w, c_in]`, `w` is what [`pack`] wrote, `bias` has `c_out` numbers, `out` is
/// `[rows, out_w, c_out]`. Each output starts at 0.0 and adds `x * w` over `ky`, `kx`, `c` ascending, taps
/// outside of the input skipped; then the bias.
///
/// # Panics
/// If the geometry is not valid or pads with [`Padding::One`], `rows` lie outside, or a length does not fit.
pub fn conv2d(isa: Isa, conv: &Conv, x: &[f32], w: &[f32], bias: Option<&[f32]>, rows: Range<usize>, out: &mut [f32]) {
    let pixels = conv.check_rows(&rows);
    assert!(conv.padding == Padding::Zero, "a real convolution pads with 0");
    assert!(x.len() == conv.n * conv.h * conv.w * conv.c_in, "{} inputs for {conv:?}", x.len());
    let len = pack_len(isa, conv);
    assert!(w.len() == len, "{} numbers for {len} packed weights", w.len());
    assert!(bias.is_none_or(|bias| bias.len() == conv.c_out), "the bias is not {} numbers", conv.c_out);
    assert!(out.len() == pixels * conv.c_out, "{} numbers for {pixels} pixels of {conv:?}", out.len());
    match isa {
        Isa::Reference(_) => arch::reference::real_conv(conv, x, w, bias, rows, out),
        Isa::Portable(_) => arch::portable::real_conv(conv, x, w, bias, rows, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::real_conv(token, conv, x, w, bias, rows, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx512::real_conv(token, conv, x, w, bias, rows, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx512::real_conv(token.into(), conv, x, w, bias, rows, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::real_conv(conv, x, w, bias, rows, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::real_conv(token, conv, x, w, bias, rows, out),
    }
}

/// The mean of |x| over the channels of each pixel: A of XNOR-Net (Rastegari et al. 2016, arXiv 1603.05279, section 3.2).
///
/// `x` is `[pixels, c]`, `out` is `[pixels]`. Channel `c` is added to partial sum `c % 8`, the partial sums are combined as
/// `((p0+p4)+(p2+p6))+((p1+p5)+(p3+p7))`, the result is multiplied by `1/c`.
///
/// # Panics
/// If `c` is 0, or the lengths do not fit.
pub fn channel_means(isa: Isa, c: usize, x: &[f32], out: &mut [f32]) {
    assert!(c > 0, "pixels without channels");
    assert!(out.len().checked_mul(c) == Some(x.len()), "{} inputs for {} pixels of {c} channels", x.len(), out.len());
    match isa {
        Isa::Reference(_) => arch::reference::channel_means(c, x, out),
        Isa::Portable(_) => arch::portable::channel_means(c, x, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::channel_means(token, c, x, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx2::channel_means(token.into(), c, x, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx2::channel_means(token.into(), c, x, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::channel_means(c, x, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::channel_means(token, c, x, out),
    }
}

/// The scale map K of XNOR-Net (Rastegari et al. 2016, arXiv 1603.05279, section 3.2): the mean of A over each window of
/// `conv`, one number per output position of `rows`, a range of `n * out_h`.
///
/// `a` is `[n, h, w]`, what [`channel_means`] makes of the input, `out` is `[rows, out_w]`. Channels and groups of `conv`
/// play no part. The sum over `ky`, `kx` ascending, taps outside skipped, times `1/(kh*kw)`.
///
/// # Panics
/// If the geometry is not valid, `rows` lie outside, or a length does not fit.
pub fn scale_map(isa: Isa, conv: &Conv, a: &[f32], rows: Range<usize>, out: &mut [f32]) {
    let pixels = conv.check_rows(&rows);
    assert!(a.len() == conv.n * conv.h * conv.w, "{} means for {conv:?}", a.len());
    assert!(out.len() == pixels, "{} numbers for {pixels} positions", out.len());
    match isa {
        Isa::Reference(_) => arch::reference::scale_map(conv, a, rows, out),
        // A number per pixel: nothing for vectors.
        _ => arch::generic::scale_map(conv, a, rows, out),
    }
}
