//! Each method of training on the digits inside the crate: it learns, a run that was stopped goes on to the same bytes,
//! and what it leaves packs to the same bits.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::Reference;
use signbit_train::checkpoint;
use signbit_train::data::{Augmentation, DataSet};
use signbit_train::optim::Decay;
use signbit_train::recipe::{BinaryOptimizer, Distillation, LossKind, OptimizerKind, Recipe};
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

#[test]
fn soft_classes() {
    let mixed = |mixup, cutmix| Augmentation { mixup, cutmix, ..Augmentation::default() };
    check_all(&[
        Recipe { label_smoothing: 0.1, ..small() },
        Recipe { augmentation: mixed(0.2, 0.0), ..small() },
        Recipe { augmentation: mixed(0.2, 0.5), label_smoothing: 0.1, epochs: 5, ..small() },
        Recipe { augmentation: mixed(0.0, 0.5), loss: LossKind::SquaredError, epochs: 12, ..small() },
    ]);
}

#[test]
fn averages() {
    let cnn =
        Recipe { width: 8, epochs: 5, batch: 50, learning_rate: 0.01, ..Recipe::by_name("small-cnn").expect("it") };
    check_all(&[Recipe { average: 0.95, ..small() }, Recipe { average: 0.9, ..cnn }]);
    check_all(&[Recipe { average: 0.95, ..small() }.as_twin(None)]);
}

/// The averages are in use outside of an epoch, latent weights as they are, and the training is the same without.
#[test]
fn averages_change_the_evaluation_and_not_the_training() {
    let data = digits();
    let after = |average| {
        let mut trainer = Trainer::new(Recipe { average, ..small() }, &data, 1).expect("a trainer");
        assert!(trainer.epoch(&mut |_| {}).expect("an epoch"));
        trainer
    };
    let (plain, mut averaged) = (after(0.0), after(0.9));
    let latents = |trainer: &Trainer<'_>| {
        let params = trainer.network.params();
        params.latents().flat_map(|info| params.values()[info.range.clone()].to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(latents(&plain), latents(&averaged));
    assert_ne!(plain.network.params().values(), averaged.network.params().values());
    assert_ne!(plain.network.params().states(), averaged.network.params().states());
    assert_eq!(plain.header.history[0].loss, averaged.header.history[0].loss);
    assert_ne!(plain.header.history[0].test_loss, averaged.header.history[0].test_loss);
    averaged.network.params_mut().use_average(false);
    assert_eq!(plain.network.params().values(), averaged.network.params().values());
}

#[test]
fn a_teacher_and_everything_at_once() {
    let data = digits();
    let folder = tempfile::tempdir().expect("a folder");
    trained(&small().as_twin(None), &data, folder.path(), false);
    let teacher = folder.path().display().to_string();
    let taught = |weight, temperature| Recipe {
        distillation: Distillation { teacher: teacher.clone(), weight, temperature, ..Distillation::default() },
        ..small()
    };
    check_all(&[
        taught(1.0, 1.0),
        taught(0.7, 4.0),
        Recipe {
            augmentation: Augmentation { shift: 1, mixup: 0.2, ..Augmentation::default() },
            label_smoothing: 0.1,
            average: 0.95,
            optimizer: OptimizerKind::AdamW,
            weight_decay: 1e-3,
            clip_norm: 1.0,
            decay: Decay::Linear,
            warmup_epochs: 0.5,
            epochs: 12,
            init: first_step(&data, folder.path()),
            ..taught(0.5, 2.0)
        },
    ]);
}

#[test]
fn a_teachers_attention_maps() {
    let data = digits();
    let folder = tempfile::tempdir().expect("a folder");
    let cnn =
        Recipe { width: 8, epochs: 10, batch: 50, learning_rate: 0.01, ..Recipe::by_name("small-cnn").expect("it") };
    trained(&cnn.as_twin(None), &data, folder.path(), false);
    let taught = |maps: &[&str], maps_weight| {
        let (teacher, maps) = (folder.path().display().to_string(), maps.iter().map(|m| m.to_string()).collect());
        let distillation = Distillation { teacher, maps, maps_weight, ..Distillation::default() };
        Recipe { distillation, ..cnn.clone() }
    };
    check_all(&[taught(&["pool2", "conv4"], 1.0)]);
    let first = |recipe: Recipe| {
        let mut trainer = Trainer::new(recipe, &data, 1).expect("a trainer");
        assert!(trainer.epoch(&mut |_| {}).expect("an epoch"));
        trainer.network.params().values().to_vec()
    };
    let none = first(taught(&[], 1.0));
    assert_eq!(none, first(taught(&["pool2"], 0.0)), "without weight");
    assert_ne!(none, first(taught(&["pool2"], 10.0)));
    for layer in ["norm2", "pool3", "dense6"] {
        let message = Trainer::new(taught(&[layer], 1.0), &data, 1).err().expect("refused").to_string();
        assert!(message.starts_with(&format!("distillation.maps: {layer}: both networks must")), "{message}");
    }
}

/// The first of two steps, beside the teacher.
fn first_step(data: &DataSet, folder: &Path) -> String {
    let first = folder.join("first");
    std::fs::create_dir(&first).expect("a folder");
    trained(&Recipe { real_weights: true, ..small() }, data, &first, false);
    first.display().to_string()
}

#[test]
fn two_steps() {
    let data = digits();
    let cnn =
        Recipe { width: 8, epochs: 5, batch: 50, learning_rate: 0.01, ..Recipe::by_name("small-cnn").expect("it") };
    for base in [small(), cnn] {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Recipe { real_weights: true, weight_decay: 1e-5, ..base.clone() };
        check_all(std::slice::from_ref(&first));
        trained(&first, &data, folder.path(), false);
        let second = Recipe { init: folder.path().display().to_string(), ..base };
        let one = checkpoint::load(folder.path()).expect("loaded").network;
        let two = Trainer::new(second.clone(), &data, 1).expect("a trainer").network;
        assert!(one.params().latents().next().is_none() && two.params().latents().next().is_some());
        assert!(
            one.params().values().iter().zip(two.params().values()).all(|(a, b)| a.clamp(-1.0, 1.0) == *b || a == b)
        );
        assert_eq!(one.params().states(), two.params().states());
        check_all(&[second]);
    }
}

#[test]
fn a_run_that_does_not_fit_is_refused() {
    let data = digits();
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().display().to_string();
    let taught = |teacher: &str| Recipe {
        distillation: Distillation { teacher: teacher.into(), ..Distillation::default() },
        ..small()
    };
    let refused = |recipe: &Recipe, data: &DataSet| {
        Trainer::new(recipe.clone(), data, 1).err().map(|e| e.to_string()).unwrap_or_default()
    };
    let mut wrong = Vec::new();
    let mut expect = |message: String, words: &str| {
        if !message.contains(words) {
            wrong.push(format!("{message:?} does not say {words:?}"));
        }
    };
    let init = Recipe { init: run.clone(), ..small() };
    expect(refused(&init, &data), "init: ");
    expect(refused(&init, &data), "is not a training run");
    expect(refused(&taught("nowhere"), &data), "distillation.teacher: nowhere is not a training run");
    let begun = Trainer::new(small(), &data, 1).expect("a trainer");
    checkpoint::save(folder.path(), &begun.header, &begun.network, &*begun.optimizer).expect("saved");
    expect(refused(&init, &data), "has not finished an epoch");
    trained(&small(), &data, folder.path(), false);
    assert_eq!(refused(&init, &data), "");
    expect(refused(&Recipe { width: 65, ..init.clone() }, &data), "has no dense1.latent of shape [65, 64]");
    let mut other = data.clone();
    other.classes[3] = "drei".into();
    expect(refused(&taught(&run), &other), "class 3 of ");
    other.classes.pop();
    other.classes[3] = data.classes[3].clone();
    expect(refused(&taught(&run), &other), "has 10 classes, ");
    let file = folder.path().join(checkpoint::FILE_NAME).display().to_string();
    let pupil = Trainer::new(taught(&file), &data, 1).expect("a file is a run too");
    let own = tempfile::tempdir().expect("a folder");
    checkpoint::save(own.path(), &pupil.header, &pupil.network, &*pupil.optimizer).expect("saved");
    let again = || Trainer::from_loaded(checkpoint::load(own.path()).expect("loaded"), &data, 1).err();
    assert!(again().is_none(), "the same teacher");
    trained(&Recipe { seed: 1, ..small() }, &data, folder.path(), false);
    expect(again().map(|e| e.to_string()).unwrap_or_default(), "has changed since this run was begun");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
