//! Against the plain products.

use super::*;
use crate::gemm::GemmCrate;
use crate::ops::gradcheck::numbers;
use crate::ops::im2row::Im2Row;

/// Odd sizes, paddings, and both ways of padding.
fn cases() -> impl Iterator<Item = (Conv, f32, Winograd)> {
    let cases = [
        (10, 28, 28, 16, 24, [1, 1, 1, 1], 0.0),
        (40, 14, 15, 32, 16, [1, 1, 1, 1], -1.0),
        (3, 30, 29, 16, 16, [0, 0, 0, 0], 0.0),
        (1, 31, 27, 24, 16, [2, 1, 0, 2], 1.0),
        (12, 23, 26, 16, 32, [0, 2, 1, 0], 0.0),
    ];
    cases.into_iter().map(|(n, h, w, c_in, c_out, pads, pad)| {
        let conv = Conv { n, pads, ..Conv::new([n, h, w, c_in], c_out, [3, 3]) };
        (conv, pad, Winograd::new(conv, pad, per_part(None, n)).expect("a geometry for it"))
    })
}

/// Reads rows of an input `[n, h, w, c_in]`.
fn rows<'x>(conv: &Conv, x: &'x [f32]) -> impl Fn(usize, usize, &mut [f32]) + Sync + use<'x> {
    let (h, row) = (conv.h, conv.w * conv.c_in);
    move |n, y, to| to.copy_from_slice(&x[(n * h + y) * row..][..row])
}

/// What the filtered numbers are too far from the plain ones, if they are.
fn apart(fast: &[f32], plain: &[f32]) -> Option<String> {
    let largest = plain.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    let apart = fast.iter().zip(plain).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    (apart > 2e-5 * largest || fast.iter().any(|v| v.is_nan())).then(|| format!("{apart} apart, largest {largest}"))
}

#[test]
fn the_plain_outputs() {
    let mut wrong = Vec::new();
    for (conv, pad, winograd) in cases() {
        let (x, weights) = (numbers(conv.n * conv.h * conv.w * conv.c_in, 1), numbers(conv.c_out * conv.k(), 3));
        let len = conv.rows() * conv.out_w() * conv.c_out;
        let (mut fast, mut plain) = (vec![f32::NAN; len], vec![f32::NAN; len]);
        winograd.forward(None, &GemmCrate, &mut Buffers::default(), rows(&conv, &x), &weights, &mut fast);
        Im2Row::new(conv, pad).plain_forward(&GemmCrate, rows(&conv, &x), &weights, &mut plain);
        wrong.extend(apart(&fast, &plain).map(|apart| format!("{conv:?}: {apart}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_plain_gradients() {
    let mut wrong = Vec::new();
    for (conv, pad, winograd) in cases() {
        let (x, weights) = (numbers(conv.n * conv.h * conv.w * conv.c_in, 1), numbers(conv.c_out * conv.k(), 3));
        let (dy, scale) = (numbers(conv.rows() * conv.out_w() * conv.c_out, 2), numbers(conv.c_out, 4));
        let run = |fast: bool, scale: Option<&[f32]>| {
            let (mut dw, mut dx) = (vec![f32::NAN; weights.len()], vec![f32::NAN; x.len()]);
            let (mut buffers, out) = (Buffers::default(), Some(Dx { weights: &weights, scale, out: &mut dx }));
            let load = rows(&conv, &x);
            if fast {
                winograd.backward(None, &GemmCrate, &mut buffers, load, &dy, &mut dw, out);
            } else {
                Im2Row::new(conv, pad).plain_backward(None, &GemmCrate, &mut buffers, load, &dy, &mut dw, out);
            }
            [dw, dx]
        };
        for scale in [None, Some(&scale[..])] {
            for ((what, fast), plain) in ["dw", "dx"].into_iter().zip(run(true, scale)).zip(run(false, scale)) {
                wrong.extend(apart(&fast, &plain).map(|apart| format!("{what} of {conv:?}: {apart}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn where_the_plain_products_are_better() {
    let fit = Conv { pads: [1; 4], ..Conv::new([100, 28, 28, 64], 64, [3, 3]) };
    assert!(Winograd::new(fit, 0.0, per_part(None, fit.n)).is_some());
    for conv in [
        Conv { stride: [2, 2], ..fit },
        Conv { kernel: [1, 1], pads: [0; 4], ..fit },
        Conv { c_in: 3, ..fit },
        Conv { c_in: 20, ..fit },
        Conv { groups: 2, ..fit },
        Conv { dilation: [2, 1], ..fit },
        Conv { pads: [3; 4], ..fit },
        Conv { h: 5, w: 5, n: 1000, ..fit },
        Conv { h: 4, w: 4, n: 10, ..fit },
    ] {
        assert!(Winograd::new(conv, 0.0, per_part(None, conv.n)).is_none(), "{conv:?}");
    }
}
