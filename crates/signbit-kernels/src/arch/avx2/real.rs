//! The lanes of the real convolution in two registers, or half of them in one.

use core::arch::x86_64::*;

use crate::{
    arch::generic::real::{Lanes, Matrices, Run},
    real::LANES,
};

/// The sums of 16 output channels in two registers, or of the first 8 in one. Made by code that has AVX2 only:
/// [`super::real_conv`].
#[derive(Clone, Copy)]
pub(super) struct Sums<const R: usize>([__m256; R]);

/// The first registers of numbers.
#[inline(always)]
fn load<const R: usize>(x: &[f32; LANES]) -> [__m256; R] {
    const { assert!(R == 1 || R == 2) };
    // SAFETY: the callers are compiled into code that has AVX2.
    let mut registers = [unsafe { _mm256_setzero_ps() }; R];
    for r in 0..R {
        // SAFETY: `x` has two times eight lanes; AVX2 as above.
        registers[r] = unsafe { _mm256_loadu_ps(x.as_ptr().add(8 * r)) };
    }
    registers
}

/// `sums + x * w`, with two roundings.
#[inline(always)]
fn multiply_add<const R: usize>(mut sums: [__m256; R], x: [__m256; R], w: [__m256; R]) -> [__m256; R] {
    for r in 0..R {
        // SAFETY: the callers are compiled into code that has AVX2.
        sums[r] = unsafe { _mm256_add_ps(sums[r], _mm256_mul_ps(x[r], w[r])) };
    }
    sums
}

impl<const R: usize> Lanes for Sums<R> {
    type Half = Sums<1>;
    const HALF: bool = true;

    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: the caller is compiled into code that has AVX2.
        Self(unsafe { [_mm256_setzero_ps(); R] })
    }

    /// Pixel by pixel: two registers of weights, one of a pixel and one of a product leave enough for twelve sums.
    #[inline(always)]
    fn add<const P: usize>(sums: &mut [Self; P], x: [f32; P], w: &[f32; LANES]) {
        let w = load(w);
        for p in 0..P {
            // SAFETY: the caller is compiled into code that has AVX2.
            let x = [unsafe { _mm256_set1_ps(x[p]) }; R];
            sums[p].0 = multiply_add(sums[p].0, x, w);
        }
    }

    #[inline(always)]
    fn add_each(self, x: &[f32; LANES], w: &[f32; LANES]) -> Self {
        Self(multiply_add(self.0, load(x), load(w)))
    }

    #[inline(always)]
    fn get(self) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        for r in 0..R {
            // SAFETY: `out` has two times eight lanes; the caller is compiled into code that has AVX2.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(8 * r), self.0[r]) };
        }
        out
    }

    #[inline(always)]
    fn add_run<const P: usize>(sums: &mut [Self; P], run: &Run<'_>) {
        // SAFETY: the caller is compiled into code that has AVX2.
        unsafe { add_run(sums, run) }
    }

    #[inline(always)]
    fn store_run<const P: usize>(run: &Run<'_>, bias: Option<&[f32; LANES]>, out: &mut [f32], c_out: usize) {
        // SAFETY: the caller is compiled into code that has AVX2.
        unsafe { store_run::<P, R>(run, bias, out, c_out) }
    }

    #[inline(always)]
    fn store_matrices<const P: usize>(matrices: &Matrices<'_>, out: &mut [f32]) {
        // SAFETY: the caller is compiled into code that has AVX2.
        unsafe { store_matrices::<P, R>(matrices, out) }
    }

    #[inline(always)]
    fn add_blocks<const B: usize>(sums: &mut [Self; B], run: &Run<'_>, block: usize) {
        // SAFETY: the caller is compiled into code that has AVX2.
        unsafe { add_blocks(sums, run, block) }
    }

    #[inline(always)]
    fn add_each_run<const P: usize>(sums: &mut [Self; P], run: &Run<'_>) {
        // SAFETY: the caller is compiled into code that has AVX2.
        unsafe { add_each_run(sums, run) }
    }
}

/// Steps of one turn of the loop.
const STEPS: usize = 4;

// Functions of their own: among the loops around them, the compiler runs out of registers.

#[target_feature(enable = "avx2")]
#[inline(never)]
fn add_run<const P: usize, const R: usize>(sums: &mut [Sums<R>; P], run: &Run<'_>) {
    *sums = added(*sums, run);
}

#[target_feature(enable = "avx2")]
#[inline(never)]
fn store_run<const P: usize, const R: usize>(
    run: &Run<'_>,
    bias: Option<&[f32; LANES]>,
    out: &mut [f32],
    c_out: usize,
) {
    let all = added([Sums::<R>::zero(); P], run);
    for p in 0..P {
        let out = out[p * c_out..][..LANES].as_mut_ptr();
        let mut sums = all[p].0;
        if let Some(bias) = bias {
            let bias = load::<R>(bias);
            for r in 0..R {
                sums[r] = _mm256_add_ps(sums[r], bias[r]);
            }
        }
        for r in 0..R {
            // SAFETY: there is room for all lanes.
            unsafe { _mm256_storeu_ps(out.add(8 * r), sums[r]) };
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline(never)]
fn store_matrices<const P: usize, const R: usize>(matrices: &Matrices<'_>, out: &mut [f32]) {
    matrices.check(P, out);
    let Matrices { count, x, row, x_step, w, len, out_step } = *matrices;
    for i in 0..count {
        let mut rows = [x.as_ptr(); P];
        for p in 0..P {
            // SAFETY: `check` saw to it that all rows of the last matrix lie within `x`.
            rows[p] = unsafe { rows[p].add(i * x_step + p * row) };
        }
        // SAFETY: a row has `len` numbers, by `check` too.
        let sums = unsafe { added_row([Sums::<R>::zero(); P], rows, &w[i * len..][..len]) };
        for p in 0..P {
            for r in 0..R {
                // SAFETY: `check` saw to it that there is room for the sums of the last matrix.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(i * out_step + p * LANES + 8 * r), sums[p].0[r]) };
            }
        }
    }
}

/// The sums with all of a run added.
#[inline(always)]
fn added<const P: usize, const R: usize>(mut all: [Sums<R>; P], run: &Run<'_>) -> [Sums<R>; P] {
    run.check(P, run.len);
    for row in 0..run.rows.count {
        for column in 0..run.columns.count {
            let mut x = [run.x.as_ptr(); P];
            for p in 0..P {
                // SAFETY: `check` saw to it that the numbers of the last place and pixel lie within `x`.
                x[p] = unsafe { x[p].add(row * run.rows.x + column * run.columns.x + p * run.pixel) };
            }
            let w = &run.w[row * run.rows.w + column * run.columns.w..][..run.len];
            // SAFETY: as above; from each of `x` on there are `len` numbers, as many as weights.
            all = unsafe { added_row(all, x, w) };
        }
    }
    all
}

/// The sums with the products of as many numbers as there are weights added, which lie at each of `x`.
///
/// # Safety
/// There are as many numbers from each of `x` on as weights.
#[inline(always)]
unsafe fn added_row<const P: usize, const R: usize>(
    mut all: [Sums<R>; P],
    mut x: [*const f32; P],
    w: &[[f32; LANES]],
) -> [Sums<R>; P] {
    // Several steps at a time: the end of a long loop is a wrong guess, and rows are short.
    let (steps, rest) = w.as_chunks::<STEPS>();
    for w in steps {
        for k in 0..STEPS {
            // SAFETY: the caller answers for it.
            unsafe { add_step(&mut all, &x, k, &w[k]) };
        }
        for p in 0..P {
            // SAFETY: as above.
            x[p] = unsafe { x[p].add(STEPS) };
        }
    }
    for (k, w) in rest.iter().enumerate() {
        // SAFETY: as above.
        unsafe { add_step(&mut all, &x, k, w) };
    }
    all
}

/// # Safety
/// There is a number `k` after that of each of `x`.
#[inline(always)]
unsafe fn add_step<const P: usize, const R: usize>(
    sums: &mut [Sums<R>; P],
    x: &[*const f32; P],
    k: usize,
    w: &[f32; LANES],
) {
    let mut numbers = [0.0; P];
    for p in 0..P {
        // SAFETY: the caller answers for it.
        numbers[p] = unsafe { *x[p].add(k) };
    }
    Sums::add(sums, numbers, w);
}

#[target_feature(enable = "avx2")]
#[inline(never)]
fn add_blocks<const B: usize, const R: usize>(sums: &mut [Sums<R>; B], run: &Run<'_>, block: usize) {
    run.check(1, run.len);
    Run { w: &run.w[(B - 1) * block..], ..*run }.check(1, run.len);
    let mut all = *sums;
    for row in 0..run.rows.count {
        for column in 0..run.columns.count {
            let w = run.w[row * run.rows.w + column * run.columns.w..].as_ptr();
            let x = &run.x[row * run.rows.x + column * run.columns.x..][..run.len];
            for (k, x) in x.iter().enumerate() {
                for b in 0..B {
                    let mut one = [all[b]];
                    // SAFETY: `check` saw to it that the last block has the weights of the last place.
                    Sums::add(&mut one, [*x], unsafe { &*w.add(b * block + k) });
                    [all[b]] = one;
                }
            }
        }
    }
    *sums = all;
}

#[target_feature(enable = "avx2")]
#[inline(never)]
fn add_each_run<const P: usize, const R: usize>(sums: &mut [Sums<R>; P], run: &Run<'_>) {
    run.check(P, LANES);
    let mut all = *sums;
    for row in 0..run.rows.count {
        for column in 0..run.columns.count {
            let w = &run.w[row * run.rows.w + column * run.columns.w];
            for p in 0..P {
                let at = row * run.rows.x + column * run.columns.x + p * run.pixel;
                // SAFETY: `check` saw to it that the numbers of the last place and pixel lie within `x`.
                all[p] = all[p].add_each(unsafe { &*run.x.as_ptr().add(at).cast() }, w);
            }
        }
    }
    *sums = all;
}
