//! Pooling of real numbers: the same floats on every instruction set, by the definition.

mod common;

use common::Rng;
use proptest::prelude::*;
use signbit_kernels::{
    Isa,
    pool::{self, Pooling},
    shape::Pool,
};

/// Numbers with the cases that comparisons and sums decide.
fn numbers(rng: &mut Rng, len: usize) -> Vec<f32> {
    let special = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    (0..len)
        .map(|_| if rng.bits().is_multiple_of(16) { special[rng.bits() as usize % 5] } else { rng.float() })
        .collect()
}

/// One output, from the numbers under its window in order.
fn by_definition(pooling: Pooling, window: &[f32]) -> f32 {
    match pooling {
        Pooling::Max => {
            window.iter().copied().reduce(|max, x| if x > max { x } else { max }).unwrap_or(f32::NEG_INFINITY)
        }
        Pooling::Mean { count } => window.iter().fold(0.0, |sum, x| sum + x) / count.unwrap_or(window.len()) as f32,
    }
}

proptest! {
    /// Any rows.
    #[test]
    fn by_the_definition(
        (n, h, w) in (1..3usize, 1..9usize, 1..9usize),
        c in prop_oneof![Just(1usize), Just(7), Just(8), Just(16), Just(25), Just(70)],
        kernel in [1..4usize, 1..4usize],
        stride in [1..4usize, 1..4usize],
        dilation in [1..3usize, 1..3usize],
        pads in [0..4usize, 0..4, 0..4, 0..4],
        pooling in prop_oneof![
            Just(Pooling::Max), Just(Pooling::Mean { count: None }), Just(Pooling::Mean { count: Some(9) })
        ],
        rows in any::<[prop::sample::Index; 2]>(),
        seed: u64,
    ) {
        let pool = Pool { n, h, w, c, kernel, stride, dilation, pads };
        prop_assume!(pool.validate().is_ok());
        let x = numbers(&mut Rng(seed), n * h * w * c);
        let all = n * pool.out_h();
        let [start, end] = rows.map(|row| row.index(all + 1));
        let rows = start.min(end)..start.max(end);
        let mut expected = Vec::new();
        for (row, ox) in rows.clone().flat_map(|row| (0..pool.out_w()).map(move |x| (row, x))) {
            let (n, oy) = (row / pool.out_h(), row % pool.out_h());
            for c_at in 0..c {
                let mut window = Vec::new();
                for (ky, kx) in (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx))) {
                    let y = (oy * stride[0] + ky * dilation[0]).checked_sub(pads[0]).filter(|&y| y < h);
                    let x_ = (ox * stride[1] + kx * dilation[1]).checked_sub(pads[1]).filter(|&x| x < w);
                    if let (Some(y), Some(x_)) = (y, x_) {
                        window.push(x[((n * h + y) * w + x_) * c + c_at]);
                    }
                }
                expected.push(by_definition(pooling, &window));
            }
        }
        let bits = |x: &[f32]| x.iter().map(|x| if x.is_nan() { 1 } else { x.to_bits() }).collect::<Vec<_>>();
        for isa in Isa::all() {
            let mut out = vec![-7.0; expected.len()];
            pool::pool_f32(isa, &pool, pooling, &x, rows.clone(), &mut out);
            prop_assert_eq!(bits(&out), bits(&expected), "{}", isa.name());
        }
    }
}
