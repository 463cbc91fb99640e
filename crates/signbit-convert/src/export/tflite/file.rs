//! The FlatBuffer of a `.tflite` file, written without a generated schema.
//!
//! The numbers of fields, operators and types are those of TensorFlow Lite's `schema.fbs`.

use std::collections::BTreeMap;

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, TableFinishedWIPOffset, Vector, WIPOffset};

use super::super::int;
use crate::ConvertError;

type Table = WIPOffset<TableFinishedWIPOffset>;
type Tables<'b> = WIPOffset<Vector<'b, ForwardsUOffset<TableFinishedWIPOffset>>>;

/// Alignment of a tensor's data, in bytes from the begin of the file.
const ALIGN: usize = 16;
/// `BuiltinOperator::CUSTOM`.
const CUSTOM: i32 = 32;

/// The number of a field as the offset in its table's list of fields.
const fn slot(field: u16) -> u16 {
    4 + 2 * field
}

/// An operator's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Code {
    /// One of TensorFlow Lite's own: its number in `BuiltinOperator`, and its version.
    Builtin(i32, i32),
    /// One of Larq Compute Engine's.
    Custom(&'static str),
}

/// The value of an option.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    I8(i8),
    I32(i32),
    F32(f32),
    Bool(bool),
}

/// An operator's options.
#[derive(Debug, Clone)]
pub(super) enum Options {
    /// None.
    None,
    /// A table: its number in `BuiltinOptions`, and its fields by number.
    Builtin(u8, Vec<(u16, Field)>),
    /// A map of integers, written as a FlexBuffer.
    Custom(Vec<(&'static str, i32)>),
}

/// One operator; `None` is an operand that is left out.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    pub(super) code: Code,
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) output: usize,
    pub(super) options: Options,
}

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    /// An integer, or 32 bits of packed channels.
    I32,
}

/// A tensor: a constant where it has data.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) element: Element,
    pub(super) data: Option<Vec<u8>>,
}

/// A whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) tensors: Vec<Tensor>,
    pub(super) operators: Vec<Operator>,
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) metadata: Vec<(String, Vec<u8>)>,
}

impl File {
    /// The file's bytes.
    ///
    /// # Errors
    /// A size that does not fit the format's integers.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, ConvertError> {
        let data: usize = self.tensors.iter().filter_map(|t| t.data.as_ref()).map(|d| d.len() + 3 * ALIGN).sum();
        let tables = (self.tensors.len() + self.operators.len()) * 256;
        // The builder grows by doubling, and panics above 2 GB.
        let mut b = FlatBufferBuilder::with_capacity(data + tables);
        let buffers = self.buffers(&mut b)?;
        let graph = self.graph(&mut b)?;
        let codes = self.codes(&mut b);
        let metadata = self.metadata(&mut b)?;
        let signature = self.signature(&mut b)?;
        let description = b.create_string(concat!("signbit ", env!("CARGO_PKG_VERSION")));
        let graphs = b.create_vector(&[graph]);
        let model = b.start_table();
        b.push_slot_always(slot(0), 3_u32);
        b.push_slot_always(slot(1), codes);
        b.push_slot_always(slot(2), graphs);
        b.push_slot_always(slot(3), description);
        b.push_slot_always(slot(4), buffers);
        b.push_slot_always(slot(6), metadata);
        b.push_slot_always(slot(7), signature);
        let model = b.end_table(model);
        // The data are aligned from the end; with the 8 bytes of root and identifier they are from the begin.
        while !(b.unfinished_data().len() + 8).is_multiple_of(ALIGN) {
            b.push(0_u8);
        }
        b.finish(model, Some("TFL3"));
        Ok(b.finished_data().to_vec())
    }

    /// Number 0 is empty, as the format asks; then those of the constants and of the metadata.
    fn buffers<'b>(&self, b: &mut FlatBufferBuilder<'b>) -> Result<Tables<'b>, ConvertError> {
        let constants = self.tensors.iter().filter_map(|t| t.data.as_deref());
        let blobs: Vec<&[u8]> = constants.chain(self.metadata.iter().map(|(_, data)| data.as_slice())).collect();
        let empty = b.start_table();
        let mut tables = vec![b.end_table(empty)];
        for data in blobs {
            while !(b.unfinished_data().len() + data.len()).is_multiple_of(ALIGN) {
                b.push(0_u8);
            }
            let data = b.create_vector(data);
            let table = b.start_table();
            b.push_slot_always(slot(0), data);
            tables.push(b.end_table(table));
        }
        Ok(b.create_vector(&tables))
    }

    fn graph(&self, b: &mut FlatBufferBuilder<'_>) -> Result<Table, ConvertError> {
        let mut next_buffer = 1_u32;
        let mut tensors = Vec::with_capacity(self.tensors.len());
        for tensor in &self.tensors {
            let shape = tensor.shape.iter().map(|&d| int(d)).collect::<Result<Vec<i32>, _>>()?;
            let (shape, name) = (b.create_vector(&shape), b.create_string(&tensor.name));
            let table = b.start_table();
            b.push_slot_always(slot(0), shape);
            b.push_slot_always(slot(1), if tensor.element == Element::F32 { 0_i8 } else { 2 });
            if tensor.data.is_some() {
                b.push_slot_always(slot(2), next_buffer);
                next_buffer += 1;
            }
            b.push_slot_always(slot(3), name);
            tensors.push(b.end_table(table));
        }
        let codes = self.numbered_codes();
        let operators = self.operators.iter().map(|op| operator(b, op, &codes)).collect::<Result<Vec<_>, _>>()?;
        let (tensors, operators) = (b.create_vector(&tensors), b.create_vector(&operators));
        let inputs = b.create_vector(&[int::<i32>(self.input)?]);
        let outputs = b.create_vector(&[int::<i32>(self.output)?]);
        let name = b.create_string("main");
        let graph = b.start_table();
        b.push_slot_always(slot(0), tensors);
        b.push_slot_always(slot(1), inputs);
        b.push_slot_always(slot(2), outputs);
        b.push_slot_always(slot(3), operators);
        b.push_slot_always(slot(4), name);
        Ok(b.end_table(graph))
    }

    /// The kinds of operators in use, each with its place in the file's list.
    fn numbered_codes(&self) -> BTreeMap<Code, u32> {
        let codes: BTreeMap<Code, u32> = self.operators.iter().map(|op| (op.code, 0)).collect();
        codes.into_keys().zip(0..).collect()
    }

    fn codes<'b>(&self, b: &mut FlatBufferBuilder<'b>) -> Tables<'b> {
        let mut tables = Vec::new();
        for code in self.numbered_codes().into_keys() {
            let (builtin, version, custom) = match code {
                Code::Builtin(builtin, version) => (builtin, version, None),
                Code::Custom(name) => (CUSTOM, 1, Some(b.create_string(name))),
            };
            let table = b.start_table();
            // Older readers know this field only; numbers above 127 are not in it.
            b.push_slot_always(slot(0), i8::try_from(builtin).unwrap_or(i8::MAX));
            if let Some(name) = custom {
                b.push_slot_always(slot(1), name);
            }
            b.push_slot_always(slot(2), version);
            b.push_slot_always(slot(3), builtin);
            tables.push(b.end_table(table));
        }
        b.create_vector(&tables)
    }

    fn metadata<'b>(&self, b: &mut FlatBufferBuilder<'b>) -> Result<Tables<'b>, ConvertError> {
        let first: u32 = int(self.tensors.iter().filter(|t| t.data.is_some()).count() + 1)?;
        let mut tables = Vec::new();
        for ((name, _), buffer) in self.metadata.iter().zip(first..) {
            let name = b.create_string(name);
            let table = b.start_table();
            b.push_slot_always(slot(0), name);
            b.push_slot_always(slot(1), buffer);
            tables.push(b.end_table(table));
        }
        Ok(b.create_vector(&tables))
    }

    /// Input and output by name, for those who call the file by its signature.
    fn signature<'b>(&self, b: &mut FlatBufferBuilder<'b>) -> Result<Tables<'b>, ConvertError> {
        let mut maps = Vec::new();
        for (name, tensor) in [("input", self.input), ("output", self.output)] {
            let name = b.create_string(name);
            let table = b.start_table();
            b.push_slot_always(slot(0), name);
            b.push_slot_always(slot(1), int::<u32>(tensor)?);
            let table = b.end_table(table);
            maps.push(b.create_vector(&[table]));
        }
        let key = b.create_string("serving_default");
        let table = b.start_table();
        for (field, map) in (0..).zip(maps) {
            b.push_slot_always(slot(field), map);
        }
        b.push_slot_always(slot(2), key);
        b.push_slot_always(slot(4), 0_u32);
        let table = b.end_table(table);
        Ok(b.create_vector(&[table]))
    }
}

fn operator(b: &mut FlatBufferBuilder<'_>, op: &Operator, codes: &BTreeMap<Code, u32>) -> Result<Table, ConvertError> {
    let inputs = op.inputs.iter().map(|i| i.map_or(Ok(-1), int)).collect::<Result<Vec<i32>, _>>()?;
    let (inputs, outputs) = (b.create_vector(&inputs), b.create_vector(&[int::<i32>(op.output)?]));
    let builtin = match &op.options {
        Options::Builtin(kind, fields) => {
            let table = b.start_table();
            write_fields(b, fields);
            Some((*kind, b.end_table(table)))
        }
        _ => None,
    };
    let custom = match &op.options {
        Options::Custom(entries) => Some(b.create_vector(&flexbuffer(entries))),
        _ => None,
    };
    let table = b.start_table();
    b.push_slot_always(slot(0), codes.get(&op.code).copied().unwrap_or(0));
    b.push_slot_always(slot(1), inputs);
    b.push_slot_always(slot(2), outputs);
    if let Some((kind, options)) = builtin {
        b.push_slot_always(slot(3), kind);
        b.push_slot_always(slot(4), options);
    }
    if let Some(options) = custom {
        b.push_slot_always(slot(5), options);
    }
    Ok(b.end_table(table))
}

fn write_fields(b: &mut FlatBufferBuilder<'_>, fields: &[(u16, Field)]) {
    for &(field, value) in fields {
        match value {
            Field::I8(v) => b.push_slot_always(slot(field), v),
            Field::I32(v) => b.push_slot_always(slot(field), v),
            Field::F32(v) => b.push_slot_always(slot(field), v),
            Field::Bool(v) => b.push_slot_always(slot(field), v),
        }
    }
}

fn flexbuffer(entries: &[(&'static str, i32)]) -> Vec<u8> {
    let mut builder = flexbuffers::Builder::default();
    let mut map = builder.start_map();
    for &(key, value) in entries {
        map.push(key, value);
    }
    map.end_map();
    builder.take_buffer()
}
