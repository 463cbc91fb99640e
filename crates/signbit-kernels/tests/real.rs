//! Real steps: the same floats, bit by bit, on every instruction set and by the definition.

mod common;

use common::{Rng, convs, naive_real};
use proptest::prelude::*;
use signbit_kernels::{
    Isa, real,
    shape::{Conv, Padding},
};

fn same(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()) && a.len() == b.len()
}

/// Every difference between `real::conv2d` and the definition.
fn failures(conv: &Conv, seed: u64, rows: std::ops::Range<usize>) -> Vec<String> {
    let mut rng = Rng(seed);
    let x = rng.floats(conv.n * conv.h * conv.w * conv.c_in);
    let w = rng.floats(conv.c_out * conv.k());
    let bias = rng.floats(conv.c_out);
    let row = conv.out_w() * conv.c_out;
    let mut failures = Vec::new();
    for bias in [None, Some(&bias[..])] {
        let expected = naive_real(conv, &x, &w, bias);
        let expected = &expected[rows.start * row..rows.end * row];
        for isa in Isa::all() {
            let mut packed = vec![f32::NAN; real::pack_len(isa, conv)];
            real::pack(isa, conv, &w, &mut packed);
            let mut out = vec![f32::NAN; expected.len()];
            real::conv2d(isa, conv, &x, &packed, bias, rows.clone(), &mut out);
            if !same(&out, expected) {
                failures.push(format!("{} of rows {rows:?}: {conv:?}", isa.name()));
            }
        }
    }
    failures
}

#[test]
fn dense_depthwise_and_long_rows() {
    let image = Conv::new([2, 9, 11, 40], 40, [3, 3]);
    let cases = [
        Conv::dense(13, 784, 100),
        Conv::dense(101, 30, 10),
        Conv { groups: 40, pads: [1, 1, 1, 1], ..image },
        Conv { groups: 40, pads: [0, 3, 4, 1], stride: [2, 1], dilation: [1, 2], ..image },
        Conv { groups: 20, pads: [1, 1, 1, 1], ..image },
        Conv { pads: [1, 1, 1, 1], ..Conv::new([1, 12, 130, 3], 20, [3, 3]) },
        Conv { pads: [1, 1, 1, 1], ..Conv::new([1, 5, 9, 1], 1, [3, 3]) },
        // Steps that are never taken.
        Conv { stride: [usize::MAX; 2], dilation: [usize::MAX; 2], ..Conv::new([1, 2, 3, 20], 17, [1, 1]) },
        Conv { groups: 20, stride: [usize::MAX; 2], dilation: [usize::MAX; 2], ..Conv::new([1, 2, 3, 20], 20, [1, 1]) },
        // The stem of a ResNet, and windows wider than the input.
        Conv { pads: [2, 2, 3, 3], stride: [2, 2], ..Conv::new([1, 18, 61, 3], 36, [7, 7]) },
        Conv { pads: [2, 4, 5, 6], ..Conv::new([2, 3, 4, 5], 17, [3, 8]) },
        Conv { pads: [1, 5, 1, 7], dilation: [2, 3], ..Conv::new([1, 5, 7, 4], 16, [3, 4]) },
    ];
    let failures: Vec<String> = cases.iter().flat_map(|conv| failures(conv, 3, 0..conv.rows())).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A layer in parts of its output channels is the whole layer.
#[test]
fn channels_in_parts() {
    for (conv, cuts) in [(Conv::dense(3, 30, 200), [0, 64, 200]), (Conv::new([1, 5, 5, 3], 150, [3, 3]), [0, 64, 150])]
    {
        let mut rng = Rng(4);
        let (x, w) = (rng.floats(conv.n * conv.h * conv.w * conv.c_in), rng.floats(conv.c_out * conv.k()));
        let expected = naive_real(&conv, &x, &w, None);
        for (isa, cut) in Isa::all().flat_map(|isa| cuts.windows(2).map(move |cut| (isa, cut[0]..cut[1]))) {
            let mut packed = vec![f32::NAN; real::pack_len(isa, &conv)];
            real::pack(isa, &conv, &w, &mut packed);
            let (part, weights) = real::channels(isa, &conv, &packed, cut.clone());
            let whole = expected.chunks_exact(conv.c_out);
            let expected: Vec<f32> = whole.flat_map(|out| &out[cut.clone()]).copied().collect();
            let mut out = vec![f32::NAN; expected.len()];
            real::conv2d(isa, &part, &x, weights, None, 0..conv.rows(), &mut out);
            assert!(same(&out, &expected), "{} of {cut:?}: {conv:?}", isa.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn conv2d_of_any_geometry(conv in convs(), depthwise: bool, seed: u64, split in 0.0..1.0f64) {
        let mut conv = Conv { padding: Padding::Zero, ..conv };
        if depthwise {
            conv = Conv { groups: conv.c_in, c_out: conv.c_in, ..conv };
        }
        let middle = (conv.rows() as f64 * split) as usize;
        let mut failed = failures(&conv, seed, 0..middle);
        failed.extend(failures(&conv, seed, middle..conv.rows()));
        prop_assert!(failed.is_empty(), "{}", failed.join("\n"));
    }

    #[test]
    fn scale_map_of_any_geometry(conv in convs(), seed: u64, split in 0.0..1.0) {
        let x = Rng(seed).floats(conv.n * conv.h * conv.w * conv.c_in);
        // The first step of the definition: A, the mean over the channels.
        let mean = |x: &[f32]| {
            let p: Vec<f32> = (0..8).map(|i| x.iter().skip(i).step_by(8).fold(0.0, |p, x| p + x.abs())).collect();
            (((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))) * (1.0 / conv.c_in as f32)
        };
        let a: Vec<f32> = x.chunks(conv.c_in).map(mean).collect();
        // Weights of 1.0 change nothing, so the box sum is a real convolution.
        let window = Conv { c_in: 1, c_out: 1, groups: 1, ..conv };
        let box_sum = naive_real(&window, &a, &vec![1.0; window.k()], None);
        let expected: Vec<f32> = box_sum.iter().map(|sum| sum * (1.0 / window.k() as f32)).collect();
        for isa in Isa::all() {
            let mut means = vec![f32::NAN; conv.n * conv.h * conv.w];
            real::channel_means(isa, conv.c_in, &x, &mut means);
            prop_assert!(same(&means, &a), "A of {} of {conv:?}", isa.name());
            let mut out = vec![f32::NAN; conv.rows() * conv.out_w()];
            let middle = (conv.rows() as f64 * split) as usize;
            let (above, below) = out.split_at_mut(middle * conv.out_w());
            real::scale_map(isa, &conv, &means, 0..middle, above);
            real::scale_map(isa, &conv, &means, middle..conv.rows(), below);
            prop_assert!(same(&out, &expected), "{} of {conv:?}", isa.name());
        }
    }
}

/// The scale map of a worked case: channel means 1, 2, 3, 4, then a 1x2 window with one tap in the padding.
#[test]
fn scale_map_by_hand() {
    let conv = Conv { pads: [0, 1, 0, 0], ..Conv::new([1, 1, 4, 2], 1, [1, 2]) };
    let x = [1.0, -1.0, 0.0, 4.0, -3.0, -3.0, 8.0, 0.0];
    for isa in Isa::all() {
        let (mut means, mut out) = ([0.0; 4], [0.0; 4]);
        real::channel_means(isa, conv.c_in, &x, &mut means);
        real::scale_map(isa, &conv, &means, 0..1, &mut out);
        assert_eq!((means, out), ([1.0, 2.0, 3.0, 4.0], [0.5, 1.5, 2.5, 3.5]), "{}", isa.name());
    }
}

/// Infinite and NaN weights under padding play no part, as the taps are skipped and not multiplied by 0.
#[test]
fn padding_is_skipped() {
    let conv = Conv { pads: [0, 1, 0, 0], ..Conv::new([1, 1, 2, 1], 1, [1, 2]) };
    for isa in Isa::all() {
        let mut packed = vec![0.0; real::pack_len(isa, &conv)];
        real::pack(isa, &conv, &[f32::INFINITY, 2.0], &mut packed);
        let mut out = [0.0; 2];
        real::conv2d(isa, &conv, &[3.0, 5.0], &packed, None, 0..1, &mut out);
        assert_eq!(out, [6.0, f32::INFINITY], "{}", isa.name());
    }
}

#[test]
#[should_panic(expected = "a real convolution pads with 0")]
fn one_padding_is_refused() {
    let conv = Conv { padding: Padding::One, ..Conv::dense(1, 2, 1) };
    real::conv2d(Isa::best(), &conv, &[0.0; 2], &[0.0; 32], None, 0..1, &mut [0.0]);
}

#[test]
#[should_panic(expected = "inputs for")]
fn input_of_another_length_is_refused() {
    real::conv2d(Isa::best(), &Conv::dense(1, 2, 1), &[0.0; 3], &[0.0; 32], None, 0..1, &mut [0.0]);
}
