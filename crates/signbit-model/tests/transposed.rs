//! Transposed convolutions: against the naive definition, which adds each input to all outputs that it reaches, and
//! what is refused.

mod common;

use common::{pattern, reals};
use proptest::prelude::*;
use signbit_model::interpreter::{ValueData, run};
use signbit_model::limits::MAX_GEOMETRY;
use signbit_model::{
    GeometryError, Model, ModelBuilder, ModelError, NodeError, Op, Shape, SizeTable, Tensor, TransposedGeometry,
};

/// `[n, h, w, c]` scattered: `y[sample, iy * stride + ky * dilation - top, ..] += x * w`.
fn scatter(
    n: usize,
    (input, output): (Shape, Shape),
    x: &[i64],
    w: &[i64],
    g: &TransposedGeometry,
    groups: usize,
) -> Vec<i64> {
    let mut y = vec![0; n * output.elements()];
    let (c_group, o_group) = (input.c / groups, output.c / groups);
    let [kh, kw] = g.kernel;
    for (i, &x) in x.iter().enumerate() {
        let (c, pixel) = (i % input.c, i / input.c);
        let (ix, iy, sample) = (pixel % input.w, pixel / input.w % input.h, pixel / input.w / input.h);
        for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
            let oy = (iy * g.stride[0] + ky * g.dilation[0]).wrapping_sub(g.pads[0]);
            let ox = (ix * g.stride[1] + kx * g.dilation[1]).wrapping_sub(g.pads[1]);
            if oy >= output.h || ox >= output.w {
                continue;
            }
            let group = c / c_group;
            for o in group * o_group..(group + 1) * o_group {
                let weight = w[((o * kh + ky) * kw + kx) * c_group + c % c_group];
                y[((sample * output.h + oy) * output.w + ox) * output.c + o] += x * weight;
            }
        }
    }
    y
}

fn model(
    input: Shape,
    weight: Tensor,
    bits: bool,
    geometry: TransposedGeometry,
    groups: usize,
) -> Result<Model, ModelError> {
    let mut b = ModelBuilder::new(input);
    b.tensor("w", weight);
    let weight = "w".to_owned();
    let y = if bits {
        let x = b.node("sign", Op::Sign, &[b.input()]);
        b.node("y", Op::BinaryConv2dTranspose { weight, geometry, groups }, &[x])
    } else {
        b.node("y", Op::Conv2dTranspose { weight, bias: None, geometry, groups }, &[b.input()])
    };
    b.finish(y)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whole numbers, so that no order of summation matters.
    #[test]
    fn equal_to_the_naive_definition(
        size in (1..5_usize, 1..5_usize),
        kernel in [1..4_usize, 1..4],
        stride in [1..4_usize, 1..4],
        dilation in [1..3_usize, 1..3],
        pads in [0..4_usize, 0..4, 0..4, 0..4],
        output_padding in [0..3_usize, 0..3],
        (groups, c_group, o_group) in (1..4_usize, 1..4_usize, 1..3_usize),
        bits in any::<bool>(),
    ) {
        let geometry = TransposedGeometry { kernel, stride, dilation, pads, output_padding };
        let input = Shape::new(size.0, size.1, groups * c_group);
        let weight = pattern(&[groups * o_group, kernel[0], kernel[1], c_group]);
        let w: Vec<i64> = weight.to_signs().unwrap().into_iter().map(i64::from).collect();
        let Ok(model) = model(input, weight, bits, geometry, groups) else {
            prop_assert!(geometry.output_size(size.0, size.1).is_err());
            return Ok(());
        };
        let x: Vec<i64> = (0..2 * input.elements() as i64).map(|i| i * i % 13 - 6).collect();
        let real: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let signs: Vec<i64> = x.iter().map(|&x| if x >= 0 { 1 } else { -1 }).collect();
        let shape = model.output_type().unwrap().shape;
        let expected = scatter(2, (input, shape), if bits { &signs } else { &x }, &w, &geometry, groups);
        let found: Vec<i64> = match run(&model, 2, &real).unwrap().data {
            ValueData::F32(data) => data.into_iter().map(|y| y as i64).collect(),
            ValueData::I32(data) => data.into_iter().map(i64::from).collect(),
            ValueData::Bits(_) => panic!("no bits"),
        };
        prop_assert_eq!(found, expected);
    }
}

fn source(found: Result<Model, ModelError>) -> NodeError {
    match found {
        Err(ModelError::Node { node, source }) if node == "y" => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let unit = TransposedGeometry::valid([1, 1], [1, 1], [1, 1]);
    let input = Shape::new(3, 3, 4);
    let try_it = |weight: &[usize], geometry, groups| source(model(input, pattern(weight), true, geometry, groups));
    assert!(matches!(try_it(&[2, 1, 1, 4], unit, 3), NodeError::Groups { groups: 3, c_in: 4, c_out: 2 }));
    assert!(matches!(try_it(&[2, 1, 1, 4], unit, 0), NodeError::Groups { .. }));
    // The layout of frameworks that put the input channels first.
    assert!(matches!(try_it(&[4, 1, 1, 2], unit, 1), NodeError::TensorShape { .. }));
    let cut = TransposedGeometry { pads: [1, 0, 2, 0], ..unit };
    assert_eq!(try_it(&[2, 1, 1, 4], cut, 1), NodeError::Geometry(GeometryError::CutAway { full: 3, cut: 3 }));
    let real = source(model(input, pattern(&[2, 1, 1, 4]), false, cut, 1));
    assert_eq!(real, NodeError::Geometry(GeometryError::CutAway { full: 3, cut: 3 }));
    let weight = reals(&[2, 1, 1, 4]);
    assert!(matches!(source(model(input, weight, true, unit, 1)), NodeError::TensorDType { .. }));
}

/// A file of a few bytes that asks for an output of terabytes.
#[test]
fn a_hostile_size_is_refused() {
    let far = [MAX_GEOMETRY; 2];
    let geometry = TransposedGeometry::valid([1, 1], far, far);
    let found = source(model(Shape::new(1000, 1000, 1), pattern(&[1, 1, 1, 1]), true, geometry, 1));
    assert_eq!(found, NodeError::OutputTooLarge);
    let geometry = TransposedGeometry::valid([1, 1], [MAX_GEOMETRY + 1; 2], [1, 1]);
    let found = source(model(Shape::new(2, 2, 1), pattern(&[1, 1, 1, 1]), true, geometry, 1));
    assert_eq!(found, NodeError::Geometry(GeometryError::TooLarge));
}

/// Each input pixel meets each tap once, whatever the pads cut off: 2 x 3 pixels, 5 channels of 4 taps of 2.
#[test]
fn multiplications_counted_by_hand() {
    for (bits, macs) in [(true, (240, 0)), (false, (0, 240))] {
        let geometry = TransposedGeometry { pads: [1, 1, 0, 0], ..TransposedGeometry::valid([2, 2], [2, 2], [1, 1]) };
        let table = SizeTable::of(&model(Shape::new(2, 3, 2), pattern(&[5, 2, 2, 2]), bits, geometry, 1).unwrap());
        let table = table.unwrap();
        assert_eq!((table.binary_macs, table.real_macs), macs);
    }
}
