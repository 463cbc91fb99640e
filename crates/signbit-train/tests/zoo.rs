//! Every network of the zoo with few channels: a step of training, then packed and compared with the reference
//! interpreter.

mod common;

use common::{compare, disturb};
use signbit_model::Shape;
use signbit_train::network::Network;
use signbit_train::op::Mode;
use signbit_train::recipe::Recipe;
use signbit_train::tensor::Tensor;
use signbit_train::zoo::{self, ENTRIES};

const CLASSES: usize = 5;

/// Gradients of the sum of the outputs with fixed factors: all finite, and few tensors have none.
fn step(network: &mut Network, n: usize) -> Result<(), String> {
    let shape = network.input_shape();
    let input = (0..n * shape.elements()).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect();
    let output = network.forward(Tensor::new(n, shape, input), Mode::Train);
    let factors = (0..output.data.len()).map(|i| (i * 31 % 7) as f32 - 3.0).collect();
    let grad = Tensor::new(n, output.shape, factors);
    network.backward(output, grad);
    let params = network.params();
    if params.grads().iter().any(|g| !g.is_finite()) {
        return Err("a gradient is not finite".into());
    }
    let infos = params.infos();
    let without = |range: std::ops::Range<usize>| params.grads()[range].iter().all(|&g| g == 0.0);
    let dead: Vec<_> = infos.iter().filter(|info| without(info.range.clone())).map(|info| &info.name).collect();
    if dead.len() * 20 > infos.len() { Err(format!("no gradients: {dead:?}")) } else { Ok(()) }
}

fn check(name: &str, shape: Shape, n: usize) -> Result<(), String> {
    let base = Recipe { width: 8, ..Recipe::by_name(name).map_err(|e| e.to_string())? };
    for recipe in [base.as_twin(None), base] {
        let mut network = zoo::build(&recipe, shape, CLASSES).map_err(|e| e.to_string())?;
        step(&mut network, 6)?;
        disturb(&mut network);
        let model = network.pack().map_err(|e| e.to_string())?;
        let report = compare(&mut network, model, n);
        if !report.identical() || (report.bits == 0) != recipe.twin {
            return Err(format!("twin {}: {report:?}", recipe.twin));
        }
    }
    Ok(())
}

fn check_all(shape: Shape, n: usize, chosen: impl Fn(&zoo::Entry) -> bool) {
    let failed = |name: &'static str| check(name, shape, n).err().map(|error| format!("{name}: {error}"));
    let wrong: Vec<_> = ENTRIES.iter().filter(|e| chosen(e)).filter_map(|e| failed(e.name)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_network_on_small_pictures() {
    check_all(Shape::new(12, 9, 3), 4, |_| true);
}

/// Pictures large enough for the stems that quarter height and width.
#[test]
fn networks_of_imagenet_with_their_own_stems() {
    check_all(Shape::new(70, 65, 3), 2, |entry| entry.input.h == 224);
}
