//! The input of a graph, and how its axes lie in memory.

use std::collections::HashSet;

use super::constant::{Budget, Constant, elements};
use super::live::Live;
use super::proto::{Dimension, GraphProto, NodeProto, ValueInfoProto, data_type};
use super::value::Axis;
use crate::ConvertError;

/// The one input that is not an initializer.
#[derive(Debug)]
pub(super) struct Input<'a> {
    pub(super) input: &'a ValueInfoProto,
    /// Sizes of N, H, W, C.
    pub(super) dims: [usize; 4],
    /// The storage axes of each of the file's.
    pub(super) axes: Vec<Vec<Axis>>,
}

/// Operators that leave axes alone, before the one that tells what they are.
const ELEMENTWISE: [&str; 7] = ["Sign", "BipolarQuant", "Mul", "Div", "Add", "Sub", "Cast"];

impl<'a> Input<'a> {
    pub(super) fn of(graph: &'a GraphProto, live: &Live<'a>) -> Result<Self, ConvertError> {
        let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        let inputs: Vec<_> = graph.input.iter().filter(|input| !constants.contains(input.name.as_str())).collect();
        let &[input] = inputs.as_slice() else {
            return Err(ConvertError::unsupported("input", "graph", format!("it has {} inputs", inputs.len())));
        };
        let sizes = sizes(input)?;
        let (n, h, w, c) = (vec![Axis::N], vec![Axis::H], vec![Axis::W], vec![Axis::C]);
        let first = first_reader(graph, live, &input.name);
        let (dims, axes) = match *sizes.as_slice() {
            [batch, elements] => match first.and_then(|node| picture(graph, live, node, elements)) {
                Some([channels, rows, columns]) => {
                    ([batch, rows, columns, channels], vec![n, vec![Axis::C, Axis::H, Axis::W]])
                }
                None => ([batch, 1, 1, elements], vec![n, c]),
            },
            // Pictures of one channel.
            [batch, rows, columns] => ([batch, rows, columns, 1], vec![n, h, w]),
            [batch, a, b, d] if first.is_some_and(is_from_channels_last) => ([batch, a, b, d], vec![n, h, w, c]),
            [batch, channels, rows, columns] => ([batch, rows, columns, channels], vec![n, c, h, w]),
            _ => return Err(refused(input, format!("it has {} axes; 2 to 4 can be taken in", sizes.len()))),
        };
        Ok(Self { input, dims, axes })
    }
}

fn refused(input: &ValueInfoProto, reason: impl Into<String>) -> ConvertError {
    ConvertError::unsupported(&input.name, "input", reason)
}

/// The sizes of an input's axes; an open batch is 1.
fn sizes(input: &ValueInfoProto) -> Result<Vec<usize>, ConvertError> {
    let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| refused(input, "it has no tensor type"))?;
    if ![data_type::FLOAT, data_type::DOUBLE, data_type::FLOAT16, data_type::BFLOAT16].contains(&tensor.elem_type) {
        return Err(refused(input, format!("its element type is {}, not float", tensor.elem_type)));
    }
    let shape = tensor.shape.as_ref().ok_or_else(|| refused(input, "it has no shape; a fixed one is needed"))?;
    let size = |(i, dim): (usize, &super::proto::DimensionProto)| {
        let size = match &dim.value {
            Some(Dimension::Size(size)) => usize::try_from(*size).ok().filter(|&size| size > 0),
            _ => None,
        };
        let open = || refused(input, format!("axis {i} of its shape is not fixed; only the batch may be open"));
        if i == 0 { Ok(size.unwrap_or(1)) } else { size.ok_or_else(open) }
    };
    let sizes: Vec<usize> = shape.dim.iter().enumerate().map(size).collect::<Result<_, _>>()?;
    elements(&sizes).map(|_| sizes).ok_or_else(|| refused(input, "it is too large"))
}

/// The first node that reads the input, behind elementwise ones.
fn first_reader<'a>(graph: &'a GraphProto, live: &Live<'a>, input: &'a str) -> Option<&'a NodeProto> {
    let mut name = input;
    let nodes = graph.node.iter().zip(&live.nodes).filter(|(_, live)| **live).map(|(node, _)| node);
    for node in nodes.filter(|node| !matches!(node.op_type.as_str(), "Shape" | "Identity")) {
        if node.input.iter().any(|operand| live.root(operand) == name) {
            if !ELEMENTWISE.contains(&node.op_type.as_str()) {
                return Some(node);
            }
            name = node.output.first()?;
        }
    }
    None
}

/// True for what moves NHWC to NCHW.
fn is_from_channels_last(node: &NodeProto) -> bool {
    node.op_type == "Transpose" && node.attribute.iter().any(|a| a.name == "perm" && a.ints == [0, 3, 1, 2])
}

/// Channels, rows and columns of the feature map that a vector of `len` elements is reshaped to.
fn picture(graph: &GraphProto, live: &Live<'_>, node: &NodeProto, len: usize) -> Option<[usize; 3]> {
    let name = live.root(node.input.get(1).filter(|_| node.op_type == "Reshape")?);
    let made = graph.node.iter().find(|node| node.op_type == "Constant" && node.output.iter().any(|o| o == name));
    let value = made.and_then(|node| node.attribute.first()).and_then(|value| value.t.as_deref());
    let tensor = graph.initializer.iter().find(|tensor| tensor.name == name).or(value)?;
    let shape = Constant::read(tensor, &mut Budget::for_file(0)).ok()?;
    let &[_, channels, rows, columns] = shape.as_ints()? else {
        return None;
    };
    let dims = [usize::try_from(channels).ok()?, usize::try_from(rows).ok()?, usize::try_from(columns).ok()?];
    (elements(&dims) == Some(len)).then_some(dims)
}
