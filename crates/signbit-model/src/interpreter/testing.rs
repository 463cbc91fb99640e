//! Helpers of the interpreter's tests: a model of a few operators, one after the other.

use super::{ValueData, run};
use crate::{Model, ModelBuilder, Op, Shape, Tensor};

pub(super) fn real(data: &[f32]) -> ValueData {
    ValueData::F32(data.to_vec())
}

pub(super) fn ints(data: &[i32]) -> ValueData {
    ValueData::I32(data.to_vec())
}

pub(super) fn bits(data: &[i8]) -> ValueData {
    ValueData::Bits(data.to_vec())
}

pub(super) type Named = (&'static str, Tensor);

pub(super) fn f32s(name: &'static str, shape: &[usize], data: &[f32]) -> Named {
    (name, Tensor::f32(shape, data.to_vec()).unwrap())
}

pub(super) fn i32s(name: &'static str, shape: &[usize], data: &[i32]) -> Named {
    (name, Tensor::i32(shape, data.to_vec()).unwrap())
}

pub(super) fn signs(name: &'static str, shape: &[usize], data: &[i8]) -> Named {
    (name, Tensor::bits_from_signs(shape, data).unwrap())
}

fn chain(input: Shape, ops: Vec<Op>, tensors: Vec<Named>) -> Model {
    let mut b = ModelBuilder::new(input);
    for (name, tensor) in tensors {
        b.tensor(name, tensor);
    }
    let mut last = b.input();
    for (i, op) in ops.into_iter().enumerate() {
        last = b.node(format!("node{i}"), op, &[last]);
    }
    b.finish(last).unwrap()
}

pub(super) fn model_of(input: Shape, op: Op, tensors: Vec<Named>) -> Model {
    chain(input, vec![op], tensors)
}

pub(super) fn run_ops(input: Shape, x: &[f32], ops: Vec<Op>, tensors: Vec<Named>) -> ValueData {
    let n = x.len() / input.elements();
    run(&chain(input, ops, tensors), n, x).unwrap().data
}

pub(super) fn run_op(input: Shape, x: &[f32], op: Op, tensors: Vec<Named>) -> ValueData {
    run_ops(input, x, vec![op], tensors)
}
