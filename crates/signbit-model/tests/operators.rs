//! The operator list, the operator table of the docs and the enum are one and the same.

mod common;

use std::collections::BTreeSet;

use signbit_model::Op;

const TABLE: &str = include_str!("../docs/operators.md");

#[test]
fn the_docs_list_every_operator_once_and_in_order() {
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.collect::<Vec<_>>(), Op::NAMES);
}

#[test]
fn every_row_of_the_docs_has_five_cells() {
    let rows: Vec<&str> = TABLE.lines().filter(|line| line.starts_with('|')).collect();
    let wrong: Vec<_> = rows.iter().filter(|row| row.matches('|').count() != 6).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn names_are_those_in_the_file() {
    let model = common::every_operator();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for node in &model.graph.nodes {
        let json = serde_json::to_value(&node.op).unwrap();
        if json["op"] != node.op.name() {
            wrong.push((json["op"].clone(), node.op.name()));
        }
        seen.insert(node.op.name());
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(seen, BTreeSet::from(Op::NAMES), "the model must hold every operator");
}

#[test]
fn tensors_of_an_operator_are_the_names_in_its_json() {
    let model = common::every_operator();
    let mut wrong = Vec::new();
    for node in &model.graph.nodes {
        let json = serde_json::to_value(&node.op).unwrap();
        let fields = json.as_object().unwrap().iter();
        let strings = fields.filter(|(key, _)| *key != "op" && *key != "padding");
        let named: BTreeSet<&str> = strings.filter_map(|(_, value)| value.as_str()).collect();
        if named != BTreeSet::from_iter(node.op.tensors()) {
            wrong.push(node.op.name());
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
