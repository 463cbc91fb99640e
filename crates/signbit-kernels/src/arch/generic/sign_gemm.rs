//! The product of signs and real numbers by tables of partial sums; see [`crate::sign_gemm`] for the order of its sums.

use super::real::Lanes;
use crate::{
    bits::words,
    real::LANES,
    sign_gemm::{GROUP, Job, Table, Tables},
};

/// Groups of rows of one turn of the loop.
const STEPS: usize = 4;

/// `P` rows of signs are worked on together.
#[inline(always)]
pub(crate) fn run<L: Lanes, const P: usize>(job: &Job<'_>, tables: &mut Tables, out: &mut [f32]) {
    let Job { rows, k, signs, b, places, add } = *job;
    let words = words(k);
    for (word, b) in b.chunks(64).enumerate() {
        let steps = fill::<L>(b, tables);
        let (tables, more) = (&tables.0[..steps * STEPS], add || word > 0);
        for (start, signs) in places.starts.iter().zip(signs.chunks_exact(rows * words)) {
            let many = signs.chunks_exact(P * words);
            let (rest, mut at) = (many.remainder(), *start);
            for signs in many {
                let sums: [L; P] = look_up(tables, core::array::from_fn(|p| signs[p * words + word]));
                for p in 0..P {
                    put(sums[p], more, &mut out[at..]);
                    at += places.step;
                }
            }
            for signs in rest.chunks_exact(words) {
                let [sum]: [L; 1] = look_up(tables, [signs[word]]);
                put(sum, more, &mut out[at..]);
                at += places.step;
            }
        }
    }
}

/// Stores a row of sums, or adds it.
#[inline(always)]
fn put<L: Lanes>(sum: L, add: bool, out: &mut [f32]) {
    let Some(out) = out.first_chunk_mut::<LANES>() else { unreachable!("places are checked") };
    *out = if add { L::load(out).plus(sum).get() } else { sum.get() };
}

/// The tables of up to 64 rows of `b`, and those of rows of zeros up to a whole turn of the loop. Returns the turns.
#[inline(always)]
fn fill<L: Lanes>(b: &[[f32; LANES]], tables: &mut Tables) -> usize {
    const ZERO: [f32; LANES] = [0.0; LANES];
    let steps = b.len().div_ceil(STEPS * GROUP);
    for (g, table) in tables.0[..steps * STEPS].iter_mut().enumerate() {
        let row = |i: usize| b.get(g * GROUP + i).unwrap_or(&ZERO);
        let low = pairs::<L>(row(0), row(1));
        let high = pairs::<L>(row(2), row(3));
        for (i, entry) in table.iter_mut().enumerate() {
            *entry = low[i % 4].plus(high[i / 4]).get();
        }
    }
    steps
}

/// The sums of two rows by their two bits.
#[inline(always)]
fn pairs<L: Lanes>(a: &[f32; LANES], b: &[f32; LANES]) -> [L; 4] {
    const MINUS: [f32; LANES] = [-1.0; LANES];
    let (plus, a) = (L::load(a), L::zero().add_each(a, &MINUS));
    let (sum, difference) = (plus.plus(L::load(b)), plus.add_each(b, &MINUS));
    [a.add_each(b, &MINUS), difference, a.plus(L::load(b)), sum]
}

/// The entries of `P` rows, by their bits of one word, added up, beginning at 0.0.
#[inline(always)]
fn look_up<L: Lanes, const P: usize>(tables: &[Table], mut signs: [u64; P]) -> [L; P] {
    let mut sums = [L::zero(); P];
    let (steps, _) = tables.as_chunks::<STEPS>();
    for tables in steps {
        for (g, table) in tables.iter().enumerate() {
            for p in 0..P {
                sums[p] = sums[p].plus(L::load(&table[(signs[p] >> (g * GROUP)) as usize % table.len()]));
            }
        }
        for p in 0..P {
            signs[p] >>= STEPS * GROUP;
        }
    }
    sums
}
