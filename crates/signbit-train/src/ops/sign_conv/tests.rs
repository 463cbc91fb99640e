//! Against the plain products.

use super::*;
use crate::gemm::GemmCrate;
use crate::ops::gradcheck::numbers;
use crate::ops::im2row::{self, Im2Row};

/// Odd sizes, channels beside the registers' width, uneven and wide paddings, dilation, kernels of every kind.
fn cases() -> impl Iterator<Item = Conv> {
    let cases = [
        (5, 8, 8, 16, 24, [3, 3], [1, 1], [1, 1, 1, 1]),
        (13, 7, 10, 70, 33, [3, 3], [1, 1], [1, 1, 1, 1]),
        (2, 9, 5, 65, 16, [1, 1], [1, 1], [0, 0, 0, 0]),
        (3, 6, 11, 8, 5, [2, 3], [2, 1], [0, 2, 3, 1]),
        (1, 40, 33, 3, 16, [5, 5], [1, 1], [2, 2, 2, 2]),
        (3, 6, 5, 20, 20, [3, 3], [1, 1], [1, 1, 1, 1]),
        (4, 1, 16, 9, 40, [3, 3], [1, 1], [1, 1, 1, 1]),
        (2, 3, 4, 10, 7, [3, 3], [1, 2], [4, 5, 0, 3]),
    ];
    cases.into_iter().flat_map(|(n, h, w, c_in, c_out, kernel, dilation, pads)| {
        [Padding::Zero, Padding::One, Padding::MinusOne].map(|padding| Conv {
            n,
            dilation,
            pads,
            padding,
            ..Conv::new([n, h, w, c_in], c_out, kernel)
        })
    })
}

/// dw and dx by signs that stay bits, and by unpacked ones.
fn both_ways(conv: &Conv, isa: Isa, scale: Option<&[f32]>, wants_dx: bool) -> [[Vec<f32>; 2]; 2] {
    let (x, weights) = (numbers(conv.n * conv.h * conv.w * conv.c_in, 1), numbers(conv.c_out * conv.k(), 3));
    let dy = numbers(conv.rows() * conv.out_w() * conv.c_out, 2);
    let pixel = bits::words(conv.c_in);
    let mut x_bits = vec![0; conv.n * conv.h * conv.w * pixel];
    bits::pack_signs(isa, &x, conv.c_in, &mut x_bits);
    let mut rows = vec![0; conv.c_out * bits::words(conv.k())];
    bits::pack_signs(isa, &weights, conv.k(), &mut rows);
    let sign = |v: f32| if v >= 0.0 { 1.0 } else { -1.0 };
    let (x, weights): (Vec<f32>, Vec<f32>) =
        (x.into_iter().map(sign).collect(), weights.into_iter().map(sign).collect());

    let [mut fast, mut plain] = [(); 2].map(|()| [vec![f32::NAN; weights.len()], vec![f32::NAN; x.len()]]);
    let [dw, dx] = &mut fast;
    let to = wants_dx.then_some(Dx { weights: &rows, scale, out: Some(&mut *dx) });
    let signs = SignConv::new(isa, *conv).expect("a convolution for it");
    signs.backward(None, &mut Buffers::default(), &x_bits, &mut dy.clone(), dw, to);
    if wants_dx && dx.len() == dy.len() {
        let (mut in_place, mut again) = (dy.clone(), vec![f32::NAN; dw.len()]);
        let to = Some(Dx { weights: &rows, scale, out: None });
        signs.backward(None, &mut Buffers::default(), &x_bits, &mut in_place, &mut again, to);
        assert!(in_place == *dx && again == *dw, "in place of dy: {conv:?}");
    }
    let pad = match conv.padding {
        Padding::Zero => 0.0,
        Padding::One => 1.0,
        Padding::MinusOne => -1.0,
    };
    let [dw, dx] = &mut plain;
    let to = wants_dx.then_some(im2row::Dx { weights: &weights, scale, out: dx });
    let load = |n: usize, y: usize, to: &mut [f32]| {
        to.copy_from_slice(&x[(n * conv.h + y) * conv.w * conv.c_in..][..conv.w * conv.c_in]);
    };
    Im2Row::new(*conv, pad).plain_backward(None, &GemmCrate, &mut Buffers::default(), load, &dy, dw, to);
    [fast, plain]
}

#[test]
fn the_plain_gradients() {
    let mut wrong = Vec::new();
    for conv in cases() {
        let scale = numbers(conv.c_out, 4);
        for scale in [None, Some(&scale[..])] {
            let [fast, plain] = both_ways(&conv, Isa::best(), scale, true);
            for ((what, fast), plain) in ["dw", "dx"].into_iter().zip(fast).zip(plain) {
                let largest = plain.iter().fold(0.0f32, |most, v| most.max(v.abs()));
                let apart = fast.iter().zip(&plain).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
                if apart > 2e-5 * largest || fast.iter().any(|v| v.is_nan()) {
                    wrong.push(format!("{what} of {conv:?}: {apart} apart, largest {largest}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The first binary layer of a network wants no gradient by its input.
#[test]
fn the_gradient_by_weights_alone() {
    for conv in cases().take(3) {
        let [[dw, dx], _] = both_ways(&conv, Isa::best(), None, false);
        let [[both, _], _] = both_ways(&conv, Isa::best(), None, true);
        assert!(dx.iter().all(|v| v.is_nan()));
        assert_eq!(dw, both);
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    for conv in cases().take(6) {
        let [expected, _] = both_ways(&conv, Isa::best(), None, true);
        for isa in Isa::all() {
            let [found, _] = both_ways(&conv, isa, None, true);
            assert!(found == expected, "{} of {conv:?}", isa.name());
        }
    }
}

#[test]
fn strides_groups_and_tiny_pictures_go_another_way() {
    let conv = Conv::new([1, 9, 9, 8], 8, [3, 3]);
    assert!(SignConv::new(Isa::best(), conv).is_some());
    assert!(SignConv::new(Isa::best(), Conv { stride: [1, 2], ..conv }).is_none());
    assert!(SignConv::new(Isa::best(), Conv { groups: 2, ..conv }).is_none());
    assert!(SignConv::new(Isa::best(), Conv { h: 1, ..conv }).is_none());
}
