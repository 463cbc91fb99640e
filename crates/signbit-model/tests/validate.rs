//! One test per way in which a model can be wrong as a whole.

mod common;

use common::{pattern, reals, small};
use signbit_model::{
    DType, ModelBuilder, ModelError, Node, Op, PreprocessingError, Shape, Tensor, TensorError, ValueId, infer, limits,
};

#[test]
fn the_examples_are_valid() {
    for model in [small(), common::every_operator()] {
        let types = model.validate().unwrap();
        assert_eq!(types.len(), model.graph.nodes.len() + 1);
        assert_eq!(types, infer(&model.graph, &model.tensors).unwrap());
    }
}

#[test]
fn tensor_that_contradicts_itself() {
    let mut model = small();
    model.tensors.insert("w".into(), Tensor::Bits { shape: vec![2, 3], rows: vec![7, 8] });
    let error = model.validate().unwrap_err();
    assert!(
        matches!(&error, ModelError::Tensor { tensor, source: TensorError::TailBits { row: 1 } } if tensor == "w"),
        "{error:?}"
    );
}

#[test]
fn duplicate_node() {
    let mut model = small();
    model.graph.nodes[1].name = "sign".into();
    let error = model.validate().unwrap_err();
    assert!(matches!(&error, ModelError::DuplicateNode { node } if node == "sign"), "{error:?}");
}

#[test]
fn duplicate_tensor() {
    let mut b = ModelBuilder::new(Shape::vector(2));
    b.tensor("s", reals(&[2])).tensor("s", reals(&[2])).tensor("other", reals(&[2]));
    let y = b.node("prelu", Op::PRelu { slope: "s".into() }, &[b.input()]);
    let error = b.finish(y).unwrap_err();
    assert!(matches!(&error, ModelError::DuplicateTensor { tensor } if tensor == "s"), "{error:?}");
}

#[test]
fn unused_tensor() {
    let mut model = small();
    model.tensors.insert("left over".into(), pattern(&[1, 1]));
    let error = model.validate().unwrap_err();
    assert!(matches!(&error, ModelError::UnusedTensor { tensor } if tensor == "left over"), "{error:?}");
}

#[test]
fn name() {
    for name in [String::new(), "n".repeat(limits::MAX_NAME + 1), "__metadata__".into(), "\u{1b}[2J".into()] {
        let mut model = small();
        model.graph.nodes[0].name.clone_from(&name);
        assert!(matches!(model.validate(), Err(ModelError::Name { .. })), "node {name}");
        let mut model = small();
        model.tensors.insert(name.clone(), reals(&[1]));
        assert!(matches!(model.validate(), Err(ModelError::Name { .. })), "tensor {name}");
    }
}

#[test]
fn too_many_nodes() {
    let mut model = small();
    let node = |i| Node { name: format!("n{i}"), op: Op::Relu, inputs: vec![ValueId::INPUT] };
    model.graph.nodes = (0..=limits::MAX_NODES).map(node).collect();
    let error = model.validate().unwrap_err();
    assert!(matches!(error, ModelError::TooManyNodes { found } if found == limits::MAX_NODES + 1));
}

#[test]
fn graph_input_dtype() {
    let mut model = small();
    model.graph.input.dtype = DType::Bits;
    let error = model.validate().unwrap_err();
    assert!(matches!(error, ModelError::InputDType { found: DType::Bits }), "{error:?}");
}

#[test]
fn graph_input_shape() {
    for found in [Shape::vector(0), Shape::new(usize::MAX, usize::MAX, 1), Shape::vector(1 << 31)] {
        let mut model = small();
        model.graph.input.shape = found;
        let error = model.validate().unwrap_err();
        assert!(matches!(error, ModelError::InputShape { found: f } if f == found), "{error:?}");
    }
}

#[test]
fn graph_output() {
    let mut model = small();
    let values = model.graph.nodes.len() + 1;
    model.graph.output = ValueId(values as u32);
    let error = model.validate().unwrap_err();
    assert!(matches!(error, ModelError::Output { values: v, .. } if v == values), "{error:?}");
}

#[test]
fn classes() {
    let mut model = small();
    model.classes.push("perhaps".into());
    let error = model.validate().unwrap_err();
    assert!(matches!(error, ModelError::Classes { expected: 2, found: 3 }), "{error:?}");
}

/// Escape, bell, tab, delete, and the one-character escape sequence of the second control block.
const CONTROLS: [char; 5] = ['\u{1b}', '\u{7}', '\t', '\u{7f}', '\u{9b}'];

#[test]
fn class_name() {
    for control in CONTROLS.into_iter().chain(['\n', '\0']) {
        let mut model = small();
        model.classes[1].push(control);
        let error = model.validate().unwrap_err();
        assert!(matches!(error, ModelError::ClassName { index: 1, .. }), "{error:?}");
        assert!(!error.to_string().contains(control), "{error}");
    }
}

#[test]
fn note_key() {
    for control in CONTROLS.into_iter().chain(['\n', '\0']) {
        let mut model = small();
        model.notes.insert(format!("a{control}b"), String::new());
        let error = model.validate().unwrap_err();
        assert!(matches!(error, ModelError::NoteKey { .. }), "{error:?}");
        assert!(!error.to_string().contains(control), "{error}");
    }
}

#[test]
fn note() {
    for control in CONTROLS.into_iter().chain(['\r', '\0']) {
        let mut model = small();
        model.notes.insert("long".into(), format!("one\ntwo{control}"));
        let error = model.validate().unwrap_err();
        assert!(matches!(&error, ModelError::Note { key } if key == "long"), "{error:?}");
    }
    let mut model = small();
    model.notes.insert("long".into(), "one\ntwo".into());
    assert!(model.validate().is_ok());
}

#[test]
fn preprocessing_of_another_shape() {
    let mut model = common::every_operator();
    let preprocessing = model.preprocessing.as_mut().unwrap();
    preprocessing.height = 7;
    let error = model.validate().unwrap_err();
    let expected = PreprocessingError::Shape { expected: Shape::new(6, 5, 3), found: Shape::new(7, 5, 3) };
    assert!(matches!(&error, ModelError::Preprocessing(e) if *e == expected), "{error:?}");
}
