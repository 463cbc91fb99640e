//! Trained, packed, compared: every hidden bit and every output, with the reference interpreter as the runner.

mod common;

use common::{Reference, compare, disturb, pictures, preprocessing};
use signbit_kernels::Isa;
use signbit_model::Shape;
use signbit_train::data::DataSet;
use signbit_train::quantizer::{for_activations, for_weights};
use signbit_train::recipe::{Recipe, ScaleFactor};
use signbit_train::trainer::Trainer;
use signbit_train::verify::{VerifyError, verify};
use signbit_train::zoo;

fn recipes() -> Vec<Recipe> {
    let mut recipes = Vec::new();
    for (name, width) in [("mlp", 70), ("small-cnn", 9), ("binarynet", 5), ("xnornet-small", 6), ("bireal-resnet20", 4)]
    {
        let base = Recipe { width, ..Recipe::by_name(name).expect("a network of this name") };
        for scale in [
            ScaleFactor::None,
            ScaleFactor::Alpha,
            ScaleFactor::AlphaK,
            ScaleFactor::AbsOfMean,
            ScaleFactor::Learned,
            ScaleFactor::LearnedMap,
        ] {
            recipes.push(Recipe { scale, ..base.clone() });
        }
        recipes.push(Recipe { real_weights: true, ..base.clone() });
        recipes.push(base.as_twin(None));
        // The largest has no layer that small-cnn has not.
        if name == "binarynet" {
            continue;
        }
        for weight_quantizer in ["magnitude_aware_sign", "libra_pb"].map(String::from) {
            recipes.push(Recipe { weight_quantizer, scale: ScaleFactor::None, ..base.clone() });
        }
        recipes.push(Recipe { quantizer: "rsign".into(), ..base.clone() });
    }
    recipes
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

/// After some steps of training, with every quantizer and scale factor that a recipe may name.
#[test]
fn every_quantizer_and_scale_factor_trains_packs_and_agrees() {
    let data = DataSet::digits().expect("the digits");
    let base = Recipe { width: 24, epochs: 2, batch: 400, ..Recipe::by_name("mlp").expect("mlp") };
    let scale = ScaleFactor::None;
    let activations = for_activations().into_iter().map(|q| Recipe { quantizer: q.into(), scale, ..base.clone() });
    let weights = for_weights().into_iter().map(|q| Recipe { weight_quantizer: q.into(), scale, ..base.clone() });
    let scales = [
        ScaleFactor::Alpha,
        ScaleFactor::AlphaK,
        ScaleFactor::AbsOfMean,
        ScaleFactor::Learned,
        ScaleFactor::LearnedMap,
    ];
    let scales = scales.map(|scale| Recipe { scale, ..base.clone() });
    let mut wrong = Vec::new();
    for recipe in activations.chain(weights).chain(scales) {
        let mut trainer = Trainer::new(recipe.clone(), &data, 2).expect("a trainer");
        let before = trainer.network.params().values().to_vec();
        while !trainer.finished() {
            assert!(trainer.epoch(&mut |_| {}).expect("an epoch"));
        }
        let mut network = trainer.network;
        let moved = network
            .params()
            .infos()
            .iter()
            .all(|i| network.params().values()[i.range.clone()] != before[i.range.clone()]);
        let model = network.pack().expect("packs");
        let report = compare(&mut network, model, 200);
        if !moved || !report.identical() || report.bits == 0 {
            wrong.push(format!("{recipe:?}: moved {moved}, {report:?}"));
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
