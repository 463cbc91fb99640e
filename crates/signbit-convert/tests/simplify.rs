//! All passes over random networks: the same outputs, exactly. All numbers are multiples of powers of two of few digits,
//! so that no float step rounds and every order of steps gives the same.

mod common;

use common::outputs;
use proptest::prelude::*;
use signbit_convert::{Draft, passes};
use signbit_model::{DType, Geometry, Op, Shape, ValueId};

/// Choices of a random network, one after the other.
struct Choices(u64);

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        // Constants of Knuth's MMIX generator; the high bits are the random ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Weights of +-alpha per output channel, or others.
fn weights(choices: &mut Choices, shape: [usize; 4]) -> Vec<f32> {
    let row: usize = shape[1..].iter().product();
    let binary = choices.below(4) > 0;
    let mut weights = Vec::new();
    for _ in 0..shape[0] {
        let alpha = choices.of(&[0.5, 1.0, 1.0, 2.0]);
        weights.extend(
            (0..row).map(|_| alpha * choices.of(&[1.0, -1.0]) * if binary { 1.0 } else { choices.of(&[1.0, 3.0]) }),
        );
    }
    weights
}

fn per_channel(choices: &mut Choices, c: usize, from: &[f32]) -> Vec<f32> {
    (0..c).map(|_| choices.of(from)).collect()
}

/// Adds one random layer; `None` where it does not fit.
fn layer(d: &mut Draft, choices: &mut Choices, x: ValueId, i: usize) -> Option<ValueId> {
    let Shape { h, w, c } = d.shape(x);
    let name = format!("n{i}");
    let node = |d: &mut Draft, op: Op| d.node(&name, op, &[x]).ok();
    match choices.below(13) {
        0..=2 => d.sign(&name, x).ok(),
        3 | 4 => {
            let groups = choices.of(&[1, 1, c]);
            let (k, o) = (choices.of(&[1, 2, 3]), choices.of(&[1, 2, 3]) * groups);
            if k > h.min(w) || o > 12 {
                return None;
            }
            let shape = [o, k, k, c / groups];
            let data = weights(choices, shape);
            let weight = d.f32(&format!("{name}.w"), shape, data).ok()?;
            let bias = (choices.below(2) == 0).then(|| per_channel(choices, o, &[0.0, 1.0, -2.0]));
            let bias = bias.map(|bias| d.f32(&format!("{name}.b"), [o], bias)).transpose().ok()?;
            let geometry = Geometry::padded([k, k], [choices.of(&[1, 1, 2]); 2], choices.below(k));
            node(d, Op::Conv2d { weight, bias, geometry, groups })
        }
        5 => {
            let flat = d.node(&format!("{name}.flat"), Op::Flatten, &[x]).ok()?;
            let (k, o) = (h * w * c, choices.of(&[1, 3, 5]));
            let data = weights(choices, [o, 1, 1, k]);
            let weight = d.f32(&format!("{name}.w"), [o, k], data).ok()?;
            d.node(&name, Op::Dense { weight, bias: None }, &[flat]).ok()
        }
        6 | 7 => {
            let mul = per_channel(choices, c, &[1.0, 1.0, -1.0, 0.5, 2.0, 0.0]);
            let add = per_channel(choices, c, &[0.0, 0.0, 0.5, -1.0, 3.0]);
            let ones = choices.below(4) == 0;
            d.mul_add(&name, x, if ones { vec![1.0; c] } else { mul }, add).ok()
        }
        8 => {
            let geometry = Geometry::padded([2, 2], [choices.of(&[1, 2]); 2], choices.below(2));
            node(d, Op::MaxPool2d { geometry })
        }
        9 => node(d, if choices.below(2) == 0 { Op::Relu } else { Op::Clip { min: -1.0, max: 2.0 } }),
        10 => {
            let slope = per_channel(choices, c, &[0.5, 0.25, -1.0, 0.0]);
            let slope = d.f32(&format!("{name}.slope"), [c], slope).ok()?;
            node(d, Op::PRelu { slope })
        }
        11 => node(
            d,
            Op::Pad { pads: std::array::from_fn(|_| choices.below(2)), value: choices.of(&[0.0, 1.0, -1.0, 0.5]) },
        ),
        _ if h * w * c > 60 => None,
        _ => d.node(&name, Op::Concat, &[x, x]).ok(),
    }
}

fn network(seed: u64) -> signbit_convert::Imported {
    let mut choices = Choices(seed);
    let side = choices.of(&[1, 3, 5]);
    let mut d = Draft::new(Shape::new(side, side, choices.of(&[1, 2, 3])));
    let mut x = d.input();
    let mut before = x;
    for i in 0..4 + choices.below(12) {
        if let Some(y) = layer(&mut d, &mut choices, x, i) {
            before = x;
            x = y;
        }
        // A shortcut around the last layer.
        if choices.below(5) == 0 && d.shape(before) == d.shape(x) && before != x {
            let both_real = [before, x].iter().all(|&v| d.value_type(v).dtype == DType::F32);
            if both_real && let Ok(sum) = d.node(&format!("sum{i}"), Op::Add, &[before, x]) {
                x = sum;
            }
        }
    }
    d.finish(x).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn all_passes_keep_the_outputs(seed: u64) {
        let imported = network(seed);
        let before = imported.model.clone();
        let after = passes::simplify(imported).unwrap().model;
        prop_assert_eq!(outputs(&before), outputs(&after), "{:?}\n{:?}", common::described(&before), common::described(&after));
    }
}

#[test]
fn the_random_networks_have_thresholds_and_binary_layers() {
    let mut found = std::collections::BTreeMap::new();
    for seed in 0..600 {
        for node in &passes::simplify(network(seed)).unwrap().model.graph.nodes {
            *found.entry(node.op.name()).or_insert(0) += 1;
        }
    }
    for op in ["binary_conv2d", "binary_dense", "threshold", "rsign", "max_pool2d", "mul_add", "conv2d"] {
        assert!(found.get(op).is_some_and(|&n| n > 10), "{op}: {found:?}");
    }
}
