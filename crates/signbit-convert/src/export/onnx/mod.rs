//! Models as ONNX files.
//!
//! Only operators of ONNX's own set, version 13, so that ONNX Runtime and other engines run the file as it is.
//!
//! * The input is `input`, the output `output`, both F32, with the batch size `N` left open. A picture or feature
//!   map is `[N, H, W, C]`, as everywhere in signbit, or `[N, C, H, W]` by [`Layout::Nchw`]; a vector is `[N, C]`.
//!   Inside, feature maps are `[N, C, H, W]`.
//! * Bits are the numbers +1 and -1, integers are F32, exact below 2^24: a binary layer with longer rows is
//!   refused. A sign is `Where(x >= 0, 1, -1)`, for ONNX's `Sign` gives 0 at 0.
//! * Weights of one bit take one bit in the file: eight to a byte, unpacked when the file is loaded by a `Gather`
//!   in a table of the 256 bytes' signs.
//! * The notes are metadata by their own names; the class names are a JSON list in `signbit.classes`, the
//!   preparation of pictures is in `signbit.preprocessing`.

mod elementwise;
mod graph;
mod layers;
mod pool;
#[cfg(test)]
mod tests;

use prost::Message as _;
use signbit_model::{DType, Model, Node, Op, Padding, Shape, ValueId, ValueType};

use self::graph::{Writer, ints};
use super::{int, refuse};
use crate::ConvertError;
use crate::onnx::proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto};

/// The format's name in errors.
const FORMAT: &str = "ONNX";
/// ONNX's operator set, and the file version that came with it.
const OPSET: i64 = 13;
const IR_VERSION: i64 = 7;
/// The largest file that protobuf allows.
const MAX_BYTES: usize = i32::MAX as usize;

/// The order of the dimensions of a picture or feature map at the graph's input and output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// `[N, H, W, C]`, as signbit's own.
    #[default]
    Nhwc,
    /// `[N, C, H, W]`, as PyTorch's.
    Nchw,
}

/// The model as an ONNX file with `[N, H, W, C]` in and out; see the module for what is in it.
///
/// # Errors
/// What [`Model::validate`] finds; [`ConvertError::NotExpressible`] for a binary layer whose dot products F32
/// cannot hold, and for a model of more than 2 GB.
pub fn to_bytes(model: &Model) -> Result<Vec<u8>, ConvertError> {
    to_bytes_with(model, Layout::Nhwc)
}

/// As [`to_bytes`], with a chosen layout of the input and the output.
///
/// # Errors
/// As [`to_bytes`].
pub fn to_bytes_with(model: &Model, layout: Layout) -> Result<Vec<u8>, ConvertError> {
    let (model, types) = &super::needed(model)?;
    let mut lowering = Lowering { model, types, w: Writer::new(&model.graph.nodes), values: Vec::new() };
    lowering.graph(layout)?;
    let output = lowering.types.get(model.graph.output.index()).copied().unwrap_or(model.graph.input);
    let graph = lowering.w.finish(dims(model.graph.input.shape, layout)?, dims(output.shape, layout)?);
    let proto = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "signbit".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: String::new(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata(model)?,
    };
    if proto.encoded_len() > MAX_BYTES {
        return Err(ConvertError::NotExpressible {
            node: "output".to_owned(),
            operator: "model",
            format: FORMAT,
            reason: format!("the file would have {} bytes, protobuf allows {MAX_BYTES}", proto.encoded_len()),
        });
    }
    Ok(proto.encode_to_vec())
}

fn metadata(model: &Model) -> Result<Vec<StringStringEntryProto>, ConvertError> {
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
    let json = |e: serde_json::Error| ConvertError::Malformed { format: FORMAT, what: e.to_string() };
    let mut entries: Vec<_> = model.notes.iter().map(|(key, note)| entry(key, note.clone())).collect();
    if !model.classes.is_empty() {
        entries.push(entry("signbit.classes", serde_json::to_string(&model.classes).map_err(json)?));
    }
    if let Some(preprocessing) = &model.preprocessing {
        entries.push(entry("signbit.preprocessing", serde_json::to_string(preprocessing).map_err(json)?));
    }
    Ok(entries)
}

/// The dimensions behind the batch's.
fn dims(shape: Shape, layout: Layout) -> Result<Vec<i64>, ConvertError> {
    let Shape { h, w, c } = shape;
    let sizes = match layout {
        _ if shape.is_vector() => vec![c],
        Layout::Nhwc => vec![h, w, c],
        Layout::Nchw => vec![c, h, w],
    };
    sizes.into_iter().map(int).collect()
}

/// The way from the model's graph to ONNX's.
///
/// A value of the model is one of ONNX: `[N, C]` where it is a vector, else `[N, C, H, W]`.
struct Lowering<'a> {
    model: &'a Model,
    types: &'a [ValueType],
    w: Writer,
    /// The names of the values so far.
    values: Vec<String>,
}

impl Lowering<'_> {
    fn graph(&mut self, layout: Layout) -> Result<(), ConvertError> {
        let model = self.model;
        let moved = |shape: Shape| layout == Layout::Nhwc && !shape.is_vector();
        let mut input = "input".to_owned();
        if moved(model.graph.input.shape) {
            input = self.w.node("input.nchw", "Transpose", &["input"], vec![ints("perm", &[0, 3, 1, 2])]);
        }
        self.values.push(input);
        for (i, node) in model.graph.nodes.iter().enumerate() {
            let value = self.node(node, ValueId::of_node(i))?;
            self.values.push(value);
        }
        let (shape, value) = (self.shape(model.graph.output), self.value(model.graph.output));
        if moved(shape) {
            self.w.output("Transpose", &value, vec![ints("perm", &[0, 2, 3, 1])]);
        } else {
            self.w.output("Identity", &value, Vec::new());
        }
        Ok(())
    }

    fn ty(&self, value: ValueId) -> ValueType {
        self.types.get(value.index()).copied().unwrap_or(self.model.graph.input)
    }

    fn shape(&self, value: ValueId) -> Shape {
        self.ty(value).shape
    }

    fn value(&self, value: ValueId) -> String {
        self.values.get(value.index()).cloned().unwrap_or_default()
    }

    /// Writes one node; returns its value's name.
    fn node(&mut self, node: &Node, output: ValueId) -> Result<String, ConvertError> {
        let operand = |i: usize| node.inputs.get(i).copied().unwrap_or(ValueId::INPUT);
        let (x, second) = (operand(0), operand(1));
        let (input, output) = (self.ty(x), self.shape(output));
        let value = self.value(x);
        let name = node.name.as_str();
        let plain = |w: &mut Writer, op| w.node(name, op, &[&value], Vec::new());
        Ok(match &node.op {
            Op::Conv2d { weight, bias, geometry, groups } => {
                let x = self.map(name, x)?;
                let y = self.conv(node, &x, weight, bias.as_deref(), geometry, *groups)?;
                self.settle(name, y, output)
            }
            Op::BinaryConv2d { weight, geometry, groups, padding } => {
                self.binary_conv(node, x, output, weight, geometry, *groups, *padding)?
            }
            Op::Conv2dTranspose { weight, bias, geometry, groups } => {
                self.transposed(node, x, output, weight, bias.as_deref(), geometry, *groups)?
            }
            Op::BinaryConv2dTranspose { weight, geometry, groups } => {
                let [kh, kw] = geometry.kernel;
                self.check_row(node, (kh * kw).saturating_mul(input.shape.c / groups.max(&1)))?;
                self.transposed(node, x, output, weight, None, geometry, *groups)?
            }
            Op::Dense { weight, bias } => self.dense(node, &value, weight, bias.as_deref())?,
            Op::BinaryDense { weight } => {
                self.check_row(node, input.shape.c)?;
                self.dense(node, &value, weight, None)?
            }
            Op::ActivationScale { geometry } => self.activation_scale(node, x, output, geometry)?,
            Op::Sign => self.sign(name, &value),
            Op::RSign { shift } => self.rsign(node, x, shift)?,
            Op::Threshold { threshold, flip } => self.threshold(node, x, threshold, flip)?,
            Op::Unpack => value,
            Op::MaxPool2d { geometry } => self.max_pool(node, x, output, geometry)?,
            Op::AvgPool2d { geometry, count_include_pad } => {
                self.avg_pool(node, x, output, geometry, *count_include_pad)?
            }
            Op::GlobalAvgPool => self.global_pool(name, x, "GlobalAveragePool"),
            Op::GlobalMaxPool => self.global_pool(name, x, "GlobalMaxPool"),
            Op::MulAdd { mul, add } => {
                let (mul, add) = (self.per_channel(node, x, mul)?, self.per_channel(node, x, add)?);
                let product = self.w.node(&format!("{name}.mul"), "Mul", &[&value, &mul], Vec::new());
                self.w.node(name, "Add", &[&product, &add], Vec::new())
            }
            Op::Affine { mul, add } => {
                let (mul, add) = (self.w.scalar(*mul), self.w.scalar(*add));
                let product = self.w.node(&format!("{name}.mul"), "Mul", &[&value, &mul], Vec::new());
                self.w.node(name, "Add", &[&product, &add], Vec::new())
            }
            Op::Add => self.w.node(name, "Add", &[&value, &self.value(second)], Vec::new()),
            Op::Mul => self.mul(name, x, second)?,
            Op::MulMap { map } => {
                let map = self.per_position(node, x, map)?;
                self.w.node(name, "Mul", &[&value, &map], Vec::new())
            }
            Op::Relu => plain(&mut self.w, "Relu"),
            Op::PRelu { slope } => {
                let slope = self.per_channel(node, x, slope)?;
                self.w.node(name, "PRelu", &[&value, &slope], Vec::new())
            }
            Op::RPRelu { shift_in, slope, shift_out } => self.rprelu(node, x, [shift_in, slope, shift_out])?,
            Op::Clip { min, max } => {
                let (min, max) = (self.w.scalar(*min), self.w.scalar(*max));
                self.w.node(name, "Clip", &[&value, &min, &max], Vec::new())
            }
            Op::Softmax => self.w.node(name, "Softmax", &[&value], vec![graph::integer("axis", 1)]),
            Op::Sigmoid => plain(&mut self.w, "Sigmoid"),
            Op::Pad { pads, value } => {
                let x = self.map(name, x)?;
                let y = self.pad(name, &x, *pads, *value)?;
                // Without a frame a vector comes out as the map that it went in as.
                self.settle(name, y, output)
            }
            Op::Slice { start, end } => {
                let (start, end) = (self.w.ints_constant(&[int(*start)?]), self.w.ints_constant(&[int(*end)?]));
                let axis = self.w.ints_constant(&[1]);
                self.w.node(name, "Slice", &[&value, &start, &end, &axis], Vec::new())
            }
            Op::Concat => self.concat(node),
            Op::Flatten => self.flatten(name, x),
        })
    }

    /// The value as `[N, C, H, W]`, also where it is a vector.
    fn map(&mut self, name: &str, x: ValueId) -> Result<String, ConvertError> {
        let (shape, value) = (self.shape(x), self.value(x));
        if !shape.is_vector() {
            return Ok(value);
        }
        let dims = self.w.ints_constant(&[0, int(shape.c)?, 1, 1]);
        Ok(self.w.node(&format!("{name}.map"), "Reshape", &[&value, &dims], Vec::new()))
    }

    /// A `[N, C, H, W]` as the model's value of the given shape: a vector loses its two ones.
    fn settle(&mut self, name: &str, value: String, shape: Shape) -> String {
        if shape.is_vector() {
            return self.w.node(&format!("{name}.vector"), "Flatten", &[&value], vec![graph::integer("axis", 1)]);
        }
        value
    }

    /// A sum of `k` numbers +1 and -1 must be exact in F32.
    fn check_row(&self, node: &Node, k: usize) -> Result<(), ConvertError> {
        if k >= 1 << 24 {
            return Err(refuse(node, FORMAT, format!("a dot product of {k} bits is not exact in f32")));
        }
        Ok(())
    }
}

/// What a padded tap counts as.
fn pad_value(padding: Padding) -> f32 {
    match padding {
        Padding::Zero => 0.0,
        Padding::One => 1.0,
        Padding::MinusOne => -1.0,
    }
}

/// A number below every one of the type.
fn lowest(dtype: DType) -> f32 {
    match dtype {
        DType::F32 => f32::MIN,
        DType::I32 => -33_554_432.0,
        DType::Bits => -1.0,
    }
}
