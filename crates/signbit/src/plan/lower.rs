//! One step for every node: its kernel with weights packed for the instruction set.

use std::borrow::Cow;
use std::collections::BTreeMap;

use signbit_kernels::bits::{copy_bits, words};
use signbit_kernels::pool::Pooling;
use signbit_kernels::shape::{Conv, Padding as KernelPadding, ShapeError};
use signbit_model::{
    DType, Geometry, Model, ModelError, Node, NodeError, Op, Padding, Shape, Tensor, TransposedGeometry, ValueType,
};

use super::Step;
use crate::memory::{Budget, reserve};
use crate::ops::binary::{Binary, Thresholds};
use crate::ops::layout::Frame;
use crate::ops::real::{Method, Real, ScaleMap};
use crate::ops::stage::{PerChannel, Stage};
use crate::ops::transposed::{Taps, Transposed};
use crate::ops::window::Window;
use crate::ops::{BitsKernel, F32Kernel, I32Kernel, Kernel};
use crate::{Error, Options};

/// The steps of `model`, in the order of its nodes. `types` is what [`signbit_model::infer`] returned; the packed
/// weights come out of `budget`. An owned model loses each tensor behind the last node that reads it.
pub(super) fn steps(
    model: &mut Cow<'_, Model>,
    types: &[ValueType],
    options: &Options,
    budget: &Budget,
) -> Result<Vec<Step>, Error> {
    let mut last_use: BTreeMap<String, usize> = BTreeMap::new();
    if let Cow::Owned(model) = &*model {
        let uses = model.graph.nodes.iter().enumerate();
        last_use.extend(uses.flat_map(|(i, node)| node.op.tensors().into_iter().map(move |name| (name.to_owned(), i))));
    }
    let mut steps = Vec::with_capacity(model.graph.nodes.len());
    for i in 0..model.graph.nodes.len() {
        let node = &model.graph.nodes[i];
        let inputs: Vec<usize> = node.inputs.iter().map(|id| id.index()).collect();
        let lowering = Lowering {
            node,
            tensors: &model.tensors,
            x: types[inputs[0]],
            second: inputs.get(1).map(|&value| types[value]),
            y: types[i + 1].shape,
            options,
            budget,
        };
        let (kernel, stages) = lowering.kernel()?;
        steps.push(Step { nodes: vec![i], kernel, stages, inputs, output: i + 1, in_place: false, scratch: None });
        if let Cow::Owned(model) = model {
            for name in model.graph.nodes[i].op.tensors() {
                if last_use.get(name) == Some(&i) {
                    model.tensors.remove(name);
                }
            }
        }
    }
    Ok(steps)
}

/// A node with what its kernel depends on.
struct Lowering<'a> {
    node: &'a Node,
    tensors: &'a BTreeMap<String, Tensor>,
    /// The first operand.
    x: ValueType,
    /// The second operand.
    second: Option<ValueType>,
    /// The output's shape.
    y: Shape,
    options: &'a Options,
    budget: &'a Budget,
}

impl Lowering<'_> {
    fn kernel(&self) -> Result<(Kernel, Vec<Stage>), Error> {
        if let Some(stage) = self.stage()? {
            let kernel = if self.x.dtype == DType::I32 { F32Kernel::Convert } else { F32Kernel::Copy };
            return Ok((Kernel::F32(kernel), vec![stage]));
        }
        let kernel = match &self.node.op {
            Op::Conv2d { weight, bias, geometry, groups } => {
                self.real(self.conv(geometry, *groups, KernelPadding::Zero), weight, bias.as_deref())?
            }
            Op::Dense { weight, bias } => self.real(self.dense(), weight, bias.as_deref())?,
            Op::BinaryConv2d { weight, geometry, groups, padding } => {
                let padding = match padding {
                    Padding::Zero => KernelPadding::Zero,
                    Padding::One => KernelPadding::One,
                    Padding::MinusOne => KernelPadding::MinusOne,
                };
                self.binary(self.conv(geometry, *groups, padding), weight)?
            }
            Op::Conv2dTranspose { weight, bias, geometry, groups } => {
                self.real_transposed(geometry, *groups, weight, bias.as_deref())?
            }
            Op::BinaryConv2dTranspose { weight, geometry, groups } => {
                self.binary_transposed(geometry, *groups, weight)?
            }
            Op::BinaryDense { weight } => self.binary(self.dense(), weight)?,
            Op::Sign if self.x.dtype == DType::I32 => Kernel::Bits(BitsKernel::SignI32),
            Op::Sign => Kernel::Bits(BitsKernel::Sign),
            Op::Unpack => Kernel::F32(F32Kernel::Unpack),
            Op::RSign { shift } => Kernel::Bits(BitsKernel::RSign(self.f32(shift)?.into())),
            Op::Threshold { threshold, flip } => {
                let (t, flip) = (self.i32(threshold)?.into(), self.bits(flip)?.into());
                Kernel::Bits(BitsKernel::Threshold(Thresholds { t, flip }))
            }
            Op::MaxPool2d { geometry } => self.max(geometry)?,
            Op::GlobalMaxPool => self.max(&self.whole_image())?,
            Op::AvgPool2d { geometry, count_include_pad } => {
                let count = count_include_pad.then_some(geometry.kernel[0] * geometry.kernel[1]);
                Kernel::F32(F32Kernel::Pool(self.window(geometry)?, Pooling::Mean { count }))
            }
            Op::GlobalAvgPool => {
                let window = self.window(&self.whole_image())?;
                Kernel::F32(F32Kernel::Pool(window, Pooling::Mean { count: None }))
            }
            Op::Concat => match self.x.dtype {
                DType::F32 => Kernel::F32(F32Kernel::Concat),
                DType::I32 => Kernel::I32(I32Kernel::Concat),
                DType::Bits => Kernel::Bits(BitsKernel::Concat),
            },
            Op::Pad { pads, value } => {
                let frame = Frame { input: self.x.shape, output: self.y, top: pads[0], left: pads[1] };
                match self.x.dtype {
                    DType::Bits => Kernel::Bits(BitsKernel::Pad(frame, *value > 0.0)),
                    _ => Kernel::F32(F32Kernel::Pad(frame, *value)),
                }
            }
            Op::Slice { start, end: _ } => match self.x.dtype {
                DType::F32 => Kernel::F32(F32Kernel::Slice(*start)),
                DType::I32 => Kernel::I32(I32Kernel::Slice(*start)),
                DType::Bits => Kernel::Bits(BitsKernel::Slice(*start)),
            },
            Op::Flatten if self.same_in_memory() => Kernel::Alias,
            Op::Flatten => Kernel::Bits(BitsKernel::Flatten),
            Op::Softmax => Kernel::F32(F32Kernel::Softmax),
            Op::ActivationScale { geometry } => {
                let conv = self.checked(self.conv(geometry, 1, KernelPadding::Zero))?;
                Kernel::F32(F32Kernel::ScaleMap(ScaleMap { conv }))
            }
            // The elementwise operators have become stages above.
            Op::MulAdd { .. }
            | Op::Affine { .. }
            | Op::Add
            | Op::Mul
            | Op::MulMap { .. }
            | Op::Relu
            | Op::PRelu { .. }
            | Op::RPRelu { .. }
            | Op::Sigmoid
            | Op::Clip { .. } => Kernel::F32(F32Kernel::Copy),
        };
        Ok((kernel, Vec::new()))
    }

    /// The elementwise operators on real numbers.
    fn stage(&self) -> Result<Option<Stage>, Error> {
        Ok(Some(match &self.node.op {
            Op::MulAdd { mul, add } => Stage::MulAdd { mul: self.f32(mul)?.into(), add: self.f32(add)?.into() },
            Op::Affine { mul, add } => Stage::Affine { mul: *mul, add: *add },
            Op::Add => Stage::Add { operand: 1 },
            Op::Mul if self.second.is_some_and(|k| k.shape == self.x.shape) => Stage::Mul { operand: 1 },
            Op::Mul if self.second.is_some_and(|k| k.shape == Shape::vector(self.y.c)) => {
                Stage::MulChannel { operand: 1 }
            }
            Op::Mul => Stage::MulPixel { operand: 1 },
            Op::MulMap { map } => Stage::MulMap { map: self.f32(map)?.into() },
            Op::Relu => Stage::Relu,
            Op::PRelu { slope } => Stage::PRelu { slope: self.f32(slope)?.into() },
            Op::RPRelu { shift_in, slope, shift_out } => {
                let (shift_in, slope): (PerChannel, PerChannel) = (self.f32(shift_in)?.into(), self.f32(slope)?.into());
                Stage::RPRelu { shift_in, slope, shift_out: self.f32(shift_out)?.into() }
            }
            Op::Sigmoid => Stage::Sigmoid,
            Op::Clip { min, max } => Stage::Clip { min: *min, max: *max },
            _ => return Ok(None),
        }))
    }

    fn real(&self, conv: Conv, weight: &str, bias: Option<&str>) -> Result<Kernel, Error> {
        let conv = self.checked(conv)?;
        let bias = bias.map(|name| self.f32(name)).transpose()?;
        let weights = self.real_weights(weight)?;
        let method = Method::of(&conv, self.options.winograd);
        let scratch = (method.scratch_bytes(&conv) as u64).saturating_mul(self.options.threads as u64);
        self.budget.take(&self.node.name, scratch)?;
        Ok(Kernel::F32(F32Kernel::Real(self.real_layer(conv, method, &weights, bias)?)))
    }

    fn real_layer(&self, conv: Conv, method: Method, weights: &[f32], bias: Option<&[f32]>) -> Result<Real, Error> {
        let bytes = method.packed_bytes(self.options.isa, &conv);
        self.budget.take(&self.node.name, bytes as u64)?;
        Real::new(self.options.isa, conv, method, weights, bias).ok_or_else(|| self.no_memory(bytes))
    }

    /// The numbers of a tensor, bits as +1.0 and -1.0.
    fn real_weights(&self, name: &str) -> Result<Cow<'_, [f32]>, Error> {
        let tensor = self.tensor(name)?;
        Ok(match tensor.as_f32() {
            Some(weights) => Cow::Borrowed(weights),
            None => Cow::Owned(self.signs(tensor.row_len(), self.bits(name)?)?),
        })
    }

    /// Rows of `len` bits as +1.0 and -1.0.
    fn signs(&self, len: usize, rows: &[u64]) -> Result<Vec<f32>, Error> {
        let count = rows.len() / words(len);
        let bytes = (count as u64).saturating_mul(len as u64).saturating_mul(size_of::<f32>() as u64);
        self.budget.check(&self.node.name, bytes)?;
        let mut signs = Vec::new();
        reserve(&mut signs, &self.node.name, count, len)?;
        for (signs, row) in signs.chunks_exact_mut(len).zip(rows.chunks_exact(words(len))) {
            for (k, sign) in signs.iter_mut().enumerate() {
                *sign = if row[k / 64] >> (k % 64) & 1 == 1 { 1.0 } else { -1.0 };
            }
        }
        Ok(signs)
    }

    fn binary(&self, conv: Conv, weight: &str) -> Result<Kernel, Error> {
        let conv = self.checked(conv)?;
        let rows = self.bits(weight)?;
        Ok(Kernel::I32(I32Kernel::Dots(self.binary_layer(conv, rows)?)))
    }

    fn binary_layer(&self, conv: Conv, rows: &[u64]) -> Result<Binary, Error> {
        let bytes = Binary::packed_bytes(self.options.isa, &conv);
        self.budget.take(&self.node.name, bytes as u64)?;
        Binary::new(self.options.isa, conv, rows).ok_or_else(|| self.no_memory(bytes))
    }

    fn real_transposed(
        &self,
        geometry: &TransposedGeometry,
        groups: usize,
        weight: &str,
        bias: Option<&str>,
    ) -> Result<Kernel, Error> {
        let bias = bias.map(|name| self.f32(name)).transpose()?;
        let weights = self.real_weights(weight)?;
        let mut some = Vec::new();
        let layer = |conv: Conv, taps: &Taps| {
            let conv = self.checked(conv)?;
            let group = conv.group_in();
            let len = conv.c_out * conv.k();
            // Of phases with a tap or two, the weights are not most of it.
            self.budget.take(&self.node.name, (size_of::<Real>() + size_of_val(bias.unwrap_or_default())) as u64)?;
            self.budget.check(&self.node.name, (len as u64).saturating_mul(size_of::<f32>() as u64))?;
            reserve(&mut some, &self.node.name, conv.c_out, conv.k())?;
            let rows = weights.chunks_exact(taps.of_layer() * group).zip(some.chunks_exact_mut(conv.k()));
            for (row, some) in rows {
                for (some, tap) in some.chunks_exact_mut(group).zip(taps.numbers()) {
                    some.copy_from_slice(&row[tap * group..][..group]);
                }
            }
            self.real_layer(conv, Method::FixedOrder, &some[..len], bias)
        };
        let layer = Transposed::new(geometry, groups, (self.x.shape, self.y), layer)?;
        Ok(Kernel::F32(F32Kernel::TransposedReal(layer, bias.map(Into::into))))
    }

    fn binary_transposed(&self, geometry: &TransposedGeometry, groups: usize, weight: &str) -> Result<Kernel, Error> {
        let rows = self.bits(weight)?;
        let layer = |conv: Conv, taps: &Taps| {
            let conv = self.checked(conv)?;
            let group = conv.group_in();
            let (len, row_len) = (words(conv.k()), words(taps.of_layer() * group));
            self.budget.take(&self.node.name, size_of::<Binary>() as u64)?;
            // As many bits as the packed weights have at least, which the budget then counts.
            let mut some = vec![0; conv.c_out * len];
            for (row, some) in rows.chunks_exact(row_len).zip(some.chunks_exact_mut(len)) {
                for (i, tap) in taps.numbers().enumerate() {
                    copy_bits(row, tap * group, some, i * group, group);
                }
            }
            self.binary_layer(conv, &some)
        };
        let layer = Transposed::new(geometry, groups, (self.x.shape, self.y), layer)?;
        Ok(Kernel::I32(I32Kernel::TransposedDots(layer)))
    }

    fn max(&self, geometry: &Geometry) -> Result<Kernel, Error> {
        let window = self.window(geometry)?;
        Ok(match self.x.dtype {
            DType::F32 => Kernel::F32(F32Kernel::Pool(window, Pooling::Max)),
            DType::I32 => Kernel::I32(I32Kernel::Max(window)),
            DType::Bits => Kernel::Bits(BitsKernel::Max(window)),
        })
    }

    fn window(&self, geometry: &Geometry) -> Result<Window, Error> {
        Window::new(*geometry, self.x.shape, self.y).map_err(|source| self.too_large(source))
    }

    fn whole_image(&self) -> Geometry {
        Geometry::valid([self.x.shape.h, self.x.shape.w], [1, 1], [1, 1])
    }

    /// Whether a flattened value has the same memory: it has, unless there are gaps behind each pixel's bits.
    fn same_in_memory(&self) -> bool {
        let Shape { h, w, c } = self.x.shape;
        self.x.dtype != DType::Bits || c.is_multiple_of(64) || h * w == 1
    }

    /// The kernels' description of a convolution of one sample.
    fn conv(&self, geometry: &Geometry, groups: usize, padding: KernelPadding) -> Conv {
        let Shape { h, w, c } = self.x.shape;
        let Geometry { kernel, stride, dilation, pads } = *geometry;
        Conv { n: 1, h, w, c_in: c, c_out: self.y.c, kernel, stride, dilation, pads, padding, groups }
    }

    fn dense(&self) -> Conv {
        Conv::dense(1, self.x.shape.c, self.y.c)
    }

    fn checked(&self, conv: Conv) -> Result<Conv, Error> {
        conv.validate().map(|()| conv).map_err(|source| self.too_large(source))
    }

    fn too_large(&self, source: ShapeError) -> Error {
        Error::Layer { layer: self.node.name.clone(), source }
    }

    fn tensor(&self, name: &str) -> Result<&Tensor, Error> {
        self.tensors.get(name).ok_or_else(|| self.missing(name))
    }

    fn f32(&self, name: &str) -> Result<&[f32], Error> {
        self.tensor(name)?.as_f32().ok_or_else(|| self.missing(name))
    }

    fn i32(&self, name: &str) -> Result<&[i32], Error> {
        self.tensor(name)?.as_i32().ok_or_else(|| self.missing(name))
    }

    fn bits(&self, name: &str) -> Result<&[u64], Error> {
        self.tensor(name)?.as_rows().ok_or_else(|| self.missing(name))
    }

    /// There is no tensor of this name and the wanted type. Inference has found out before.
    fn missing(&self, name: &str) -> Error {
        let source = NodeError::MissingTensor { tensor: name.to_owned() };
        ModelError::Node { node: self.node.name.clone(), source }.into()
    }

    fn no_memory(&self, bytes: usize) -> Error {
        Error::Memory { layer: self.node.name.clone(), bytes }
    }
}

impl Thresholds {
    /// The thresholds of `sign(x)`.
    pub(super) fn of_sign(channels: usize) -> Self {
        Self { t: vec![0; channels].into(), flip: vec![0; words(channels)].into() }
    }
}
