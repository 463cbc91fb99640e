//! Random graphs against the interpreter, exactly: chains with branches of all operators, before and after
//! saving and loading.

mod common;

use common::{Numbers, differences};
use proptest::prelude::*;
use signbit::model::{
    DType, Geometry, Model, ModelBuilder, Op, Padding, Shape, TransposedGeometry, ValueId, ValueType, file,
};

/// One step of building a graph: which operator, on which earlier value, and numbers for the details.
type Instruction = (u8, u8, u64);

/// Elements of a value, per sample, above which nothing is built on it any more.
const LARGEST: usize = 6000;

struct Builder {
    b: ModelBuilder,
    /// The values so far with their types.
    values: Vec<(ValueId, ValueType)>,
    names: usize,
}

impl Builder {
    fn new(input: Shape) -> Self {
        let b = ModelBuilder::new(input);
        let values = vec![(b.input(), ValueType { shape: input, dtype: DType::F32 })];
        Self { b, values, names: 0 }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    fn node(&mut self, op: Op, inputs: &[ValueId], shape: Shape, dtype: DType) {
        let name = self.name();
        let id = self.b.node(name, op, inputs);
        self.values.push((id, ValueType { shape, dtype }));
    }

    fn tensor(&mut self, tensor: signbit::model::Tensor) -> String {
        let name = self.name();
        self.b.tensor(name.clone(), tensor);
        name
    }

    fn per_channel(&mut self, numbers: &mut Numbers, c: usize) -> String {
        self.tensor(numbers.f32_tensor(&[c]))
    }

    /// Adds one node, of an operator that the chosen value's type allows; the newest values are the likeliest.
    fn add(&mut self, (kind, back, seed): Instruction) {
        let numbers = &mut Numbers(seed);
        let back = usize::from(back) % self.values.len() * usize::from(back % 3 == 0);
        let (x, ty) = self.values[self.values.len() - 1 - back];
        match ty.dtype {
            DType::Bits => self.on_bits(kind, x, ty.shape, numbers),
            DType::I32 => self.on_integers(kind, x, ty.shape, numbers),
            DType::F32 => self.on_reals(kind, x, ty.shape, numbers),
        }
    }

    fn on_bits(&mut self, kind: u8, x: ValueId, shape: Shape, numbers: &mut Numbers) {
        match kind % 9 {
            0..5 => self.binary(x, shape, numbers),
            8 => self.pad(x, ValueType { shape, dtype: DType::Bits }, numbers),
            5 => self.node(Op::Unpack, &[x], shape, DType::F32),
            _ => self.on_any(kind / 9, x, ValueType { shape, dtype: DType::Bits }, numbers),
        }
    }

    fn activation(&mut self, kind: u8, x: ValueId, shape: Shape, numbers: &mut Numbers) {
        let op = match kind {
            0 => Op::Relu,
            1 => Op::PRelu { slope: self.per_channel(numbers, shape.c) },
            2 => {
                let [shift_in, slope, shift_out] = [(); 3].map(|()| self.per_channel(numbers, shape.c));
                Op::RPRelu { shift_in, slope, shift_out }
            }
            3 if numbers.below(2) == 0 => Op::Affine { mul: -0.5, add: 1.25 },
            3 => Op::MulMap { map: self.tensor(numbers.f32_tensor(&[shape.h, shape.w])) },
            _ => Op::Clip { min: -0.75, max: 1.0 },
        };
        self.node(op, &[x], shape, DType::F32);
    }

    fn on_integers(&mut self, kind: u8, x: ValueId, shape: Shape, numbers: &mut Numbers) {
        match kind % 10 {
            0..3 => {
                let threshold = self.tensor(numbers.thresholds(shape.c));
                let flip = self.tensor(numbers.bit_tensor(&[1, shape.c]));
                self.node(Op::Threshold { threshold, flip }, &[x], shape, DType::Bits);
            }
            3 => self.node(Op::Sign, &[x], shape, DType::Bits),
            4..6 => self.mul_add(x, shape, numbers),
            6 => self.pairwise(x, ValueType { shape, dtype: DType::I32 }, Op::Mul, numbers),
            7 | 8 => self.activation(kind / 10 % 5, x, shape, numbers),
            _ => self.on_any(kind / 10, x, ValueType { shape, dtype: DType::I32 }, numbers),
        }
    }

    fn on_reals(&mut self, kind: u8, x: ValueId, shape: Shape, numbers: &mut Numbers) {
        let ty = ValueType { shape, dtype: DType::F32 };
        match kind % 27 {
            0..4 => self.node(Op::Sign, &[x], shape, DType::Bits),
            4 => {
                let shift = self.per_channel(numbers, shape.c);
                self.node(Op::RSign { shift }, &[x], shape, DType::Bits);
            }
            5 => self.mul_add(x, shape, numbers),
            6..10 => self.activation((kind % 27 - 6) + u8::from(numbers.below(4) == 0), x, shape, numbers),
            10..13 => self.pairwise(x, ty, Op::Add, numbers),
            13 => self.pairwise(x, ty, Op::Mul, numbers),
            14 => self.real(x, shape, numbers),
            15 => self.node(Op::Softmax, &[x], shape, DType::F32),
            16 => {
                let geometry = geometry(shape, numbers, false);
                let (h, w) = geometry.output_size(shape.h, shape.w).unwrap();
                self.node(Op::ActivationScale { geometry }, &[x], Shape::new(h, w, 1), DType::F32);
            }
            17 => {
                let geometry = geometry(shape, numbers, true);
                let (h, w) = geometry.output_size(shape.h, shape.w).unwrap();
                let op = Op::AvgPool2d { geometry, count_include_pad: numbers.below(2) == 0 };
                self.node(op, &[x], Shape::new(h, w, shape.c), DType::F32);
            }
            18 if numbers.below(3) == 0 => self.node(Op::GlobalAvgPool, &[x], Shape::vector(shape.c), DType::F32),
            19 => self.node(Op::Sigmoid, &[x], shape, DType::F32),
            20 => self.pad(x, ty, numbers),
            21 => {
                self.node(Op::GlobalAvgPool, &[x], Shape::vector(shape.c), DType::F32);
                let (mean, _) = self.values[self.values.len() - 1];
                self.node(Op::Sigmoid, &[mean], Shape::vector(shape.c), DType::F32);
                let (gate, _) = self.values[self.values.len() - 1];
                self.node(Op::Mul, &[x, gate], shape, DType::F32);
            }
            _ => self.on_any(kind / 27, x, ty, numbers),
        }
    }

    fn on_any(&mut self, kind: u8, x: ValueId, ty: ValueType, numbers: &mut Numbers) {
        let Shape { h, w, c } = ty.shape;
        match kind % 9 {
            0..3 => {
                let geometry = geometry(ty.shape, numbers, true);
                let (h, w) = geometry.output_size(h, w).unwrap();
                self.node(Op::MaxPool2d { geometry }, &[x], Shape::new(h, w, c), ty.dtype);
            }
            3 => self.node(Op::GlobalMaxPool, &[x], Shape::vector(c), ty.dtype),
            5 => {
                let start = numbers.below(c);
                let end = start + 1 + numbers.below(c - start);
                self.node(Op::Slice { start, end }, &[x], Shape::new(h, w, end - start), ty.dtype);
            }
            4 => self.node(Op::Flatten, &[x], Shape::vector(h * w * c), ty.dtype),
            _ => {
                let fits = |(_, other): &&(ValueId, ValueType)| {
                    other.dtype == ty.dtype && (other.shape.h, other.shape.w) == (h, w)
                };
                let others: Vec<_> = self.values.iter().filter(fits).copied().collect();
                let (other, other_ty) = others[numbers.below(others.len())];
                if (c + other_ty.shape.c) * h * w < LARGEST {
                    self.node(Op::Concat, &[x, other], Shape::new(h, w, c + other_ty.shape.c), ty.dtype);
                }
            }
        }
    }

    /// A frame, where the value stays small.
    fn pad(&mut self, x: ValueId, ty: ValueType, numbers: &mut Numbers) {
        let pads = [(); 4].map(|()| numbers.below(3));
        let value = match ty.dtype {
            DType::Bits => [1.0, -1.0][numbers.below(2)],
            _ => numbers.real(),
        };
        let shape = Shape { h: ty.shape.h + pads[0] + pads[2], w: ty.shape.w + pads[1] + pads[3], ..ty.shape };
        if shape.elements() < LARGEST {
            self.node(Op::Pad { pads, value }, &[x], shape, ty.dtype);
        }
    }

    fn mul_add(&mut self, x: ValueId, shape: Shape, numbers: &mut Numbers) {
        let [mul, add] = [(); 2].map(|()| self.per_channel(numbers, shape.c));
        self.node(Op::MulAdd { mul, add }, &[x], shape, DType::F32);
    }

    /// A sum or product with an earlier value that fits, on either side; nothing where there is none.
    fn pairwise(&mut self, x: ValueId, ty: ValueType, op: Op, numbers: &mut Numbers) {
        let factors = [Shape { c: 1, ..ty.shape }, Shape::vector(ty.shape.c)];
        let fits = |(_, other): &&(ValueId, ValueType)| {
            other.dtype == DType::F32 && (other.shape == ty.shape || (op == Op::Mul && factors.contains(&other.shape)))
        };
        let others: Vec<_> = self.values.iter().filter(fits).copied().collect();
        if others.is_empty() {
            return;
        }
        let (other, _) = others[numbers.below(others.len())];
        let swapped = op == Op::Add && numbers.below(2) == 0;
        self.node(op, &if swapped { [other, x] } else { [x, other] }, ty.shape, DType::F32);
    }

    fn binary(&mut self, x: ValueId, shape: Shape, numbers: &mut Numbers) {
        let c_out = [1, 3, 8, 33, 64, 70][numbers.below(6)];
        if shape.is_vector() {
            let weight = self.tensor(numbers.bit_tensor(&[c_out, shape.c]));
            return self.node(Op::BinaryDense { weight }, &[x], Shape::vector(c_out), DType::I32);
        }
        let (geometry, groups, c_out) = conv(shape, c_out, numbers);
        let [kh, kw] = geometry.kernel;
        let weight = self.tensor(numbers.bit_tensor(&[c_out, kh, kw, shape.c / groups]));
        if let Some((geometry, output)) = transposed(shape, geometry, c_out, numbers) {
            return self.node(Op::BinaryConv2dTranspose { weight, geometry, groups }, &[x], output, DType::I32);
        }
        let padding = [Padding::Zero, Padding::One, Padding::MinusOne][numbers.below(3)];
        let (h, w) = geometry.output_size(shape.h, shape.w).unwrap();
        self.node(Op::BinaryConv2d { weight, geometry, groups, padding }, &[x], Shape::new(h, w, c_out), DType::I32);
    }

    fn real(&mut self, x: ValueId, shape: Shape, numbers: &mut Numbers) {
        let c_out = [1, 5, 17][numbers.below(3)];
        let dense = shape.is_vector();
        let (geometry, groups, c_out) = conv(shape, c_out, numbers);
        let [kh, kw] = geometry.kernel;
        let weight_shape = if dense { vec![c_out, shape.c] } else { vec![c_out, kh, kw, shape.c / groups] };
        let bits = numbers.below(2) == 0;
        let weight = if bits { numbers.bit_tensor(&weight_shape) } else { numbers.f32_tensor(&weight_shape) };
        let weight = self.tensor(weight);
        let bias = (numbers.below(2) == 0).then(|| self.per_channel(numbers, c_out));
        if dense {
            return self.node(Op::Dense { weight, bias }, &[x], Shape::vector(c_out), DType::F32);
        }
        if let Some((geometry, output)) = transposed(shape, geometry, c_out, numbers) {
            return self.node(Op::Conv2dTranspose { weight, bias, geometry, groups }, &[x], output, DType::F32);
        }
        let (h, w) = geometry.output_size(shape.h, shape.w).unwrap();
        self.node(Op::Conv2d { weight, bias, geometry, groups }, &[x], Shape::new(h, w, c_out), DType::F32);
    }
}

/// A window that fits; for a pooling none of its windows is empty.
fn geometry(shape: Shape, numbers: &mut Numbers, pool: bool) -> Geometry {
    for _ in 0..20 {
        let mut pair = |end| [1 + numbers.below(end), 1 + numbers.below(end)];
        let (kernel, stride, dilation) = (pair(3), pair(2), pair(2));
        let pads = [(); 4].map(|()| numbers.below(3));
        let geometry = Geometry { kernel, stride, dilation, pads };
        let size = match pool {
            true => geometry.pool_output_size(shape.h, shape.w),
            false => geometry.output_size(shape.h, shape.w),
        };
        if size.is_ok_and(|(h, w)| h * w * shape.c < LARGEST) {
            return geometry;
        }
    }
    Geometry::valid([1, 1], [1, 1], [1, 1])
}

/// Now and then, the transposed convolution with a window, and its output.
fn transposed(
    shape: Shape,
    window: Geometry,
    c_out: usize,
    numbers: &mut Numbers,
) -> Option<(TransposedGeometry, Shape)> {
    if numbers.below(3) > 0 {
        return None;
    }
    let Geometry { kernel, stride, dilation, pads } = window;
    let output_padding = [numbers.below(stride[0]), numbers.below(stride[1])];
    let geometry = TransposedGeometry { kernel, stride, dilation, pads, output_padding };
    let (h, w) = geometry.output_size(shape.h, shape.w).ok()?;
    (h * w * c_out < LARGEST).then_some((geometry, Shape::new(h, w, c_out)))
}

/// Window, groups and output channels of a convolution.
fn conv(shape: Shape, c_out: usize, numbers: &mut Numbers) -> (Geometry, usize, usize) {
    let geometry = geometry(Shape { c: shape.c.max(c_out * 2), ..shape }, numbers, false);
    match numbers.below(4) {
        0 => (geometry, shape.c, shape.c),
        1 if shape.c.is_multiple_of(2) => (geometry, 2, c_out.next_multiple_of(2)),
        _ => (geometry, 1, c_out),
    }
}

fn graph(input: Shape, instructions: Vec<Instruction>, output: usize) -> Model {
    let mut builder = Builder::new(input);
    for instruction in instructions {
        builder.add(instruction);
    }
    // Mostly the last value, sometimes one on the way.
    let back = if output.is_multiple_of(4) { output / 4 % builder.values.len() } else { 0 };
    let (output, _) = builder.values[builder.values.len() - 1 - back];
    builder.b.finish(output).unwrap()
}

/// The random graphs mean something: each operator is found in some of them.
#[test]
fn the_generator_makes_every_operator() {
    let mut found = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let mut numbers = Numbers(seed);
        let instructions = (0..12).map(|_| (numbers.next() as u8, numbers.next() as u8, numbers.next())).collect();
        let model = graph(Shape::new(5, 6, 3), instructions, 1);
        found.extend(model.graph.nodes.iter().map(|node| node.op.name()));
    }
    let missing: Vec<_> = Op::NAMES.iter().filter(|name| !found.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?} of {}", Op::NAMES.len());
}

/// Many, but for those who ask for another number: an emulator is slow.
fn cases() -> u32 {
    if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 1500 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_equal_the_interpreter(
        h in 1..7_usize,
        w in 1..7_usize,
        c in prop_oneof![1..5_usize, Just(64), 65..70_usize],
        instructions in prop::collection::vec(any::<Instruction>(), 1..16),
        output in any::<u16>(),
        n in prop_oneof![Just(1_usize), Just(3)],
        seed in any::<u64>(),
    ) {
        let model = graph(Shape::new(h, w, c), instructions, usize::from(output));
        let input = Numbers(seed).reals(n * h * w * c);
        let wrong = differences(&model, n, &input);
        prop_assert!(wrong.is_empty(), "{}", wrong.join("\n"));

        let mut before = signbit::Session::new(&model, signbit::Options::default()).unwrap();
        let loaded = signbit::Model::from_bytes(&file::to_bytes(&model).unwrap()).unwrap();
        let after = loaded.run(&input).unwrap();
        let before = before.run(&input, n).unwrap();
        prop_assert!(before.iter().zip(&after).all(|(&a, &b)| common::same(a, b)) && before.len() == after.len());
    }
}
