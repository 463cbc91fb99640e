//! The parts of the TFLite schema that the reader needs: model, tensors, buffers, operators.
//!
//! Fields are known by their number in the schema. Tensors and operators are read when they are asked for.

use signbit_model::limits::{MAX_NODES, MAX_RANK};

use super::Result;
use super::buffer::{Table, Tables};
use super::codes;
use crate::ConvertError;

/// Most operands of one operator.
const MAX_OPERANDS: usize = 1024;

pub(super) fn malformed(what: impl Into<String>) -> ConvertError {
    ConvertError::Malformed { format: "TFLite", what: what.into() }
}

/// A whole file.
#[derive(Debug)]
pub(super) struct File<'a> {
    bytes: &'a [u8],
    codes: Tables<'a>,
    buffers: Tables<'a>,
    tensors: Tables<'a>,
    operators: Tables<'a>,
    graph: Table<'a>,
}

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F16,
    I32,
    U8,
    I64,
    I16,
    I8,
    /// Any other, by its number in the schema.
    Other(i8),
}

impl Kind {
    /// A type that stands for real numbers by scale and zero point.
    pub(super) fn is_quantized(self) -> bool {
        matches!(self, Self::I8 | Self::U8 | Self::I16)
    }
}

/// Scales and zero points of a quantized tensor.
#[derive(Debug, Clone)]
pub(super) struct Quantization {
    /// One, or one per element along `axis`.
    pub(super) scales: Vec<f32>,
    pub(super) zero_points: Vec<i64>,
    pub(super) axis: usize,
}

/// One tensor: what the file says about it, and the data where it is a constant.
#[derive(Debug)]
pub(super) struct TensorInfo<'a> {
    /// The dimensions with the batch; `None` for one that only a run knows.
    pub(super) dims: Vec<Option<usize>>,
    /// The dimensions with a batch of 1 where it is not known.
    pub(super) shape: Vec<usize>,
    pub(super) kind: Kind,
    pub(super) name: &'a [u8],
    pub(super) data: Option<&'a [u8]>,
    quantization: Option<Table<'a>>,
}

/// One operator.
#[derive(Debug)]
pub(super) struct Operator<'a> {
    /// As TFLite or Larq Compute Engine calls it.
    pub(super) kind: String,
    /// Tensors; `None` for an optional one that is not there.
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) outputs: Vec<usize>,
    /// The name of its first output, shortened and with a number where another operator has the same.
    pub(super) name: String,
    /// A FlexBuffer, of a custom operator.
    pub(super) custom: &'a [u8],
    options_type: u8,
    options: Option<Table<'a>>,
}

impl<'a> File<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        if bytes.get(4..8) != Some(b"TFL3") {
            return Err(malformed("it has not the identifier TFL3"));
        }
        let root = Table::root(bytes)?;
        let graph = root.tables(2)?.get(0)?.ok_or_else(|| malformed("it holds no graph"))?;
        let operators = graph.tables(3)?;
        if operators.len() > MAX_NODES {
            return Err(malformed(format!("{} operators are more than {MAX_NODES}", operators.len())));
        }
        Ok(Self {
            bytes,
            codes: root.tables(1)?,
            buffers: root.tables(4)?,
            tensors: graph.tables(0)?,
            operators,
            graph,
        })
    }

    /// The size of the file in bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn inputs(&self) -> Result<Vec<usize>> {
        self.graph.list(1)?.into_iter().map(index).collect()
    }

    pub(super) fn outputs(&self) -> Result<Vec<usize>> {
        self.graph.list(2)?.into_iter().map(index).collect()
    }

    pub(super) fn operators(&self) -> usize {
        self.operators.len()
    }

    pub(super) fn tensor(&self, tensor: usize) -> Result<TensorInfo<'a>> {
        let table = self.tensors.get(tensor)?.ok_or_else(|| malformed(format!("there is no tensor {tensor}")))?;
        let (shape, signature) = (table.list(0)?, table.list(7)?);
        if shape.len() > MAX_RANK {
            return Err(malformed(format!("tensor {tensor} has {} dimensions", shape.len())));
        }
        let known = if signature.len() == shape.len() { &signature } else { &shape };
        Ok(TensorInfo {
            dims: known.iter().map(|&d| usize::try_from(d).ok()).collect(),
            shape: shape.iter().map(|&d| usize::try_from(d).unwrap_or(1)).collect(),
            kind: match table.i8(1)? {
                0 => Kind::F32,
                1 => Kind::F16,
                2 => Kind::I32,
                3 => Kind::U8,
                4 => Kind::I64,
                7 => Kind::I16,
                9 => Kind::I8,
                other => Kind::Other(other),
            },
            name: table.vector(3, 1)?.unwrap_or(&[]),
            data: if table.table(6)?.is_some() { None } else { self.buffer(table.u32(2)?)? },
            quantization: table.table(4)?,
        })
    }

    /// A buffer's bytes; `None` for an empty one.
    fn buffer(&self, buffer: u32) -> Result<Option<&'a [u8]>> {
        let Some(table) = self.buffers.get(buffer as usize)? else {
            return Err(malformed(format!("there is no buffer {buffer}")));
        };
        // A large file keeps its data behind the FlatBuffer.
        let number = |field| table.number(field).map(|bytes| bytes.map_or(0, u64::from_le_bytes));
        let (offset, size) = (number(1)?, number(2)?);
        if offset > 1 {
            let range = usize::try_from(offset).ok().zip(usize::try_from(offset.saturating_add(size)).ok());
            let data = range.and_then(|(start, end)| self.bytes.get(start..end));
            return data.map(Some).ok_or_else(|| malformed(format!("buffer {buffer} lies outside of it")));
        }
        Ok(table.vector(0, 1)?.filter(|data| !data.is_empty()))
    }

    /// The operator `i`, in the order of the graph.
    pub(super) fn operator(&self, i: usize) -> Result<Operator<'a>> {
        let table = self.operators.get(i)?.ok_or_else(|| malformed(format!("there is no operator {i}")))?;
        let code = self.codes.get(table.u32(0)? as usize)?.ok_or_else(|| malformed("an operator has no code"))?;
        // Old files have the code in one byte; newer ones put 127 there where it does not fit.
        let builtin = code.i32(3, 0)?.max(i32::from(code.i8(0)?));
        let kind = match code.vector(1, 1)? {
            Some(custom) if builtin == codes::CUSTOM => text(custom),
            _ => codes::name(builtin),
        };
        let inputs = table.list(1)?.into_iter().map(|t| if t == -1 { Ok(None) } else { index(t).map(Some) });
        let outputs = table.list(2)?.into_iter().map(index).collect::<Result<Vec<_>>>()?;
        let Some(&first) = outputs.first() else { return Err(malformed(format!("{kind} has no output"))) };
        Ok(Operator {
            kind,
            inputs: inputs.collect::<Result<_>>()?,
            name: text(self.tensor(first)?.name),
            outputs,
            custom: table.vector(5, 1)?.unwrap_or(&[]),
            options_type: table.number(3)?.map_or(0, |[n]: [u8; 1]| n),
            options: table.table(4)?,
        })
    }
}

impl TensorInfo<'_> {
    /// Scales and zero points, where there are any.
    pub(super) fn quantization(&self) -> Result<Option<Quantization>> {
        let Some(table) = self.quantization else { return Ok(None) };
        let scales = table.vector(2, 4)?.unwrap_or(&[]);
        if scales.is_empty() {
            return Ok(None);
        }
        let zero_points = table.vector(3, 8)?.unwrap_or(&[]);
        if scales.len() / 4 != 1 && self.shape.iter().all(|&d| d != scales.len() / 4) {
            return Err(malformed(format!("{} scales fit no dimension of a tensor", scales.len() / 4)));
        }
        let (zero_points, []) = zero_points.as_chunks::<8>() else { return Err(malformed("broken zero points")) };
        let (scales, []) = scales.as_chunks::<4>() else { return Err(malformed("broken scales")) };
        Ok(Some(Quantization {
            zero_points: zero_points.iter().take(scales.len()).map(|&b| i64::from_le_bytes(b)).collect(),
            scales: scales.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            axis: index(table.i32(6, 0)?)?,
        }))
    }
}

impl<'a> Operator<'a> {
    /// The refusal of this operator.
    pub(super) fn refuse(&self, reason: impl Into<String>) -> ConvertError {
        ConvertError::unsupported(&self.name, &self.kind, reason)
    }

    /// The operator's options, of the given type in the schema's union.
    pub(super) fn options(&self, kind: u8) -> Result<Options<'a>> {
        match self.options_type {
            found if found == kind => Ok(Options(self.options)),
            0 => Ok(Options(None)),
            found => Err(malformed(format!("{} has options of another operator ({found})", self.kind))),
        }
    }

    /// The operand `i`'s tensor; `None` where it is absent.
    pub(super) fn input(&self, i: usize) -> Option<usize> {
        self.inputs.get(i).copied().flatten()
    }

    /// The operand `i`'s tensor.
    pub(super) fn needs(&self, i: usize) -> Result<usize> {
        self.input(i).ok_or_else(|| malformed(format!("`{}`: {} has no input {i}", self.name, self.kind)))
    }
}

/// An operator's options; without a table, the schema's defaults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options<'a>(Option<Table<'a>>);

impl Options<'_> {
    pub(super) fn byte(&self, field: usize) -> Result<i8> {
        self.0.map_or(Ok(0), |table| table.i8(field))
    }

    pub(super) fn flag(&self, field: usize) -> Result<bool> {
        Ok(self.byte(field)? != 0)
    }

    pub(super) fn int(&self, field: usize, default: i32) -> Result<i32> {
        self.0.map_or(Ok(default), |table| table.i32(field, default))
    }

    pub(super) fn float(&self, field: usize) -> Result<f32> {
        let bytes = self.0.map(|table| table.number(field)).transpose()?.flatten();
        Ok(bytes.map_or(0.0, f32::from_le_bytes))
    }

    pub(super) fn list(&self, field: usize) -> Result<Vec<i32>> {
        self.0.map_or(Ok(Vec::new()), |table| table.list(field))
    }
}

impl Table<'_> {
    fn i8(&self, field: usize) -> Result<i8> {
        Ok(self.number(field)?.map_or(0, i8::from_le_bytes))
    }

    fn i32(&self, field: usize, default: i32) -> Result<i32> {
        Ok(self.number(field)?.map_or(default, i32::from_le_bytes))
    }

    fn u32(&self, field: usize) -> Result<u32> {
        Ok(self.number(field)?.map_or(0, u32::from_le_bytes))
    }

    /// A short vector of integers.
    fn list(&self, field: usize) -> Result<Vec<i32>> {
        let (numbers, _) = self.vector(field, 4)?.unwrap_or(&[]).as_chunks::<4>();
        if numbers.len() > MAX_OPERANDS {
            return Err(malformed(format!("a list of {} is longer than {MAX_OPERANDS}", numbers.len())));
        }
        Ok(numbers.iter().map(|&b| i32::from_le_bytes(b)).collect())
    }
}

fn index(value: i32) -> Result<usize> {
    usize::try_from(value).map_err(|_| malformed(format!("{value} is no index")))
}

/// A name as it is printed: up to the first `;`, behind which converters put the names of fused operators.
fn text(name: &[u8]) -> String {
    let end = name.iter().position(|&b| b == b';').unwrap_or(name.len()).min(MAX_NAME);
    String::from_utf8_lossy(&name[..end]).into_owned()
}

/// Where a name is cut, in bytes.
const MAX_NAME: usize = 120;
