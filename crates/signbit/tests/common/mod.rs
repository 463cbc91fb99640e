//! What the integration tests share: numbers without a pattern, and comparison with the interpreter.

#![allow(dead_code, reason = "each test file uses its own part")]

use signbit::model::interpreter::{self, Value, ValueData};
use signbit::model::{Model, ModelBuilder, Op, Shape, Tensor, ValueId};
use signbit::{Isa, Options, Session, ValueView};

/// Numbers that depend on a seed alone (the generator SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// 0 to `end`, exclusive.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Mostly small numbers with a fraction; some zeros of both signs and whole numbers, for ties.
    pub(crate) fn real(&mut self) -> f32 {
        match self.below(16) {
            0 => 0.0,
            1 => -0.0,
            2 => self.below(5) as f32 - 2.0,
            _ => (self.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0) * 2.5,
        }
    }

    pub(crate) fn reals(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.real()).collect()
    }

    pub(crate) fn signs(&mut self, len: usize) -> Vec<i8> {
        (0..len).map(|_| if self.next() & 1 == 1 { 1 } else { -1 }).collect()
    }

    pub(crate) fn f32_tensor(&mut self, shape: &[usize]) -> Tensor {
        let len = shape.iter().product();
        Tensor::f32(shape, self.reals(len)).unwrap()
    }

    pub(crate) fn bit_tensor(&mut self, shape: &[usize]) -> Tensor {
        let len = shape.iter().product();
        Tensor::bits_from_signs(shape, &self.signs(len)).unwrap()
    }

    /// Thresholds around 0, some beyond every dot product.
    pub(crate) fn thresholds(&mut self, len: usize) -> Tensor {
        let mut one = || match self.below(10) {
            0 => i32::MAX,
            1 => i32::MIN,
            _ => self.below(9) as i32 - 4,
        };
        Tensor::i32([len], (0..len).map(|_| one()).collect::<Vec<_>>()).unwrap()
    }
}

/// A network of one operator whose operands are the input, or the outputs of `operands`.
pub(crate) fn single(input: Shape, build: impl FnOnce(&mut ModelBuilder) -> ValueId) -> Model {
    let mut b = ModelBuilder::new(input);
    let output = build(&mut b);
    b.finish(output).unwrap()
}

/// Dot products of the signs of `x` with random weights: integers for operators that take them.
pub(crate) fn integers(b: &mut ModelBuilder, numbers: &mut Numbers, x: ValueId, c_in: usize, c_out: usize) -> ValueId {
    let bits = b.node("integers.sign", Op::Sign, &[x]);
    b.tensor("integers.w", numbers.bit_tensor(&[c_out, 1, 1, c_in]));
    let geometry = signbit::model::Geometry::valid([1, 1], [1, 1], [1, 1]);
    let padding = signbit::model::Padding::Zero;
    b.node("integers", Op::BinaryConv2d { weight: "integers.w".into(), geometry, groups: 1, padding }, &[bits])
}

/// Whether two reals are the same bits; one NaN is as good as another.
pub(crate) fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Whether a value of the runtime is exactly that of the interpreter, tail bits included.
pub(crate) fn equal(ours: ValueView<'_>, theirs: &Value) -> bool {
    if ours.value_type() != theirs.ty {
        return false;
    }
    match (ours, &theirs.data) {
        (ValueView::F32 { data, .. }, ValueData::F32(expected)) => {
            data.len() == expected.len() && data.iter().zip(expected).all(|(&a, &b)| same(a, b))
        }
        (ValueView::I32 { data, .. }, ValueData::I32(expected)) => data == expected,
        (ValueView::Bits { shape, data }, ValueData::Bits(expected)) => data == pack(expected, shape.c),
        _ => false,
    }
}

fn pack(signs: &[i8], channels: usize) -> Vec<u64> {
    let words = |pixel: &[i8]| {
        let word = |signs: &[i8]| signs.iter().enumerate().map(|(i, &s)| u64::from(s == 1) << i).sum::<u64>();
        pixel.chunks(64).map(word).collect::<Vec<_>>()
    };
    signs.chunks(channels).flat_map(words).collect()
}

pub(crate) fn reals(value: &Value) -> Vec<f32> {
    match &value.data {
        ValueData::F32(data) => data.clone(),
        ValueData::I32(data) => data.iter().map(|&v| v as f32).collect(),
        ValueData::Bits(data) => data.iter().map(|&v| f32::from(v)).collect(),
    }
}

/// Runs `model` on `n` samples by every instruction set, number of threads, planned batch and with and without
/// fusion. Returns a line for each way and node that differs from the interpreter.
pub(crate) fn differences(model: &Model, n: usize, input: &[f32]) -> Vec<String> {
    let mut expected = Vec::new();
    let last = interpreter::run_traced(model, n, input, |node, value| {
        expected.push((node.name.clone(), value.clone()));
    })
    .unwrap();
    let mut wrong = Vec::new();
    for isa in Isa::all() {
        for (threads, batch, fuse) in
            [(1, n, true), (1, n, false), (1, 1, true), (2, n, true), (2, 1, false), (1, n + 1, true)]
        {
            if threads > 1 && !cfg!(feature = "rayon") {
                continue;
            }
            let options = Options { isa, threads, batch, fuse, ..Options::default() };
            let mut session = Session::new_sharing_small_steps(model, options).unwrap();
            let mut seen = 0;
            let output = session.run_traced(input, n, |node, view| {
                seen += 1;
                let (_, value) = expected.iter().find(|(name, _)| *name == node.name).unwrap();
                if batch >= n && !equal(view, value) {
                    wrong.push(format!("{options:?}: node {} differs", node.name));
                }
            });
            let output = output.unwrap();
            if output.len() != reals(&last).len() || !output.iter().zip(reals(&last)).all(|(&a, b)| same(a, b)) {
                wrong.push(format!("{options:?}: the output differs"));
            }
            if !fuse && seen != model.graph.nodes.len() * n.div_ceil(batch) {
                wrong.push(format!("{options:?}: {seen} nodes were shown"));
            }
        }
    }
    wrong
}
