//! A quantizer and an operator written outside of the crate: trained, packed and verified like those inside.

use std::sync::Arc;

use signbit_model::{DType, Geometry, Op, Shape, Tensor as ModelTensor, ValueType, interpreter};
use signbit_train::loss::{Target, loss};
use signbit_train::network::{NetworkBuilder, Var};
use signbit_train::op::{Context, Mode, Needs, Operator, Pass};
use signbit_train::ops::{BatchNorm, BinaryConv2d, Dense, Flatten, Sign, WeightScale};
use signbit_train::optim::{Adam, Optimizer};
use signbit_train::pack::{PackError, Packed, Packer};
use signbit_train::params::{Init, ParamId, Role};
use signbit_train::quantizer::Quantizer;
use signbit_train::tensor::{Tensor, Value};

// The book shows what stands between the anchors.

// ANCHOR: quantizer
/// A triangle of width 2: derivative 1 - |x| / 2.
#[derive(Debug)]
struct Wide;

impl Quantizer for Wide {
    fn name(&self) -> &'static str {
        "wide"
    }

    fn derivative(&self, x: f32) -> f32 {
        (1.0 - x.abs() / 2.0).max(0.0)
    }

    fn surrogate(&self, x: f32) -> f32 {
        let x = x.clamp(-2.0, 2.0);
        x - x * x.abs() / 4.0
    }
}

// ANCHOR_END: quantizer

/// PReLU: y = x > 0 ? x : slope_c x.
struct PRelu {
    slope: ParamId,
}

impl PRelu {
    fn add(builder: &mut NetworkBuilder, name: &str, x: Var) -> Var {
        let c = builder.ty(x).shape.c;
        let slope = builder.param(&format!("{name}.slope"), &[c], Role::Other, Init::Constant(0.25));
        builder.add(name, Box::new(Self { slope }), &[x]).expect("real inputs")
    }
}

impl Operator for PRelu {
    fn kind(&self) -> &'static str {
        "prelu"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        (inputs[0].dtype == DType::F32).then_some(inputs[0]).ok_or_else(|| "a real input is needed".into())
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let (x, slope) = (inputs[0].real(), cx.params.value(self.slope));
        let y = x.data.iter().zip(slope.iter().cycle()).map(|(x, s)| if *x > 0.0 { *x } else { s * x }).collect();
        Value::Real(Tensor::new(x.n, x.shape, y))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let (x, mut grad) = (pass.input(0).real(), pass.grad);
        let (slope, d_slope) = cx.params.value_and_grad(self.slope);
        d_slope.fill(0.0);
        for (i, (g, x)) in grad.data.iter_mut().zip(&x.data).enumerate().filter(|(_, (_, x))| **x <= 0.0) {
            d_slope[i % slope.len()] += *g * x;
            *g *= slope[i % slope.len()];
        }
        vec![Some(grad)]
    }

    // ANCHOR: pack
    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.settled(name, &inputs[0]);
        let data = packer.params().value(self.slope).to_vec();
        let slope = packer.tensor(format!("{name}.slope"), ModelTensor::F32 { shape: vec![data.len()], data });
        Ok(packer.node(name, Op::PRelu { slope }, &[&x], x.ty))
    }
    // ANCHOR_END: pack
}

#[test]
fn they_train_pack_and_agree() -> Result<(), Box<dyn std::error::Error>> {
    // ANCHOR: network
    let shape = Shape::new(6, 6, 5);
    let mut b = NetworkBuilder::new(shape, 3);
    let x = b.input();
    let bits = Sign::add(&mut b, "sign", x, Arc::new(Wide))?;
    let geometry = Geometry::padded([3, 3], [2, 2], 1);
    let padding = signbit_kernels::Padding::One;
    let y = BinaryConv2d::add(&mut b, "conv", bits, 8, geometry, 1, padding, Arc::new(Wide), WeightScale::Alpha)?;
    let y = BatchNorm::add(&mut b, "norm", y)?;
    let y = PRelu::add(&mut b, "prelu", y);
    let y = Flatten::add(&mut b, "flatten", y)?;
    Dense::add(&mut b, "dense", y, 3, true)?;
    let mut network = b.finish()?;
    // ANCHOR_END: network

    let n = 30;
    let input: Vec<f32> = (0..n * shape.elements()).map(|i| ((i * 7919) % 201) as f32 / 100.0 - 1.0).collect();
    let classes: Vec<u32> = (0..n as u32).map(|i| i % 3).collect();
    // ANCHOR: loop
    let (mut adam, mut losses) = (Adam::default(), Vec::new());
    for _ in 0..60 {
        let output = network.forward(Tensor::new(n, shape, input.clone()), Mode::Train);
        let (value, grad) = loss(network.buffers(), &output, Target::Classes(&classes));
        network.backward(output, grad);
        adam.step(network.params_mut(), 0.01);
        losses.push(value);
    }
    // ANCHOR_END: loop
    assert!(losses[59] < losses[0] / 2.0, "it learns: {} to {}", losses[0], losses[59]);

    // ANCHOR: proof
    let trained = network.forward(Tensor::new(n, shape, input.clone()), Mode::Eval);
    let packed = interpreter::run(&network.pack()?, n, &input)?;
    assert_eq!(packed.data, interpreter::ValueData::F32(trained.data));
    // ANCHOR_END: proof
    Ok(())
}

/// An operator without a packed form is refused by name.
#[test]
fn without_a_packed_form_the_layer_is_named() -> Result<(), Box<dyn std::error::Error>> {
    struct Silent(PRelu);
    impl Operator for Silent {
        fn kind(&self) -> &'static str {
            "silent"
        }
        fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
            self.0.output(inputs)
        }
        fn needs(&self) -> Needs {
            self.0.needs()
        }
        fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
            self.0.forward(cx, inputs)
        }
        fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
            self.0.backward(cx, pass)
        }
    }
    let mut b = NetworkBuilder::new(Shape::vector(4), 3);
    let slope = b.param("mine.slope", &[4], Role::Other, Init::Constant(0.25));
    let x = b.input();
    b.add("mine", Box::new(Silent(PRelu { slope })), &[x])?;
    let message = b.finish()?.pack().expect_err("no packed form").to_string();
    assert!(message.contains("mine") && message.contains("silent"), "{message}");
    Ok(())
}
