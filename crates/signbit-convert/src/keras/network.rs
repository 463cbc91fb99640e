//! The JSON of a model as a list of layers and of their calls, in an order that can be walked.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::config::{Config, real};
use super::weights::snake_case;
use crate::ConvertError;

/// A model: Sequential or Functional.
#[derive(Debug)]
pub(super) struct Network<'a> {
    /// The layers, in the order of the file.
    pub(super) layers: Vec<Layer<'a>>,
    /// Their calls.
    pub(super) calls: Vec<Call<'a>>,
    /// The calls' numbers, each behind those that it reads.
    pub(super) order: Vec<usize>,
    /// The shape of the input, the batch first and `null`; missing in a model that gets it only when called.
    pub(super) input_shape: Option<&'a Value>,
    /// The value that it gives.
    pub(super) output: Source,
}

/// A layer of a model.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    /// Class, name and options.
    pub(super) config: Config<'a>,
    /// Its JSON.
    pub(super) json: &'a Value,
    /// Its name in the v3 layout: the class with a number.
    pub(super) key: String,
}

/// A call of a layer.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// Which layer.
    pub(super) layer: usize,
    /// Its positional operands.
    pub(super) operands: Vec<Operand>,
    /// Its operands that have a name.
    pub(super) named: Vec<(&'a str, Operand)>,
    /// All that has a name.
    pub(super) options: Option<&'a Map<String, Value>>,
}

/// An operand of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operand {
    /// A value of the network.
    Value(Source),
    /// A number.
    Constant(f32),
}

/// A value of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The network's input.
    Input,
    /// What the call of that number gives.
    Call(usize),
}

/// True where a layer is itself a model; a class derived from Model keeps the configuration of a Functional one.
pub(super) fn is_model(config: &Config<'_>) -> bool {
    config.class == "Sequential" || is_functional(config)
}

fn is_functional(config: &Config<'_>) -> bool {
    ["layers", "input_layers", "output_layers"].into_iter().all(|key| config.get(key).is_some())
}

impl<'a> Network<'a> {
    /// Reads the JSON of a model.
    pub(super) fn read(json: &'a Value) -> Result<Self, ConvertError> {
        let config = Config::of(json).ok_or_else(|| malformed("the model has no `class_name`"))?;
        match config.class {
            "Sequential" => sequential(json, &config),
            "Functional" | "Model" => functional(&config),
            _ if is_functional(&config) => functional(&config),
            _ => Err(config.unsupported("only Sequential and Functional models can be taken in")),
        }
    }
}

fn sequential<'a>(json: &'a Value, config: &Config<'a>) -> Result<Network<'a>, ConvertError> {
    // Old versions wrote the list itself for the configuration.
    let list = json.get("config").and_then(Value::as_array).or_else(|| config.get("layers").and_then(Value::as_array));
    let layers = layers(list.ok_or_else(|| malformed(format!("the model `{}` has no layers", config.name)))?)?;
    let mut calls: Vec<Call<'a>> = Vec::new();
    let mut output = Source::Input;
    for (i, _) in layers.iter().enumerate().filter(|(_, layer)| layer.config.class != "InputLayer") {
        calls.push(Call { layer: i, operands: vec![Operand::Value(output)], named: Vec::new(), options: None });
        output = Source::Call(calls.len() - 1);
    }
    let first = layers.first().and_then(|layer| batch_shape(&layer.config));
    let built = || config.get("build_input_shape").or_else(|| json.get("build_config")?.get("input_shape"));
    let order = (0..calls.len()).collect();
    Ok(Network { input_shape: first.or_else(built), layers, calls, order, output })
}

fn functional<'a>(config: &Config<'a>) -> Result<Network<'a>, ConvertError> {
    let list = config.get("layers").and_then(Value::as_array);
    let layers = layers(list.ok_or_else(|| malformed(format!("the model `{}` has no layers", config.name)))?)?;
    let mut names = Names::default();
    for layer in &layers {
        let nodes = layer.json.get("inbound_nodes").and_then(Value::as_array).map_or(0, Vec::len);
        // A model that begins with an input has a first node of its own.
        let inner = if is_model(&layer.config) { usize::from(begins_with_input(&layer.config)) } else { 0 };
        let entry = Entry { class: layer.config.class, first: names.calls, calls: nodes, inner };
        names.calls += nodes;
        // Keras goes by the name beside the configuration.
        let name = layer.json.get("name").and_then(Value::as_str).unwrap_or(layer.config.name);
        if names.layers.insert(name, entry).is_some() {
            return Err(malformed(format!("two layers have the name `{name}`")));
        }
    }
    let input = one(config, "input_layers", "input")?;
    let input_name = input.first().and_then(Value::as_str).unwrap_or_default();
    let shape = layers.iter().find(|l| l.config.name == input_name).and_then(|l| batch_shape(&l.config));
    names.input = input_name;
    let mut calls = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        for node in layer.json.get("inbound_nodes").and_then(Value::as_array).into_iter().flatten() {
            calls.push(call(i, &layer.config, node, &names)?);
        }
    }
    let output = names.resolve(one(config, "output_layers", "output")?)?;
    Ok(Network { order: sort(&calls, config)?, layers, calls, input_shape: shape, output })
}

/// The layers of a list; two of the same class get numbers.
fn layers(list: &[Value]) -> Result<Vec<Layer<'_>>, ConvertError> {
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    let mut layers = Vec::with_capacity(list.len());
    for json in list {
        let config = Config::of(json).ok_or_else(|| malformed("a layer has no `class_name`"))?;
        let class = snake_case(config.class);
        let count = used.entry(class.clone()).and_modify(|count| *count += 1).or_insert(0);
        let key = if *count == 0 { class } else { format!("{class}_{count}") };
        layers.push(Layer { config, json, key });
    }
    Ok(layers)
}

/// The shape with the batch that a layer says it begins with.
fn batch_shape<'a>(config: &Config<'a>) -> Option<&'a Value> {
    config.get("batch_input_shape").or_else(|| config.get("batch_shape"))
}

fn begins_with_input(config: &Config<'_>) -> bool {
    let first = config.get("layers").and_then(Value::as_array).and_then(|layers| layers.first());
    first.and_then(Config::of).is_some_and(|first| first.class == "InputLayer")
}

/// The only entry of `input_layers` or `output_layers`: `[["name", 0, 0]]`, or without the outer list.
fn one<'a>(config: &Config<'a>, key: &str, what: &str) -> Result<&'a [Value], ConvertError> {
    let list = config.get(key).and_then(Value::as_array).map(Vec::as_slice);
    match list {
        Some([Value::Array(only)]) => Ok(only),
        Some([Value::String(_), ..]) => Ok(list.unwrap_or_default()),
        Some(many) => {
            let name = |entry: &Value| entry.get(0).and_then(Value::as_str).map(str::to_owned);
            let names: Vec<String> = many.iter().filter_map(name).take(8).collect();
            let (count, names) = (many.len(), names.join(", "));
            Err(config.unsupported(format!("it has {count} {what}s ({names}), a network of one can be taken in")))
        }
        None => Err(malformed(format!("the model `{}` has no `{key}`", config.name))),
    }
}

/// The layers by name, to resolve references.
#[derive(Default)]
struct Names<'a> {
    layers: BTreeMap<&'a str, Entry<'a>>,
    calls: usize,
    input: &'a str,
}

#[derive(Clone, Copy)]
struct Entry<'a> {
    /// The layer's class.
    class: &'a str,
    /// The number of the layer's first call.
    first: usize,
    /// How many calls it has.
    calls: usize,
    /// Nodes of its own before these.
    inner: usize,
}

impl Names<'_> {
    /// The value of `["name", node, tensor, ...]`.
    fn resolve(&self, reference: &[Value]) -> Result<Source, ConvertError> {
        let wrong =
            || malformed(format!("there is no value {}", Value::Array(reference.iter().take(3).cloned().collect())));
        let [Value::String(name), node, tensor, ..] = reference else {
            return Err(wrong());
        };
        if tensor.as_u64() != Some(0) {
            let class = self.layers.get(name.as_str()).map_or("layer", |entry| entry.class);
            return Err(ConvertError::unsupported(name, class, "it gives more than one value"));
        }
        if name == self.input {
            return Ok(Source::Input);
        }
        let entry = self.layers.get(name.as_str()).ok_or_else(wrong)?;
        let node = node.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(wrong)?;
        // Of one call there is no doubt which it is.
        let call = if entry.calls == 1 { 0 } else { node.checked_sub(entry.inner).ok_or_else(wrong)? };
        if call < entry.calls { Ok(Source::Call(entry.first + call)) } else { Err(wrong()) }
    }

    /// An operand; `None` where the value is neither a value of the network nor a number.
    fn operand(&self, value: &Value) -> Result<Option<Operand>, ConvertError> {
        match value {
            Value::Array(list) => match list.as_slice() {
                [Value::String(name), _, _] if self.layers.contains_key(name.as_str()) => {
                    self.resolve(list).map(|source| Some(Operand::Value(source)))
                }
                _ => Ok(None),
            },
            Value::Number(_) => Ok(real(value).map(Operand::Constant)),
            _ => Ok(None),
        }
    }
}

/// One entry of `inbound_nodes`: `[["name", 0, 0, {}], ...]`, or `["name", 0, 0, {}]` of an operator.
fn call<'a>(layer: usize, config: &Config<'a>, node: &'a Value, names: &Names<'_>) -> Result<Call<'a>, ConvertError> {
    let Value::Array(node) = node else {
        return Err(config.unsupported("its calls are written as Keras 3 does, Keras 2 can be taken in"));
    };
    let single = matches!(node.first(), Some(Value::String(_)));
    let entries: Vec<&'a [Value]> = if single {
        vec![node.as_slice()]
    } else {
        node.iter().filter_map(Value::as_array).map(Vec::as_slice).collect()
    };
    if entries.is_empty() || (!single && entries.len() != node.len()) {
        return Err(malformed(format!("a call of `{}` has no operands", config.name)));
    }
    let mut call = Call { layer, operands: Vec::new(), named: Vec::new(), options: None };
    for entry in entries {
        call.operands.push(match entry {
            [Value::String(name), _, value, ..] if name == "_CONSTANT_VALUE" => {
                let value = real(value).ok_or_else(|| config.unsupported("it has an operand that is no number"))?;
                Operand::Constant(value)
            }
            _ => Operand::Value(names.resolve(entry)?),
        });
        if call.options.is_none() {
            call.options = entry.get(3).and_then(Value::as_object).filter(|options| !options.is_empty());
        }
    }
    for (name, value) in call.options.into_iter().flatten() {
        if let Some(operand) = names.operand(value)? {
            call.named.push((name, operand));
        }
    }
    Ok(call)
}

/// An order in which each call stands behind those that it reads.
fn sort(calls: &[Call<'_>], config: &Config<'_>) -> Result<Vec<usize>, ConvertError> {
    let sources = |call: &Call<'_>| {
        let operands = call.operands.iter().chain(call.named.iter().map(|(_, operand)| operand));
        let source = |operand: &Operand| match operand {
            Operand::Value(Source::Call(source)) => Some(*source),
            _ => None,
        };
        operands.filter_map(source).collect::<Vec<usize>>()
    };
    let mut readers = vec![Vec::new(); calls.len()];
    let mut waiting = vec![0_usize; calls.len()];
    let mut ready = Vec::new();
    for (i, call) in calls.iter().enumerate() {
        for source in sources(call) {
            if let (Some(readers), Some(waiting)) = (readers.get_mut(source), waiting.get_mut(i)) {
                readers.push(i);
                *waiting += 1;
            }
        }
        if waiting.get(i) == Some(&0) {
            ready.push(i);
        }
    }
    // The file's order, as far as it goes.
    ready.reverse();
    let mut order = Vec::with_capacity(calls.len());
    while let Some(call) = ready.pop() {
        order.push(call);
        for &reader in readers.get(call).into_iter().flatten().rev() {
            if let Some(waiting) = waiting.get_mut(reader) {
                *waiting -= 1;
                if *waiting == 0 {
                    ready.push(reader);
                }
            }
        }
    }
    if order.len() < calls.len() {
        return Err(malformed(format!("the layers of `{}` read one another in a circle", config.name)));
    }
    Ok(order)
}

fn malformed(what: impl Into<String>) -> ConvertError {
    ConvertError::Malformed { format: "Keras", what: what.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn layer(class: &str, name: &str, nodes: Value) -> Value {
        json!({"class_name": class, "name": name, "config": {"name": name}, "inbound_nodes": nodes})
    }

    fn model(layers: Value, output: Value) -> Value {
        let config = json!({"name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [output]});
        json!({"class_name": "Functional", "config": config})
    }

    #[test]
    fn a_shared_layer_is_walked_in_the_order_of_its_calls() {
        // x -> a -> b -> a -> c
        let json = model(
            json!([
                layer("InputLayer", "x", json!([])),
                layer("ReLU", "a", json!([[["x", 0, 0, {}]], [["b", 0, 0, {}]]])),
                layer("ReLU", "c", json!([[["a", 1, 0, {}]]])),
                layer("ReLU", "b", json!([[["a", 0, 0, {}]]])),
            ]),
            json!(["c", 0, 0]),
        );
        let network = Network::read(&json).unwrap();
        let walked: Vec<&str> =
            network.order.iter().map(|&c| network.layers[network.calls[c].layer].config.name).collect();
        assert_eq!(walked, ["a", "b", "a", "c"]);
        assert_eq!(network.layers[2].key, "re_lu_1");
    }

    #[test]
    fn circles_missing_layers_and_several_outputs_are_refused() {
        let circle = json!([
            layer("InputLayer", "x", json!([])),
            layer("ReLU", "a", json!([[["b", 0, 0, {}]]])),
            layer("ReLU", "b", json!([[["a", 0, 0, {}]]])),
        ]);
        let error = |layers: &Value, output| Network::read(&model(layers.clone(), output)).unwrap_err().to_string();
        assert!(error(&circle, json!(["a", 0, 0])).contains("circle"));
        assert!(error(&circle, json!(["a", 1, 0])).contains("circle"));
        let line = json!([layer("InputLayer", "x", json!([])), layer("ReLU", "a", json!([[["x", 0, 0, {}]]]))]);
        assert!(error(&line, json!(["nowhere", 0, 0])).contains("nowhere"));
        let mut two = model(line, json!(["a", 0, 0]));
        two["config"]["output_layers"] = json!([["a", 0, 0], ["x", 0, 0]]);
        assert!(Network::read(&two).unwrap_err().to_string().contains("2 outputs (a, x)"));
    }

    #[test]
    fn an_operator_has_operands_of_both_kinds() {
        let json = model(
            json!([
                layer("InputLayer", "x", json!([])),
                layer("ReLU", "a", json!([[["x", 0, 0, {}]]])),
                layer("TFOpLambda", "add", json!([["a", 0, 0, {"y": ["x", 0, 0], "name": null}]])),
                layer("TFOpLambda", "times", json!([["_CONSTANT_VALUE", -1, 2.0, {"y": ["add", 0, 0]}]])),
            ]),
            json!(["times", 0, 0]),
        );
        let network = Network::read(&json).unwrap();
        assert_eq!(network.calls[1].named, [("y", Operand::Value(Source::Input))]);
        assert_eq!(network.calls[2].operands, [Operand::Constant(2.0)]);
        assert_eq!(network.calls[2].named, [("y", Operand::Value(Source::Call(1)))]);
    }
}
