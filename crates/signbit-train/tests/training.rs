//! Whole trainings on the digits inside the crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signbit_train::data::DataSet;
use signbit_train::optim::Decay;
use signbit_train::recipe::{LossKind, OptimizerKind, Recipe, ScaleFactor};
use signbit_train::trainer::{Event, TrainError, Trainer};
use signbit_train::{checkpoint, quantizer};

fn small() -> Recipe {
    Recipe { width: 128, epochs: 8, batch: 50, learning_rate: 0.01, ..Recipe::by_name("mlp").expect("mlp") }
}

fn trained(recipe: Recipe, threads: usize) -> (f64, Vec<f32>) {
    let data = DataSet::digits().expect("the digits");
    let mut trainer = Trainer::new(recipe, &data, threads).expect("a trainer");
    while !trainer.finished() {
        assert!(trainer.epoch(&mut |_| {}).expect("an epoch"));
    }
    let accuracy = trainer.header.history.last().expect("a record").test_accuracy;
    (accuracy, trainer.network.params().values().to_vec())
}

/// Each choice of a recipe learns: far above the 10 % of chance.
#[test]
fn every_choice_learns() {
    let activations = quantizer::for_activations().into_iter();
    let mut recipes: Vec<Recipe> = activations.map(|q| Recipe { quantizer: q.into(), ..small() }).collect();
    let weights = quantizer::for_weights().into_iter();
    recipes.extend(weights.map(|q| Recipe { weight_quantizer: q.into(), ..small() }));
    for scale in [ScaleFactor::Alpha, ScaleFactor::AlphaK, ScaleFactor::AbsOfMean, ScaleFactor::Learned] {
        recipes.push(Recipe { scale, ..small() });
    }
    recipes.push(Recipe { optimizer: OptimizerKind::Sgd { momentum: 0.9 }, learning_rate: 0.1, ..small() });
    recipes.push(Recipe { decay: Decay::Step { parts: 2, factor: 0.1 }, warmup_epochs: 0.5, ..small() });
    recipes.push(Recipe { loss: LossKind::SquaredError, ..small() });
    recipes.push(small().as_twin(None));
    let cnn = Recipe::by_name("small-cnn").expect("small-cnn");
    for scale in [ScaleFactor::None, ScaleFactor::LearnedMap] {
        recipes.push(Recipe { scale, width: 8, epochs: 8, batch: 50, learning_rate: 0.01, ..cnn.clone() });
    }
    let wrong: Vec<_> = recipes
        .into_iter()
        .map(|recipe| (trained(recipe.clone(), 2).0, recipe))
        .filter(|(accuracy, _)| *accuracy < 0.85)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_same_seed_gives_the_same_weights_with_any_number_of_threads() {
    let recipe = Recipe { epochs: 2, ..small() };
    let cnn = Recipe { width: 8, epochs: 1, batch: 50, ..Recipe::by_name("small-cnn").expect("small-cnn") };
    let scaled = |scale| Recipe { scale, ..cnn.clone() };
    for recipe in [recipe, scaled(ScaleFactor::AlphaK), scaled(ScaleFactor::LearnedMap), cnn.clone()] {
        let first = trained(recipe.clone(), 1);
        assert_eq!(first, trained(recipe.clone(), 1), "the same again");
        assert_eq!(first, trained(recipe.clone(), 2), "two threads");
        assert_ne!(first.1, trained(Recipe { seed: 1, ..recipe }, 1).1, "another seed");
    }
}

#[test]
fn a_resumed_training_reaches_the_same_weights() {
    for (quantizer, weight_quantizer) in [("ste_sign", "ste_sign"), ("ede", "libra_pb"), ("progressive_sign", "ede")] {
        let (quantizer, weight_quantizer) = (quantizer.into(), weight_quantizer.into());
        resumes(Recipe { epochs: 4, quantizer, weight_quantizer, ..small() });
    }
}

fn resumes(recipe: Recipe) {
    let data = DataSet::digits().expect("the digits");
    let (_, whole) = trained(recipe.clone(), 2);
    let folder = tempfile::tempdir().expect("a folder");
    let mut trainer = Trainer::new(recipe, &data, 2).expect("a trainer");
    for _ in 0..2 {
        assert!(trainer.epoch(&mut |_| {}).expect("an epoch"));
    }
    checkpoint::save(folder.path(), &trainer.header, &trainer.network, &*trainer.optimizer).expect("saved");
    let loaded = checkpoint::load(folder.path()).expect("loaded");
    assert_eq!(loaded.header.history, trainer.header.history);
    let mut resumed = Trainer::from_loaded(loaded, &data, 2).expect("a trainer");
    while !resumed.finished() {
        assert!(resumed.epoch(&mut |_| {}).expect("an epoch"));
    }
    assert_eq!(resumed.network.params().values(), whole, "{:?}", resumed.header.recipe);
}

#[test]
fn a_training_stopped_inside_of_an_epoch_goes_on_to_the_same_bytes() {
    let data = DataSet::digits().expect("the digits");
    // Quantizers that change with the epochs.
    let (quantizer, weight_quantizer) = ("progressive_sign".into(), "ede".into());
    let recipe = Recipe { epochs: 2, width: 24, quantizer, weight_quantizer, ..small() };
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = |trainer: &Trainer<'_>| {
        checkpoint::save(folder.path(), &trainer.header, &trainer.network, &*trainer.optimizer).expect("saved");
        std::fs::read(folder.path().join(checkpoint::FILE_NAME)).expect("read")
    };
    let mut whole = Trainer::new(recipe.clone(), &data, 1).expect("a trainer");
    while !whole.finished() {
        assert!(whole.epoch(&mut |_| {}).expect("an epoch"));
    }
    let flips = &whole.header.history[0].flips;
    assert!(flips.len() == 3 && flips.iter().all(|f| (0.0..1.0).contains(f)) && flips[0] > 0.0, "{flips:?}");
    let expected = bytes(&whole);
    for stops in [vec![1], vec![3, 7], vec![2, 9, 10]] {
        let mut trainer = Trainer::new(recipe.clone(), &data, 1).expect("a trainer");
        let mut stopped = 0;
        while !trainer.finished() {
            let stop = Arc::new(AtomicBool::new(false));
            trainer.stop_on(stop.clone());
            let ended = trainer.epoch(&mut |event| {
                if let Event::Step { step, .. } = event {
                    stop.store(stops.contains(&step), Ordering::Relaxed);
                }
            });
            if !ended.expect("an epoch") {
                stopped += 1;
                bytes(&trainer);
                let loaded = checkpoint::load(folder.path()).expect("loaded");
                trainer = Trainer::from_loaded(loaded, &data, 1).expect("a trainer");
            }
        }
        assert_eq!(stopped, 2 * stops.len(), "stopped in both epochs");
        assert!(bytes(&trainer) == expected, "stops at {stops:?}");
    }
}

#[test]
fn a_damaged_checkpoint_is_an_error() {
    let data = DataSet::digits().expect("the digits");
    let folder = tempfile::tempdir().expect("a folder");
    let missing = checkpoint::load(folder.path()).err().expect("an error").to_string();
    assert!(missing.contains("is not a training run"), "{missing}");
    let trainer = Trainer::new(Recipe { width: 16, ..small() }, &data, 1).expect("a trainer");
    checkpoint::save(folder.path(), &trainer.header, &trainer.network, &*trainer.optimizer).expect("saved");
    let path = folder.path().join(checkpoint::FILE_NAME);
    let whole = std::fs::read(&path).expect("the file");
    assert!(checkpoint::load(folder.path()).is_ok(), "it is whole, though no step is done");
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).expect("written");
        let message = checkpoint::load(folder.path()).err().expect("an error").to_string();
        assert!(message.contains(checkpoint::FILE_NAME), "{length}: {message}");
    }
    // Every byte of the header and a part of the body, one bit at a time.
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().expect("8 bytes")) as usize;
    let accepted: Vec<usize> = (8..header)
        .chain((header..whole.len()).step_by(997))
        .filter(|&at| {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            checkpoint::from_bytes(&path, &flipped).is_ok()
        })
        .collect();
    assert!(accepted.is_empty(), "flips at {accepted:?} were accepted");
}

#[test]
fn a_batch_larger_than_the_data_and_a_divergence_are_errors() {
    let data = DataSet::digits().expect("the digits");
    let batch = Trainer::new(Recipe { batch: 5000, ..small() }, &data, 1).err().expect("an error");
    assert!(matches!(batch, TrainError::Batch { batch: 5000, pictures: 1438 }), "{batch}");
    let mut trainer = Trainer::new(small(), &data, 1).expect("a trainer");
    *trainer.network.params_mut().values_mut().last_mut().expect("a bias") = f32::INFINITY;
    let diverged = trainer.epoch(&mut |_| {}).expect_err("an error");
    assert!(diverged.to_string().contains("learning rate"), "{diverged}");
}

/// A step takes as many buffers as it gives back.
#[test]
fn buffers_do_not_pile_up() {
    let data = DataSet::digits().expect("the digits");
    for recipe in [small(), Recipe { scale: ScaleFactor::AlphaK, ..small() }] {
        let mut trainer = Trainer::new(Recipe { epochs: 3, ..recipe }, &data, 1).expect("a trainer");
        let mut kept = Vec::new();
        while !trainer.finished() {
            assert!(trainer.epoch(&mut |_| {}).expect("an epoch"));
            kept.push(trainer.network.buffers().kept());
        }
        assert_eq!(kept[1], kept[2], "{kept:?}");
    }
}

#[test]
fn an_epoch_says_which_weights_do_not_move() {
    let data = DataSet::digits().expect("the digits");
    let recipe = Recipe { width: 16, epochs: 1, learning_rate: 0.5, ..small() };
    let mut trainer = Trainer::new(recipe.clone(), &data, 2).expect("a trainer");
    assert!(trainer.epoch(&mut |_| {}).expect("an epoch"));
    let record = trainer.header.history[0].clone();
    // Three binary layers and the last, which is real.
    assert_eq!((record.dead.len(), record.saturated.len(), record.gradients.len()), (3, 3, 4), "{record:?}");
    assert!(record.dead.iter().chain(&record.saturated).all(|share| (0.0..=1.0).contains(share)), "{record:?}");
    assert!(record.saturated.iter().any(|share| *share > 0.1), "such a rate drives weights to the clip: {record:?}");
    assert!(record.gradients.iter().any(|norm| *norm > 0.0), "{record:?}");
    let norm = record.gradient_norm.expect("it was recorded");
    assert!(norm.is_finite() && norm > 0.0, "{norm}");
    let mut twin = Trainer::new(recipe.as_twin(None), &data, 1).expect("a trainer");
    assert!(twin.epoch(&mut |_| {}).expect("an epoch"));
    let record = &twin.header.history[0];
    assert_eq!((record.dead.len(), record.saturated.len(), record.gradients.len()), (0, 0, 4), "{record:?}");
}

/// A training that goes on from what an earlier version stopped inside of an epoch, without today's figures.
#[test]
fn figures_that_are_known_for_a_part_of_an_epoch_are_left_out() {
    let data = DataSet::digits().expect("the digits");
    let stop = Arc::new(AtomicBool::new(true));
    let mut trainer = Trainer::new(Recipe { width: 16, ..small() }, &data, 1).expect("a trainer");
    trainer.stop_on(stop.clone());
    assert!(!trainer.epoch(&mut |_| {}).expect("a part of an epoch"));
    let underway = trainer.header.underway.as_mut().expect("it was stopped");
    underway.reached.clear();
    underway.gradient_norms = None;
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::save(folder.path(), &trainer.header, &trainer.network, &*trainer.optimizer).expect("saved");
    let loaded = checkpoint::load(folder.path()).expect("loaded");
    let mut resumed = Trainer::from_loaded(loaded, &data, 1).expect("a trainer");
    assert!(resumed.epoch(&mut |_| {}).expect("an epoch"));
    let record = &resumed.header.history[0];
    assert_eq!((record.dead.len(), record.gradient_norm, record.saturated.len()), (0, None, 3), "{record:?}");
}
