//! The size table: what a model takes on disk, and how many multiplications it saves.
//!
//! Honest to the byte: the packed tensors, the real ones and the header add up to the file's length.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::error::ModelError;
use crate::{Model, Op, Tensor, ValueType, file};

/// The size of one node. A tensor that several nodes use counts for the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeSize {
    /// The node's name.
    pub name: String,
    /// The operator's name.
    pub op: &'static str,
    /// The type of its output.
    pub output: ValueType,
    /// Binary weights, one bit each.
    pub binary_params: u64,
    /// Numbers of 32 bits: real weights, scale factors, thresholds.
    pub real_params: u64,
    /// Bytes of its tensors in the file, with the bits that say a threshold's direction.
    pub bytes: u64,
    /// Bytes that its parameters take in an f32 network, see [`SizeTable::f32_bytes`].
    pub f32_bytes: u64,
    /// Multiply-accumulates of one bit by one bit per sample; padded taps count, and in a transposed convolution
    /// those whose output is cut off: each input meets each tap once.
    pub binary_macs: u64,
    /// Multiply-accumulates on real activations per sample, in convolutions and dense layers.
    pub real_macs: u64,
}

/// The sizes of all nodes, and their sums.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SizeTable {
    /// One row per node, in the order of the graph.
    pub nodes: Vec<NodeSize>,
    /// Sum of the nodes' binary weights.
    pub binary_params: u64,
    /// Sum of the nodes' numbers of 32 bits.
    pub real_params: u64,
    /// Sum of the nodes' one-bit multiply-accumulates per sample.
    pub binary_macs: u64,
    /// Sum of the nodes' real multiply-accumulates per sample.
    pub real_macs: u64,
    /// Bytes of the bit tensors in the file.
    pub packed_bytes: u64,
    /// Bytes of the tensors of 32-bit numbers in the file.
    pub real_bytes: u64,
    /// Bytes in front of the tensors: the graph and everything else.
    pub header_bytes: u64,
    /// `packed_bytes + real_bytes + header_bytes`: the length of the file.
    pub file_bytes: u64,
    /// Bytes of the parameters of the same network in f32, without a header.
    ///
    /// A binary weight takes 4 bytes, a number of 32 bits stays, and a threshold counts as the batch
    /// normalisation that it replaces: a factor and a summand, 8 bytes per channel.
    pub f32_bytes: u64,
    /// `f32_bytes / file_bytes`: how many times smaller the file is.
    pub ratio: f64,
}

impl SizeTable {
    /// The size table of a model.
    ///
    /// # Errors
    /// What [`Model::validate`] finds, and [`crate::FileError::HeaderTooLarge`].
    pub fn of(model: &Model) -> Result<Self, ModelError> {
        let types = model.validate()?;
        let mut counted = BTreeSet::new();
        let mut nodes = Vec::with_capacity(model.graph.nodes.len());
        for (i, node) in model.graph.nodes.iter().enumerate() {
            let new = node.op.tensors().into_iter().filter(|&name| counted.insert(name));
            let tensors: Vec<(&str, &Tensor)> = new.filter_map(|name| Some((name, model.tensors.get(name)?))).collect();
            let x = node.inputs.first().map_or(types[0], |id| types[id.index()]);
            let macs = macs(&node.op, x, types[i + 1], model);
            nodes.push(node_size(node.name.clone(), &node.op, types[i + 1], &tensors, macs));
        }
        let (packed, real): (Vec<&Tensor>, Vec<&Tensor>) =
            model.tensors.values().partition(|tensor| tensor.as_rows().is_some());
        let bytes = |tensors: &[&Tensor]| tensors.iter().map(|t| t.file_bytes() as u64).sum::<u64>();
        let (packed_bytes, real_bytes) = (bytes(&packed), bytes(&real));
        let header_bytes = file::header_len(model)? as u64;
        let file_bytes = packed_bytes + real_bytes + header_bytes;
        let sum = |field: fn(&NodeSize) -> u64| nodes.iter().map(field).fold(0, u64::saturating_add);
        let f32_bytes = sum(|n| n.f32_bytes);
        Ok(Self {
            binary_params: sum(|n| n.binary_params),
            real_params: sum(|n| n.real_params),
            binary_macs: sum(|n| n.binary_macs),
            real_macs: sum(|n| n.real_macs),
            packed_bytes,
            real_bytes,
            header_bytes,
            file_bytes,
            f32_bytes,
            ratio: f32_bytes as f64 / file_bytes as f64,
            nodes,
        })
    }
}

fn node_size(
    name: String,
    op: &Op,
    output: ValueType,
    tensors: &[(&str, &Tensor)],
    (binary_macs, real_macs): (u64, u64),
) -> NodeSize {
    let mut size = NodeSize {
        name,
        op: op.name(),
        output,
        binary_params: 0,
        real_params: 0,
        bytes: 0,
        f32_bytes: 0,
        binary_macs,
        real_macs,
    };
    for (name, tensor) in tensors {
        let elements = tensor.elements() as u64;
        size.bytes += tensor.file_bytes() as u64;
        match op {
            // The direction bits belong to the thresholds, which stand for two f32 per channel.
            Op::Threshold { flip, .. } if flip == name => (),
            Op::Threshold { .. } => {
                size.real_params += elements;
                size.f32_bytes += 8 * elements;
            }
            _ if tensor.as_rows().is_some() => {
                size.binary_params += elements;
                size.f32_bytes += 4 * elements;
            }
            _ => {
                size.real_params += elements;
                size.f32_bytes += 4 * elements;
            }
        }
    }
    size
}

/// One-bit and real multiply-accumulates of a node per sample.
fn macs(op: &Op, input: ValueType, output: ValueType, model: &Model) -> (u64, u64) {
    let row_len = |weight: &str| model.tensors.get(weight).map_or(0, Tensor::row_len) as u64;
    let dots = |weight: &str| (output.shape.elements() as u64).saturating_mul(row_len(weight));
    let transposed = |weight: &str| {
        let pixels = (input.shape.h as u64).saturating_mul(input.shape.w as u64);
        pixels.saturating_mul(output.shape.c as u64).saturating_mul(row_len(weight))
    };
    match op {
        Op::BinaryConv2dTranspose { weight, .. } => (transposed(weight), 0),
        Op::Conv2dTranspose { weight, .. } => (0, transposed(weight)),
        Op::BinaryConv2d { weight, .. } | Op::BinaryDense { weight } => (dots(weight), 0),
        Op::Conv2d { weight, .. } | Op::Dense { weight, .. } => (0, dots(weight)),
        _ => (0, 0),
    }
}

impl fmt::Display for SizeTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["layer", "op", "output", "1-bit params", "32-bit params", "bytes"];
        let head = head.into_iter().chain(["1-bit MACs", "32-bit MACs"]).map(str::to_owned);
        let mut rows: Vec<Vec<String>> = vec![head.collect()];
        for n in &self.nodes {
            let counts = [n.binary_params, n.real_params, n.bytes, n.binary_macs, n.real_macs];
            rows.push(row(&n.name, n.op, &n.output.to_string(), counts));
        }
        let bytes = self.packed_bytes + self.real_bytes;
        let counts = [self.binary_params, self.real_params, bytes, self.binary_macs, self.real_macs];
        rows.push(row("total", "", "", counts));
        write_aligned(f, &rows)?;
        writeln!(f)?;
        let file = [self.packed_bytes, self.real_bytes, self.header_bytes, self.file_bytes].map(grouped);
        let [packed, real, header, total] = file;
        writeln!(f, "file: {packed} packed + {real} real + {header} header = {total} bytes")?;
        let f32_bytes = grouped(self.f32_bytes);
        write!(f, "the same in f32: {f32_bytes} bytes, {:.2} times the file", self.ratio)
    }
}

fn row(name: &str, op: &str, output: &str, counts: [u64; 5]) -> Vec<String> {
    let words = [name, op, output].map(str::to_owned);
    words.into_iter().chain(counts.map(grouped)).collect()
}

/// Columns of equal width, two spaces apart; the first three to the left, numbers to the right.
fn write_aligned(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        for (i, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            match i {
                0 => write!(f, "{cell:<width$}")?,
                1 | 2 => write!(f, "  {cell:<width$}")?,
                _ => write!(f, "  {cell:>width$}")?,
            }
        }
        writeln!(f)?;
    }
    Ok(())
}

/// A number with commas between thousands: 1,234,567.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_grouped() {
        let found = [0, 999, 1000, 1_234_567, u64::MAX].map(grouped);
        assert_eq!(found, ["0", "999", "1,000", "1,234,567", "18,446,744,073,709,551,615"]);
    }
}
