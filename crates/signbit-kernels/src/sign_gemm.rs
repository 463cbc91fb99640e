//! A matrix of signs times a real matrix: the backward pass of a binary layer, and the forward of one that reads real
//! numbers.
//!
//! Four rows of the real matrix have 16 sums with signs. They are added once, into a table; a row of signs then needs one
//! addition for four products, which it finds by four of its bits: the method of the Four Russians (Arlazarov, Dinic,
//! Kronrod and Faradzhev 1970), as LUT-GEMM does it for few bits of weights (Park et al. 2022, arXiv 2206.09557). That
//! is a quarter of the instructions of multiply and add, and the signs stay bits.

use crate::{Isa, arch, bits::words, real::LANES};

/// Columns of the real matrix that one call multiplies.
pub const COLUMNS: usize = LANES;

/// `out[m, COLUMNS]` = `signs` times `b[k, COLUMNS]`, where `signs` are `m` rows of `k` signs, each of
/// [`words`]`(k)` words with 0 behind the last bit.
///
/// The order is fixed: products of four rows of `b` are added as `(p0 + p1) + (p2 + p3)`, these sums one after the other
/// to 0.0 within each 64 rows, and the sums of 64 rows one after the other. Rows missing at the end count as 0.0.
///
/// # Panics
/// If a length does not fit.
pub fn panel(isa: Isa, m: usize, k: usize, signs: &[u64], b: &[f32], out: &mut [f32]) {
    assert!(m.checked_mul(words(k)) == Some(signs.len()), "{} words for {m} rows of {k} signs", signs.len());
    assert!(k.checked_mul(COLUMNS) == Some(b.len()), "{} numbers for {k} rows of {COLUMNS}", b.len());
    assert!(m.checked_mul(COLUMNS) == Some(out.len()), "room for {} numbers of {m} rows of {COLUMNS}", out.len());
    let ((b, _), (out, _)) = (b.as_chunks(), out.as_chunks_mut());
    match isa {
        Isa::Reference(_) => arch::reference::sign_panel(k, signs, b, out),
        Isa::Portable(_) => arch::portable::sign_panel(k, signs, b, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::sign_panel(token, k, signs, b, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx512::sign_panel(token, k, signs, b, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx512::sign_panel(token.into(), k, signs, b, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::sign_panel(k, signs, b, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::sign_panel(token, k, signs, b, out),
    }
}
