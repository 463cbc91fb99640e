//! Where each value lies: liveness, and buffers that values share whose lifetimes do not overlap.

use signbit_model::{DType, ValueType};

use super::{Step, stored_len};
use crate::ops::{F32Kernel, Kernel};

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the caller's input.
    Input,
    /// In this buffer of its element type.
    Buffer(usize),
}

/// A buffer that is to be allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffer {
    /// Numbers or words per sample.
    pub(crate) len: usize,
    /// The largest of the values that share it.
    pub(crate) largest: usize,
}

/// The places of all values, and the buffers by element type.
#[derive(Debug)]
pub(crate) struct Places {
    /// By value. A value that no step makes keeps `Input` and is never read.
    pub(crate) of: Vec<Place>,
    pub(crate) f32: Vec<Buffer>,
    pub(crate) i32: Vec<Buffer>,
    pub(crate) bits: Vec<Buffer>,
}

/// Finds a place for the value of every step of a `batch`, and decides which steps run in place.
pub(super) fn run(steps: &mut [Step], types: &[ValueType], output: usize, batch: usize) -> Places {
    let lifetimes = Lifetimes::new(steps, types.len(), output);
    let mut of = vec![Place::Input; types.len()];
    let mut pools = Pools::default();
    for (i, step) in steps.iter_mut().enumerate() {
        let (x, y) = (step.inputs[0], step.output);
        let ValueType { shape, dtype } = types[y];
        let scratch = step.kernel.scratch_len(shape.c, batch).map(|len| pools.of(dtype).take(len, y));
        step.scratch = scratch;
        step.in_place = of[x] != Place::Input && lifetimes.may_run_in_place(i, step);
        of[y] = if step.in_place || matches!(step.kernel, Kernel::Alias) {
            of[x]
        } else {
            Place::Buffer(pools.of(dtype).take(stored_len(types[y]), y))
        };
        if let Some(scratch) = scratch {
            pools.of(dtype).give_back(scratch);
        }
        for &root in &lifetimes.ending[i] {
            let taken_over = step.in_place && root == lifetimes.root[x];
            if let (Place::Buffer(buffer), false) = (of[root], taken_over) {
                pools.of(types[root].dtype).give_back(buffer);
            }
        }
    }
    Places { of, f32: pools.f32.buffers, i32: pools.i32.buffers, bits: pools.bits.buffers }
}

/// How long each value is needed. Values that lie in the same memory by definition (a flattened value and
/// its operand) have one lifetime, that of the first of them: their root.
struct Lifetimes {
    root: Vec<usize>,
    /// By step: the roots whose last reader it is, or whose maker where none reads them. The input and the
    /// output do not end.
    ending: Vec<Vec<usize>>,
}

impl Lifetimes {
    fn new(steps: &[Step], values: usize, output: usize) -> Self {
        let mut root: Vec<usize> = (0..values).collect();
        let mut last = vec![None; values];
        for (i, step) in steps.iter().enumerate() {
            if matches!(step.kernel, Kernel::Alias) {
                root[step.output] = root[step.inputs[0]];
            }
            for &value in step.inputs.iter().chain([&step.output]) {
                last[root[value]] = Some(i);
            }
        }
        last[0] = None;
        last[root[output]] = None;
        let mut ending = vec![Vec::new(); steps.len()];
        for (value, last) in last.into_iter().enumerate() {
            if let Some(step) = last {
                ending[step].push(value);
            }
        }
        Self { root, ending }
    }

    /// Whether step `i` may overwrite its first input: it copies it, is its last reader, and reads it once.
    fn may_run_in_place(&self, i: usize, step: &Step) -> bool {
        let root = self.root[step.inputs[0]];
        matches!(step.kernel, Kernel::F32(F32Kernel::Copy))
            && self.ending[i].contains(&root)
            && step.inputs[1..].iter().all(|&value| self.root[value] != root)
    }
}

/// The buffers of each element type.
#[derive(Default)]
struct Pools {
    f32: Pool,
    i32: Pool,
    bits: Pool,
}

impl Pools {
    fn of(&mut self, dtype: DType) -> &mut Pool {
        match dtype {
            DType::F32 => &mut self.f32,
            DType::I32 => &mut self.i32,
            DType::Bits => &mut self.bits,
        }
    }
}

/// Buffers of one element type, some of them free.
#[derive(Default)]
struct Pool {
    buffers: Vec<Buffer>,
    free: Vec<usize>,
}

impl Pool {
    /// The free buffer that fits best: the smallest that is large enough, or else the largest, which grows. A
    /// new one where none is free. `value` is what is to lie in it.
    fn take(&mut self, len: usize, value: usize) -> usize {
        let size = |i: &usize| self.buffers[*i].len;
        let fitting = self.free.iter().filter(|i| size(i) >= len).min_by_key(|i| size(i));
        let Some(&chosen) = fitting.or_else(|| self.free.iter().max_by_key(|i| size(i))) else {
            self.buffers.push(Buffer { len, largest: value });
            return self.buffers.len() - 1;
        };
        self.free.retain(|&i| i != chosen);
        if self.buffers[chosen].len < len {
            self.buffers[chosen] = Buffer { len, largest: value };
        }
        chosen
    }

    fn give_back(&mut self, buffer: usize) {
        self.free.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::{ModelBuilder, Op, Shape, Tensor};

    use super::*;
    use crate::Options;
    use crate::plan::Plan;

    #[test]
    fn the_best_fit_is_taken_and_the_largest_grows() {
        let mut pool = Pool::default();
        let [a, b, c] = [10, 30, 20].map(|len| pool.take(len, 0));
        [a, b, c].into_iter().for_each(|i| pool.give_back(i));
        assert_eq!(pool.take(15, 1), c);
        assert_eq!(pool.take(40, 2), b);
        assert_eq!(pool.buffers[b], Buffer { len: 40, largest: 2 });
        assert_eq!(pool.take(11, 3), a);
        assert_eq!(pool.take(1, 4), 3);
    }

    fn unfused(model: &signbit_model::Model) -> Plan {
        Plan::new(std::borrow::Cow::Borrowed(model), &Options { fuse: false, ..Options::default() }).unwrap()
    }

    #[test]
    fn a_chain_of_elementwise_operators_runs_in_one_buffer() {
        let mut b = ModelBuilder::new(Shape::new(2, 2, 3));
        let x = b.node("relu", Op::Relu, &[b.input()]);
        let x = b.node("clip", Op::Clip { min: 0.0, max: 1.0 }, &[x]);
        let x = b.node("flat", Op::Flatten, &[x]);
        let x = b.node("relu2", Op::Relu, &[x]);
        let plan = unfused(&b.finish(x).unwrap());
        assert_eq!(plan.places.f32, [Buffer { len: 12, largest: 1 }]);
        assert_eq!(plan.steps.iter().map(|step| step.in_place).collect::<Vec<_>>(), [false, true, false, true]);
    }

    #[test]
    fn a_value_with_a_later_reader_is_not_overwritten() {
        let mut b = ModelBuilder::new(Shape::new(1, 1, 8));
        let x = b.node("relu", Op::Relu, &[b.input()]);
        let y = b.node("clip", Op::Clip { min: 0.0, max: 1.0 }, &[x]);
        let z = b.node("add", Op::Add, &[x, y]);
        let z = b.node("double", Op::Add, &[z, z]);
        let plan = unfused(&b.finish(z).unwrap());
        assert_eq!(plan.steps.iter().map(|step| step.in_place).collect::<Vec<_>>(), [false, false, true, false]);
        assert_eq!(plan.places.f32.len(), 2);
    }

    /// Two buffers of each type serve a chain of any length.
    #[test]
    fn a_chain_alternates_between_two_buffers() {
        let mut b = ModelBuilder::new(Shape::vector(64));
        b.tensor("w", Tensor::bits([64, 64], vec![5; 64]).unwrap());
        let mut x = b.input();
        for i in 0..10 {
            let bits = b.node(format!("sign{i}"), Op::Sign, &[x]);
            x = b.node(format!("fc{i}"), Op::BinaryDense { weight: "w".into() }, &[bits]);
        }
        let plan = unfused(&b.finish(x).unwrap());
        assert_eq!((plan.places.bits.len(), plan.places.i32.len(), plan.places.f32.len()), (1, 1, 0));
    }
}
