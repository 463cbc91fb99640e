//! Minimal filtering: near the definition of the real convolution, and the same floats on every instruction set, whatever
//! rows are asked for.

mod common;

use std::ops::Range;

use common::{Rng, naive_real};
use proptest::prelude::*;
use signbit_kernels::{Conv, Isa, Padding, winograd};

/// Rows of the convolution, piece by piece, out of scratch that nothing has cleared.
fn run(isa: Isa, conv: &Conv, [x, w]: [&[f32]; 2], bias: Option<&[f32]>, pieces: &[Range<usize>]) -> Vec<f32> {
    let mut packed = vec![f32::NAN; winograd::pack_len(conv)];
    winograd::pack(conv, w, &mut packed);
    let mut scratch = vec![f32::NAN; winograd::scratch_len(conv)];
    let mut out = vec![f32::NAN; conv.rows() * conv.out_w() * conv.c_out];
    let row = conv.out_w() * conv.c_out;
    for rows in pieces {
        let out = &mut out[rows.start * row..rows.end * row];
        winograd::conv2d(isa, conv, x, &packed, bias, rows.clone(), &mut scratch, out);
    }
    out
}

/// Every way in which the rows of `conv` are not what they should be.
fn failures(conv: &Conv, seed: u64, split: usize) -> Vec<String> {
    let mut rng = Rng(seed);
    let x = rng.floats(conv.n * conv.h * conv.w * conv.c_in);
    let w = rng.floats(conv.c_out * conv.k());
    let bias = rng.floats(conv.c_out);
    let mut failures = Vec::new();
    for bias in [None, Some(&bias[..])] {
        let expected = naive_real(conv, &x, &w, bias);
        let first = run(Isa::all().next().unwrap(), conv, [&x, &w], bias, std::slice::from_ref(&(0..conv.rows())));
        // The terms are below 1; each goes through transforms whose factors are up to 25.
        let bound = 2e-6 * conv.k() as f32;
        let apart = expected.iter().zip(&first).map(|(a, b)| (a - b).abs());
        let worst = apart.fold(0.0, f32::max);
        if first.iter().any(|x| x.is_nan()) || worst > bound {
            failures.push(format!("{worst} apart, {bound} allowed: {conv:?}"));
        }
        for isa in Isa::all() {
            let out = run(isa, conv, [&x, &w], bias, &[split..conv.rows(), 0..split]);
            if out.iter().zip(&first).any(|(a, b)| a.to_bits() != b.to_bits()) {
                failures.push(format!("{} is not like the first: {conv:?}", isa.name()));
            }
        }
    }
    failures
}

#[test]
fn stems_of_known_networks() {
    let cases = [
        Conv { pads: [3, 3, 3, 3], stride: [2, 2], ..Conv::new([1, 64, 60, 3], 64, [7, 7]) },
        Conv { pads: [2, 2, 3, 3], stride: [2, 2], ..Conv::new([2, 37, 61, 3], 40, [7, 7]) },
        Conv { pads: [2, 2, 2, 2], stride: [4, 4], ..Conv::new([1, 67, 99, 3], 16, [11, 11]) },
        Conv { pads: [1, 1, 1, 1], ..Conv::new([1, 19, 50, 32], 100, [3, 3]) },
        Conv { pads: [2, 2, 2, 2], stride: [2, 2], ..Conv::new([1, 48, 44, 16], 20, [5, 5]) },
        Conv { pads: [1, 1, 2, 2], ..Conv::new([1, 25, 30, 32], 17, [4, 4]) },
    ];
    assert!(cases.iter().all(winograd::pays));
    let failures: Vec<String> = cases.iter().flat_map(|conv| failures(conv, 3, conv.rows() / 3 + 1)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn where_it_does_not_pay() {
    let stem = Conv { pads: [3; 4], stride: [2, 2], ..Conv::new([1, 64, 64, 3], 64, [7, 7]) };
    assert!(winograd::pays(&stem));
    for conv in [
        Conv { groups: 3, c_out: 66, ..stem },
        Conv { dilation: [2, 2], ..stem },
        Conv { kernel: [7, 5], ..stem },
        Conv { stride: [2, 1], ..stem },
        Conv { stride: [7, 7], ..stem },
        Conv { kernel: [1, 1], ..stem },
        Conv { c_out: 8, ..stem },
        Conv { padding: Padding::One, ..stem },
        // Tiles that are mostly empty.
        Conv { h: 5, w: 5, pads: [1; 4], ..stem },
        // What is no geometry at all.
        Conv { h: 1, w: 1, pads: [0; 4], ..stem },
        Conv { c_in: 0, ..stem },
        Conv { c_in: usize::MAX / 2, ..stem },
        Conv { stride: [0, 0], ..stem },
        Conv { pads: [usize::MAX; 4], ..stem },
    ] {
        assert!(!winograd::pays(&conv), "{conv:?}");
    }
}

/// A convolution of one tap is a copy, and one of ones a sum: exact in small integers.
#[test]
fn by_hand() {
    let conv = Conv { pads: [1, 1, 1, 1], ..Conv::new([1, 8, 8, 16], 16, [3, 3]) };
    let x: Vec<f32> = (0..8 * 8 * 16).map(|i| (i % 7) as f32).collect();
    let mut centre = vec![0.0; 16 * conv.k()];
    (0..16).for_each(|c| centre[c * conv.k() + 4 * 16 + c] = 576.0);
    for isa in Isa::all() {
        let out = run(isa, &conv, [&x, &centre], None, &[0..3, 3..8]);
        let expected: Vec<f32> = x.iter().map(|x| x * 576.0).collect();
        assert_eq!(out, expected, "{}", isa.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry_for_which_it_pays(
        n in 0..3usize, h in 1..32usize, w in 1..48usize, c_in in 1..33usize, c_out in 16..40usize,
        kernel in 2..12usize, stride in 1..5usize, pads in prop::array::uniform4(0..6usize), seed: u64, split in 0.0..1.0f64,
    ) {
        let conv = Conv { stride: [stride; 2], pads, ..Conv::new([n, h, w, c_in], c_out, [kernel; 2]) };
        prop_assume!(winograd::pays(&conv));
        let failed = failures(&conv, seed, (conv.rows() as f64 * split) as usize);
        prop_assert!(failed.is_empty(), "{}", failed.join("\n"));
    }
}
