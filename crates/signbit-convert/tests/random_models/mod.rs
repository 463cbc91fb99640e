//! Random models over all operators, whose real numbers are multiples of small powers of two: so that every sum is
//! exact in F32, in whatever order another system adds, and no sign can differ.

#![allow(dead_code, reason = "each user takes its part")]

use signbit_model::interpreter::{self, ValueData};
use signbit_model::{DType, Geometry, Model, ModelBuilder, Op, Padding, Shape, Tensor, ValueId, ValueType};

/// Numbers that depend on a seed alone (the generator SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// 0 to `end`, exclusive.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Multiples of 1/4 from -2 to 2.
    pub(crate) fn quarters(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.below(17) as f32 * 0.25 - 2.0).collect()
    }

    fn signs(&mut self, shape: &[usize]) -> Tensor {
        let len = shape.iter().product();
        let signs: Vec<i8> = (0..len).map(|_| if self.below(2) == 1 { 1 } else { -1 }).collect();
        Tensor::bits_from_signs(shape, &signs).unwrap()
    }

    /// Thresholds around 0, some beyond every dot product.
    fn thresholds(&mut self, len: usize) -> Tensor {
        let mut one = || match self.below(10) {
            0 => i32::MAX,
            1 => i32::MIN,
            _ => self.below(9) as i32 - 4,
        };
        let data: Vec<i32> = (0..len).map(|_| one()).collect();
        Tensor::i32([len], data).unwrap()
    }
}

/// A value is a multiple of `unit`, at most `max`; `None` where it is rounded somewhere.
#[derive(Clone, Copy, Debug)]
struct Exact {
    unit: f64,
    max: f64,
}

/// Real numbers of a tensor.
const QUARTERS: Exact = Exact { unit: 0.25, max: 2.0 };
/// Bits.
const ONE: Exact = Exact { unit: 1.0, max: 1.0 };

impl Exact {
    /// Three bits less than F32 has: a system may add a bias first, or double the sum.
    fn check(self) -> Option<Self> {
        (self.max / self.unit <= f64::from(1 << 21)).then_some(self)
    }

    fn plus(self, other: Self) -> Option<Self> {
        Self { unit: self.unit.min(other.unit), max: self.max + other.max }.check()
    }

    fn times(self, other: Self) -> Option<Self> {
        Self { unit: self.unit * other.unit, max: self.max * other.max }.check()
    }

    fn sum_of(self, count: usize) -> Option<Self> {
        Self { unit: self.unit, max: self.max * count as f64 }.check()
    }

    fn over(self, count: usize) -> Option<Self> {
        count.is_power_of_two().then_some(())?;
        Self { unit: self.unit / count as f64, max: self.max }.check()
    }
}

#[derive(Clone, Copy)]
struct Known {
    id: ValueId,
    ty: ValueType,
    exact: Option<Exact>,
}

/// A random model, and whether its output is exact.
pub(crate) struct Case {
    pub(crate) model: Model,
    pub(crate) exact: bool,
}

/// Elements of a value, per sample, above which nothing is built on it any more.
const LARGEST: usize = 6000;

/// The random model of a seed.
pub(crate) fn case(seed: u64) -> Case {
    let mut numbers = Numbers(seed);
    let c = [1, 2, 3, 4, 7, 32, 33, 64, 70][numbers.below(9)];
    let shape = match numbers.below(5) {
        0 => Shape::vector(c),
        _ => Shape::new(1 + numbers.below(7), 1 + numbers.below(7), c),
    };
    let b = ModelBuilder::new(shape);
    let input = Known { id: b.input(), ty: ValueType::new(shape, DType::F32), exact: Some(QUARTERS) };
    let mut builder = Builder { b, numbers, values: vec![input], names: 0 };
    for _ in 0..1 + builder.numbers.below(12) {
        builder.add();
    }
    let last = builder.values[builder.values.len() - 1];
    builder.b.note("seed", seed.to_string());
    Case { model: builder.b.finish(last.id).unwrap(), exact: last.exact.is_some() }
}

/// A model's input for `n` samples.
pub(crate) fn input(model: &Model, n: usize, seed: u64) -> Vec<f32> {
    Numbers(!seed).quarters(n * model.graph.input.shape.elements())
}

/// The interpreter's output as real numbers.
pub(crate) fn run(model: &Model, n: usize, input: &[f32]) -> Vec<f32> {
    match interpreter::run(model, n, input).unwrap().data {
        ValueData::F32(data) => data,
        ValueData::I32(data) => data.into_iter().map(|v| v as f32).collect(),
        ValueData::Bits(data) => data.into_iter().map(f32::from).collect(),
    }
}

struct Builder {
    b: ModelBuilder,
    numbers: Numbers,
    values: Vec<Known>,
    names: usize,
}

impl Builder {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    fn tensor(&mut self, tensor: Tensor) -> String {
        let name = self.name();
        self.b.tensor(name.clone(), tensor);
        name
    }

    fn channels(&mut self, c: usize) -> String {
        let data = self.numbers.quarters(c);
        self.tensor(Tensor::f32([c], data).unwrap())
    }

    fn signs(&mut self, shape: &[usize]) -> String {
        let tensor = self.numbers.signs(shape);
        self.tensor(tensor)
    }

    fn node(&mut self, op: Op, inputs: &[ValueId], shape: Shape, dtype: DType, exact: Option<Exact>) {
        let name = self.name();
        let id = self.b.node(name, op, inputs);
        self.values.push(Known { id, ty: ValueType::new(shape, dtype), exact });
    }

    fn real(&mut self, op: Op, x: Known, exact: Option<Exact>) {
        self.node(op, &[x.id], x.ty.shape, DType::F32, exact);
    }

    /// Adds one node, of an operator that the chosen value allows; the newest value is the likeliest.
    fn add(&mut self) {
        let back = if self.numbers.below(3) == 0 { self.numbers.below(self.values.len()) } else { 0 };
        let x = self.values[self.values.len() - 1 - back];
        if self.numbers.below(4) == 0 {
            return self.on_any(x);
        }
        match x.ty.dtype {
            DType::Bits if self.numbers.below(6) == 0 => self.real(Op::Unpack, x, Some(ONE)),
            DType::Bits => self.binary(x),
            DType::I32 => self.on_integers(x),
            DType::F32 => self.on_reals(x),
        }
    }

    fn on_integers(&mut self, x: Known) {
        let (shape, c) = (x.ty.shape, x.ty.shape.c);
        match self.numbers.below(8) {
            0..4 => {
                let threshold = self.numbers.thresholds(c);
                let (threshold, flip) = (self.tensor(threshold), self.signs(&[1, c]));
                self.node(Op::Threshold { threshold, flip }, &[x.id], shape, DType::Bits, Some(ONE));
            }
            4 => self.node(Op::Sign, &[x.id], shape, DType::Bits, Some(ONE)),
            5 => self.product(x),
            _ => self.mul_add(x),
        }
    }

    fn mul_add(&mut self, x: Known) {
        let (mul, add) = (self.channels(x.ty.shape.c), self.channels(x.ty.shape.c));
        let exact = x.exact.and_then(|e| e.times(QUARTERS)).and_then(|e| e.plus(QUARTERS));
        self.real(Op::MulAdd { mul, add }, x, exact);
    }

    fn on_reals(&mut self, x: Known) {
        let (shape, c) = (x.ty.shape, x.ty.shape.c);
        let sloped = |e: Exact| e.times(QUARTERS)?.plus(e);
        match self.numbers.below(20) {
            0..5 if x.exact.is_some() => self.node(Op::Sign, &[x.id], shape, DType::Bits, Some(ONE)),
            5..7 if x.exact.is_some() => {
                let shift = self.channels(c);
                self.node(Op::RSign { shift }, &[x.id], shape, DType::Bits, Some(ONE));
            }
            7 => self.mul_add(x),
            8 if self.numbers.below(2) == 0 => {
                let data = self.numbers.quarters(shape.h * shape.w);
                let map = self.tensor(Tensor::f32([shape.h, shape.w], data).unwrap());
                self.real(Op::MulMap { map }, x, x.exact.and_then(|e| e.times(QUARTERS)));
            }
            8 => self.real(Op::Relu, x, x.exact),
            9 => {
                let slope = self.channels(c);
                self.real(Op::PRelu { slope }, x, x.exact.and_then(sloped));
            }
            10 => {
                let (shift_in, slope, shift_out) = (self.channels(c), self.channels(c), self.channels(c));
                let exact = x.exact.and_then(|e| e.plus(QUARTERS)).and_then(sloped).and_then(|e| e.plus(QUARTERS));
                self.real(Op::RPRelu { shift_in, slope, shift_out }, x, exact);
            }
            11 => {
                let (min, max) = [(-1.0, 1.0), (0.0, 6.0), (-0.75, 1.5)][self.numbers.below(3)];
                let exact = x.exact.and_then(|e| Exact { unit: e.unit.min(0.25), max: 6.0 }.check());
                self.real(Op::Clip { min, max }, x, exact);
            }
            12 => self.sum(x),
            13 => self.product(x),
            14 => {
                let op = [Op::Softmax, Op::Sigmoid][self.numbers.below(2)].clone();
                self.real(op, x, None);
            }
            15 => {
                let geometry = self.geometry(shape, false);
                let (h, w) = geometry.output_size(shape.h, shape.w).unwrap();
                self.node(Op::ActivationScale { geometry }, &[x.id], Shape::new(h, w, 1), DType::F32, None);
            }
            16 => {
                let geometry = self.geometry(shape, true);
                let (h, w) = geometry.output_size(shape.h, shape.w).unwrap();
                let count_include_pad = self.numbers.below(2) == 0;
                let [kh, kw] = geometry.kernel;
                let whole = count_include_pad || geometry.pads == [0; 4];
                let exact = x.exact.filter(|_| whole).and_then(|e| e.sum_of(kh * kw)).and_then(|e| e.over(kh * kw));
                let op = Op::AvgPool2d { geometry, count_include_pad };
                self.node(op, &[x.id], Shape::new(h, w, c), DType::F32, exact);
            }
            17 => {
                let exact = x.exact.and_then(|e| e.sum_of(shape.h * shape.w)).and_then(|e| e.over(shape.h * shape.w));
                self.node(Op::GlobalAvgPool, &[x.id], Shape::vector(c), DType::F32, exact);
            }
            _ => self.layer(x),
        }
    }

    fn on_any(&mut self, x: Known) {
        let (Shape { h, w, c }, dtype) = (x.ty.shape, x.ty.dtype);
        match self.numbers.below(8) {
            0..2 => {
                let mut geometry = self.geometry(x.ty.shape, true);
                if self.numbers.below(4) > 0 {
                    geometry.dilation = [1, 1];
                }
                if let Ok((h, w)) = geometry.pool_output_size(h, w) {
                    self.node(Op::MaxPool2d { geometry }, &[x.id], Shape::new(h, w, c), dtype, x.exact);
                }
            }
            2 => self.node(Op::GlobalMaxPool, &[x.id], Shape::vector(c), dtype, x.exact),
            3 => self.node(Op::Flatten, &[x.id], Shape::vector(h * w * c), dtype, x.exact),
            4 => {
                let start = if c > 32 && self.numbers.below(2) == 0 { 32 } else { self.numbers.below(c) };
                let end = start + 1 + self.numbers.below(c - start);
                self.node(Op::Slice { start, end }, &[x.id], Shape::new(h, w, end - start), dtype, x.exact);
            }
            5 if dtype != DType::I32 => {
                let pads = [(); 4].map(|()| self.numbers.below(3));
                let value = if dtype == DType::Bits { [1.0, -1.0] } else { [0.0, -0.5] }[self.numbers.below(2)];
                let shape = Shape::new(h + pads[0] + pads[2], w + pads[1] + pads[3], c);
                if shape.elements() < LARGEST {
                    let exact = x.exact.and_then(|e| Exact { unit: e.unit.min(0.5), max: e.max.max(0.5) }.check());
                    self.node(Op::Pad { pads, value }, &[x.id], shape, dtype, exact);
                }
            }
            _ => {
                let fits = |other: &&Known| other.ty.dtype == dtype && (other.ty.shape.h, other.ty.shape.w) == (h, w);
                let others: Vec<Known> = self.values.iter().filter(fits).copied().collect();
                let other = others[self.numbers.below(others.len())];
                let exact = x.exact.zip(other.exact);
                let exact = exact.and_then(|(a, b)| Exact { unit: a.unit.min(b.unit), max: a.max.max(b.max) }.check());
                let shape = Shape::new(h, w, c + other.ty.shape.c);
                if shape.elements() < LARGEST {
                    self.node(Op::Concat, &[x.id, other.id], shape, dtype, exact);
                }
            }
        }
    }

    fn sum(&mut self, x: Known) {
        let fits = |other: &&Known| other.ty == x.ty;
        let others: Vec<Known> = self.values.iter().filter(fits).copied().collect();
        let other = others[self.numbers.below(others.len())];
        let exact = x.exact.zip(other.exact).and_then(|(a, b)| a.plus(b));
        self.node(Op::Add, &[x.id, other.id], x.ty.shape, DType::F32, exact);
    }

    /// A product with a value of the same shape, of one channel or of one pixel.
    fn product(&mut self, x: Known) {
        let shapes = [x.ty.shape, Shape { c: 1, ..x.ty.shape }, Shape::vector(x.ty.shape.c)];
        let fits = |other: &&Known| other.ty.dtype == DType::F32 && shapes.contains(&other.ty.shape);
        let others: Vec<Known> = self.values.iter().filter(fits).copied().collect();
        if others.is_empty() {
            return;
        }
        let other = others[self.numbers.below(others.len())];
        let exact = x.exact.zip(other.exact).and_then(|(a, b)| a.times(b));
        self.node(Op::Mul, &[x.id, other.id], x.ty.shape, DType::F32, exact);
    }

    fn binary(&mut self, x: Known) {
        let shape = x.ty.shape;
        let c_out = [1, 3, 32, 33, 64, 70][self.numbers.below(6)];
        if shape.is_vector() {
            let weight = self.signs(&[c_out, shape.c]);
            let exact = ONE.sum_of(shape.c);
            return self.node(Op::BinaryDense { weight }, &[x.id], Shape::vector(c_out), DType::I32, exact);
        }
        let (geometry, groups, c_out) = self.convolution(shape, c_out);
        let [kh, kw] = geometry.kernel;
        let weight = self.signs(&[c_out, kh, kw, shape.c / groups]);
        let padding = [Padding::Zero, Padding::One, Padding::MinusOne][self.numbers.below(3)];
        let (h, w) = geometry.output_size(shape.h, shape.w).unwrap();
        let exact = ONE.sum_of(kh * kw * shape.c / groups);
        let op = Op::BinaryConv2d { weight, geometry, groups, padding };
        self.node(op, &[x.id], Shape::new(h, w, c_out), DType::I32, exact);
    }

    fn layer(&mut self, x: Known) {
        let shape = x.ty.shape;
        let (dense, c_out) = (shape.is_vector() && self.numbers.below(4) > 0, [1, 5, 17][self.numbers.below(3)]);
        let (geometry, groups, c_out) = self.convolution(shape, c_out);
        let [kh, kw] = geometry.kernel;
        let weight_shape = if dense { vec![c_out, shape.c] } else { vec![c_out, kh, kw, shape.c / groups] };
        let k: usize = weight_shape[1..].iter().product();
        let weight = if self.numbers.below(2) == 0 {
            self.signs(&weight_shape)
        } else {
            let data = self.numbers.quarters(c_out * k);
            self.tensor(Tensor::f32(weight_shape, data).unwrap())
        };
        let bias = (self.numbers.below(2) == 0).then(|| self.channels(c_out));
        let exact = x.exact.and_then(|e| e.times(QUARTERS)).and_then(|e| e.sum_of(k)).and_then(|e| e.plus(QUARTERS));
        if dense {
            return self.node(Op::Dense { weight, bias }, &[x.id], Shape::vector(c_out), DType::F32, exact);
        }
        let (h, w) = geometry.output_size(shape.h, shape.w).unwrap();
        let op = Op::Conv2d { weight, bias, geometry, groups };
        self.node(op, &[x.id], Shape::new(h, w, c_out), DType::F32, exact);
    }

    /// A window that fits; for a pooling none of its windows is empty.
    fn geometry(&mut self, shape: Shape, pool: bool) -> Geometry {
        for _ in 0..20 {
            let mut pair = |end| [1 + self.numbers.below(end), 1 + self.numbers.below(end)];
            let (kernel, stride, dilation) = (pair(3), pair(2), pair(2));
            let pads = [(); 4].map(|()| self.numbers.below(3));
            let geometry = match self.numbers.below(3) {
                0 => Geometry { kernel, stride, dilation, pads },
                1 => Geometry::same(shape.h, shape.w, kernel, stride, dilation),
                _ => Geometry::padded(kernel, stride, kernel[0] / 2),
            };
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

    /// Window, groups and output channels of a convolution.
    fn convolution(&mut self, shape: Shape, c_out: usize) -> (Geometry, usize, usize) {
        let geometry = self.geometry(Shape { c: shape.c.max(c_out * 2), ..shape }, false);
        match self.numbers.below(8) {
            0 => (geometry, shape.c, shape.c * (1 + self.numbers.below(2))),
            1 | 2 if shape.c.is_multiple_of(2) => (geometry, 2, c_out.next_multiple_of(2)),
            _ => (geometry, 1, c_out),
        }
    }
}
