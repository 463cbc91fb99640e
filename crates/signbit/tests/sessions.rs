//! Sessions from outside: options, errors, forks, files, measurements.

mod common;

use common::{Numbers, single};
use signbit::model::{Geometry, Op, Padding, Shape, Tensor, file, interpreter, size::SizeTable};
use signbit::{Error, Isa, Model, Options, Session, model};

/// 4 numbers to 3 integers to bits to 2 integers.
fn small() -> model::Model {
    let mut numbers = Numbers(3);
    single(Shape::vector(4), |b| {
        b.tensor("w1", numbers.bit_tensor(&[3, 4]));
        b.tensor("w2", numbers.bit_tensor(&[2, 3]));
        let x = b.node("sign", Op::Sign, &[b.input()]);
        let x = b.node("fc1", Op::BinaryDense { weight: "w1".into() }, &[x]);
        let x = b.node("sign2", Op::Sign, &[x]);
        b.node("fc2", Op::BinaryDense { weight: "w2".into() }, &[x])
    })
}

fn expected(data: &model::Model, n: usize, input: &[f32]) -> Vec<f32> {
    common::reals(&interpreter::run(data, n, input).unwrap())
}

#[test]
fn any_number_of_samples() {
    let data = small();
    for batch in [1, 2, 4] {
        let mut session = Session::new(&data, Options { batch, ..Options::default() }).unwrap();
        for n in [0, 1, 4, 5, 2, 9] {
            let input = Numbers(n as u64).reals(n * 4);
            assert_eq!(session.run(&input, n).unwrap(), expected(&data, n, &input), "{n} in batches of {batch}");
        }
    }
}

#[test]
fn a_model_runs_without_a_session_of_one_s_own() {
    let data = small();
    let model = Model::new(data.clone()).unwrap();
    for n in [1, 0, 40] {
        let input = Numbers(n as u64).reals(n * 4);
        assert_eq!(model.run(&input).unwrap(), expected(&data, n, &input));
    }
    assert!(matches!(model.run(&[0.0; 5]), Err(Error::InputLength { n: 2, elements: 4, found: 5 })));
    assert_eq!(model.as_ref(), &data);
    assert_eq!(model.into_data(), data);
}

#[test]
fn files() {
    let data = small();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.signbit");
    file::save(&data, &path).unwrap();
    let input = Numbers(1).reals(8);
    assert_eq!(Model::load(&path).unwrap().run(&input).unwrap(), expected(&data, 2, &input));
    assert!(matches!(Model::load(dir.path().join("none")), Err(Error::Model(_))));
    assert!(matches!(Model::from_bytes(b"no model"), Err(Error::Model(_))));
}

/// A fork has memory of its own and the same results, on another thread too.
/// A tensor that two nodes read stays until the second has it.
#[test]
fn a_session_takes_a_model_over() {
    let mut numbers = Numbers(14);
    let data = single(Shape::vector(6), |b| {
        b.tensor("m", numbers.f32_tensor(&[6]));
        b.tensor("w", numbers.f32_tensor(&[6, 6]));
        let dense = || Op::Dense { weight: "w".into(), bias: Some("m".into()) };
        let x = b.node("fc1", dense(), &[b.input()]);
        let x = b.node("bn", Op::MulAdd { mul: "m".into(), add: "m".into() }, &[x]);
        b.node("fc2", dense(), &[x])
    });
    let input = Numbers(15).reals(6);
    let expected = expected(&data, 1, &input);
    let mut session = Model::new(data).unwrap().into_session(Options::default()).unwrap();
    assert_eq!(session.run(&input, 1).unwrap(), expected);
}

#[test]
fn forks() {
    let data = small();
    let mut session = Session::new(&data, Options { batch: 2, ..Options::default() }).unwrap();
    let mut fork = session.fork().unwrap();
    let (a, b) = (Numbers(1).reals(8), Numbers(2).reals(8));
    let theirs = std::thread::scope(|scope| {
        let handle = scope.spawn(|| fork.run(&b, 2).unwrap().to_vec());
        assert_eq!(session.run(&a, 2).unwrap(), expected(&data, 2, &a));
        handle.join().unwrap()
    });
    assert_eq!(theirs, expected(&data, 2, &b));
}

/// Layers large enough that threads really share them.
#[test]
fn threads_share_large_layers() {
    if !cfg!(feature = "rayon") {
        return;
    }
    let mut numbers = Numbers(5);
    let data = single(Shape::new(64, 64, 16), |b| {
        let geometry = Geometry::padded([3, 3], [1, 1], 1);
        b.tensor("w", numbers.bit_tensor(&[16, 3, 3, 16]));
        b.tensor("r", numbers.f32_tensor(&[8, 1, 1, 16]));
        b.tensor("m", numbers.f32_tensor(&[16]));
        let conv = || Op::BinaryConv2d { weight: "w".into(), geometry, groups: 1, padding: Padding::Zero };
        let x = b.node("sign", Op::Sign, &[b.input()]);
        let x = b.node("conv1", conv(), &[x]);
        let x = b.node("sign2", Op::Sign, &[x]);
        let x = b.node("conv2", conv(), &[x]);
        let x = b.node("bn", Op::MulAdd { mul: "m".into(), add: "m".into() }, &[x]);
        let x = b.node("add", Op::Add, &[x, b.input()]);
        let point = Geometry::valid([1, 1], [1, 1], [1, 1]);
        let x = b.node("real", Op::Conv2d { weight: "r".into(), bias: None, geometry: point, groups: 1 }, &[x]);
        b.node("max", Op::MaxPool2d { geometry: Geometry::valid([2, 2], [2, 2], [1, 1]) }, &[x])
    });
    let input = Numbers(6).reals(2 * 64 * 64 * 16);
    let run = |threads| {
        let options = Options { threads, batch: 2, ..Options::default() };
        Session::new(&data, options).unwrap().run(&input, 2).unwrap().to_vec()
    };
    let one = run(1);
    assert!(one == expected(&data, 2, &input));
    for threads in [2, 3, 7] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

/// Dense layers of one sample are shared by their channels: bits, integers and real numbers, with and without stages.
#[test]
fn one_sample_is_shared_by_channels() {
    let mut numbers = Numbers(8);
    let data = single(Shape::vector(70), |b| {
        b.tensor("w1", numbers.bit_tensor(&[1000, 70]));
        b.tensor("t1", numbers.thresholds(1000));
        b.tensor("f1", numbers.bit_tensor(&[1, 1000]));
        b.tensor("w2", numbers.bit_tensor(&[300, 1000]));
        b.tensor("m2", numbers.f32_tensor(&[300]));
        b.tensor("w3", numbers.f32_tensor(&[200, 300]));
        b.tensor("b3", numbers.f32_tensor(&[200]));
        b.tensor("w4", numbers.bit_tensor(&[130, 200]));
        let x = b.node("sign1", Op::Sign, &[b.input()]);
        let x = b.node("fc1", Op::BinaryDense { weight: "w1".into() }, &[x]);
        let x = b.node("th1", Op::Threshold { threshold: "t1".into(), flip: "f1".into() }, &[x]);
        let x = b.node("fc2", Op::BinaryDense { weight: "w2".into() }, &[x]);
        let x = b.node("bn2", Op::MulAdd { mul: "m2".into(), add: "m2".into() }, &[x]);
        let x = b.node("fc3", Op::Dense { weight: "w3".into(), bias: Some("b3".into()) }, &[x]);
        let x = b.node("relu3", Op::Relu, &[x]);
        let x = b.node("sign4", Op::Sign, &[x]);
        b.node("fc4", Op::BinaryDense { weight: "w4".into() }, &[x])
    });
    let input = Numbers(9).reals(70);
    let expected = expected(&data, 1, &input);
    let threads: &[usize] = if cfg!(feature = "rayon") { &[1, 2, 3, 8] } else { &[1] };
    for (&threads, isa) in threads.iter().flat_map(|t| Isa::all().map(move |isa| (t, isa))) {
        let options = Options { threads, isa, ..Options::default() };
        let mut session = Session::new_sharing_small_steps(&data, options).unwrap();
        assert!(session.run(&input, 1).unwrap() == expected, "{threads} threads, {}", isa.name());
    }
}

/// Runs of several callers at once, from outside and from a pool of the caller's, do not wait for each other's end.
#[cfg(feature = "rayon")]
#[test]
fn forks_of_many_callers_share_a_pool() {
    let mut numbers = Numbers(12);
    let data = single(Shape::new(9, 8, 3), |b| {
        b.tensor("w", numbers.f32_tensor(&[5, 3, 3, 3]));
        let geometry = Geometry::padded([3, 3], [1, 1], 1);
        let x = b.node("conv", Op::Conv2d { weight: "w".into(), bias: None, geometry, groups: 1 }, &[b.input()]);
        b.node("relu", Op::Relu, &[x])
    });
    let input = Numbers(13).reals(9 * 8 * 3);
    let expected = expected(&data, 1, &input);
    let options = Options { threads: 3, ..Options::default() };
    let session = Session::new_sharing_small_steps(&data, options).unwrap();
    let callers = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    std::thread::scope(|scope| {
        for caller in 0..6 {
            let mut fork = session.fork().unwrap();
            let (input, expected, callers) = (&input, &expected, &callers);
            scope.spawn(move || {
                for _ in 0..300 {
                    let mut run = || assert!(fork.run(input, 1).unwrap() == expected);
                    if caller % 2 == 0 { run() } else { callers.install(run) }
                }
            });
        }
    });
}

#[test]
fn options_that_cannot_be_met() {
    let data = small();
    let error = |options| Session::new(&data, options).unwrap_err();
    assert!(matches!(error(Options { batch: 0, ..Options::default() }), Error::Batch));
    assert!(matches!(error(Options { threads: 0, ..Options::default() }), Error::NoThreads));
    let huge = error(Options { batch: usize::MAX / 8, memory_limit: u64::MAX, ..Options::default() });
    let Error::Memory { layer, .. } = huge else { panic!("{huge}") };
    assert_eq!(layer, "fc2");
}

/// A file of half a kilobyte can describe a network of gigabytes: it is refused before they are allocated.
#[test]
fn a_network_beyond_the_memory_limit() {
    let mut numbers = Numbers(9);
    let padded = single(Shape::new(8, 8, 1), |b| {
        b.tensor("w", numbers.f32_tensor(&[8, 1, 1, 1]));
        let geometry = Geometry::padded([1, 1], [1, 1], 8000);
        let op = Op::Conv2d { weight: "w".into(), bias: None, geometry, groups: 1 };
        let x = b.node("conv", op, &[b.input()]);
        b.node("mean", Op::GlobalAvgPool, &[x])
    });
    assert!(file::to_bytes(&padded).unwrap().len() < 1024);
    let error = Session::new(&padded, Options::default()).unwrap_err();
    let Error::MemoryLimit { layer, bytes, limit } = &error else { panic!("{error}") };
    // The input, one row of 16 packed weights, and the output of the convolution.
    let expected = 8 * 8 * 4 + 16 * 4 + 16_008 * 16_008 * 8 * 4;
    assert_eq!((layer.as_str(), *bytes, *limit), ("conv", expected, 4 << 30));
    assert!(error.to_string().contains(&format!("`conv` the session takes {expected} bytes")), "{error}");
    assert!(matches!(Model::new(padded).unwrap().run(&[0.0; 64]), Err(Error::MemoryLimit { .. })));
}

/// The smallest limit that suffices, and one byte less, for each part that counts.
#[test]
fn the_memory_limit_is_exact() {
    let data = single(Shape::vector(3), |b| {
        b.tensor("w", Numbers(1).bit_tensor(&[5, 3]));
        b.node("fc", Op::Dense { weight: "w".into(), bias: None }, &[b.input()])
    });
    let mut wrong = Vec::new();
    // Weights packed in lanes of 16; the bits as 15 real numbers while they are packed; then, for a batch of
    // 2, the input, the dense layer's buffer and the output.
    for (limit, layer) in [
        (3 * 16 * 4 - 1, Some("fc")),
        (3 * 16 * 4 + 15 * 4 - 1, Some("fc")),
        (3 * 16 * 4 + 15 * 4, Some("fc")),
        (3 * 16 * 4 + 2 * (3 + 5) * 4 - 1, Some("fc")),
        (3 * 16 * 4 + 2 * (3 + 5 + 5) * 4 - 1, Some("output")),
        (3 * 16 * 4 + 2 * (3 + 5 + 5) * 4, None),
    ] {
        let result = Session::new(&data, Options { batch: 2, memory_limit: limit, ..Options::default() });
        let right = match (&result, layer) {
            (Err(Error::MemoryLimit { layer: found, bytes, .. }), Some(layer)) => found == layer && *bytes > limit,
            (result, layer) => result.is_ok() && layer.is_none(),
        };
        if !right {
            wrong.push((limit, layer, result.map(|_| ()).map_err(|error| error.to_string())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[cfg(not(feature = "rayon"))]
#[test]
fn threads_need_the_feature() {
    let result = Session::new(&small(), Options { threads: 2, ..Options::default() });
    assert!(matches!(result, Err(Error::ThreadsFeature { threads: 2 })));
}

#[test]
fn inputs_and_outputs_of_the_wrong_length() {
    let mut session = Session::new(&small(), Options::default()).unwrap();
    for (n, len) in [(1, 3), (2, 4), (0, 1), (usize::MAX, 4)] {
        let result = session.run(&vec![0.0; len], n);
        assert!(matches!(result, Err(Error::InputLength { elements: 4, .. })), "{n} {len}: {result:?}");
    }
    let mut output = [0.0; 3];
    let result = session.run_into(&[0.0; 4], 1, &mut output);
    assert!(matches!(result, Err(Error::OutputLength { expected: 2, found: 3 })));
    let result = session.run_into(&[0.0; 3], 1, &mut output[..2]);
    assert!(matches!(result, Err(Error::InputLength { .. })));
}

#[test]
fn a_wrong_model() {
    let mut data = small();
    data.tensors.insert("unused".into(), Tensor::f32([1], vec![0.0]).unwrap());
    assert!(matches!(Model::new(data.clone()), Err(Error::Model(_))));
    data.tensors.remove("w1");
    assert!(matches!(Session::new(&data, Options::default()), Err(Error::Model(_))));
}

/// The graph's limits allow more channels than the kernels do: the error names the layer.
#[test]
fn a_layer_that_the_kernels_refuse() {
    let data = single(Shape::vector(1 << 30), |b| {
        let geometry = Geometry::valid([1, 1], [1, 1], [1, 1]);
        b.node("wide", Op::ActivationScale { geometry }, &[b.input()])
    });
    let error = Session::new(&data, Options::default()).unwrap_err();
    assert!(matches!(&error, Error::Layer { layer, .. } if layer == "wide"), "{error}");
}

#[test]
fn an_empty_graph_returns_its_input() {
    let data = single(Shape::vector(2), |b| b.input());
    let mut session = Session::new(&data, Options::default()).unwrap();
    assert_eq!(session.run(&[1.0, -2.0], 1).unwrap(), [1.0, -2.0]);
    assert_eq!(session.activation_bytes(), 0);
}

#[test]
fn a_fused_step_shows_its_last_node() {
    let data = small();
    let nodes = |fuse| {
        let mut names = Vec::new();
        let mut session = Session::new(&data, Options { fuse, ..Options::default() }).unwrap();
        session.run_traced(&[0.0; 4], 1, |node, _| names.push(node.name.clone())).unwrap();
        names
    };
    assert_eq!(nodes(true), ["sign", "sign2", "fc2"]);
    assert_eq!(nodes(false), ["sign", "fc1", "sign2", "fc2"]);
}

#[test]
fn a_profile_counts_what_the_size_table_counts() {
    let data = small();
    let table = SizeTable::of(&data).unwrap();
    let mut session = Session::new(&data, Options { batch: 2, ..Options::default() }).unwrap();
    let times = session.profile(&[1.0; 20], 5).unwrap();
    assert_eq!(times.iter().map(|step| step.nodes.join("+")).collect::<Vec<_>>(), ["sign", "fc1+sign2", "fc2"]);
    assert_eq!(times[1].ops, ["binary_dense", "sign"]);
    assert_eq!(times[1].isa, session.isa().name());
    assert_eq!(times.iter().map(|step| step.macs_1bit).sum::<u64>(), 5 * table.binary_macs);
    assert_eq!(times.iter().map(|step| step.macs_32bit).sum::<u64>(), 5 * table.real_macs);
    assert!(times.iter().all(|step| step.seconds >= 0.0));
    // 4 real numbers become bits, which take whole words, and then 2 integers.
    assert_eq!(times[0].weight_bytes, 0);
    let expected = [5 * (4 * 4 + 8), 5 * (8 + 8), 5 * (8 + 2 * 4)];
    assert_eq!(times.iter().map(|step| step.activation_bytes).collect::<Vec<_>>(), expected);
    assert!(times[1].weight_bytes > 0 && times[1].bytes() == times[1].weight_bytes + times[1].activation_bytes);
}

#[test]
fn types() {
    let session = Session::new(&small(), Options::default()).unwrap();
    assert_eq!(session.input_type().to_string(), "f32 1x1x4");
    assert_eq!(session.output_type().to_string(), "i32 1x1x2");
}
