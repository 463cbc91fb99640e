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

/// Rows of the real matrix with a table of their own, and its entries: entry `i` has row `j` with a plus where bit `j` of
/// `i` is 1.
pub(crate) const GROUP: usize = 4;
pub(crate) type Table = [[f32; COLUMNS]; 1 << GROUP];

/// Scratch: the tables of 64 rows, 16 KiB, half of a first-level cache. What it holds does not matter; no register lies across
/// two lines of the cache.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Tables(pub(crate) [Table; 64 / GROUP]);

impl Default for Tables {
    fn default() -> Self {
        Self([[[0.0; COLUMNS]; 1 << GROUP]; 64 / GROUP])
    }
}

/// Where rows of products go: row `i` of part `p` begins at `starts[p] + i * step`. Parts have equally many rows.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Where the first row of each part begins.
    pub starts: &'a [usize],
    /// From one row of a part to the next.
    pub step: usize,
}

/// `out[m, COLUMNS]` = `signs` times `b[k, COLUMNS]`, where `signs` are `m` rows of `k` signs, each of
/// [`words`]`(k)` words. What lies behind the last bit of a row does not matter.
///
/// The order is fixed: products of four rows of `b` are added as `(p0 + p1) + (p2 + p3)`, these sums one after the other
/// to 0.0 within each 64 rows, and the sums of 64 rows one after the other. Rows missing at the end count as 0.0.
///
/// # Panics
/// If a length does not fit.
pub fn panel(isa: Isa, m: usize, k: usize, signs: &[u64], b: &[f32], tables: &mut Tables, out: &mut [f32]) {
    assert!(m.checked_mul(COLUMNS) == Some(out.len()), "room for {} numbers of {m} rows of {COLUMNS}", out.len());
    run(isa, m, k, signs, b, Places { starts: &[0], step: COLUMNS }, false, tables, out);
}

/// Adds the products of [`panel`] to `out`, each row where `places` says; those with 64 rows of `b` for all parts, one after the
/// other, before those with the next 64.
///
/// # Panics
/// If a length does not fit, `m` rows are not equally many for each part, or a place is beyond `out`.
pub fn add_panel(
    isa: Isa,
    m: usize,
    k: usize,
    signs: &[u64],
    b: &[f32],
    places: Places<'_>,
    tables: &mut Tables,
    out: &mut [f32],
) {
    run(isa, m, k, signs, b, places, true, tables, out);
}

/// Checked: there are rows, and numbers in them; the rows of `signs` are those of all parts, `b` has `k` rows, and no place lies beyond the output.
pub(crate) struct Job<'a> {
    /// Rows of each part.
    pub(crate) rows: usize,
    pub(crate) k: usize,
    pub(crate) signs: &'a [u64],
    pub(crate) b: &'a [[f32; LANES]],
    pub(crate) places: Places<'a>,
    /// Whether to add to the output.
    pub(crate) add: bool,
}

fn run(
    isa: Isa,
    m: usize,
    k: usize,
    signs: &[u64],
    b: &[f32],
    places: Places<'_>,
    add: bool,
    tables: &mut Tables,
    out: &mut [f32],
) {
    assert!(m.checked_mul(words(k)) == Some(signs.len()), "{} words for {m} rows of {k} signs", signs.len());
    assert!(k.checked_mul(COLUMNS) == Some(b.len()), "{} numbers for {k} rows of {COLUMNS}", b.len());
    let Places { starts, step } = places;
    assert!(!starts.is_empty() && m.is_multiple_of(starts.len()), "{m} rows in {} parts", starts.len());
    let rows = m / starts.len();
    if rows == 0 {
        return;
    }
    let last = (rows - 1).checked_mul(step).zip(starts.iter().max());
    let end = last.and_then(|(last, start)| last.checked_add(*start)?.checked_add(COLUMNS));
    assert!(end.is_some_and(|end| end <= out.len()), "rows end at {end:?} of {} numbers", out.len());
    if k == 0 {
        // Nothing to add; without places of one's own, rows lie side by side.
        return if !add {
            out.fill(0.0)
        };
    }
    let job = &Job { rows, k, signs, b: b.as_chunks().0, places, add };
    match isa {
        Isa::Reference(_) => arch::reference::sign_gemm(job, out),
        Isa::Portable(_) => arch::portable::sign_gemm(job, tables, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::sign_gemm(token, job, tables, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx512::sign_gemm(token, job, tables, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx512::sign_gemm(token.into(), job, tables, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::sign_gemm(job, tables, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::sign_gemm(token, job, tables, out),
    }
}
