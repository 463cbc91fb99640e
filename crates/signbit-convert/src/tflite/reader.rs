//! The walk over the operators: what each tensor of the file is in the draft.

use std::collections::{BTreeMap, BTreeSet};

use signbit_model::{DType, Op, Shape, ValueId};

use super::fold::{self, Folded};
use super::schema::{File, Operator, TensorInfo, malformed};
use super::{Result, arithmetic, conv, lce, pad, pool, shape, slice, transposed};
use crate::{Activation, Draft, Imported, Warning};

/// What a tensor of the file is.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// A value of the draft.
    Value(ValueId),
    /// The same constant as another tensor, whose data the file has.
    Constant(usize),
    /// A constant that the graph computes from others.
    Folded(Folded),
    /// Dimensions of a shape, computed by the graph.
    Dims(Vec<Dim>),
}

/// One dimension of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dim {
    /// The batch, whatever it is in a run.
    Batch,
    /// A number; -1 in the shape of a reshape is to be computed.
    Known(i64),
}

/// The state of the translation.
pub(super) struct Reader<'f, 'a> {
    pub(super) file: &'f File<'a>,
    pub(super) draft: Draft,
    held: BTreeMap<usize, Held>,
    names: BTreeSet<String>,
    /// The file's batch; `None` where it is dynamic.
    pub(super) batch: Option<usize>,
    /// Bytes that may still be allocated for constants.
    budget: usize,
    told_quantized: bool,
    /// The operator that is read, and by tensor the last one that reads it.
    at: usize,
    last_uses: BTreeMap<usize, usize>,
}

/// Bytes of constants that a file may become, beside 16 times its own size.
const BUDGET: usize = 4 << 20;

pub(super) fn read(bytes: &[u8]) -> Result<Imported> {
    let file = File::read(bytes)?;
    let mut reader = Reader::of_graph(&file)?;
    reader.find_last_uses()?;
    reader.run()?;
    let outputs = file.outputs()?;
    let [output] = outputs[..] else {
        return Err(malformed(format!("{} outputs; a network with one is taken in", outputs.len())));
    };
    let Some(Held::Value(output)) = reader.held.get(&output).cloned() else {
        return Err(malformed("its output does not depend on its input"));
    };
    reader.draft.finish(output)
}

impl<'f, 'a> Reader<'f, 'a> {
    /// A reader of the whole graph, its input known.
    pub(super) fn of_graph(file: &'f File<'a>) -> Result<Self> {
        let inputs = file.inputs()?;
        let [input] = inputs[..] else {
            return Err(malformed(format!("{} inputs; a network with one is taken in", inputs.len())));
        };
        let tensor = file.tensor(input)?;
        let seen = shape::of_input(file, input)?;
        let mut reader = Self::new(file, seen, tensor.dims.first().copied().flatten());
        reader.see_quantized(&tensor, "the input");
        if !tensor.kind.is_real() {
            return Err(malformed(format!("its input is {:?}, it must be real numbers", tensor.kind)));
        }
        let value = reader.draft.input();
        reader.held.insert(input, Held::Value(value));
        Ok(reader)
    }

    /// A reader of parts of a graph.
    pub(super) fn new(file: &'f File<'a>, input: Shape, batch: Option<usize>) -> Self {
        Self {
            file,
            draft: Draft::new(input),
            held: BTreeMap::new(),
            names: BTreeSet::new(),
            batch,
            budget: file.len().saturating_mul(16).saturating_add(BUDGET),
            told_quantized: false,
            at: 0,
            last_uses: BTreeMap::new(),
        }
    }

    /// Translates all operators.
    pub(super) fn run(&mut self) -> Result<()> {
        for i in 0..self.file.operators() {
            let op = self.file.operator(i)?;
            self.at = i;
            let read: Vec<usize> = op.inputs.iter().flatten().copied().filter(|&t| self.is_last_use(t)).collect();
            self.step(op)?;
            for tensor in read {
                if matches!(self.held.get(&tensor), Some(Held::Folded(_))) {
                    self.forget(tensor);
                }
            }
        }
        Ok(())
    }

    /// From now on, constants that the graph computes are dropped behind their last use.
    fn find_last_uses(&mut self) -> Result<()> {
        for i in 0..self.file.operators() {
            self.last_uses.extend(self.file.operator(i)?.inputs.into_iter().flatten().map(|index| (index, i)));
        }
        Ok(())
    }

    /// Whether the operator that is read is the last that reads this tensor, as far as that is known.
    pub(super) fn is_last_use(&self, tensor: usize) -> bool {
        self.last_uses.get(&tensor) == Some(&self.at)
    }

    /// A tensor that is not read again.
    pub(super) fn forget(&mut self, tensor: usize) {
        self.held.remove(&tensor);
    }

    /// Translates one operator.
    pub(super) fn step(&mut self, mut op: Operator<'a>) -> Result<()> {
        self.draft.found(&op.kind);
        if !self.names.insert(op.name.clone()) {
            op.name = format!("{}.{}", op.name, op.outputs.first().copied().unwrap_or(0));
            self.names.insert(op.name.clone());
        }
        if fold::fold(self, &op)? {
            return Ok(());
        }
        match op.kind.as_str() {
            "LceQuantize" => lce::quantize(self, &op),
            "LceDequantize" => lce::dequantize(self, &op),
            "LceBconv2d" => lce::bconv2d(self, &op),
            "LceBMaxPool2d" => lce::bmaxpool2d(self, &op),
            "CONV_2D" => conv::conv2d(self, &op),
            "DEPTHWISE_CONV_2D" => conv::depthwise(self, &op),
            "TRANSPOSE_CONV" => transposed::conv2d(self, &op),
            "FULLY_CONNECTED" => conv::fully_connected(self, &op),
            "ADD" => arithmetic::add(self, &op),
            "SUB" => arithmetic::sub(self, &op),
            "MUL" => arithmetic::mul(self, &op),
            "DIV" => arithmetic::div(self, &op),
            "RELU" => arithmetic::activation(self, &op, Activation::Relu),
            "RELU6" => arithmetic::activation(self, &op, Activation::Relu6),
            "RELU_N1_TO_1" => arithmetic::activation(self, &op, Activation::ReluN1To1),
            "MAXIMUM" => arithmetic::bound(self, &op, f32::MAX),
            "MINIMUM" => arithmetic::bound(self, &op, f32::MIN),
            "ABS" => arithmetic::magnitude(self, &op),
            "PRELU" => arithmetic::prelu(self, &op),
            "LEAKY_RELU" => arithmetic::leaky_relu(self, &op),
            "LOGISTIC" => arithmetic::logistic(self, &op),
            "SOFTMAX" => arithmetic::softmax(self, &op),
            "MAX_POOL_2D" => pool::max(self, &op),
            "AVERAGE_POOL_2D" => pool::average(self, &op),
            "MEAN" => pool::reduce(self, &op, Op::GlobalAvgPool),
            "REDUCE_MAX" => pool::reduce(self, &op, Op::GlobalMaxPool),
            "PAD" | "PADV2" => pad::pad(self, &op),
            "RESHAPE" => shape::reshape(self, &op),
            "SQUEEZE" | "EXPAND_DIMS" => shape::same_order(self, &op),
            "TRANSPOSE" => shape::transpose(self, &op),
            "SHAPE" => shape::shape_of(self, &op),
            "PACK" => shape::pack(self, &op),
            "CAST" => shape::cast(self, &op),
            "CONCATENATION" => slice::concatenation(self, &op),
            "SPLIT" => slice::split(self, &op),
            "SPLIT_V" => slice::split_v(self, &op),
            "SLICE" => slice::slice(self, &op),
            "STRIDED_SLICE" => slice::strided_slice(self, &op),
            "QUANTIZE" | "DEQUANTIZE" => self.same(&op),
            _ => Err(op.refuse("there is nothing like it in a signbit graph")),
        }
    }

    /// What the operand `i` is, where an operator before made it.
    pub(super) fn held(&self, op: &Operator, i: usize) -> Result<Option<&Held>> {
        Ok(self.held.get(&op.needs(i)?))
    }

    /// Everything that is held, by tensor.
    pub(super) fn all_held(&self) -> &BTreeMap<usize, Held> {
        &self.held
    }

    /// Sets what a tensor is, without a check.
    pub(super) fn hold(&mut self, tensor: usize, held: Held) {
        self.held.insert(tensor, held);
    }

    /// The operand `i`, a value of the draft.
    pub(super) fn value(&self, op: &Operator, i: usize) -> Result<ValueId> {
        match self.held(op, i)? {
            Some(Held::Value(value)) => Ok(*value),
            _ => Err(op.refuse(format!("its input {i} does not depend on the network's input"))),
        }
    }

    /// The operand `i`, a real value; a sum of signs cannot be there.
    pub(super) fn real(&self, op: &Operator, i: usize) -> Result<ValueId> {
        let value = self.value(op, i)?;
        match self.draft.value_type(value).dtype {
            DType::F32 => Ok(value),
            other => Err(op.refuse(format!("its input {i} is {other}, it must be real"))),
        }
    }

    /// The operand `i` and its number of dimensions in the file, with the batch.
    pub(super) fn rank(&self, op: &Operator, i: usize) -> Result<usize> {
        Ok(self.file.tensor(op.needs(i)?)?.shape.len())
    }

    /// Allows `bytes` of constants.
    pub(super) fn spend(&mut self, bytes: Option<usize>) -> Result<()> {
        let left = bytes.and_then(|bytes| self.budget.checked_sub(bytes));
        self.budget = left.ok_or_else(|| malformed("its constants take more than 16 times its size"))?;
        Ok(())
    }

    /// The only output is `value`, after a fused activation.
    pub(super) fn put_activated(&mut self, op: &Operator, value: ValueId, activation: Activation) -> Result<()> {
        let value = self.draft.activation(&op.name, value, activation)?;
        self.put(op, 0, value)
    }

    /// The output `i` is `value`; its shape must be what the file says.
    pub(super) fn put(&mut self, op: &Operator, i: usize, value: ValueId) -> Result<()> {
        let Some(&index) = op.outputs.get(i) else {
            return Err(malformed(format!("`{}`: {} has no output {i}", op.name, op.kind)));
        };
        let tensor = self.file.tensor(index)?;
        self.check_shape(op, &tensor, value)?;
        self.see_quantized(&tensor, &op.name);
        self.put_held(op, i, Held::Value(value))
    }

    /// The output `i` is something that is not a value.
    pub(super) fn put_held(&mut self, op: &Operator, i: usize, held: Held) -> Result<()> {
        let place = op.outputs.get(i).copied().unwrap_or(usize::MAX);
        match self.held.insert(place, held) {
            None => Ok(()),
            Some(_) => Err(malformed(format!("two operators make the tensor {place}"))),
        }
    }

    /// The output is the input, as a real number or a constant.
    fn same(&mut self, op: &Operator) -> Result<()> {
        match self.held(op, 0)?.cloned() {
            Some(Held::Value(value)) => self.put(op, 0, value),
            Some(held) => self.put_held(op, 0, held),
            None => self.put_held(op, 0, Held::Constant(op.needs(0)?)),
        }
    }

    /// Whether the operand `i` is a constant, of the file or computed.
    pub(super) fn is_constant(&self, op: &Operator, i: usize) -> Result<bool> {
        Ok(matches!(self.held(op, i)?, None | Some(Held::Constant(_) | Held::Folded(_))))
    }

    /// The tensor in the file that has a constant operand's data; `None` for anything else.
    pub(super) fn constant(&self, op: &Operator, i: usize) -> Result<Option<usize>> {
        match self.held(op, i)? {
            None => Ok(Some(op.needs(i)?)),
            Some(Held::Constant(tensor)) => Ok(Some(*tensor)),
            Some(_) => Ok(None),
        }
    }

    fn check_shape(&self, op: &Operator, tensor: &TensorInfo, value: ValueId) -> Result<()> {
        let ty = self.draft.value_type(value);
        let c = if ty.dtype == DType::Bits && !tensor.kind.is_real() { ty.shape.c.div_ceil(32) } else { ty.shape.c };
        let dims = match tensor.dims[..] {
            [] => return Ok(()), // Its shape is not known.
            [_, d] if ty.shape.is_vector() => [Some(1), Some(1), d],
            [_, w, d] if ty.shape.h == 1 => [Some(1), w, d],
            [_, h, w, d] => [h, w, d],
            _ => return Err(op.refuse(format!("its output {:?} is no [N, H, W, C] or [N, C]", tensor.shape))),
        };
        let batch_fits = tensor.dims[0].is_none_or(|n| self.batch.is_none_or(|batch| n == batch));
        let fits = dims.iter().zip([ty.shape.h, ty.shape.w, c]).all(|(dim, is)| dim.is_none_or(|dim| dim == is));
        if !batch_fits || !fits {
            let what =
                format!("its output is {:?} in the file, but {} per sample by its inputs", tensor.shape, ty.shape);
            return Err(op.refuse(what));
        }
        Ok(())
    }

    /// Warns once where a tensor stands for real numbers by a scale.
    pub(super) fn see_quantized(&mut self, tensor: &TensorInfo, node: &str) {
        if tensor.kind.is_quantized() && !std::mem::replace(&mut self.told_quantized, true) {
            let what = "int8 tensors became real numbers; the rounding and saturation of int8 steps is not reproduced";
            self.draft.warn(Warning::Other { node: node.to_owned(), what: what.to_owned() });
        }
    }
}
