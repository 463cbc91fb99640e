//! What is refused, by which name, and that small files cannot ask for much.

use prost::Message as _;
use signbit_model::{Shape, interpreter};

use super::proto::*;
use super::read;
use crate::{ConvertError, Imported, Warning};

fn info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| DimensionProto { value: Some(Dimension::Size(size)) };
    let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}

fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.into()],
        name: format!("the {op}"),
        op_type: op.into(),
        ..Default::default()
    }
}

fn with_ints(mut node: NodeProto, name: &str, ints: &[i64]) -> NodeProto {
    let r#type = attribute_type::INTS;
    node.attribute.push(AttributeProto { name: name.into(), ints: ints.to_vec(), r#type, ..Default::default() });
    node
}

fn with_text(mut node: NodeProto, name: &str, text: &str) -> NodeProto {
    let (s, r#type) = (Some(text.into()), attribute_type::STRING);
    node.attribute.push(AttributeProto { name: name.into(), s, r#type, ..Default::default() });
    node
}

fn floats(name: &str, dims: &[i64]) -> TensorProto {
    let len = dims.iter().product::<i64>();
    let float_data = (0..len).map(|i| (i as f32 * 0.7).sin()).collect();
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: data_type::FLOAT,
        float_data,
        ..Default::default()
    }
}

fn ints(name: &str, int64_data: &[i64]) -> TensorProto {
    let (dims, int64_data) = (vec![int64_data.len() as i64], int64_data.to_vec());
    TensorProto { name: name.into(), dims, data_type: data_type::INT64, int64_data, ..Default::default() }
}

fn file(input: &[i64], nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let output = nodes.last().and_then(|node| node.output.first()).map_or("x", String::as_str);
    let output = vec![ValueInfoProto { name: output.into(), r#type: None }];
    let graph = GraphProto { node: nodes, initializer, input: vec![info("x", input)], output, ..Default::default() };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..Default::default() }
}

fn import(model: &ModelProto) -> Result<Imported, ConvertError> {
    read(&model.encode_to_vec())
}

fn refusal(input: &[i64], nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> String {
    match import(&file(input, nodes, initializer)) {
        Err(error @ ConvertError::Unsupported { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

const MAP: [i64; 4] = [1, 2, 4, 6];

#[test]
fn what_has_no_counterpart_is_refused_by_name() {
    let w = || floats("w", &[3, 2, 2, 2]);
    let conv = || node("Conv", &["x", "w"], "y");
    let one = |node: NodeProto, constant: TensorProto, says: &str| {
        let name = node.name.clone();
        let said = refusal(&MAP, vec![node], vec![constant]);
        assert!(said.contains(says) && said.contains(&name), "{said}");
    };
    one(node("GRU", &["x"], "y"), w(), "GRU cannot be taken in: the operator is not known");
    one(node("Conv", &["x", "x"], "y"), w(), "operand 1 is not a constant");
    one(node("Conv", &["x", "w"], "y"), floats("w", &[3, 2, 2]), "a weight of shape [3, 2, 2]");
    one(with_ints(conv(), "strides", &[0, 1]), w(), "strides = [0, 1]");
    one(with_ints(conv(), "pads", &[0, -1, 0, 0]), w(), "pads = [0, -1, 0, 0]");
    one(with_text(conv(), "auto_pad", "SAME"), w(), "auto_pad SAME");
    one(with_text(with_ints(node("Pad", &["x"], "y"), "pads", &[1; 8]), "mode", "reflect"), w(), "mode reflect");
    one(with_ints(node("Pad", &["x"], "y"), "pads", &[0, 1, 0, 0, 0, 0, 0, 0]), w(), "axis 1");
    one(with_ints(node("Transpose", &["x"], "y"), "perm", &[0, 1, 1, 2]), w(), "name one twice");
    one(node("Reshape", &["x", "w"], "y"), ints("w", &[1, 4, 12]), "divides an axis");
    one(with_ints(node("ReduceMean", &["x"], "y"), "axes", &[2]), w(), "over axes [2]");
    one(node("Add", &["x", "w"], "y"), floats("w", &[1, 2, 1, 5]), "does not go with");
    one(node("MatMul", &["x", "w"], "y"), floats("w", &[6, 3]), "is not its channels");
    one(node("Concat", &["x", "w"], "y"), w(), "operand 1 is a constant");
    let foreign = NodeProto { domain: "com.microsoft".into(), ..node("Gelu", &["x"], "y") };
    one(foreign, w(), "com.microsoft");
}

#[test]
fn inputs_and_outputs_that_do_not_fit_are_refused() {
    let relu = || vec![node("Relu", &["x"], "y")];
    for (dims, says) in [
        (&[1, 2, 0, 4][..], "axis 2 of its shape is not fixed"),
        (&[1, 2, 3, 4, 5], "it has 5 axes"),
        (&[3], "it has 1 axes"),
        (&[1, 2, 1 << 20, 1 << 20], "too large"),
        (&[1, i64::MAX, i64::MAX, 4], "too large"),
    ] {
        let said = refusal(dims, relu(), vec![]);
        assert!(said.contains(says), "{said}");
    }
    // An open batch is one sample.
    assert!(import(&file(&[-1, 3], relu(), vec![])).is_ok());
    // The order of the output is not that of memory, and not the one of channels first.
    let said = refusal(&MAP, vec![with_ints(node("Transpose", &["x"], "y"), "perm", &[0, 3, 2, 1])], vec![]);
    assert!(said.contains("lie in another order"), "{said}");
    // Twice the same name, a name that nothing makes, a graph without nodes and input.
    let twice = file(&MAP, vec![node("Relu", &["x"], "y"), node("Sign", &["x"], "y")], vec![]);
    let unknown = file(&MAP, vec![node("Relu", &["z"], "y")], vec![]);
    for wrong in [twice, unknown, ModelProto::default()] {
        assert!(matches!(import(&wrong), Err(ConvertError::Malformed { .. })));
    }
}

#[test]
fn a_feature_map_comes_out_in_nhwc_with_a_warning() {
    let imported = import(&file(&MAP, vec![node("Sign", &["x"], "y")], vec![])).unwrap();
    let [Warning::SignOfZero { node }, Warning::Other { what, .. }] = imported.warnings.as_slice() else {
        panic!("{:?}", imported.warnings);
    };
    assert_eq!((node.as_str(), imported.model.graph.input.shape), ("the Sign", Shape::new(4, 6, 2)));
    assert!(what.contains("NHWC"), "{what}");
}

#[test]
fn a_vector_that_becomes_a_picture_at_once_is_one() {
    let nodes = vec![node("Reshape", &["x", "s"], "r"), node("Conv", &["r", "w"], "y")];
    let model = file(&[1, 24], nodes, vec![ints("s", &[-1, 1, 4, 6]), floats("w", &[3, 1, 2, 2])]);
    assert_eq!(import(&model).unwrap().model.graph.input.shape, Shape::new(4, 6, 1));
}

#[test]
fn the_logical_order_decides_about_columns() {
    // [N, C, H, W] to [N, W, H, C], flattened: the columns of the dense layer are in that order.
    let transpose = with_ints(node("Transpose", &["x"], "t"), "perm", &[0, 3, 2, 1]);
    let nodes = vec![transpose, node("Flatten", &["t"], "f"), node("MatMul", &["f", "w"], "y")];
    let weight = floats("w", &[48, 1]);
    let model = import(&file(&MAP, nodes, vec![weight.clone()])).unwrap().model;
    for (c, h, w) in [(0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 5), (1, 3, 4)] {
        let mut input = vec![0.0; 48];
        input[(h * 6 + w) * 2 + c] = 1.0;
        let found = interpreter::run(&model, 1, &input).unwrap();
        assert_eq!(found.data, interpreter::ValueData::F32(vec![weight.float_data[(w * 4 + h) * 2 + c]]));
    }
}

/// Two groups of two channels, each to one: row 1, two columns, steps of 2, three taps. Against the naive sum.
#[test]
fn transposed_convolutions_by_pads_and_by_size() {
    let up = || with_ints(node("ConvTranspose", &["x", "w"], "y"), "strides", &[1, 2]);
    let group = |mut node: NodeProto| {
        node.attribute.push(AttributeProto { name: "group".into(), i: Some(2), r#type: 2, ..Default::default() });
        node
    };
    let weight = floats("w", &[4, 1, 1, 3]);
    let x = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0];
    let mut full = [[0.0_f32; 2]; 5];
    for (i, c, k) in (0..2).flat_map(|i| (0..4).flat_map(move |c| (0..3).map(move |k| (i, c, k)))) {
        full[i * 2 + k][c / 2] += x[i * 4 + c] * weight.float_data[c * 3 + k];
    }
    let cases = [
        (up(), 0..5),
        (with_ints(up(), "pads", &[0, 1, 0, 2]), 1..3),
        (with_ints(up(), "output_shape", &[1, 3]), 1..4),
        (with_ints(up(), "output_shape", &[1, 4]), 1..5),
        (with_text(up(), "auto_pad", "SAME_UPPER"), 0..4),
        (with_text(up(), "auto_pad", "SAME_LOWER"), 1..5),
        (with_text(up(), "auto_pad", "VALID"), 0..5),
    ];
    for (node, columns) in cases {
        let what = format!("{:?}", node.attribute);
        let model = import(&file(&[1, 4, 1, 2], vec![group(node)], vec![weight.clone()])).unwrap().model;
        let found = interpreter::run(&model, 1, &x).unwrap();
        let interpreter::ValueData::F32(found) = found.data else { panic!("real numbers") };
        let expected = full[columns].concat();
        assert_eq!(found.len(), expected.len(), "{what}");
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?} {expected:?} {what}");
    }
    let said = refusal(&[1, 4, 1, 2], vec![with_ints(up(), "output_shape", &[1, 1 << 40])], vec![weight.clone()]);
    assert!(said.contains("an output of"), "{said}");
    let said = refusal(&[1, 3, 1, 2], vec![group(up())], vec![floats("w", &[3, 1, 1, 3])]);
    assert!(said.contains("group"), "{said}");
}

#[test]
fn small_files_cannot_ask_for_much() {
    let of_shape = || node("ConstantOfShape", &["s"], "c");
    let add = || node("Add", &["x", "c"], "y");
    for dims in [&[1 << 40][..], &[1 << 28], &[1 << 62, 1 << 62], &[0, 1 << 40, 1 << 40], &[1; 9], &[-1]] {
        refusal(&MAP, vec![of_shape(), add()], vec![ints("s", dims)]);
    }
    let expand = vec![node("Expand", &["w", "s"], "c"), add()];
    refusal(&MAP, expand, vec![floats("w", &[1]), ints("s", &[1 << 14, 1 << 14])]);
    // Each step doubles.
    let name = |i: usize| format!("c{i}");
    let axis = |mut node: NodeProto| {
        node.attribute.push(AttributeProto { name: "axis".into(), i: Some(0), r#type: 2, ..Default::default() });
        node
    };
    let mut nodes: Vec<_> = (0..40).map(|i| axis(node("Concat", &[&name(i), &name(i)], &name(i + 1)))).collect();
    nodes.push(node("Add", &["x", "c40"], "y"));
    refusal(&MAP, nodes, vec![floats("c0", &[4])]);
    // A constant of one number on a value of very many channels.
    let said = refusal(&[1, 1 << 30], vec![node("Mul", &["x", "w"], "y")], vec![floats("w", &[1])]);
    assert!(said.contains("far larger"), "{said}");
    // Nothing in any number of blocks.
    let empty = TensorProto { dims: vec![1 << 40, 3, 0], data_type: 1, name: "w".into(), ..Default::default() };
    let gather = axis(node("Gather", &["w", "i"], "c"));
    refusal(&MAP, vec![gather, add()], vec![empty.clone(), ints("i", &[0])]);
    let reduce = with_ints(node("ReduceMean", &["w"], "c"), "axes", &[2]);
    refusal(&MAP, vec![reduce, add()], vec![empty]);
}
