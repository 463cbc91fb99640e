//! The innermost loops: mismatches of a register block over one panel.
//!
//! The activations choose a table, the weights are the index (see `tables`). A step shuffles one nibble of K for 32
//! output channels and two pixels.
//!
//! Counting: a shuffled byte holds two counts of at most 4, so 3 of them can be added: `s = low + 16 * high` with both
//! at most 12. Sums run in bytes as `raw += s` (mod 256) and `hi += s >> 4`. While both pixel sums stay below 256,
//! `low = raw - 16 * hi` (mod 256) is exact: 60 nibbles give at most 240. Then they are added to 16-bit sums,
//! which hold a whole panel.

use core::{arch::x86_64::*, ops::Range};

use super::{
    layout::LANES,
    tables::{TABLES, TABLES_LEN},
};

/// Bytes of K (two nibbles each) between two moves from 8-bit to 16-bit sums.
const CHUNK: usize = 30;

/// 16-bit sums of 32 channels: 0-7 and 16-23, then 8-15 and 24-31, which is the order that unpacking bytes gives.
pub(super) type Narrow = [__m256i; 2];

/// Per pair and block of channels the sums of the first and the second pixel.
pub(super) type Sums<const Q: usize, const V: usize> = [[[Narrow; 2]; V]; Q];

/// Sums of nothing yet.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn no_sums<const Q: usize, const V: usize>() -> Sums<Q, V> {
    [[[[_mm256_setzero_si256(); 2]; 2]; V]; Q]
}

/// Adds the mismatches of a panel, or of a part of one, of `len` bytes.
///
/// # Safety
/// The offsets are those of tables, at most `tables::NEITHER`.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn add_panel<const Q: usize, const V: usize, const SINGLE: bool>(
    len: usize,
    weights: [&[u64]; V],
    offsets: [[&[u16]; 2]; Q],
    sums: &mut Sums<Q, V>,
) {
    assert!(len.is_multiple_of(3));
    assert!(weights.iter().all(|weights| weights.len() * 8 == len * LANES));
    assert!(offsets.as_flattened().iter().all(|offsets| offsets.len() == len));
    let zero = _mm256_setzero_si256();
    let mut start = 0;
    while start < len {
        let end = len.min(start + CHUNK);
        // SAFETY: `end <= len`, a multiple of 3 as `CHUNK` is; the slices are that long, as checked above, and the
        // caller answers for the offsets.
        let (raw, hi) = unsafe { chunk::<Q, V, SINGLE>(start..end, weights, offsets) };
        for q in 0..Q {
            for v in 0..V {
                let shifted = _mm256_and_si256(_mm256_slli_epi16::<4>(hi[q][v]), _mm256_set1_epi8(0xf0u8 as i8));
                let bytes = [_mm256_sub_epi8(raw[q][v], shifted), hi[q][v]];
                for pixel in 0..2 {
                    let [low, high] = &mut sums[q][v][pixel];
                    *low = _mm256_add_epi16(*low, _mm256_unpacklo_epi8(bytes[pixel], zero));
                    *high = _mm256_add_epi16(*high, _mm256_unpackhi_epi8(bytes[pixel], zero));
                }
            }
        }
        start = end;
    }
}

/// Sums in bytes: `raw` and `hi` of the module's description, per pair and block of channels.
type Bytes<const Q: usize, const V: usize> = [[__m256i; V]; Q];

/// Sums of at most [`CHUNK`] bytes of K.
///
/// # Safety
/// `bytes` is a multiple of 3 long and ends within the offsets, `32 * bytes.end` within the bytes of the weights, and
/// the offsets are at most `tables::NEITHER`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn chunk<const Q: usize, const V: usize, const SINGLE: bool>(
    bytes: Range<usize>,
    weights: [&[u64]; V],
    offsets: [[&[u16]; 2]; Q],
) -> (Bytes<Q, V>, Bytes<Q, V>) {
    let mask = _mm256_set1_epi8(0x0f);
    let zero = _mm256_setzero_si256();
    let (mut raw, mut hi) = ([[zero; V]; Q], [[zero; V]; Q]);
    let weights: [*const __m256i; V] = weights.map(|weights| weights.as_ptr().cast());
    let offsets: [[*const u16; 2]; Q] = offsets.map(|[low, high]| [low.as_ptr(), high.as_ptr()]);
    let tables = TABLES.0.as_ptr();
    // Plain counting: of ranges with a start and steps, the compiler would keep the checks in the loop.
    let mut first = bytes.start;
    while first < bytes.end {
        for half in 0..2 {
            let mut s = [[zero; V]; Q];
            for i in 0..3 {
                let k = first + i;
                let mut nibbles = [zero; V];
                for v in 0..V {
                    // SAFETY: `k < bytes.end`, so the 32 bytes from `32 * k` lie within the weights.
                    let w = unsafe { _mm256_loadu_si256(weights[v].add(k)) };
                    let w = if half == 0 { w } else { _mm256_srli_epi16::<4>(w) };
                    nibbles[v] = _mm256_and_si256(w, mask);
                }
                for q in 0..Q {
                    // SAFETY: `k < bytes.end` is an index of the offsets, and an offset of at most
                    // `NEITHER = TABLES_LEN - 16` leaves 16 bytes of tables.
                    let table = unsafe {
                        let offset = *offsets[q][half].add(k) as usize;
                        debug_assert!(offset + 16 <= TABLES_LEN);
                        _mm_loadu_si128(tables.add(offset).cast())
                    };
                    let table = _mm256_broadcastsi128_si256(table);
                    for v in 0..V {
                        s[q][v] = _mm256_add_epi8(s[q][v], _mm256_shuffle_epi8(table, nibbles[v]));
                    }
                }
            }
            for q in 0..Q {
                for v in 0..V {
                    raw[q][v] = _mm256_add_epi8(raw[q][v], s[q][v]);
                    // A single pixel has no high field.
                    if !SINGLE {
                        hi[q][v] = _mm256_add_epi8(hi[q][v], _mm256_and_si256(_mm256_srli_epi16::<4>(s[q][v]), mask));
                    }
                }
            }
        }
        first += 3;
    }
    (raw, hi)
}
