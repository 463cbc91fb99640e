//! Names as short as they can be: other systems' are paths, and every byte of them stands in the file.

use std::collections::{BTreeMap, BTreeSet};

use signbit_model::{Model, Op};

use crate::ConvertError;
use crate::draft::unique;

/// Shortens the names of nodes: the first part of their paths goes where all share it, the last parts where what is
/// left is still unique. A tensor is named by the first node that reads it. Changes no value.
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
    let mut taken = BTreeSet::new();
    for node in &mut model.graph.nodes {
        let (name, roles) = (node.name.clone(), roles(&node.op));
        for (tensor, role) in node.op.tensors_mut().into_iter().zip(roles) {
            let new = renamed.entry(tensor.clone()).or_insert_with(|| {
                let new = unique(&format!("{name}.{role}"), |n| taken.contains(n));
                taken.insert(new.clone());
                new
            });
            tensor.clone_from(new);
        }
    }
    let tensors = std::mem::take(&mut model.tensors);
    model.tensors = tensors.into_iter().filter_map(|(name, tensor)| Some((renamed.remove(&name)?, tensor))).collect();
    Ok(model)
}

/// What a node's tensors are called behind its name.
fn roles(op: &Op) -> [&'static str; 3] {
    match op {
        Op::MulAdd { .. } => ["mul", "add", ""],
        Op::Threshold { .. } => ["threshold", "flip", ""],
        Op::RSign { .. } => ["shift", "", ""],
        Op::PRelu { .. } => ["slope", "", ""],
        Op::RPRelu { .. } => ["shift_in", "slope", "shift_out"],
        _ => ["weight", "bias", ""],
    }
}

/// Each name without the shared first part, and without last parts as long as the rest is nobody else's.
fn shortened(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| name.trim_matches('/').to_owned()).collect();
    while let Some(first) = names.first().and_then(|name| name.split_once('/')).map(|(first, _)| format!("{first}/")) {
        if !names.iter().all(|name| name.len() > first.len() && name.starts_with(&first)) {
            break;
        }
        names.iter_mut().for_each(|name| *name = name[first.len()..].to_owned());
    }
    loop {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for name in &names {
            // A name and every path that leads to it.
            let paths = name.match_indices('/').map(|(at, _)| &name[..at]).chain([name.as_str()]);
            paths.for_each(|path| *count.entry(path).or_insert(0) += 1);
        }
        let shorter = |name: &String| match name.rsplit_once('/') {
            Some((path, _)) if !path.is_empty() && count[path] == 1 => path.to_owned(),
            _ => name.clone(),
        };
        let shorter: Vec<String> = names.iter().map(shorter).collect();
        if shorter == names {
            return names;
        }
        names = shorter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_says_nothing() {
        let names = ["net/conv/Relu", "net/conv_1/BiasAdd", "net/conv_1/sign/Sign", "net/add/AddV2"];
        assert_eq!(shortened(&names), ["conv", "conv_1/BiasAdd", "conv_1/sign", "add"]);
    }

    #[test]
    fn names_stay_apart() {
        let names = ["a/b", "a/c", "d", "/", ""];
        let short = shortened(&names);
        assert_eq!(short, ["a/b", "a/c", "d", "", ""]);
        assert_eq!(shortened(&["x/y", "x/z"]), ["y", "z"]);
    }
}
