//! Trained, packed, compared: every hidden bit and every output, with the reference interpreter as the runner.

mod common;

use common::Reference;
use signbit_kernels::Isa;
use signbit_model::{Model, Shape};
use signbit_train::data::Pictures;
use signbit_train::network::Network;
use signbit_train::recipe::{Recipe, ScaleFactor};
use signbit_train::verify::{Report, VerifyError, verify};
use signbit_train::zoo;

fn pictures(n: usize, shape: Shape) -> Pictures {
    let pixels = (0..n * shape.elements()).map(|i| ((i * 7919 + i / 64 * 31) % 256) as u8).collect();
    Pictures { shape, pixels, labels: (0..n as u32).map(|i| i % 10).collect() }
}

fn preprocessing(shape: Shape) -> signbit_model::Preprocessing {
    let (scale, shift) = (vec![2.0 / 255.0; shape.c], vec![-1.0; shape.c]);
    signbit_model::Preprocessing { channels: shape.c, height: shape.h, width: shape.w, resize: None, scale, shift }
}

/// Batch norm as no initial weights have it: factors of both signs, some zero, some offsets that make ties, running
/// statistics of the layer's size.
fn disturb(network: &mut Network) {
    let params = network.params_mut();
    for info in params.infos().to_vec() {
        let values = &mut params.values_mut()[info.range];
        for (i, v) in values.iter_mut().enumerate() {
            match info.name.rsplit('.').next() {
                Some("gamma") => *v = [1.0, -0.5, 0.0, 2.0, -1.0][i % 5],
                Some("beta") => *v = [0.0, 0.3, -0.2, 0.0, 0.0, 1.5, 0.0][i % 7],
                _ => {}
            }
        }
    }
    for info in params.state_infos().to_vec() {
        let values = &mut params.states_mut()[info.range];
        for (i, v) in values.iter_mut().enumerate() {
            // Whole means meet whole dot products: ties.
            *v = if info.name.ends_with("mean") { (i % 9) as f32 - 4.0 } else { [1.0, 4.0, 0.3][i % 3] };
        }
    }
}

fn recipes() -> Vec<Recipe> {
    let mut recipes = Vec::new();
    for (name, width) in [("mlp", 70), ("small-cnn", 9), ("binarynet", 5), ("xnornet-small", 6)] {
        let base = Recipe { width, ..Recipe::by_name(name).expect("a network of this name") };
        for scale in [ScaleFactor::None, ScaleFactor::Alpha, ScaleFactor::AlphaK, ScaleFactor::AbsOfMean] {
            recipes.push(Recipe { scale, ..base.clone() });
        }
        recipes.push(Recipe { real_weights: true, ..base.clone() });
        recipes.push(base.as_twin(None));
    }
    recipes
}

fn compare(network: &mut Network, model: Model, n: usize) -> Report {
    let shape = network.input_shape();
    verify(network, &mut Reference(model), &pictures(n, shape), &preprocessing(shape), &mut |_| {}).expect("comparable")
}

#[test]
fn every_recipe_packs_to_the_same_bits_and_outputs() {
    // Three poolings leave one row of one.
    let shape = Shape::new(9, 8, 1);
    let mut wrong = Vec::new();
    for recipe in recipes() {
        for isa in Isa::all() {
            let mut network = zoo::build(&recipe, shape, 10).expect("a network");
            network.set_isa(isa);
            disturb(&mut network);
            let model = network.pack().expect("packs");
            let report = compare(&mut network, model, 120);
            let binary = !recipe.twin;
            if !report.identical() || report.samples != 120 || (report.bits == 0) == binary {
                wrong.push(format!("{recipe:?} on {}: {report:?}", isa.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_first_difference_is_named() {
    let shape = Shape::new(8, 6, 1);
    let recipe = Recipe { width: 70, ..Recipe::by_name("mlp").expect("mlp") };
    let mut network = zoo::build(&recipe, shape, 10).expect("a network");
    disturb(&mut network);
    let model = network.pack().expect("packs");
    // The weights change after packing: a large offset turns channel 3 of the second layer.
    let norm2 = network.params().infos().iter().find(|i| i.name == "norm2.beta").expect("norm2").range.start;
    network.params_mut().values_mut()[norm2 + 3] = -1e6;
    let report = compare(&mut network, model, 5);
    let first = report.first.clone().expect("a difference");
    assert_eq!((first.layer.as_str(), first.channel), ("norm2", 3));
    assert!(report.differing_bits > 0 && !report.identical());
}

#[test]
fn another_network_is_not_comparable() {
    let shape = Shape::new(8, 6, 1);
    let build = |name: &str| {
        zoo::build(&Recipe { width: 16, ..Recipe::by_name(name).expect("a name") }, shape, 10).expect("a network")
    };
    let model = build("small-cnn").pack().expect("packs");
    let mut mlp = build("mlp");
    let mut runner = Reference(model);
    let result = verify(&mut mlp, &mut runner, &pictures(3, shape), &preprocessing(shape), &mut |_| {});
    assert!(matches!(result, Err(VerifyError::Layers(_))), "{result:?}");
}

/// A pooling before a threshold that does not flip becomes a pooling of bits; with one flip it stays one of integers.
#[test]
fn poolings_follow_thresholds_where_they_may() {
    let shape = Shape::new(8, 8, 1);
    let recipe = Recipe { width: 8, ..Recipe::by_name("small-cnn").expect("small-cnn") };
    let mut network = zoo::build(&recipe, shape, 10).expect("a network");
    let gamma = network.params().infos().iter().find(|i| i.name == "norm2.gamma").expect("norm2").range.start;
    for (factor, first) in [(1.0, "norm2/threshold"), (-1.0, "pool2")] {
        network.params_mut().values_mut()[gamma + 5] = factor;
        let model = network.pack().expect("packs");
        let place = model.graph.nodes.iter().position(|n| n.name == "norm2").expect("the bits have the layer's name");
        assert_eq!(model.graph.nodes[place - 1].name, first, "factor {factor}");
        assert!(compare(&mut network, model, 40).identical(), "factor {factor}");
    }
}
