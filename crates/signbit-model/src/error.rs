//! The crate's error: [`ModelError`], with the node, tensor or file problem as its source.

use std::path::PathBuf;

use crate::limits::{MAX_ELEMENTS, MAX_GEOMETRY, MAX_NAME, MAX_NODES, MAX_RANK, MAX_ROW};
use crate::{DType, Shape};

/// Everything that can be wrong with a model, its file or a run of the interpreter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A node does not fit its operands or tensors.
    #[error("node `{node}`: {source}")]
    Node {
        /// The node's name.
        node: String,
        /// What is wrong.
        source: NodeError,
    },
    /// A tensor contradicts itself.
    #[error("tensor `{tensor}`: {source}")]
    Tensor {
        /// The tensor's name, empty while it has none.
        tensor: String,
        /// What is wrong.
        source: TensorError,
    },
    /// Two nodes have the same name.
    #[error("two nodes have the name `{node}`")]
    DuplicateNode {
        /// The name.
        node: String,
    },
    /// A builder got two tensors of the same name.
    #[error("two tensors have the name `{tensor}`")]
    DuplicateTensor {
        /// The name.
        tensor: String,
    },
    /// No node uses a tensor.
    #[error("no node uses the tensor `{tensor}`")]
    UnusedTensor {
        /// The tensor's name.
        tensor: String,
    },
    /// A name is empty, too long or reserved, or has control characters.
    #[error("{name:?} is not a name: 1 to {MAX_NAME} bytes, no control characters, not `__metadata__`")]
    Name {
        /// The name, shortened.
        name: String,
    },
    /// The graph has too many nodes.
    #[error("the graph has {found} nodes, at most {MAX_NODES} are allowed")]
    TooManyNodes {
        /// How many it has.
        found: usize,
    },
    /// The graph's input is not `F32`.
    #[error("the input is {found}, it must be f32")]
    InputDType {
        /// What it is.
        found: DType,
    },
    /// The input's shape has a zero, or too many elements.
    #[error("the input's shape {found} must have 1 to {MAX_ELEMENTS} elements")]
    InputShape {
        /// What it is.
        found: Shape,
    },
    /// The graph's output is not a value of the graph.
    #[error("the output is value {value}, the graph has {values} values")]
    Output {
        /// The value named as output.
        value: u32,
        /// How many values there are.
        values: usize,
    },
    /// The list of classes does not fit the output.
    #[error("{found} class names for an output of {expected} elements")]
    Classes {
        /// Elements of the output.
        expected: usize,
        /// Names given.
        found: usize,
    },
    /// The name of a class has control characters.
    #[error("the name of class {index}, {name:?}, has control characters")]
    ClassName {
        /// The class's place in the output.
        index: usize,
        /// The name, shortened.
        name: String,
    },
    /// The key of a note has control characters.
    #[error("the key of the note {key:?} has control characters")]
    NoteKey {
        /// The key, shortened.
        key: String,
    },
    /// A note has control characters that are not newlines.
    #[error("the note {key:?} has control characters other than newlines")]
    Note {
        /// The key, shortened.
        key: String,
    },
    /// The preprocessing contradicts itself or the graph's input.
    #[error("preprocessing: {0}")]
    Preprocessing(#[from] PreprocessingError),
    /// The interpreter's input does not have batch x elements numbers.
    #[error("the input has {found} numbers, a batch of {n} takes {expected}")]
    InputLength {
        /// Samples in the batch.
        n: usize,
        /// Numbers needed.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// A file cannot be written, read or understood.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What is wrong with a node.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The number of operands is wrong.
    #[error("takes {expected} inputs, has {found}")]
    InputCount {
        /// How many the operator takes.
        expected: &'static str,
        /// How many the node has.
        found: usize,
    },
    /// An operand is made by this node, a later one, or by none.
    #[error("reads value {value}, which no earlier node makes")]
    NotTopological {
        /// The value.
        value: u32,
    },
    /// An operand has the wrong element type.
    #[error("input {input} is {found}, it must be {expected}")]
    InputDType {
        /// The operand's place.
        input: usize,
        /// What the operator takes.
        expected: &'static str,
        /// What it is.
        found: DType,
    },
    /// An operand has the wrong shape.
    #[error("input {input} has shape {found}, it must be {expected}")]
    InputShape {
        /// The operand's place.
        input: usize,
        /// What the operator takes.
        expected: String,
        /// What it is.
        found: Shape,
    },
    /// The model has no tensor of this name.
    #[error("there is no tensor `{tensor}`")]
    MissingTensor {
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor has the wrong element type.
    #[error("tensor `{tensor}` is {found}, it must be {expected}")]
    TensorDType {
        /// The tensor's name.
        tensor: String,
        /// What the operator takes.
        expected: &'static str,
        /// What it is.
        found: DType,
    },
    /// A tensor has the wrong shape.
    #[error("tensor `{tensor}` has shape {found:?}, it must be {expected}")]
    TensorShape {
        /// The tensor's name.
        tensor: String,
        /// What the operator takes.
        expected: String,
        /// What it is.
        found: Vec<usize>,
    },
    /// A weight has too many elements per output channel.
    #[error("tensor `{tensor}` has {found} weights per output channel, at most {MAX_ROW} are allowed")]
    WeightRow {
        /// The tensor's name.
        tensor: String,
        /// How many it has.
        found: usize,
    },
    /// The channels cannot be divided into the groups.
    #[error("{groups} groups do not divide {c_in} input and {c_out} output channels")]
    Groups {
        /// Number of groups.
        groups: usize,
        /// Input channels.
        c_in: usize,
        /// Output channels.
        c_out: usize,
    },
    /// The sliding window is wrong.
    #[error("{0}")]
    Geometry(#[from] GeometryError),
    /// The bounds are not finite, or the lower is above the upper.
    #[error("the bounds {min} and {max} must be finite and in order")]
    ClipBounds {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// The value of a padding is not finite or, of bits, neither 1 nor -1.
    #[error("the padding value {value} of {dtype} must be {expected}", expected = match dtype {
        DType::Bits => "1 or -1",
        _ => "finite",
    })]
    PadValue {
        /// The value.
        value: f32,
        /// The operand's element type.
        dtype: DType,
    },
    /// The channels of a slice are none, or not all there.
    #[error("the slice {start}..{end} of {channels} channels must hold at least one and end within them")]
    Slice {
        /// The first channel.
        start: usize,
        /// The channel behind the last one.
        end: usize,
        /// The operand's channels.
        channels: usize,
    },
    /// The factor or the summand is not finite.
    #[error("the factor {mul} and the summand {add} must be finite")]
    AffineNumbers {
        /// Factor.
        mul: f32,
        /// Summand.
        add: f32,
    },
    /// The output would have too many elements.
    #[error("the output has more than {MAX_ELEMENTS} elements per sample")]
    OutputTooLarge,
}

/// What is wrong with a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// A kernel size, stride or dilation is 0.
    #[error("kernel, stride and dilation must be at least 1")]
    Zero,
    /// A number is over the limit.
    #[error("kernel, stride, dilation and paddings must be at most {MAX_GEOMETRY}")]
    TooLarge,
    /// The kernel does not fit into the padded input.
    #[error("the kernel spans {kernel}, the padded input has {padded}")]
    KernelTooLarge {
        /// What the dilated kernel spans.
        kernel: usize,
        /// The padded input's size.
        padded: usize,
    },
    /// The pads of a transposed convolution leave nothing of its output.
    #[error("the output has {full} rows or columns, of which the pads cut off {cut}")]
    CutAway {
        /// What there is before.
        full: usize,
        /// The pads on both sides.
        cut: usize,
    },
    /// A pooling window lies wholly in the padding.
    #[error("a pooling window lies wholly in the padding")]
    EmptyWindow,
}

/// How a tensor contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The shape has no dimension, too many, a zero, or too many elements.
    #[error("the shape {shape:?} must have 1 to {MAX_RANK} dimensions and 1 to {MAX_ELEMENTS} elements")]
    Shape {
        /// The shape.
        shape: Vec<usize>,
    },
    /// The data's length does not fit the shape.
    #[error("the shape takes {expected} data items, there are {found}")]
    Length {
        /// Numbers or words needed.
        expected: usize,
        /// Numbers or words given.
        found: usize,
    },
    /// A bit behind a row's last one is 1.
    #[error("row {row} has a 1 behind its last bit")]
    TailBits {
        /// The first such row.
        row: usize,
    },
    /// A number that should be +1 or -1 is neither.
    #[error("element {index} is {found}, it must be +1 or -1")]
    NotASign {
        /// The element's place.
        index: usize,
        /// What it is.
        found: i8,
    },
}

/// What is wrong with a preprocessing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessingError {
    /// Pictures have one or three channels.
    #[error("{found} channels, pictures have 1 or 3")]
    Channels {
        /// Channels given.
        found: usize,
    },
    /// `scale` and `shift` have one number per channel.
    #[error("{scale} scales and {shift} shifts for {channels} channels")]
    Length {
        /// Channels.
        channels: usize,
        /// Numbers in `scale`.
        scale: usize,
        /// Numbers in `shift`.
        shift: usize,
    },
    /// A scale or shift is infinite or not a number.
    #[error("a scale or shift is not finite")]
    NotFinite,
    /// It makes another shape than the graph takes.
    #[error("it makes {found}, the graph takes {expected}")]
    Shape {
        /// The graph's input.
        expected: Shape,
        /// What the preprocessing makes.
        found: Shape,
    },
    /// A picture or an output does not have height x width x channels numbers.
    #[error("a picture takes {expected} numbers, there are {pixels} pixels and {out} outputs")]
    PictureLength {
        /// Numbers needed.
        expected: usize,
        /// Bytes given.
        pixels: usize,
        /// Outputs given.
        out: usize,
    },
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file ends before its header does.
    #[error("not a safetensors file: it has {found} bytes, its header needs {expected}")]
    Truncated {
        /// Bytes that the header needs, with its length.
        expected: u64,
        /// Bytes in the file.
        found: usize,
    },
    /// The header claims, or needs, more than the format allows.
    #[error("the header has {found} bytes, at most {allowed} are allowed")]
    HeaderTooLarge {
        /// Bytes of the header.
        found: u64,
        /// Bytes allowed.
        allowed: usize,
    },
    /// The header is not the JSON of a safetensors file.
    #[error("not a safetensors file: header: {0}")]
    Header(String),
    /// A safetensors file, but not of this crate.
    #[error("a safetensors file, but not a signbit model: it has no `signbit_format`")]
    NotSignbit,
    /// The file's version is not the one that this crate reads.
    #[error("the file has format version `{found}`, this program reads version `{supported}`")]
    Version {
        /// The file's version.
        found: String,
        /// The version that this crate reads.
        supported: &'static str,
    },
    /// The metadata lacks a key, has one too many, or does not begin with the checksum.
    #[error("the metadata must hold exactly signbit_crc32, signbit_format and signbit_model, in this order")]
    Metadata,
    /// The file was damaged or edited.
    #[error("the file is damaged: its checksum is {stored}, its bytes give {computed}")]
    Checksum {
        /// What the file says.
        stored: String,
        /// What its bytes give.
        computed: String,
    },
    /// A tensor has an element type that the format does not use.
    #[error("tensor `{tensor}` has the type `{dtype}`; the format uses F32, I32 and U8")]
    TensorDType {
        /// The tensor's name.
        tensor: String,
        /// Its type in the header.
        dtype: String,
    },
    /// A tensor's offsets leave a gap, overlap, run backwards or do not fit its shape.
    #[error("tensor `{tensor}` has the wrong data offsets")]
    Offsets {
        /// The tensor's name.
        tensor: String,
    },
    /// The tensors do not fill the file.
    #[error("the tensors take {expected} bytes, the file has {found}")]
    BodyLength {
        /// Bytes that the tensors take.
        expected: usize,
        /// Bytes behind the header.
        found: usize,
    },
    /// A packed tensor has no logical shape, a shape without a packed tensor, or the two disagree.
    #[error("packed tensor `{tensor}`: its bytes and its logical shape do not belong together")]
    BitShape {
        /// The tensor's name.
        tensor: String,
    },
    /// The graph's JSON cannot be understood.
    #[error("the graph cannot be read: {0}")]
    Graph(String),
    /// The header holds something that writing the same model would not.
    #[error(
        "the header is not in canonical form: it holds fields, an order or a spelling that this program does not write"
    )]
    NotCanonical,
}
