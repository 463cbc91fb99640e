//! The way from the model's graph to TensorFlow Lite's.

use signbit_model::{DType, Model, Node, Op, Shape, ValueId, ValueType};

use super::super::names::Names;
use super::super::{refuse, weights};
use super::file::{Code, Element, Field, File, Operator, Options, Tensor};
use super::{FORMAT, MAX_BYTES};
use crate::ConvertError;

/// `BuiltinOperator` numbers, versions and `BuiltinOptions` numbers.
pub(super) mod builtin {
    use super::Code;

    pub(in super::super) const ADD: Code = Code::Builtin(0, 1);
    pub(in super::super) const AVERAGE_POOL_2D: Code = Code::Builtin(1, 1);
    pub(in super::super) const CONCATENATION: Code = Code::Builtin(2, 1);
    pub(in super::super) const CONV_2D: Code = Code::Builtin(3, 1);
    pub(in super::super) const DEPTHWISE_CONV_2D: Code = Code::Builtin(4, 2);
    pub(in super::super) const FULLY_CONNECTED: Code = Code::Builtin(9, 5);
    pub(in super::super) const LOGISTIC: Code = Code::Builtin(14, 1);
    pub(in super::super) const MAX_POOL_2D: Code = Code::Builtin(17, 1);
    pub(in super::super) const MUL: Code = Code::Builtin(18, 1);
    pub(in super::super) const RELU: Code = Code::Builtin(19, 1);
    pub(in super::super) const RELU_N1_TO_1: Code = Code::Builtin(20, 1);
    pub(in super::super) const RELU6: Code = Code::Builtin(21, 1);
    pub(in super::super) const RESHAPE: Code = Code::Builtin(22, 1);
    pub(in super::super) const SOFTMAX: Code = Code::Builtin(25, 1);
    pub(in super::super) const PAD: Code = Code::Builtin(34, 1);
    pub(in super::super) const MEAN: Code = Code::Builtin(40, 1);
    pub(in super::super) const DIV: Code = Code::Builtin(42, 1);
    pub(in super::super) const STRIDED_SLICE: Code = Code::Builtin(45, 1);
    pub(in super::super) const PRELU: Code = Code::Builtin(54, 1);
    pub(in super::super) const MAXIMUM: Code = Code::Builtin(55, 1);
    pub(in super::super) const MINIMUM: Code = Code::Builtin(57, 1);
    pub(in super::super) const PADV2: Code = Code::Builtin(60, 1);
    pub(in super::super) const TRANSPOSE_CONV: Code = Code::Builtin(67, 3);
    pub(in super::super) const ABS: Code = Code::Builtin(101, 1);
}

/// What stands in the file for a value of the model: real numbers, packed bits, or both. `[1, H, W, C]` always.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Forms {
    real: Option<usize>,
    packed: Option<usize>,
}

/// The file so far.
pub(super) struct Lowering<'a> {
    pub(super) model: &'a Model,
    types: &'a [ValueType],
    file: File,
    names: Names,
    forms: Vec<Forms>,
    /// Nodes that the one before them has taken in.
    taken: Vec<bool>,
    constant_bytes: usize,
}

/// The whole graph as a file without metadata.
pub(super) fn lower(model: &Model, types: &[ValueType]) -> Result<File, ConvertError> {
    let mut l = Lowering {
        model,
        forms: vec![Forms::default(); types.len()],
        types,
        file: File::default(),
        names: Names::default(),
        taken: vec![false; model.graph.nodes.len()],
        constant_bytes: 0,
    };
    let shape = model.graph.input.shape;
    l.file.input = l.tensor("input", outer(shape), Element::F32);
    let input = if shape.is_vector() { l.reshape("input.map", l.file.input, shape)? } else { l.file.input };
    l.set(ValueId::INPUT, Forms { real: Some(input), packed: None });
    for (i, node) in model.graph.nodes.iter().enumerate() {
        if l.taken.get(i) != Some(&true) {
            l.node(node, i)?;
        }
    }
    let output = l.real(model.graph.output)?;
    let shape = l.shape(model.graph.output);
    l.file.output = output;
    if shape.is_vector() || output == l.file.input {
        let dims = l.ints("output.shape", &outer(shape))?;
        l.file.output = l.tensor("output", outer(shape), Element::F32);
        l.push(builtin::RESHAPE, &[output, dims], l.file.output, Options::None);
    }
    Ok(l.file)
}

/// The dimensions at the graph's ends.
fn outer(shape: Shape) -> Vec<usize> {
    if shape.is_vector() { vec![1, shape.c] } else { map(shape) }
}

/// The dimensions inside of the graph.
fn map(shape: Shape) -> Vec<usize> {
    vec![1, shape.h, shape.w, shape.c]
}

impl Lowering<'_> {
    fn node(&mut self, node: &Node, i: usize) -> Result<(), ConvertError> {
        let y = ValueId::of_node(i);
        let operand = |i: usize| node.inputs.get(i).copied().unwrap_or(ValueId::INPUT);
        let (x, shape) = (operand(0), self.shape(y));
        let name = node.name.as_str();
        let real = match &node.op {
            Op::BinaryConv2d { .. } | Op::BinaryDense { .. } => return self.binary_layer(node, i),
            Op::Sign | Op::RSign { .. } | Op::Threshold { .. } => return self.bits(node, x, y),
            Op::MaxPool2d { geometry } => return self.max_pool(node, x, y, geometry),
            Op::GlobalMaxPool => return self.global_max_pool(node, x, y),
            Op::Concat => return self.concat(node, y),
            Op::Flatten => return self.flatten(node, x, y),
            Op::Pad { pads, value } => return self.pad_value(node, x, y, *pads, *value),
            Op::Slice { start, end } => return self.slice(node, x, y, *start, *end),
            Op::Unpack => {
                let forms = self.forms(x);
                self.set(y, forms);
                return Ok(());
            }
            Op::Conv2d { weight, bias, geometry, groups } => {
                self.conv(node, x, shape, weight, bias.as_deref(), geometry, *groups)?
            }
            Op::Conv2dTranspose { weight, bias, geometry, groups } => {
                self.transposed(node, x, shape, weight, bias.as_deref(), geometry, *groups)?
            }
            // Larq Compute Engine has none: a real one with weights +1 and -1.
            Op::BinaryConv2dTranspose { weight, geometry, groups } => {
                self.transposed(node, x, shape, weight, None, geometry, *groups)?
            }
            Op::Dense { weight, bias } => self.dense(node, x, shape, weight, bias.as_deref())?,
            Op::ActivationScale { geometry } => self.activation_scale(node, x, shape, geometry)?,
            Op::AvgPool2d { geometry, count_include_pad } => {
                self.avg_pool(node, x, shape, geometry, *count_include_pad)?
            }
            Op::GlobalAvgPool => {
                let (input, axes) = (self.real(x)?, self.ints(&format!("{name}.axes"), &[1, 2])?);
                self.real_node(name, builtin::MEAN, &[input, axes], shape, keep_dims())
            }
            Op::MulAdd { mul, add } => {
                let input = self.real(x)?;
                let (mul, add) = (self.channels(node, mul)?, self.channels(node, add)?);
                self.mul_add(name, input, shape, &mul, &add)?
            }
            Op::Affine { mul, add } => {
                let input = self.real(x)?;
                self.mul_add(name, input, shape, &vec![*mul; shape.c], &vec![*add; shape.c])?
            }
            Op::Add | Op::Mul => {
                let (a, b) = (self.real(x)?, self.real(operand(1))?);
                let (code, options) = if node.op == Op::Add { (builtin::ADD, 11) } else { (builtin::MUL, 21) };
                self.real_node(name, code, &[a, b], shape, Options::Builtin(options, Vec::new()))
            }
            Op::MulMap { map } => {
                let (x, data) = (self.real(x)?, self.channels(node, map)?);
                let map = self.reals(&format!("{name}.map"), &[1, shape.h, shape.w, 1], &data)?;
                self.real_node(name, builtin::MUL, &[x, map], shape, Options::Builtin(21, Vec::new()))
            }
            Op::Relu | Op::Sigmoid => {
                let x = self.real(x)?;
                let code = if node.op == Op::Relu { builtin::RELU } else { builtin::LOGISTIC };
                self.real_node(name, code, &[x], shape, Options::None)
            }
            Op::PRelu { slope } => {
                let (x, slope) = (self.real(x)?, self.channels(node, slope)?);
                self.prelu(name, x, shape, &slope)?
            }
            Op::RPRelu { shift_in, slope, shift_out } => {
                let (x, shift_in) = (self.real(x)?, self.channels(node, shift_in)?);
                let t = self.plus(&format!("{name}.in"), x, shape, &negated(&shift_in))?;
                let slope = self.channels(node, slope)?;
                let t = self.prelu(&format!("{name}.prelu"), t, shape, &slope)?;
                let shift_out = self.channels(node, shift_out)?;
                self.plus(name, t, shape, &shift_out)?
            }
            Op::Clip { min, max } => self.clip(name, x, shape, *min, *max)?,
            Op::Softmax => {
                let x = self.real(x)?;
                let beta = vec![(0, Field::F32(1.0))];
                self.real_node(name, builtin::SOFTMAX, &[x], shape, Options::Builtin(9, beta))
            }
        };
        self.set_real(y, real);
        Ok(())
    }

    pub(super) fn ty(&self, value: ValueId) -> ValueType {
        self.types.get(value.index()).copied().unwrap_or(self.model.graph.input)
    }

    pub(super) fn shape(&self, value: ValueId) -> Shape {
        self.ty(value).shape
    }

    /// The node that alone reads a node's value, where there is such a one that is not yet written.
    pub(super) fn only_reader(&self, value: ValueId) -> Option<(usize, &Node)> {
        if self.model.graph.output == value {
            return None;
        }
        let mut readers = self.model.graph.nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&value));
        let first = readers.next()?;
        (readers.next().is_none() && first.1.inputs.len() == 1).then_some(first)
    }

    pub(super) fn take(&mut self, node: usize) {
        if let Some(taken) = self.taken.get_mut(node) {
            *taken = true;
        }
    }

    pub(super) fn forms(&self, value: ValueId) -> Forms {
        self.forms.get(value.index()).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, value: ValueId, forms: Forms) {
        if let Some(place) = self.forms.get_mut(value.index()) {
            *place = forms;
        }
    }

    pub(super) fn set_real(&mut self, value: ValueId, tensor: usize) {
        self.set(value, Forms { real: Some(tensor), packed: None });
    }

    pub(super) fn set_packed(&mut self, value: ValueId, tensor: usize) {
        self.set(value, Forms { real: None, packed: Some(tensor) });
    }

    /// Whether the value's bits are packed already.
    pub(super) fn is_packed(&self, value: ValueId) -> bool {
        self.forms(value).packed.is_some()
    }

    /// The value as real numbers.
    pub(super) fn real(&mut self, value: ValueId) -> Result<usize, ConvertError> {
        let forms = self.forms(value);
        match (forms.real, forms.packed) {
            (Some(real), _) => Ok(real),
            (None, Some(packed)) => {
                let real = self.tensor("unpacked", map(self.shape(value)), Element::F32);
                self.push(Code::Custom("LceDequantize"), &[packed], real, Options::None);
                self.set(value, Forms { real: Some(real), ..forms });
                Ok(real)
            }
            (None, None) => Err(ConvertError::Malformed { format: FORMAT, what: "a value before its node".into() }),
        }
    }

    /// The value's signs as packed bits.
    pub(super) fn packed(&mut self, value: ValueId) -> Result<usize, ConvertError> {
        let forms = self.forms(value);
        if let Some(packed) = forms.packed {
            return Ok(packed);
        }
        let real = self.real(value)?;
        let packed = self.quantize("packed", real, self.shape(value));
        self.set(value, Forms { packed: Some(packed), ..forms });
        Ok(packed)
    }

    pub(super) fn quantize(&mut self, name: &str, real: usize, shape: Shape) -> usize {
        self.packed_node(name, Code::Custom("LceQuantize"), &[real], shape, Options::None)
    }

    /// Adds an operator whose output are real numbers.
    pub(super) fn real_node(
        &mut self,
        name: &str,
        code: Code,
        inputs: &[usize],
        shape: Shape,
        options: Options,
    ) -> usize {
        let output = self.real_tensor(name, shape);
        self.push(code, inputs, output, options);
        output
    }

    /// Adds an operator whose output are the packed bits of a value of this shape.
    pub(super) fn packed_node(
        &mut self,
        name: &str,
        code: Code,
        inputs: &[usize],
        shape: Shape,
        options: Options,
    ) -> usize {
        let output = self.packed_tensor(name, shape);
        self.push(code, inputs, output, options);
        output
    }

    pub(super) fn push(&mut self, code: Code, inputs: &[usize], output: usize, options: Options) {
        self.push_optional(code, inputs.iter().map(|&i| Some(i)).collect(), output, options);
    }

    pub(super) fn push_optional(&mut self, code: Code, inputs: Vec<Option<usize>>, output: usize, options: Options) {
        self.file.operators.push(Operator { code, inputs, output, options });
    }

    pub(super) fn tensor(&mut self, name: &str, shape: Vec<usize>, element: Element) -> usize {
        self.add(name, shape, element, None)
    }

    fn add(&mut self, name: &str, shape: Vec<usize>, element: Element, data: Option<Vec<u8>>) -> usize {
        let name = self.names.unique(name);
        self.file.tensors.push(Tensor { name, shape, element, data });
        self.file.tensors.len() - 1
    }

    /// A tensor for the real numbers of a value of this shape.
    pub(super) fn real_tensor(&mut self, name: &str, shape: Shape) -> usize {
        self.tensor(name, map(shape), Element::F32)
    }

    /// A tensor for the packed bits of a value of this shape.
    pub(super) fn packed_tensor(&mut self, name: &str, shape: Shape) -> usize {
        self.tensor(name, map(Shape { c: shape.c.div_ceil(32), ..shape }), Element::I32)
    }

    /// Counts the bytes of a constant before it is made.
    pub(super) fn check_room(&mut self, elements: usize) -> Result<(), ConvertError> {
        self.constant_bytes = elements.saturating_mul(4).saturating_add(self.constant_bytes);
        if self.constant_bytes > MAX_BYTES {
            return Err(ConvertError::NotExpressible {
                node: "output".to_owned(),
                operator: "model",
                format: FORMAT,
                reason: format!("its constants take more than {MAX_BYTES} bytes"),
            });
        }
        Ok(())
    }

    /// Adds a constant of real numbers.
    pub(super) fn reals(&mut self, name: &str, shape: &[usize], data: &[f32]) -> Result<usize, ConvertError> {
        self.check_room(data.len())?;
        let bytes = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok(self.add(name, shape.to_vec(), Element::F32, Some(bytes)))
    }

    /// Adds a constant of integers or packed bits.
    pub(super) fn words(&mut self, name: &str, shape: &[usize], data: &[i32]) -> Result<usize, ConvertError> {
        self.check_room(data.len())?;
        let bytes = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok(self.add(name, shape.to_vec(), Element::I32, Some(bytes)))
    }

    /// Adds a constant of integers in one dimension: a shape, axes.
    pub(super) fn ints(&mut self, name: &str, values: &[usize]) -> Result<usize, ConvertError> {
        let data = values.iter().map(|&v| super::super::int(v)).collect::<Result<Vec<i32>, _>>()?;
        self.words(name, &[data.len()], &data)
    }

    /// A tensor of one real number per channel.
    pub(super) fn channels(&self, node: &Node, name: &str) -> Result<Vec<f32>, ConvertError> {
        Ok(weights::reals(weights::tensor(self.model, node, name)?))
    }

    /// The value in another shape of as many elements.
    pub(super) fn reshape(&mut self, name: &str, x: usize, shape: Shape) -> Result<usize, ConvertError> {
        let dims = self.ints(&format!("{name}.shape"), &map(shape))?;
        Ok(self.real_node(name, builtin::RESHAPE, &[x, dims], shape, Options::None))
    }

    /// `x * mul[c] + add[c]`.
    pub(super) fn mul_add(
        &mut self,
        name: &str,
        x: usize,
        shape: Shape,
        mul: &[f32],
        add: &[f32],
    ) -> Result<usize, ConvertError> {
        let mul = self.reals(&format!("{name}.factor"), &[mul.len()], mul)?;
        let options = Options::Builtin(21, Vec::new());
        let product = self.real_node(&format!("{name}.mul"), builtin::MUL, &[x, mul], shape, options);
        self.plus(name, product, shape, add)
    }

    /// `x + add[c]`.
    pub(super) fn plus(&mut self, name: &str, x: usize, shape: Shape, add: &[f32]) -> Result<usize, ConvertError> {
        let add = self.reals(&format!("{name}.summand"), &[add.len()], add)?;
        Ok(self.real_node(name, builtin::ADD, &[x, add], shape, Options::Builtin(11, Vec::new())))
    }

    /// Refuses dot products that F32 cannot hold with a bias beside them.
    pub(super) fn check_row(&self, node: &Node, k: usize) -> Result<(), ConvertError> {
        if k >= 1 << 22 {
            return Err(refuse(node, FORMAT, format!("a dot product of {k} bits is not exact in f32")));
        }
        Ok(())
    }
}

/// Options of a reduction that keeps the dimensions.
pub(super) fn keep_dims() -> Options {
    Options::Builtin(27, vec![(0, Field::Bool(true))])
}

pub(super) fn negated(values: &[f32]) -> Vec<f32> {
    values.iter().map(|v| -v).collect()
}

/// A number below every one of the type.
pub(super) fn lowest(dtype: DType) -> f32 {
    match dtype {
        DType::F32 => f32::MIN,
        DType::I32 => -33_554_432.0,
        DType::Bits => -1.0,
    }
}
