//! The size table: against numbers counted by hand, and against the file's length.

mod common;

use common::{every_operator, small};
use signbit_model::file::to_bytes;
use signbit_model::{Geometry, ModelBuilder, Op, Padding, Shape, SizeTable, Tensor};

#[test]
fn the_parts_are_the_file_to_the_byte() {
    for model in [small(), every_operator()] {
        let table = SizeTable::of(&model).unwrap();
        let bytes = to_bytes(&model).unwrap();
        assert_eq!(table.packed_bytes + table.real_bytes + table.header_bytes, bytes.len() as u64);
        assert_eq!(table.file_bytes, bytes.len() as u64);
        let nodes: u64 = table.nodes.iter().map(|node| node.bytes).sum();
        assert_eq!(nodes, table.packed_bytes + table.real_bytes);
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(table.header_bytes, header + 8);
    }
}

/// A grouped convolution with a threshold, used twice, and a real layer with signs as weights.
#[test]
fn counted_by_hand() {
    let mut b = ModelBuilder::new(Shape::new(4, 4, 6));
    b.tensor("w", common::ones(&[10, 3, 3, 3])).tensor("fc", common::ones(&[2, 16 * 10]));
    b.tensor("t", Tensor::i32([10], vec![0; 10]).unwrap()).tensor("f", common::ones(&[1, 10]));
    b.tensor("bias", common::reals(&[2]));
    let geometry = Geometry::same(4, 4, [3, 3], [1, 1], [1, 1]);
    let conv = Op::BinaryConv2d { weight: "w".into(), geometry, groups: 2, padding: Padding::Zero };
    let s = b.node("sign", Op::Sign, &[b.input()]);
    let x = b.node("conv", conv.clone(), &[s]);
    let again = b.node("again", conv, &[s]);
    let x = b.node("thr", Op::Threshold { threshold: "t".into(), flip: "f".into() }, &[x]);
    let x = b.node("unpack", Op::Unpack, &[x]);
    let x = b.node("flat", Op::Flatten, &[x]);
    let y = b.node("fc", Op::Dense { weight: "fc".into(), bias: Some("bias".into()) }, &[x]);
    let _ = again;
    let table = SizeTable::of(&b.finish(y).unwrap()).unwrap();

    let row = |name: &str| {
        let n = table.nodes.iter().find(|n| n.name == name).unwrap();
        [n.binary_params, n.real_params, n.bytes, n.f32_bytes, n.binary_macs, n.real_macs]
    };
    // 10 rows of 27 bits, 4 bytes each; 16 pixels x 10 channels x 27 taps.
    assert_eq!(row("conv"), [270, 0, 40, 1080, 4320, 0]);
    // The same weight takes no second place, but its multiplications are done again.
    assert_eq!(row("again"), [0, 0, 0, 0, 4320, 0]);
    // 10 thresholds of 4 bytes and 10 bits; a batch normalisation takes 80 bytes.
    assert_eq!(row("thr"), [0, 10, 42, 80, 0, 0]);
    // 2 rows of 160 bits, 2 numbers.
    assert_eq!(row("fc"), [320, 2, 48, 1288, 0, 320]);
    assert_eq!(row("sign"), [0; 6]);
    assert_eq!((table.binary_params, table.real_params), (590, 12));
    assert_eq!((table.binary_macs, table.real_macs), (8640, 320));
    assert_eq!((table.packed_bytes, table.real_bytes), (40 + 2 + 40, 40 + 8));
    assert_eq!(table.f32_bytes, 1080 + 80 + 1288);
    assert_eq!(table.ratio, 2448.0 / table.file_bytes as f64);
}

#[test]
fn the_text_is_aligned() {
    let mut b = ModelBuilder::new(Shape::vector(1200));
    b.tensor("w", common::ones(&[1000, 1200])).tensor("s", common::reals(&[1000]));
    let s = b.node("sign", Op::Sign, &[b.input()]);
    let d = b.node("dot", Op::BinaryDense { weight: "w".into() }, &[s]);
    let y = b.node("scale", Op::MulAdd { mul: "s".into(), add: "s".into() }, &[d]);
    let mut table = SizeTable::of(&b.finish(y).unwrap()).unwrap();
    (table.header_bytes, table.file_bytes, table.ratio) = (1000, 155_000, 31.0);
    let expected = "\
layer  op            output         1-bit params  32-bit params    bytes  1-bit MACs  32-bit MACs
sign   sign          bits 1x1x1200             0              0        0           0            0
dot    binary_dense  i32 1x1x1000      1,200,000              0  150,000   1,200,000            0
scale  mul_add       f32 1x1x1000              0          1,000    4,000           0            0
total                                  1,200,000          1,000  154,000   1,200,000            0

file: 150,000 packed + 4,000 real + 1,000 header = 155,000 bytes
the same in f32: 4,804,000 bytes, 31.00 times the file";
    assert_eq!(table.to_string(), expected);
}

#[test]
fn the_table_serialises() {
    let table = SizeTable::of(&small()).unwrap();
    let json = serde_json::to_value(&table).unwrap();
    assert_eq!(json["nodes"].as_array().unwrap().len(), small().graph.nodes.len());
    assert_eq!(json["nodes"][1]["op"], "binary_dense");
    assert_eq!(json["file_bytes"], table.file_bytes);
}

#[test]
fn a_wrong_model_has_no_table() {
    let mut model = small();
    model.tensors.remove("w");
    assert!(SizeTable::of(&model).is_err());
}
