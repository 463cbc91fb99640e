//! Products of real numbers with signs that stay bits: both ways through a binary dense layer.

use rayon::prelude::*;
use signbit_kernels::sign_gemm::{self, COLUMNS, Tables};
use signbit_kernels::{Isa, bits};

use super::parts::with_scratch;
use crate::op::Context;
use crate::ranks::{complete, own_tasks};

/// Rows of signs of one task; the tables that they share are made anew for each, which takes as long as 16 rows.
const ROWS: usize = 512;

/// `out[n, m]` = x `[n, k]` times the transposed `signs`, `m` rows of `k`. Ranks share the work: `x` is of the whole batch,
/// `out` of this rank's samples.
pub(super) fn samples_times_signs(cx: &mut Context<'_>, x: &[f32], n: usize, k: usize, signs: &[u64], out: &mut [f32]) {
    let (isa, row) = (cx.isa, bits::words(k));
    let m = signs.len() / row;
    let (panels, len) = (n.div_ceil(COLUMNS), m * COLUMNS);
    let mut products = cx.buffers.real(panels * len);
    let own = own_tasks(cx.ranks, &products, len);
    let first = own.start / len.max(1);
    let mut columns = cx.buffers.real(panels * k * COLUMNS);
    let numbers = columns.par_chunks_mut(k * COLUMNS).zip(x.par_chunks(k * COLUMNS)).skip(first);
    products[own].par_chunks_mut(len).zip(numbers).for_each(|(products, (columns, x))| {
        to_columns(x, k, columns);
        let tasks = products.par_chunks_mut(ROWS * COLUMNS).zip(signs.par_chunks(ROWS * row));
        tasks.for_each(|(products, signs)| {
            let mut tables = Tables::default();
            sign_gemm::panel(isa, signs.len() / row, k, signs, columns, &mut tables, products);
        });
    });
    cx.buffers.give(columns);
    let mut sample = complete(cx.ranks, &mut products, len);
    // A rank's samples may begin and end within a panel.
    let mut rest = out;
    while !rest.is_empty() {
        let lane = sample % COLUMNS;
        let samples = (COLUMNS - lane).min(rest.len() / m);
        let (now, later) = rest.split_at_mut(samples * m);
        from_columns(&products[sample / COLUMNS * len..][..len], lane, m, now);
        (rest, sample) = (later, sample + samples);
    }
    cx.buffers.give(products);
}

/// `dw[channels, k]` = the transposed columns `first..first + channels` of dy `[n, width]` times x `[n, k]`, of which `turned`
/// are the bits, `k` rows of `n`.
pub(super) fn weight_gradient(
    isa: Isa,
    dy: &[f32],
    width: usize,
    first: usize,
    turned: &[u64],
    k: usize,
    dw: &mut [f32],
) {
    let n = dy.len() / width;
    dw.par_chunks_mut(COLUMNS * k).enumerate().for_each(|(i, dw)| {
        with_scratch((n + k) * COLUMNS, |scratch| {
            let (columns, products) = scratch.split_at_mut(n * COLUMNS);
            let channels = dw.len() / k;
            for (columns, dy) in columns.chunks_exact_mut(COLUMNS).zip(dy.chunks_exact(width)) {
                let (used, free) = columns.split_at_mut(channels);
                used.copy_from_slice(&dy[first + i * COLUMNS..][..channels]);
                free.fill(0.0);
            }
            sign_gemm::panel(isa, k, n, turned, columns, &mut Tables::default(), products);
            from_columns(products, 0, k, dw);
        });
    });
}

/// Up to 16 rows of `len` numbers as columns, zeros behind the last.
pub(super) fn to_columns(rows: &[f32], len: usize, columns: &mut [f32]) {
    let (columns, _) = columns.as_chunks_mut::<COLUMNS>();
    for (i, columns) in columns.chunks_mut(COLUMNS).enumerate() {
        columns.fill([0.0; COLUMNS]);
        for (lane, row) in rows.chunks_exact(len).enumerate() {
            columns.iter_mut().zip(&row[i * COLUMNS..]).for_each(|(column, number)| column[lane] = *number);
        }
    }
}

/// Columns from `first` on as rows of `len` numbers, as many as there is room for. A few lines of the cache at a time, because rows
/// a power of two apart would push each other out.
pub(super) fn from_columns(columns: &[f32], first: usize, len: usize, rows: &mut [f32]) {
    let (columns, _) = columns.as_chunks::<COLUMNS>();
    for (i, columns) in columns.chunks(COLUMNS).enumerate() {
        for (lane, row) in rows.chunks_exact_mut(len).enumerate() {
            let row = row[i * COLUMNS..].iter_mut();
            row.zip(columns).for_each(|(number, column)| *number = column[first + lane]);
        }
    }
}
