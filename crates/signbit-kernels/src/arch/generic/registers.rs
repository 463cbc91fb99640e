//! The lanes of the real convolution in registers, with loops shaped by hand: among the loops around them, the compiler
//! runs out of registers, so these are functions of their own, compiled for each register by `register!`.

use super::real::{Lanes, Matrices, Run};
use crate::real::LANES;

/// A vector register. Made by code only that has its instructions.
pub(crate) trait Register: Copy {
    /// Numbers in it, at most [`LANES`].
    const LEN: usize;

    fn zero() -> Self;
    fn splat(x: f32) -> Self;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;

    /// # Safety
    /// There are as many numbers from `x` on as the register has.
    unsafe fn load(x: *const f32) -> Self;

    /// # Safety
    /// There is room for as many numbers from `out` on as the register has.
    unsafe fn store(self, out: *mut f32);
}

/// The loops of this module as functions that have the instructions of the register; see [`Lanes`] for what they do.
pub(crate) trait Stamped: Register {
    /// The register for half of the lanes.
    type Half: Stamped;

    fn add_run<const P: usize, const R: usize>(sums: &mut [Sums<Self, R>; P], run: &Run<'_>);
    fn store_run<const P: usize, const R: usize>(
        run: &Run<'_>,
        bias: Option<&[f32; LANES]>,
        out: &mut [f32],
        c_out: usize,
    );
    fn store_matrices<const P: usize, const R: usize>(matrices: &Matrices<'_>, out: &mut [f32]);
    fn add_blocks<const B: usize, const R: usize>(sums: &mut [Sums<Self, R>; B], run: &Run<'_>, block: usize);
    fn add_each_run<const P: usize, const R: usize>(sums: &mut [Sums<Self, R>; P], run: &Run<'_>);
}

/// A register of so many numbers by its instructions (set to 0, set all, add, multiply, load, store), which have this feature,
/// and whose half is another.
macro_rules! register {
    ($register:ident($vector:ty; $len:literal), $half:ty, $features:literal,
     [$zero:ident, $splat:ident, $add:ident, $multiply:ident, $load:ident, $store:ident]) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $register($vector);

        impl registers::Register for $register {
            const LEN: usize = $len;

            #[inline(always)]
            fn zero() -> Self {
                // SAFETY: the caller is compiled into code that has the register's instructions, here and below.
                Self(unsafe { $zero() })
            }

            #[inline(always)]
            fn splat(x: f32) -> Self {
                // SAFETY: as above.
                Self(unsafe { $splat(x) })
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                // SAFETY: as above.
                Self(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            fn times(self, other: Self) -> Self {
                // SAFETY: as above.
                Self(unsafe { $multiply(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn load(x: *const f32) -> Self {
                // SAFETY: the caller answers for the numbers; the instructions as above.
                Self(unsafe { $load(x) })
            }

            #[inline(always)]
            unsafe fn store(self, out: *mut f32) {
                // SAFETY: the caller answers for the room; the instructions as above.
                unsafe { $store(out, self.0) }
            }
        }

        impl registers::Stamped for $register {
            type Half = $half;

            #[inline(always)]
            fn add_run<const P: usize, const R: usize>(sums: &mut [Sums<Self, R>; P], run: &Run<'_>) {
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn stamped<const P: usize, const R: usize>(sums: &mut [Sums<$register, R>; P], run: &Run<'_>) {
                    registers::add_run(sums, run);
                }
                // SAFETY: the caller is compiled into code that has the register's instructions.
                unsafe { stamped(sums, run) }
            }

            #[inline(always)]
            fn store_run<const P: usize, const R: usize>(
                run: &Run<'_>,
                bias: Option<&[f32; LANES]>,
                out: &mut [f32],
                c_out: usize,
            ) {
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn stamped<const P: usize, const R: usize>(
                    run: &Run<'_>,
                    bias: Option<&[f32; LANES]>,
                    out: &mut [f32],
                    c_out: usize,
                ) {
                    registers::store_run::<$register, P, R>(run, bias, out, c_out);
                }
                // SAFETY: as above.
                unsafe { stamped::<P, R>(run, bias, out, c_out) }
            }

            #[inline(always)]
            fn store_matrices<const P: usize, const R: usize>(matrices: &Matrices<'_>, out: &mut [f32]) {
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn stamped<const P: usize, const R: usize>(matrices: &Matrices<'_>, out: &mut [f32]) {
                    registers::store_matrices::<$register, P, R>(matrices, out);
                }
                // SAFETY: as above.
                unsafe { stamped::<P, R>(matrices, out) }
            }

            #[inline(always)]
            fn add_blocks<const B: usize, const R: usize>(sums: &mut [Sums<Self, R>; B], run: &Run<'_>, block: usize) {
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn stamped<const B: usize, const R: usize>(
                    sums: &mut [Sums<$register, R>; B],
                    run: &Run<'_>,
                    block: usize,
                ) {
                    registers::add_blocks(sums, run, block);
                }
                // SAFETY: as above.
                unsafe { stamped(sums, run, block) }
            }

            #[inline(always)]
            fn add_each_run<const P: usize, const R: usize>(sums: &mut [Sums<Self, R>; P], run: &Run<'_>) {
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn stamped<const P: usize, const R: usize>(sums: &mut [Sums<$register, R>; P], run: &Run<'_>) {
                    registers::add_each_run(sums, run);
                }
                // SAFETY: as above.
                unsafe { stamped(sums, run) }
            }
        }
    };
}
pub(crate) use register;

/// The sums of the first output channels of a block, in `R` registers.
#[derive(Clone, Copy)]
pub(crate) struct Sums<V, const R: usize>([V; R]);

/// The first registers of numbers.
#[inline(always)]
fn load<V: Register, const R: usize>(x: &[f32; LANES]) -> [V; R] {
    const { assert!(R * V::LEN <= LANES) };
    let mut registers = [V::zero(); R];
    for r in 0..R {
        // SAFETY: `x` has as many numbers as all registers, as was just checked.
        registers[r] = unsafe { V::load(x.as_ptr().add(V::LEN * r)) };
    }
    registers
}

/// `sums + x * w`, with two roundings.
#[inline(always)]
fn multiply_add<V: Register, const R: usize>(mut sums: [V; R], x: [V; R], w: [V; R]) -> [V; R] {
    for r in 0..R {
        sums[r] = sums[r].plus(x[r].times(w[r]));
    }
    sums
}

impl<V: Stamped, const R: usize> Lanes for Sums<V, R> {
    type Half = Sums<V::Half, 1>;
    const HALF: bool = true;
    const WIDTH: usize = R * V::LEN;

    #[inline(always)]
    fn zero() -> Self {
        Self([V::zero(); R])
    }

    /// Pixel by pixel: the registers of weights, one of a pixel and one of a product leave the others for sums.
    #[inline(always)]
    fn add<const P: usize>(sums: &mut [Self; P], x: [f32; P], w: &[f32; LANES]) {
        let w = load(w);
        for p in 0..P {
            sums[p].0 = multiply_add(sums[p].0, [V::splat(x[p]); R], w);
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
            // SAFETY: `out` has as many numbers as all registers, as `load` checks.
            unsafe { self.0[r].store(out.as_mut_ptr().add(V::LEN * r)) };
        }
        out
    }

    #[inline(always)]
    fn load(x: &[f32; LANES]) -> Self {
        Self(load(x))
    }

    #[inline(always)]
    fn plus(mut self, other: Self) -> Self {
        for r in 0..R {
            self.0[r] = self.0[r].plus(other.0[r]);
        }
        self
    }

    #[inline(always)]
    fn add_run<const P: usize>(sums: &mut [Self; P], run: &Run<'_>) {
        V::add_run(sums, run);
    }

    #[inline(always)]
    fn store_run<const P: usize>(run: &Run<'_>, bias: Option<&[f32; LANES]>, out: &mut [f32], c_out: usize) {
        V::store_run::<P, R>(run, bias, out, c_out);
    }

    #[inline(always)]
    fn store_matrices<const P: usize>(matrices: &Matrices<'_>, out: &mut [f32]) {
        V::store_matrices::<P, R>(matrices, out);
    }

    #[inline(always)]
    fn add_blocks<const B: usize>(sums: &mut [Self; B], run: &Run<'_>, block: usize) {
        V::add_blocks(sums, run, block);
    }

    #[inline(always)]
    fn add_each_run<const P: usize>(sums: &mut [Self; P], run: &Run<'_>) {
        V::add_each_run(sums, run);
    }
}

/// Steps of one turn of the loop.
const STEPS: usize = 4;

#[inline(always)]
pub(crate) fn add_run<V: Stamped, const P: usize, const R: usize>(sums: &mut [Sums<V, R>; P], run: &Run<'_>) {
    *sums = added(*sums, run);
}

#[inline(always)]
pub(crate) fn store_run<V: Stamped, const P: usize, const R: usize>(
    run: &Run<'_>,
    bias: Option<&[f32; LANES]>,
    out: &mut [f32],
    c_out: usize,
) {
    let all = added([Sums::<V, R>::zero(); P], run);
    for p in 0..P {
        let out = out[p * c_out..][..R * V::LEN].as_mut_ptr();
        let mut sums = all[p].0;
        if let Some(bias) = bias {
            let bias = load::<V, R>(bias);
            for r in 0..R {
                sums[r] = sums[r].plus(bias[r]);
            }
        }
        for r in 0..R {
            // SAFETY: there is room for all lanes.
            unsafe { sums[r].store(out.add(V::LEN * r)) };
        }
    }
}

#[inline(always)]
pub(crate) fn store_matrices<V: Stamped, const P: usize, const R: usize>(matrices: &Matrices<'_>, out: &mut [f32]) {
    matrices.check(P, out);
    let Matrices { count, x, row, x_step, w, len, out_step } = *matrices;
    for i in 0..count {
        let mut rows = [x.as_ptr(); P];
        for p in 0..P {
            // SAFETY: `check` saw to it that all rows of the last matrix lie within `x`.
            rows[p] = unsafe { rows[p].add(i * x_step + p * row) };
        }
        // SAFETY: a row has `len` numbers, by `check` too.
        let sums = unsafe { added_row([Sums::<V, R>::zero(); P], rows, &w[i * len..][..len]) };
        for p in 0..P {
            for r in 0..R {
                // SAFETY: `check` saw to it that there is room for the sums of the last matrix.
                unsafe { sums[p].0[r].store(out.as_mut_ptr().add(i * out_step + p * LANES + V::LEN * r)) };
            }
        }
    }
}

/// The sums with all of a run added.
#[inline(always)]
fn added<V: Stamped, const P: usize, const R: usize>(mut all: [Sums<V, R>; P], run: &Run<'_>) -> [Sums<V, R>; P] {
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
unsafe fn added_row<V: Stamped, const P: usize, const R: usize>(
    mut all: [Sums<V, R>; P],
    mut x: [*const f32; P],
    w: &[[f32; LANES]],
) -> [Sums<V, R>; P] {
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
unsafe fn add_step<V: Stamped, const P: usize, const R: usize>(
    sums: &mut [Sums<V, R>; P],
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

#[inline(always)]
pub(crate) fn add_blocks<V: Stamped, const B: usize, const R: usize>(
    sums: &mut [Sums<V, R>; B],
    run: &Run<'_>,
    block: usize,
) {
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

#[inline(always)]
pub(crate) fn add_each_run<V: Stamped, const P: usize, const R: usize>(sums: &mut [Sums<V, R>; P], run: &Run<'_>) {
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
