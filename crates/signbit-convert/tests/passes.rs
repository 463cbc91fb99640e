//! Each pass on a small graph: what comes out, and that it computes the same.

mod common;

use common::{described, draft, outputs};
use signbit_convert::{Activation, Draft, Warning, passes};
use signbit_model::{Geometry, Model, Op, Padding, Shape, Tensor, ValueId};

/// The model of a draft as it stands.
fn model(draft: Draft, output: ValueId) -> Model {
    draft.finish(output).unwrap().model
}

/// Checks what a pass makes of a model: the nodes, and equal outputs on every input tried.
fn check(before: &Model, after: &Model, nodes: &[&str]) {
    assert_eq!(described(after), nodes, "from {:?}", described(before));
    assert_eq!(outputs(before), outputs(after));
}

fn window(kernel: usize, pad: usize) -> Geometry {
    Geometry::padded([kernel; 2], [1, 1], pad)
}

#[test]
fn a_sign_of_unpacked_bits_is_the_bits() {
    let mut d = draft(2, 2, 3);
    let signs = d.sign("a", d.input()).unwrap();
    let flat = d.node("flat", Op::Flatten, &[signs]).unwrap();
    let again = d.node("b", Op::Sign, &[flat]).unwrap();
    let before = model(d, again);
    let after = passes::unpack_late(before.clone()).unwrap();
    check(&before, &after, &["a: sign(input)", "flat: flatten(a)"]);
}

#[test]
fn bits_are_pooled_joined_cut_and_padded_as_bits() {
    let mut d = draft(4, 4, 2);
    let signs = d.sign("a", d.input()).unwrap();
    let pooled = d.node("pool", Op::MaxPool2d { geometry: window(2, 0) }, &[signs]).unwrap();
    let both = d.node("both", Op::Concat, &[pooled, pooled]).unwrap();
    let cut = d.node("cut", Op::Slice { start: 1, end: 3 }, &[both]).unwrap();
    let padded = d.node("pad", Op::Pad { pads: [1, 0, 2, 1], value: -1.0 }, &[cut]).unwrap();
    let before = model(d, padded);
    let after = passes::unpack_late(before.clone()).unwrap();
    let nodes = [
        "a: sign(input)",
        "pool: max_pool2d(a)",
        "both: concat(pool, pool)",
        "cut: slice(both)",
        "pad: pad(cut)",
        "pad.unpack: unpack(pad)",
    ];
    check(&before, &after, &nodes);
}

#[test]
fn the_sign_moves_before_two_pools() {
    let mut d = draft(5, 5, 2);
    let once = d.node("one", Op::MaxPool2d { geometry: window(2, 0) }, &[d.input()]).unwrap();
    let twice = d.node("two", Op::MaxPool2d { geometry: window(2, 1) }, &[once]).unwrap();
    let bits = d.node("sign", Op::Sign, &[twice]).unwrap();
    let before = model(d, bits);
    let after = passes::sign_before_pool(before.clone()).unwrap();
    check(&before, &after, &["sign: sign(input)", "one: max_pool2d(sign)", "two: max_pool2d(one)"]);
}

#[test]
fn a_pool_that_others_read_stays() {
    let mut d = draft(4, 4, 2);
    let pooled = d.node("pool", Op::MaxPool2d { geometry: window(2, 0) }, &[d.input()]).unwrap();
    let signs = d.sign("sign", pooled).unwrap();
    let sum = d.node("sum", Op::Add, &[pooled, signs]).unwrap();
    let before = model(d, sum);
    assert_eq!(described(&passes::sign_before_pool(before.clone()).unwrap()), described(&before));
}

/// A convolution of 2 to 2 channels, kernel 2.
fn conv(d: &mut Draft, x: ValueId, weights: [f32; 16], pad: usize) -> ValueId {
    let weight = d.f32("conv.weight", [2, 2, 2, 2], weights.to_vec()).unwrap();
    let bias = d.f32("conv.bias", [2], vec![0.25, -3.0]).unwrap();
    let op = Op::Conv2d { weight, bias: Some(bias), geometry: window(2, pad), groups: 1 };
    d.node("conv", op, &[x]).unwrap()
}

const ALPHAS: [f32; 16] = [0.5, 0.5, -0.5, 0.5, -0.5, 0.5, 0.5, 0.5, 2.0, -2.0, 2.0, 2.0, -2.0, -2.0, -2.0, 2.0];

#[test]
fn plus_minus_alpha_becomes_bits() {
    let mut d = draft(4, 4, 2);
    let signs = d.sign("a", d.input()).unwrap();
    let y = conv(&mut d, signs, ALPHAS, 1);
    let before = model(d, y);
    let mut warnings = Vec::new();
    let after = passes::binarize(before.clone(), &mut warnings).unwrap();
    check(&before, &after, &["a: sign(input)", "conv: binary_conv2d(a)", "conv.scale: mul_add(conv)"]);
    assert_eq!(warnings, []);
    assert_eq!(after.tensors["conv.scale.mul"].as_f32().unwrap(), [0.5, 2.0]);
}

#[test]
fn signs_on_real_numbers_are_stored_as_bits() {
    let mut d = draft(4, 4, 2);
    let y = conv(&mut d, ValueId::INPUT, ALPHAS, 1);
    let before = model(d, y);
    let after = passes::binarize(before.clone(), &mut Vec::new()).unwrap();
    check(&before, &after, &["conv: conv2d(input)", "conv.scale: mul_add(conv)"]);
}

#[test]
fn other_weights_behind_a_sign_stay_real_and_are_named() {
    let mut weights = ALPHAS;
    weights[3] = 0.4;
    let mut d = draft(4, 4, 2);
    let signs = d.sign("a", d.input()).unwrap();
    let y = conv(&mut d, signs, weights, 0);
    let before = model(d, y);
    let mut warnings = Vec::new();
    let after = passes::binarize(before.clone(), &mut warnings).unwrap();
    assert_eq!(described(&after), described(&before));
    assert_eq!(warnings, [Warning::RealWeights { node: "conv".into() }]);
}

#[test]
fn nearly_equal_magnitudes_are_taken_and_named() {
    let mut weights = ALPHAS;
    weights[3] = 0.501;
    let mut d = draft(4, 4, 2);
    let signs = d.sign("a", d.input()).unwrap();
    let y = conv(&mut d, signs, weights, 0);
    let mut warnings = Vec::new();
    let after = passes::binarize(model(d, y), &mut warnings).unwrap();
    assert!(matches!(after.graph.nodes[1].op, Op::BinaryConv2d { .. }));
    assert!(matches!(&warnings[..], [Warning::UnequalMagnitudes { spread, .. }] if (0.001..0.002).contains(spread)));
}

#[test]
fn a_rare_zero_is_plus_one_and_many_make_a_layer_ternary() {
    for (zeros, binary) in [(1, true), (30, false)] {
        let mut d = draft(1, 1, 200);
        let signs = d.sign("a", d.input()).unwrap();
        let mut weights = vec![-1.0; 400];
        weights[..zeros].fill(0.0);
        let weight = d.f32("w", [2, 200], weights).unwrap();
        let y = d.node("fc", Op::Dense { weight, bias: None }, &[signs]).unwrap();
        let mut warnings = Vec::new();
        let after = passes::binarize(model(d, y), &mut warnings).unwrap();
        assert_eq!(described(&after).iter().any(|line| line == "fc: binary_dense(a)"), binary, "{zeros}");
        let expected = match binary {
            true => Warning::ZeroWeights { node: "fc".into(), zeros, total: 400 },
            false => Warning::RealWeights { node: "fc".into() },
        };
        assert_eq!(warnings, [expected]);
    }
}

#[test]
fn paddings_become_the_window_s() {
    for (value, expected) in [(1.0, Padding::One), (-1.0, Padding::MinusOne)] {
        let mut d = draft(4, 4, 2);
        let signs = d.sign("a", d.input()).unwrap();
        let padded = d.node("pad", Op::Pad { pads: [1, 0, 0, 1], value }, &[signs]).unwrap();
        let y = conv(&mut d, padded, ALPHAS, 0);
        let before = model(d, y);
        let bits = passes::binarize(passes::unpack_late(before.clone()).unwrap(), &mut Vec::new()).unwrap();
        let after = passes::fold_pad(bits).unwrap();
        check(&before, &after, &["a: sign(input)", "conv: binary_conv2d(a)", "conv.scale: mul_add(conv)"]);
        assert!(matches!(after.graph.nodes[1].op, Op::BinaryConv2d { padding, .. } if padding == expected));
    }
}

#[test]
fn zeros_go_into_real_windows() {
    let mut d = draft(4, 4, 2);
    let padded = d.node("pad", Op::Pad { pads: [1, 0, 0, 1], value: 0.0 }, &[ValueId::INPUT]).unwrap();
    let y = conv(&mut d, padded, ALPHAS, 1);
    let mean = Op::AvgPool2d { geometry: window(2, 0), count_include_pad: false };
    let padded = d.node("pad2", Op::Pad { pads: [0, 1, 1, 0], value: 0.0 }, &[y]).unwrap();
    let y = d.node("mean", mean, &[padded]).unwrap();
    let before = model(d, y);
    let after = passes::fold_pad(before.clone()).unwrap();
    check(&before, &after, &["conv: conv2d(input)", "mean: avg_pool2d(conv)"]);
}

#[test]
fn other_paddings_stay() {
    let mut d = draft(4, 4, 2);
    let padded = d.node("pad", Op::Pad { pads: [1, 0, 0, 1], value: 0.5 }, &[ValueId::INPUT]).unwrap();
    let y = conv(&mut d, padded, ALPHAS, 0);
    let before = model(d, y);
    assert_eq!(described(&passes::fold_pad(before.clone()).unwrap()), described(&before));
}

#[test]
fn all_that_stands_before_a_sign_is_a_threshold() {
    let mut d = draft(4, 4, 2);
    let signs = d.sign("a", d.input()).unwrap();
    let y = conv(&mut d, signs, ALPHAS, 1);
    let y = d.mul_add("norm", y, vec![0.3, -0.7], vec![0.1, 1.4]).unwrap();
    let y = d.activation("act", y, Activation::Relu).unwrap();
    let y = d.mul_add("shift", y, vec![1.0, 1.0], vec![-0.6, -0.9]).unwrap();
    let y = d.node("sign", Op::Sign, &[y]).unwrap();
    let bits = passes::binarize(model(d, y), &mut Vec::new()).unwrap();
    let after = passes::threshold(bits.clone()).unwrap();
    check(&bits, &after, &["a: sign(input)", "conv: binary_conv2d(a)", "sign: threshold(conv)"]);
}

#[test]
fn a_pool_between_moves_behind_the_threshold() {
    // The second channel falls before the pool and has its weights negated, or behind it and is flipped.
    for (mul, flipped) in [([0.3, -0.7], false), ([0.3, 0.7], true)] {
        let mut d = draft(5, 5, 2);
        let signs = d.sign("a", d.input()).unwrap();
        let y = conv(&mut d, signs, ALPHAS, 1);
        let y = d.mul_add("norm", y, mul.to_vec(), vec![0.1, 1.4]).unwrap();
        let y = d.node("pool", Op::MaxPool2d { geometry: window(2, 0) }, &[y]).unwrap();
        let y = d.mul_add("after", y, vec![2.0, if flipped { -1.0 } else { 1.0 }], vec![-0.5, 0.25]).unwrap();
        let y = d.node("sign", Op::Sign, &[y]).unwrap();
        let bits = passes::binarize(model(d, y), &mut Vec::new()).unwrap();
        let after = passes::threshold(bits.clone()).unwrap();
        let (second, third) = match flipped {
            false => ("sign: threshold(conv)", "pool: max_pool2d(sign)"),
            true => ("pool: max_pool2d(conv)", "sign: threshold(pool)"),
        };
        check(&bits, &after, &["a: sign(input)", "conv: binary_conv2d(a)", second, third]);
    }
}

#[test]
fn a_chain_that_is_no_threshold_stays() {
    let mut d = draft(1, 1, 2);
    let signs = d.sign("a", d.input()).unwrap();
    let weight = d.f32("w", [2, 2], vec![1.0, 1.0, -1.0, 1.0]).unwrap();
    let y = d.node("fc", Op::Dense { weight, bias: None }, &[signs]).unwrap();
    // |x| - 1 changes its sign twice.
    let slope = d.f32("slope", [2], vec![-1.0, -1.0]).unwrap();
    let y = d.node("abs", Op::PRelu { slope }, &[y]).unwrap();
    let y = d.mul_add("shift", y, vec![1.0; 2], vec![-1.0; 2]).unwrap();
    let y = d.node("sign", Op::Sign, &[y]).unwrap();
    let bits = passes::binarize(model(d, y), &mut Vec::new()).unwrap();
    assert_eq!(described(&passes::threshold(bits.clone()).unwrap()), described(&bits));
}

#[test]
fn multipliers_merge() {
    let mut d = draft(2, 2, 2);
    let y = d.mul_add("scale", d.input(), vec![0.3, -2.0], vec![0.0, 0.0]).unwrap();
    let y = d.mul_add("shift", y, vec![1.0, 1.0], vec![0.7, 0.1]).unwrap();
    let y = d.mul_add("nothing", y, vec![1.0, 1.0], vec![0.0, 0.0]).unwrap();
    let before = model(d, y);
    let after = passes::merge_mul_add(before.clone()).unwrap();
    check(&before, &after, &["scale: mul_add(input)"]);
}

#[test]
fn a_dot_product_turned_round_keeps_its_order_of_steps() {
    let mut d = draft(2, 2, 2);
    let bits = d.node("a", Op::Sign, &[d.input()]).unwrap();
    let weight = d.tensor("w", Tensor::bits_from_signs([2, 1, 1, 2], &[1, -1, -1, -1]).unwrap());
    let geometry = Geometry::valid([1, 1], [1, 1], [1, 1]);
    let dot = Op::BinaryConv2d { weight, geometry, groups: 1, padding: Padding::Zero };
    let dot = d.node("conv", dot, &[bits]).unwrap();
    let y = d.mul_add("count", dot, vec![-1.0; 2], vec![2.0; 2]).unwrap();
    let y = d.mul_add("scale", y, vec![0.3, -0.7], vec![0.1, 1.4]).unwrap();
    let before = model(d, y);
    let after = passes::merge_mul_add(before.clone()).unwrap();
    assert_eq!(described(&after), described(&before));
}

#[test]
fn batch_norm_goes_into_a_real_layer() {
    let mut d = draft(4, 4, 2);
    let y = conv(&mut d, ValueId::INPUT, std::array::from_fn(|i| i as f32 - 7.0), 1);
    let y = d.mul_add("norm", y, vec![0.5, -4.0], vec![1.0, 0.25]).unwrap();
    let before = model(d, y);
    let after = passes::fold_affine(before.clone()).unwrap();
    check(&before, &after, &["conv: conv2d(input)"]);
}

#[test]
fn a_sign_of_a_sum_is_a_sign_with_a_shift() {
    let mut d = draft(2, 2, 2);
    let y = d.mul_add("shift", d.input(), vec![1.0, 1.0], vec![0.5, -1.0]).unwrap();
    let y = d.node("sign", Op::Sign, &[y]).unwrap();
    let before = model(d, y);
    let after = passes::rsign(before.clone()).unwrap();
    check(&before, &after, &["sign: rsign(input)"]);
}

#[test]
fn what_does_not_lead_to_the_output_goes() {
    let mut d = Draft::new(Shape::vector(2));
    let dead = d.mul_add("dead", d.input(), vec![1.0; 2], vec![0.5; 2]).unwrap();
    let _ = d.node("deader", Op::Relu, &[dead]).unwrap();
    let y = d.node("live", Op::Sign, &[d.input()]).unwrap();
    let after = model(d, y);
    assert_eq!(described(&after), ["live: sign(input)"]);
    assert!(after.tensors.is_empty());
}

#[test]
fn one_number_for_all_channels_needs_no_tensor() {
    let mut d = draft(2, 2, 2);
    let y = d.mul_add("same", d.input(), vec![2.0, 2.0], vec![0.5, 0.5]).unwrap();
    let y = d.mul_add("other", y, vec![2.0, 2.0], vec![0.5, 0.25]).unwrap();
    let before = model(d, y);
    let after = passes::uniform(before.clone()).unwrap();
    check(&before, &after, &["same: affine(input)", "other: mul_add(same)"]);
}

#[test]
fn equal_tensors_are_kept_once() {
    let mut d = draft(2, 2, 2);
    let y = d.mul_add("one", d.input(), vec![0.3, -2.0], vec![0.5, 0.0]).unwrap();
    let y = d.mul_add("two", y, vec![0.5, 0.0], vec![0.3, -2.0]).unwrap();
    // -0.0 is another number.
    let y = d.mul_add("three", y, vec![0.5, -0.0], vec![1.0, 2.0]).unwrap();
    let before = model(d, y);
    let after = passes::share_tensors(before.clone()).unwrap();
    check(&before, &after, &["one: mul_add(input)", "two: mul_add(one)", "three: mul_add(two)"]);
    assert_eq!((before.tensors.len(), after.tensors.len()), (6, 4));
}

#[test]
fn names_are_shortened() {
    let mut d = draft(2, 2, 2);
    let y = d.mul_add("net/norm/FusedBatchNorm", d.input(), vec![0.3, -2.0], vec![0.5, 0.0]).unwrap();
    let y = d.node("net/act/Relu", Op::Relu, &[y]).unwrap();
    let before = model(d, y);
    let after = passes::short_names(before.clone()).unwrap();
    check(&before, &after, &["norm: mul_add(input)", "act: relu(norm)"]);
    assert_eq!(after.tensors.keys().collect::<Vec<_>>(), ["0.add", "0.mul"]);
}
