//! Each method of training on the digits inside the crate: it learns, a run that was stopped goes on to the same bytes,
//! and what it leaves packs to the same bits.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::Reference;
use signbit_train::checkpoint;
use signbit_train::data::DataSet;
use signbit_train::optim::Decay;
use signbit_train::recipe::{BinaryOptimizer, OptimizerKind, Recipe};
use signbit_train::trainer::{Event, Trainer};
use signbit_train::verify::verify;

fn small() -> Recipe {
    Recipe { width: 64, epochs: 3, batch: 50, learning_rate: 0.01, ..Recipe::by_name("mlp").expect("mlp") }
}

fn digits() -> DataSet {
    DataSet::digits().expect("the digits")
}

/// Trains into `run` and returns the last accuracy and the checkpoint's bytes. Where `stop` says so, each epoch is
/// stopped after its seventh step and goes on from the checkpoint.
fn trained(recipe: &Recipe, data: &DataSet, run: &Path, stop: bool) -> (f64, Vec<u8>) {
    let save = |trainer: &Trainer<'_>| {
        checkpoint::save(run, &trainer.header, &trainer.network, &*trainer.optimizer).expect("saved");
    };
    let mut trainer = Trainer::new(recipe.clone(), data, 1).expect("a trainer");
    while !trainer.finished() {
        let flag = Arc::new(AtomicBool::new(false));
        trainer.stop_on(flag.clone());
        let seen = &mut |event: Event<'_>| {
            if let Event::Step { step, .. } = event {
                flag.store(stop && step == 7, Ordering::Relaxed);
            }
        };
        let ended = trainer.epoch(seen).expect("an epoch");
        if !ended {
            save(&trainer);
            trainer = Trainer::from_loaded(checkpoint::load(run).expect("loaded"), data, 1).expect("a trainer");
        }
    }
    save(&trainer);
    let accuracy = trainer.header.history.last().expect("a record").test_accuracy;
    (accuracy, std::fs::read(run.join(checkpoint::FILE_NAME)).expect("read"))
}

/// Complains about a method that does not learn, go on or pack.
fn check(recipe: &Recipe, data: &DataSet) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let (accuracy, whole) = trained(recipe, data, folder.path(), false);
    let (_, stopped) = trained(recipe, data, folder.path(), true);
    let mut loaded = checkpoint::load(folder.path()).expect("loaded");
    let model = loaded.network.pack().expect("packs");
    let preprocessing = data.preprocessing();
    let network = &mut loaded.network;
    let report = verify(network, &mut Reference(model), &data.test, &preprocessing, &mut |_| {}).expect("comparable");
    let packed = report.right as f64 / report.samples as f64;
    let wrong = accuracy < 0.8 || whole != stopped || !report.identical() || packed != accuracy;
    wrong.then(|| format!("{recipe:?}: {accuracy}, the same bytes: {}, {report:?}", whole == stopped))
}

fn check_all(recipes: &[Recipe]) {
    let data = digits();
    let wrong: Vec<_> = recipes.iter().filter_map(|recipe| check(recipe, &data)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn optimisers() {
    let bop = BinaryOptimizer::Bop { threshold: 1e-6, gamma: 1e-2 };
    check_all(&[
        Recipe { optimizer: OptimizerKind::AdamW, weight_decay: 0.01, decay: Decay::Linear, ..small() },
        Recipe { weight_decay: 1e-4, decay_latent_weights: true, clip_norm: 0.5, ..small() },
        Recipe { binary_optimizer: bop, clip_norm: 10.0, ..small() },
        Recipe {
            binary_optimizer: bop,
            optimizer: OptimizerKind::Sgd { momentum: 0.9 },
            learning_rate: 0.1,
            weight_decay: 1e-4,
            ..small()
        },
    ]);
}

#[test]
fn bop_keeps_weights_of_plus_and_minus_one_and_flips_them() {
    let data = digits();
    let bop = BinaryOptimizer::Bop { threshold: 1e-6, gamma: 1e-2 };
    let mut trainer = Trainer::new(Recipe { binary_optimizer: bop, ..small() }, &data, 1).expect("a trainer");
    let signs = |trainer: &Trainer<'_>| {
        let params = trainer.network.params();
        params.latents().flat_map(|info| &params.values()[info.range.clone()]).copied().collect::<Vec<f32>>()
    };
    let before = signs(&trainer);
    assert!(trainer.epoch(&mut |_| {}).expect("an epoch"));
    let after = signs(&trainer);
    assert!(before.iter().chain(&after).all(|w| w.abs() == 1.0));
    assert!(before != after && trainer.header.history[0].flips.iter().all(|f| *f > 0.0));
}

/// The first steps with a norm so small that nothing can move far, against those without.
#[test]
fn clipping_holds_the_first_step_back() {
    let data = digits();
    let sgd = Recipe { optimizer: OptimizerKind::Sgd { momentum: 0.0 }, epochs: 1, ..small() };
    let moved = |clip_norm| {
        let mut trainer = Trainer::new(Recipe { clip_norm, ..sgd.clone() }, &data, 1).expect("a trainer");
        let before = trainer.network.params().values().to_vec();
        let stop = Arc::new(AtomicBool::new(true));
        trainer.stop_on(stop);
        assert!(!trainer.epoch(&mut |_| {}).expect("a step"));
        let after = trainer.network.params().values();
        before.iter().zip(after).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    };
    let (free, held) = (moved(0.0), moved(1e-2));
    assert!((held - 0.01 * 1e-2).abs() < 1e-6 && free > 2.0 * held, "{held} {free}");
}
