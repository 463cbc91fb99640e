//! Networks over sequences and with separable convolutions: gradients flow, and the packed form agrees.

mod common;

use std::sync::Arc;

use common::{compare, disturb};
use signbit_kernels::{Isa, Padding};
use signbit_model::{Geometry, Shape};
use signbit_train::loss::{Target, loss};
use signbit_train::network::{Network, NetworkBuilder, NetworkError, Var};
use signbit_train::op::Mode;
use signbit_train::ops::{
    BatchNormSign, BinaryConv1d, BinaryDepthwiseConv2d, BinarySeparableConv2d, Conv1d, Dense, Flatten, WeightScale,
    Window1d,
};
use signbit_train::optim::{Adam, Optimizer};
use signbit_train::quantizer::SteSign;
use signbit_train::tensor::Tensor;

/// A network of `input` whose middle `layer` adds, between bits and a last layer of 10 outputs.
fn around(
    input: Shape,
    layer: impl Fn(&mut NetworkBuilder, Var) -> Result<Var, NetworkError>,
) -> Result<Network, NetworkError> {
    let mut b = NetworkBuilder::new(input, 5);
    let x = b.input();
    let y = Conv1d::add(&mut b, "first", x, 12, Window1d::same(input.w, 5, 1, 1), 1)?;
    let x = BatchNormSign::add(&mut b, "norm1", y, Arc::new(SteSign))?;
    let y = layer(&mut b, x)?;
    let x = BatchNormSign::add(&mut b, "norm2", y, Arc::new(SteSign))?;
    let x = Flatten::add(&mut b, "flatten", x)?;
    Dense::add(&mut b, "last", x, 10, true)?;
    b.finish()
}

/// One step moves the parameters of every layer.
fn train(network: &mut Network) {
    let (shape, n) = (network.input_shape(), 20);
    let classes: Vec<u32> = (0..n as u32).map(|i| i % 10).collect();
    let mut input = network.input_buffer(n);
    input.iter_mut().enumerate().for_each(|(i, v)| *v = ((i * 7919) % 200) as f32 / 100.0 - 1.0);
    let before = network.params().values().to_vec();
    let output = network.forward(Tensor::new(n, shape, input), Mode::Train);
    let (_, grad) = loss(network.buffers(), &output, Target::Classes(&classes));
    network.backward(output, grad);
    Adam::default().step(network.params_mut(), 0.01);
    let params = network.params();
    for info in params.infos() {
        assert_ne!(params.values()[info.range.clone()], before[info.range.clone()], "{} did not move", info.name);
    }
}

#[test]
fn they_train_and_pack() {
    let (quantizer, none) = (|| Arc::new(SteSign), WeightScale::None);
    let line = |length, window: Window1d, groups, padding, scale| {
        around(Shape::new(1, length, 3), |b, x| {
            BinaryConv1d::add(b, "conv", x, 16, window, groups, padding, quantizer(), scale)
        })
    };
    let separable = |padding, scale| {
        around(Shape::new(7, 9, 3), |b, x| {
            let geometry = Geometry::padded([3, 3], [2, 2], 1);
            BinarySeparableConv2d::add(b, "conv", x, 20, geometry, padding, quantizer(), scale)
        })
    };
    let depthwise = around(Shape::new(6, 5, 3), |b, x| {
        let geometry = Geometry::padded([3, 3], [1, 1], 1);
        BinaryDepthwiseConv2d::add(b, "conv", x, 2, geometry, Padding::One, quantizer(), none)
    });
    let networks = [
        ("valid", line(30, Window1d::valid(4, 1, 2), 1, Padding::Zero, none)),
        ("same", line(31, Window1d::same(31, 5, 2, 1), 1, Padding::One, WeightScale::Alpha)),
        ("groups", line(17, Window1d::same(17, 3, 1, 3), 4, Padding::Zero, none)),
        ("separable", separable(Padding::Zero, none)),
        ("separable, alpha", separable(Padding::One, WeightScale::Alpha)),
        ("depthwise", depthwise),
    ];
    let mut wrong = Vec::new();
    for (what, network) in networks {
        let mut network = network.unwrap_or_else(|e| panic!("{what}: {e}"));
        for isa in Isa::all() {
            network.set_isa(isa);
            train(&mut network);
            disturb(&mut network);
            let model = network.pack().expect("packs");
            let report = compare(&mut network, model, 60);
            if !report.identical() || report.bits == 0 {
                wrong.push(format!("{what} on {}: {report:?}", isa.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The window of a sequence is that of an image of one row, whose height it leaves alone.
#[test]
fn windows() {
    let same = Window1d::same(31, 4, 2, 1);
    assert_eq!(same, Window1d { kernel: 4, stride: 2, dilation: 1, pads: [1, 2] });
    assert_eq!(Geometry::from(same).output_size(1, 31), Ok((1, 16)));
    assert_eq!(Geometry::from(Window1d::valid(4, 1, 2)).output_size(1, 31), Ok((1, 25)));
}
