//! One training by several ranks, here threads of this process, against the same by one: the same bits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signbit_train::checkpoint::{self, Loaded};
use signbit_train::data::{Augmentation, DataSet};
use signbit_train::ranks::{Exchange, Threads};
use signbit_train::recipe::{Distillation, LossKind, Recipe, ScaleFactor};
use signbit_train::trainer::{Event, TrainError, Trainer};

fn named(name: &str) -> Recipe {
    Recipe { width: 16, epochs: 2, batch: 100, learning_rate: 0.01, ..Recipe::by_name(name).expect(name) }
}

/// The first pictures of the digits: few steps, and a test set of several pieces of evaluation.
fn data(pictures: usize) -> DataSet {
    let mut data = DataSet::digits().expect("the digits");
    let train = &mut data.train;
    train.labels.truncate(pictures);
    train.pixels.truncate(pictures * train.shape.elements());
    let test = &mut data.test;
    test.labels.truncate(300);
    test.pixels.truncate(300 * test.shape.elements());
    data
}

/// Everything that a checkpoint holds after the training on `size` ranks, which all ranks must agree on.
fn trained(recipe: &Recipe, data: &DataSet, size: usize) -> Vec<u8> {
    let all = Threads::on_all(size, |exchange| {
        let mut trainer = Trainer::new(recipe.clone(), data, 1).expect("a trainer");
        trainer.share(Arc::new(exchange)).expect("a batch that can be shared");
        while !trainer.finished() {
            assert!(trainer.epoch(&mut |_| {}).expect("an epoch"));
        }
        bytes(&trainer)
    });
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{:?}: ranks differ", recipe.network);
    all.into_iter().next().expect("a rank")
}

fn bytes(trainer: &Trainer<'_>) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::save(folder.path(), &trainer.header, &trainer.network, &*trainer.optimizer).expect("a checkpoint");
    std::fs::read(folder.path().join(checkpoint::FILE_NAME)).expect("its file")
}

#[test]
fn any_number_of_ranks_reaches_the_same_bits() {
    let data = data(230);
    let (mlp, cnn) = (Recipe { width: 300, ..named("mlp") }, named("small-cnn"));
    let mixed = Augmentation { mixup: 0.4, cutmix: 1.0, shift: 1, ..Augmentation::default() };
    let recipes = [
        mlp.clone(),
        cnn.clone(),
        // Parts that do not end where samples of 100 do, and the middle one of an odd batch.
        Recipe { batch: 64, augmentation: mixed, ..cnn.clone() },
        Recipe { batch: 75, augmentation: mixed, clip_norm: 1.0, average: 0.9, ..mlp.clone() },
        Recipe { scale: ScaleFactor::Learned, loss: LossKind::SquaredError, label_smoothing: 0.1, ..cnn.clone() },
        cnn.as_twin(None),
        mlp.as_twin(None),
        Recipe { epochs: 1, ..named("bireal-resnet20") },
    ];
    for recipe in recipes {
        let one = trained(&recipe, &data, 1);
        for size in [2, 3] {
            assert!(trained(&recipe, &data, size) == one, "{:?} of {} ranks: other bits", recipe.network, size);
        }
    }
}

/// Depthwise convolutions and PReLU; a batch of seven parts. Two steps, as these are large.
#[test]
fn the_layers_of_the_zoo_too() {
    let data = data(45);
    for name in ["quicknet-small", "reactnet-a"] {
        let recipe = Recipe { epochs: 1, batch: 21, ..named(name) };
        assert!(trained(&recipe, &data, 2) == trained(&recipe, &data, 1), "{name}: other bits");
    }
}

#[test]
fn a_teacher_on_each_rank() {
    let (data, folder) = (data(230), tempfile::tempdir().expect("a folder"));
    let twin = Recipe { epochs: 1, ..named("small-cnn") }.as_twin(None);
    let mut teacher = Trainer::new(twin, &data, 1).expect("a trainer");
    assert!(teacher.epoch(&mut |_| {}).expect("an epoch"));
    checkpoint::save(folder.path(), &teacher.header, &teacher.network, &*teacher.optimizer).expect("a checkpoint");
    let maps = ["conv2", "norm2"].map(str::to_owned).into_iter().filter(|name| {
        teacher.network.layer(name).is_some_and(|ty| ty.dtype == signbit_model::DType::F32 && ty.shape.h > 1)
    });
    let maps: Vec<String> = maps.take(1).collect();
    assert_eq!(maps.len(), 1, "a layer with a map");
    let distillation = Distillation {
        teacher: folder.path().display().to_string(),
        weight: 0.5,
        maps,
        maps_weight: 0.7,
        ..Distillation::default()
    };
    let recipe = Recipe { epochs: 1, distillation, ..named("small-cnn") };
    assert!(trained(&recipe, &data, 2) == trained(&recipe, &data, 1));
}

/// One rank is told to stop: all do, after the same step, and the checkpoint goes on with another number of ranks.
#[test]
fn a_stop_is_all_ranks_and_any_number_goes_on() {
    let (data, recipe) = (data(350), named("small-cnn"));
    let whole = trained(&recipe, &data, 1);
    let folder = tempfile::tempdir().expect("a folder");
    let steps = Threads::on_all(2, |exchange| {
        let rank = exchange.rank();
        let mut trainer = Trainer::new(recipe.clone(), &data, 1).expect("a trainer");
        trainer.share(Arc::new(exchange)).expect("a batch that can be shared");
        let stop = Arc::new(AtomicBool::new(false));
        trainer.stop_on(stop.clone());
        let told = |event: Event<'_>| {
            if rank == 1 && matches!(event, Event::Step { step: 1, .. }) {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let mut told = told;
        assert!(!trainer.epoch(&mut told).expect("a part of an epoch"));
        if rank == 0 {
            checkpoint::save(folder.path(), &trainer.header, &trainer.network, &*trainer.optimizer).expect("a save");
        }
        trainer.header.underway.map(|underway| underway.steps)
    });
    assert_eq!(steps, [Some(2), Some(2)]);
    let ended = Threads::on_all(3, |exchange| {
        let Loaded { header, network, optimizer } = checkpoint::load(folder.path()).expect("the checkpoint");
        let mut trainer = Trainer::from_loaded(Loaded { header, network, optimizer }, &data, 1).expect("a trainer");
        trainer.share(Arc::new(exchange)).expect("a batch that can be shared");
        while !trainer.finished() {
            assert!(trainer.epoch(&mut |_| {}).expect("an epoch"));
        }
        bytes(&trainer)
    });
    assert!(ended.iter().all(|ended| *ended == whole));
}

#[test]
fn what_cannot_be_shared_and_what_differs() {
    let data = data(230);
    let refused = Threads::on_all(4, |exchange| {
        let mut trainer = Trainer::new(Recipe { batch: 3, ..named("mlp") }, &data, 1).expect("a trainer");
        matches!(trainer.share(Arc::new(exchange)), Err(TrainError::Ranks(_)))
    });
    assert_eq!(refused, [true; 4]);
    let of = |recipe: Recipe| Trainer::new(recipe, &data, 1).expect("a trainer").fingerprint();
    assert_eq!(of(named("mlp")), of(named("mlp")));
    assert_ne!(of(named("mlp")), of(Recipe { seed: 1, ..named("mlp") }));
}
