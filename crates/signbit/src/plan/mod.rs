//! The plan: a graph turned into steps, each with its kernel, its packed weights and its place in memory.
//!
//! Planning runs once, in four rooms: [`lower`] makes one step of every node, [`fuse`] joins neighbours,
//! [`place`] lets values whose lifetimes do not overlap share a buffer, and [`Plan::memory`] allocates
//! what came out. A plan does not change afterwards, so that sessions share it.

mod cost;
mod fuse;
mod lower;
mod place;

use std::borrow::Cow;

use signbit_kernels::{Isa, bits};
use signbit_model::{DType, Graph, Preprocessing, ValueType};

use crate::memory::{Aligned, Budget, Memory};
use crate::ops::Kernel;
use crate::ops::stage::Stage;
use crate::{Error, Options, ValueView};
pub(crate) use place::{Place, Places};

/// One unit of work: it reads values and makes one.
#[derive(Debug)]
pub(crate) struct Step {
    /// The graph's nodes that it computes, the one whose output it makes last.
    pub(crate) nodes: Vec<usize>,
    /// What it does.
    pub(crate) kernel: Kernel,
    /// What it does with a real output, or with the real numbers whose signs it takes, while they are in the cache.
    pub(crate) stages: Vec<Stage>,
    /// The values that it reads; the stages' operands come last.
    pub(crate) inputs: Vec<usize>,
    /// The value that it makes.
    pub(crate) output: usize,
    /// Whether the output takes the place of the first input.
    pub(crate) in_place: bool,
    /// The buffer, of its output's type, that it needs while it runs.
    pub(crate) scratch: Option<usize>,
}

impl Step {
    /// The inputs that the kernel reads; the stages read the others.
    pub(crate) fn kernel_inputs(&self) -> &[usize] {
        let of_stages = self.stages.iter().filter(|stage| stage.reads_operand()).count();
        &self.inputs[..self.inputs.len() - of_stages]
    }
}

/// Everything about a network's run that stays the same from one run to the next.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) isa: Isa,
    pub(crate) batch: usize,
    pub(crate) graph: Graph,
    pub(crate) preprocessing: Option<Preprocessing>,
    pub(crate) classes: Vec<String>,
    /// The type of each value: the input's, then each node's.
    pub(crate) types: Vec<ValueType>,
    pub(crate) steps: Vec<Step>,
    pub(crate) places: Places,
}

impl Plan {
    /// A plan for `model`; the tensors of one that is owned are dropped as they have been packed.
    pub(crate) fn new(model: Cow<'_, signbit_model::Model>, options: &Options) -> Result<Self, Error> {
        if options.batch == 0 {
            return Err(Error::Batch);
        }
        let types = signbit_model::infer(&model.graph, &model.tensors)?;
        let output = model.graph.output.index();
        let budget = Budget::new(options.memory_limit);
        let mut model = model;
        let mut steps = lower::steps(&mut model, &types, options, &budget)?;
        if options.fuse {
            steps = fuse::run(steps, &types, output);
        }
        let places = place::run(&mut steps, &types, output, options.batch);
        let plan = Self {
            isa: options.isa,
            batch: options.batch,
            graph: model.graph.clone(),
            preprocessing: model.preprocessing.clone(),
            classes: model.classes.clone(),
            types,
            steps,
            places,
        };
        plan.take_memory(&budget)?;
        Ok(plan)
    }

    /// Takes out of `budget` what a session allocates or its caller must have: the buffers of a batch, its input
    /// and its output.
    fn take_memory(&self, budget: &Budget) -> Result<(), Error> {
        let take = |layer: &str, len: usize, size: usize| {
            let bytes = (len as u64).saturating_mul(self.batch as u64).saturating_mul(size as u64);
            budget.take(layer, bytes)
        };
        take("input", self.input_len(), size_of::<f32>())?;
        let Places { f32, i32, bits, .. } = &self.places;
        for (buffers, size) in [(f32, size_of::<f32>()), (i32, size_of::<i32>()), (bits, size_of::<u64>())] {
            for buffer in buffers {
                take(self.value_name(buffer.largest), buffer.len, size)?;
            }
        }
        take("output", self.output_len(), size_of::<f32>())
    }

    /// Allocates the buffers of a session.
    pub(crate) fn memory(&self) -> Result<Memory, Error> {
        Ok(Memory {
            f32: self.allocate(&self.places.f32)?,
            i32: self.allocate(&self.places.i32)?,
            bits: self.allocate(&self.places.bits)?,
        })
    }

    fn allocate<T: Copy + Default>(&self, buffers: &[place::Buffer]) -> Result<Vec<Aligned<T>>, Error> {
        let allocate = |buffer: &place::Buffer| {
            let len = buffer.len.checked_mul(self.batch);
            len.and_then(Aligned::zeros).ok_or_else(|| Error::Memory {
                layer: self.value_name(buffer.largest).to_owned(),
                bytes: buffer.len.saturating_mul(self.batch).saturating_mul(size_of::<T>()),
            })
        };
        buffers.iter().map(allocate).collect()
    }

    /// The name of the node that makes a value.
    fn value_name(&self, value: usize) -> &str {
        value.checked_sub(1).map_or("input", |node| &self.graph.nodes[node].name)
    }

    /// Elements of one sample of the input.
    pub(crate) fn input_len(&self) -> usize {
        self.types[0].shape.elements()
    }

    /// Elements of one sample of the output.
    pub(crate) fn output_len(&self) -> usize {
        self.types[self.graph.output.index()].shape.elements()
    }
}

/// Numbers, or words of bits, that one sample of a value takes in memory.
pub(crate) fn stored_len(ty: ValueType) -> usize {
    match ty.dtype {
        DType::F32 | DType::I32 => ty.shape.elements(),
        DType::Bits => ty.shape.h * ty.shape.w * bits::words(ty.shape.c),
    }
}

/// What a step reads from while it runs: the batch's input and the values made before.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    pub(crate) plan: &'a Plan,
    /// Samples in this run.
    pub(crate) n: usize,
    pub(crate) input: &'a [f32],
    pub(crate) memory: &'a Memory,
}

impl<'a> Values<'a> {
    /// A real value.
    pub(crate) fn f32(&self, value: usize) -> &'a [f32] {
        match self.plan.places.of[value] {
            Place::Input => self.input,
            Place::Buffer(i) => &self.memory.f32[i][..self.len(value)],
        }
    }

    /// An integer value.
    pub(crate) fn i32(&self, value: usize) -> &'a [i32] {
        match self.plan.places.of[value] {
            Place::Input => &[],
            Place::Buffer(i) => &self.memory.i32[i][..self.len(value)],
        }
    }

    /// A value of bits.
    pub(crate) fn bits(&self, value: usize) -> &'a [u64] {
        match self.plan.places.of[value] {
            Place::Input => &[],
            Place::Buffer(i) => &self.memory.bits[i][..self.len(value)],
        }
    }

    /// A value of any type.
    pub(crate) fn view(&self, value: usize) -> ValueView<'a> {
        let ValueType { shape, dtype } = self.plan.types[value];
        match dtype {
            DType::F32 => ValueView::F32 { shape, data: self.f32(value) },
            DType::I32 => ValueView::I32 { shape, data: self.i32(value) },
            DType::Bits => ValueView::Bits { shape, data: self.bits(value) },
        }
    }

    /// Numbers or words of a value.
    pub(crate) fn len(&self, value: usize) -> usize {
        self.n * stored_len(self.plan.types[value])
    }
}
