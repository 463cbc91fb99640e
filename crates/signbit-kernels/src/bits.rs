//! Signs to words and back, and moving runs of bits.

use crate::{Isa, arch};

/// Words that `n` bits take.
pub const fn words(n: usize) -> usize {
    n.div_ceil(64)
}

/// Packs the signs of rows of `channels` numbers: bit 1 where `x >= 0` (also -0.0), else 0 (also NaN).
/// Each row takes [`words`]`(channels)` words, tail bits 0.
///
/// # Panics
/// If `channels` is 0, `x` is not whole rows, or `out` has another number of rows.
pub fn pack_signs(isa: Isa, x: &[f32], channels: usize, out: &mut [u64]) {
    check_rows(x.len(), channels, out.len());
    match isa {
        Isa::Reference(_) => arch::reference::pack(x, channels, out, |x| x >= 0.0),
        Isa::Portable(_) => arch::portable::pack(x, channels, out, |x| x >= 0.0),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::pack_f32(token, x, channels, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx2::pack_f32(token.into(), x, channels, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx2::pack_f32(token.into(), x, channels, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::pack_f32(x, channels, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::pack_f32(token, x, channels, out),
    }
}

/// [`pack_signs`] of integers: bit 1 where `x >= 0`.
///
/// # Panics
/// As [`pack_signs`].
pub fn pack_signs_i32(isa: Isa, x: &[i32], channels: usize, out: &mut [u64]) {
    check_rows(x.len(), channels, out.len());
    match isa {
        Isa::Reference(_) => arch::reference::pack(x, channels, out, |x| x >= 0),
        Isa::Portable(_) => arch::portable::pack(x, channels, out, |x| x >= 0),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::pack_i32(token, x, channels, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx2::pack_i32(token.into(), x, channels, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx2::pack_i32(token.into(), x, channels, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::pack_i32(x, channels, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::pack_i32(token, x, channels, out),
    }
}

/// The inverse of [`pack_signs`]: +1.0 for bit 1, -1.0 for bit 0.
///
/// # Panics
/// If `channels` is 0, `out` is not whole rows, or `bits` has another number of rows.
pub fn unpack_signs(isa: Isa, bits: &[u64], channels: usize, out: &mut [f32]) {
    check_rows(out.len(), channels, bits.len());
    match isa {
        Isa::Reference(_) => arch::reference::unpack(bits, channels, out),
        Isa::Portable(_) => arch::portable::unpack(bits, channels, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::unpack(token, bits, channels, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx512::unpack(token, bits, channels, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx512::unpack(token.into(), bits, channels, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::unpack(bits, channels, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::unpack(token, bits, channels, out),
    }
}

#[track_caller]
fn check_rows(numbers: usize, channels: usize, packed: usize) {
    assert!(channels > 0, "rows of 0 channels");
    assert!(numbers.is_multiple_of(channels), "{numbers} numbers are not rows of {channels}");
    let rows = numbers / channels;
    assert!(packed == rows * words(channels), "{packed} words for {rows} rows of {channels} bits");
}

/// Turns a matrix of bits: `rows` rows of `columns` bits, each of [`words`]`(columns)` words, become `columns` rows of
/// `rows` bits. Bits behind the last of a row of `out` are 0; those of `x` may be anything.
///
/// # Panics
/// If a length does not fit.
pub fn transpose(rows: usize, columns: usize, x: &[u64], out: &mut [u64]) {
    let (from, to) = (words(columns), words(rows));
    assert!(rows.checked_mul(from) == Some(x.len()), "{} words for {rows} rows of {columns} bits", x.len());
    assert!(columns.checked_mul(to) == Some(out.len()), "{} words for {columns} rows of {rows} bits", out.len());
    for i in 0..to {
        for j in 0..from {
            let mut block = [0; 64];
            let lines = x[i * 64 * from..].iter().skip(j).step_by(from);
            block.iter_mut().zip(lines).for_each(|(block, line)| *block = *line);
            transpose_block(&mut block);
            let lines = out[j * 64 * to..].iter_mut().skip(i).step_by(to);
            lines.zip(block).for_each(|(line, block)| *line = block);
        }
    }
}

/// Turns 64 x 64 bits: halves change places, then quarters, down to single bits (Warren, Hacker's Delight, section 7-3).
fn transpose_block(block: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, u64::MAX >> 32);
    while width > 0 {
        for pair in block.chunks_exact_mut(2 * width) {
            let (low, high) = pair.split_at_mut(width);
            for (low, high) in low.iter_mut().zip(high) {
                let swap = (*low >> width ^ *high) & mask;
                *high ^= swap;
                *low ^= swap << width;
            }
        }
        width /= 2;
        mask ^= mask << width;
    }
}

/// Copies `len` bits from bit `src_bit` of `src` to bit `dst_bit` of `dst`; the bits around stay.
/// Concatenating, flattening and regrouping rows of bits is made of this.
///
/// # Panics
/// If either range reaches beyond its slice.
pub fn copy_bits(src: &[u64], src_bit: usize, dst: &mut [u64], dst_bit: usize, len: usize) {
    let inside = |bit: usize, words: usize| bit.checked_add(len).is_some_and(|end| end.div_ceil(64) <= words);
    assert!(inside(src_bit, src.len()), "bits {src_bit}.. ({len}) of {} words", src.len());
    assert!(inside(dst_bit, dst.len()), "bits {dst_bit}.. ({len}) of {} words", dst.len());
    if src_bit.is_multiple_of(64) && dst_bit.is_multiple_of(64) {
        let (from, to, whole) = (src_bit / 64, dst_bit / 64, len / 64);
        dst[to..to + whole].copy_from_slice(&src[from..from + whole]);
        let done = whole * 64;
        return copy_pieces(src, src_bit + done, dst, dst_bit + done, len - done);
    }
    copy_pieces(src, src_bit, dst, dst_bit, len);
}

/// [`copy_bits`], one destination word at a time.
fn copy_pieces(src: &[u64], src_bit: usize, dst: &mut [u64], dst_bit: usize, len: usize) {
    let mut done = 0;
    while done < len {
        let shift = (dst_bit + done) % 64;
        let piece = (64 - shift).min(len - done);
        write_bits(dst, dst_bit + done, piece, read_bits(src, src_bit + done, piece));
        done += piece;
    }
}

/// `len` bits (1 to 64) from bit `bit` on, the others 0.
#[inline(always)]
pub(crate) fn read_bits(words: &[u64], bit: usize, len: usize) -> u64 {
    let (word, shift) = (bit / 64, bit % 64);
    let mut value = words[word] >> shift;
    if shift + len > 64 {
        value |= words[word + 1] << (64 - shift);
    }
    value & (u64::MAX >> (64 - len))
}

/// Sets `len` bits (1 to 64) from bit `bit` on, all in one or two words, to the low bits of `value`.
#[inline(always)]
pub(crate) fn write_bits(words: &mut [u64], bit: usize, len: usize, value: u64) {
    let (word, shift) = (bit / 64, bit % 64);
    let mask = u64::MAX >> (64 - len);
    let value = value & mask;
    words[word] = words[word] & !(mask << shift) | value << shift;
    if shift + len > 64 {
        words[word + 1] = words[word + 1] & !(mask >> (64 - shift)) | value >> (64 - shift);
    }
}
