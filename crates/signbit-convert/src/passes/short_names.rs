//! Names as short as they can be: other systems' are paths, and every byte of them stands in the file.

use std::collections::{BTreeMap, BTreeSet};

use signbit_model::{Model, Op};

use crate::ConvertError;
use crate::draft::unique;

/// Shortens the names of nodes: the first part of their paths goes where all share it, the last parts where what is
/// left is still unique. A tensor is named by the place of the first node
/// that reads it, and by what it is there: `12.weight`. Changes no value.
///
/// # Errors
/// None yet.
pub fn short_names(mut model: Model) -> Result<Model, ConvertError> {
    let names: Vec<&str> = model.graph.nodes.iter().map(|node| node.name.as_str()).collect();
    let short = shortened(&names);
    let mut nodes = BTreeSet::new();
    for (node, name) in model.graph.nodes.iter_mut().zip(short) {
        node.name = unique(&name, |n| nodes.contains(n));
        nodes.insert(node.name.clone());
    }
    let mut renamed: BTreeMap<String, String> = BTreeMap::new();
    for (i, node) in model.graph.nodes.iter_mut().enumerate() {
        let roles = roles(&node.op);
        for (tensor, role) in node.op.tensors_mut().into_iter().zip(roles) {
            let new = renamed.entry(tensor.clone()).or_insert_with(|| format!("{i}.{role}"));
            tensor.clone_from(new);
        }
    }
    let tensors = std::mem::take(&mut model.tensors);
    model.tensors = tensors.into_iter().filter_map(|(name, tensor)| Some((renamed.remove(&name)?, tensor))).collect();
    Ok(model)
}

/// What a node's tensors are called.
fn roles(op: &Op) -> [&'static str; 3] {
    match op {
        Op::MulAdd { .. } => ["mul", "add", ""],
        Op::Threshold { .. } => ["threshold", "flip", ""],
        Op::RSign { .. } => ["shift", "", ""],
        Op::MulMap { .. } => ["map", "", ""],
        Op::PRelu { .. } => ["slope", "", ""],
        Op::RPRelu { .. } => ["shift_in", "slope", "shift_out"],
        _ => ["weight", "bias", ""],
    }
}

/// Each name without the first part that most share, and without the last part of its path where what is left stands
/// for nothing else. What follows the first dot of a last part belongs to the reader, and stays.
fn shortened(names: &[&str]) -> Vec<String> {
    let split = |name: &&str| {
        let name = name.trim_matches('/');
        let last = name.rfind('/').map_or(0, |at| at + 1);
        let dot = name[last..].find('.').map_or(name.len(), |at| last + at);
        (name[..dot].to_owned(), name[dot..].to_owned())
    };
    let (mut paths, ends): (Vec<String>, Vec<String>) = names.iter().map(split).unzip();
    while let Some(first) = shared_by_most(&paths) {
        for path in &mut paths {
            if let Some(rest) = path.strip_prefix(&first) {
                *path = rest.to_owned();
            }
        }
    }
    loop {
        // Every path, and every beginning of one: what a shorter name would be taken for.
        let different: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for path in &different {
            let beginnings = path.match_indices('/').map(|(at, _)| &path[..at]).chain([*path]);
            beginnings.for_each(|beginning| *count.entry(beginning).or_insert(0) += 1);
        }
        let shorter = |path: &String| match path.rsplit_once('/') {
            Some((beginning, _)) if !beginning.is_empty() && count[beginning] == 1 => beginning.to_owned(),
            _ => path.clone(),
        };
        let shorter: Vec<String> = paths.iter().map(shorter).collect();
        if shorter == paths {
            break;
        }
        paths = shorter;
    }
    paths.iter().zip(ends).map(|(path, end)| path.clone() + &end).collect()
}

/// The first part, with its slash, that more than half of all paths begin with.
fn shared_by_most(paths: &[String]) -> Option<String> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for (first, rest) in paths.iter().filter_map(|path| path.split_once('/')) {
        if !rest.is_empty() {
            *count.entry(first).or_insert(0) += 1;
        }
    }
    let (first, _) = count.into_iter().find(|(_, n)| 2 * n > paths.len())?;
    Some(format!("{first}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_says_nothing() {
        let names =
            ["net/conv/Relu", "net/conv_1/BiasAdd", "net/conv_1/sign/Sign", "net/add/Add.v2", "net/add/Add", "out"];
        assert_eq!(shortened(&names), ["conv", "conv_1/BiasAdd", "conv_1/sign", "add.v2", "add", "out"]);
    }

    #[test]
    fn names_stay_apart() {
        assert_eq!(shortened(&["a/b", "a/c", "d", "/", ""]), ["a/b", "a/c", "d", "", ""]);
        assert_eq!(shortened(&["x/y", "x/z"]), ["y", "z"]);
        assert_eq!(shortened(&["a.b/c.d", "a.b/e"]), ["c.d", "e"]);
    }
}
