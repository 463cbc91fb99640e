//! The messages of an ONNX file, as far as the reader and the exporter need them.
//!
//! The field numbers are those of ONNX's `onnx.proto`; a field that is not here is skipped when read.

/// `TensorProto.DataType`, and `elem_type` of a value.
pub(crate) mod data_type {
    /// 32-bit float.
    pub(crate) const FLOAT: i32 = 1;
    /// Unsigned byte.
    pub(crate) const UINT8: i32 = 2;
    /// Signed byte.
    pub(crate) const INT8: i32 = 3;
    /// Unsigned 16-bit integer.
    pub(crate) const UINT16: i32 = 4;
    /// Signed 16-bit integer.
    pub(crate) const INT16: i32 = 5;
    /// Signed 32-bit integer.
    pub(crate) const INT32: i32 = 6;
    /// Signed 64-bit integer.
    pub(crate) const INT64: i32 = 7;
    /// A byte, 0 or 1.
    pub(crate) const BOOL: i32 = 9;
    /// Half precision.
    pub(crate) const FLOAT16: i32 = 10;
    /// 64-bit float.
    pub(crate) const DOUBLE: i32 = 11;
    /// Unsigned 32-bit integer.
    pub(crate) const UINT32: i32 = 12;
    /// Unsigned 64-bit integer.
    pub(crate) const UINT64: i32 = 13;
    /// The upper half of a 32-bit float.
    pub(crate) const BFLOAT16: i32 = 16;
}

/// `AttributeProto.AttributeType`.
pub(crate) mod attribute_type {
    /// In `f`.
    pub(crate) const FLOAT: i32 = 1;
    /// In `i`.
    pub(crate) const INT: i32 = 2;
    /// In `s`.
    pub(crate) const STRING: i32 = 3;
    /// In `t`.
    pub(crate) const TENSOR: i32 = 4;
    /// In `floats`.
    pub(crate) const FLOATS: i32 = 6;
    /// In `ints`.
    pub(crate) const INTS: i32 = 7;
}

/// The file.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ModelProto {
    /// Version of the file format.
    #[prost(int64, tag = "1")]
    pub(crate) ir_version: i64,
    /// The system that wrote it.
    #[prost(string, tag = "2")]
    pub(crate) producer_name: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub(crate) producer_version: String,
    /// Free text.
    #[prost(string, tag = "6")]
    pub(crate) doc_string: String,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub(crate) graph: Option<GraphProto>,
    /// The versions of the operator sets in use.
    #[prost(message, repeated, tag = "8")]
    pub(crate) opset_import: Vec<OperatorSetIdProto>,
    /// Free pairs.
    #[prost(message, repeated, tag = "14")]
    pub(crate) metadata_props: Vec<StringStringEntryProto>,
}

/// One operator set and its version.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OperatorSetIdProto {
    /// Empty for ONNX's own.
    #[prost(string, tag = "1")]
    pub(crate) domain: String,
    /// The version.
    #[prost(int64, tag = "2")]
    pub(crate) version: i64,
}

/// A key and its value.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StringStringEntryProto {
    /// The key.
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// A network: nodes in an order in which they can be computed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GraphProto {
    /// The nodes.
    #[prost(message, repeated, tag = "1")]
    pub(crate) node: Vec<NodeProto>,
    /// The network's name.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// Constants, by their own names.
    #[prost(message, repeated, tag = "5")]
    pub(crate) initializer: Vec<TensorProto>,
    /// Free text.
    #[prost(string, tag = "10")]
    pub(crate) doc_string: String,
    /// The inputs; files of IR version 3 list the initializers here too.
    #[prost(message, repeated, tag = "11")]
    pub(crate) input: Vec<ValueInfoProto>,
    /// The outputs.
    #[prost(message, repeated, tag = "12")]
    pub(crate) output: Vec<ValueInfoProto>,
    /// Types of values inside.
    #[prost(message, repeated, tag = "13")]
    pub(crate) value_info: Vec<ValueInfoProto>,
}

/// One operator at its place.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NodeProto {
    /// Names of the operands; empty where an optional one is left out.
    #[prost(string, repeated, tag = "1")]
    pub(crate) input: Vec<String>,
    /// Names of the results.
    #[prost(string, repeated, tag = "2")]
    pub(crate) output: Vec<String>,
    /// The node's name, often empty.
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    /// The operator.
    #[prost(string, tag = "4")]
    pub(crate) op_type: String,
    /// Its attributes.
    #[prost(message, repeated, tag = "5")]
    pub(crate) attribute: Vec<AttributeProto>,
    /// The operator's set; empty for ONNX's own.
    #[prost(string, tag = "7")]
    pub(crate) domain: String,
}

/// One attribute of a node.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AttributeProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// A number.
    #[prost(float, optional, tag = "2")]
    pub(crate) f: Option<f32>,
    /// An integer.
    #[prost(int64, optional, tag = "3")]
    pub(crate) i: Option<i64>,
    /// A string.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(crate) s: Option<Vec<u8>>,
    /// A tensor.
    #[prost(message, optional, boxed, tag = "5")]
    pub(crate) t: Option<Box<TensorProto>>,
    /// Numbers.
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub(crate) floats: Vec<f32>,
    /// Integers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub(crate) ints: Vec<i64>,
    /// Which of the fields holds the value, by [`attribute_type`].
    #[prost(int32, tag = "20")]
    pub(crate) r#type: i32,
}

/// A constant tensor; its elements are in `raw_data` or in the field of its type.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TensorProto {
    /// The shape; empty for a scalar.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(crate) dims: Vec<i64>,
    /// The type, by [`data_type`].
    #[prost(int32, tag = "2")]
    pub(crate) data_type: i32,
    /// Elements of type float.
    #[prost(float, repeated, tag = "4")]
    pub(crate) float_data: Vec<f32>,
    /// Elements of the types of up to 32 bits, and of float16 as their bits.
    #[prost(int32, repeated, tag = "5")]
    pub(crate) int32_data: Vec<i32>,
    /// Elements of type int64.
    #[prost(int64, repeated, tag = "7")]
    pub(crate) int64_data: Vec<i64>,
    /// The name.
    #[prost(string, tag = "8")]
    pub(crate) name: String,
    /// Elements of any type, little-endian, row-major.
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) raw_data: Vec<u8>,
    /// Elements of type double.
    #[prost(double, repeated, tag = "10")]
    pub(crate) double_data: Vec<f64>,
    /// Where the elements are in another file: its name, offset, length.
    #[prost(message, repeated, tag = "13")]
    pub(crate) external_data: Vec<StringStringEntryProto>,
    /// 1 where they are in another file.
    #[prost(int32, tag = "14")]
    pub(crate) data_location: i32,
}

/// A value's name and type.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ValueInfoProto {
    /// The name.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// The type.
    #[prost(message, optional, tag = "2")]
    pub(crate) r#type: Option<TypeProto>,
}

/// A value's type; that of a tensor, or `None`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TypeProto {
    /// A tensor's type.
    #[prost(message, optional, tag = "1")]
    pub(crate) tensor_type: Option<TensorTypeProto>,
}

/// A tensor's type.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TensorTypeProto {
    /// By [`data_type`].
    #[prost(int32, tag = "1")]
    pub(crate) elem_type: i32,
    /// The shape; `None` where even the rank is not known.
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<TensorShapeProto>,
}

/// A tensor's shape.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TensorShapeProto {
    /// The dimensions.
    #[prost(message, repeated, tag = "1")]
    pub(crate) dim: Vec<DimensionProto>,
}

/// One dimension: a number or a name, or neither.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DimensionProto {
    /// The size, or its name.
    #[prost(oneof = "Dimension", tags = "1, 2")]
    pub(crate) value: Option<Dimension>,
}

/// The size of a dimension.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Dimension {
    /// The size.
    #[prost(int64, tag = "1")]
    Size(i64),
    /// The name of a size that is not known yet, such as "batch".
    #[prost(string, tag = "2")]
    Name(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn zero_of_an_optional_number_is_kept() {
        let attribute = AttributeProto { name: "axis".into(), i: Some(0), r#type: 2, ..Default::default() };
        let bytes = attribute.encode_to_vec();
        assert_eq!(bytes, [0x0a, 4, b'a', b'x', b'i', b's', 0x18, 0, 0xa0, 0x01, 2]);
        assert_eq!(AttributeProto::decode(bytes.as_slice()).unwrap(), attribute);
    }

    #[test]
    fn packed_and_single_integers_are_read() {
        for bytes in [&[0x08, 3, 0x08, 5][..], &[0x0a, 2, 3, 5]] {
            assert_eq!(TensorProto::decode(bytes).unwrap().dims, [3, 5]);
        }
    }
}
