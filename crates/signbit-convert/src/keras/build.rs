//! The walk over a network: each layer's call becomes nodes of the draft.

use std::collections::BTreeMap;

use signbit_model::limits::{MAX_NODES, MAX_RANK};
use signbit_model::{Op, Shape, ValueId};

use super::config::Config;
use super::hdf5::Array;
use super::layers;
use super::network::{Call, Layer, Network, Operand, Source, is_model};
use super::weights::{Place, Variable, Weights};
use crate::{ConvertError, Draft, Imported, Warning};

/// Most numbers of tensors that no weight stands behind, such as a scale that is the same for all channels.
const MAX_FILLED: usize = 1 << 24;

/// A value on the way: the draft's, and its dimensions in Keras without the batch.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    /// The draft's value; its elements stand in memory in the same order.
    pub(super) id: ValueId,
    /// One, two or three dimensions, the channels last.
    pub(super) dims: Vec<usize>,
}

/// What a layer's call reads, resolved.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// A value.
    Flow(Flow),
    /// A number.
    Constant(f32),
}

/// One call of a layer.
pub(super) struct Step<'a> {
    /// The layer's options.
    pub(super) config: Config<'a>,
    /// Where its weights stand.
    pub(super) place: Place,
    /// The name of its node.
    pub(super) node: String,
    /// Its positional operands.
    pub(super) inputs: Vec<Input>,
    /// Its operands by name.
    pub(super) named: Vec<(&'a str, Input)>,
    /// All that was given to the call by name.
    pub(super) options: Option<&'a serde_json::Map<String, serde_json::Value>>,
}

impl Step<'_> {
    /// The only operand.
    pub(super) fn one(&self) -> Result<&Flow, ConvertError> {
        match self.inputs.as_slice() {
            [Input::Flow(flow)] => Ok(flow),
            other => Err(self.unsupported(format!("it has {} inputs, not one", other.len()))),
        }
    }

    /// The only operand, which must have height, width and channels.
    pub(super) fn picture(&self) -> Result<&Flow, ConvertError> {
        let x = self.one()?;
        match x.dims.len() {
            3 => Ok(x),
            _ => Err(self.unsupported(format!("its input is {:?}, not height, width and channels", x.dims))),
        }
    }

    /// A refusal of this layer.
    pub(super) fn unsupported(&self, reason: impl Into<String>) -> ConvertError {
        ConvertError::unsupported(&self.node, self.config.class, reason)
    }
}

/// The draft under construction, with the weights that go into it.
pub(super) struct Builder {
    pub(super) draft: Draft,
    weights: Weights,
    /// The names of tensors by layer and variable: a layer that is called twice has its weights once.
    tensors: BTreeMap<String, String>,
    /// How often each layer was called.
    called: BTreeMap<String, usize>,
    /// Calls and layers that may still come: models within models multiply.
    steps: usize,
    filled: usize,
    /// A layer of another precision than f32 was met.
    warned: bool,
}

/// Builds the network of a model's JSON.
pub(super) fn build(json: &serde_json::Value, mut weights: Weights) -> Result<Imported, ConvertError> {
    let network = Network::read(json)?;
    let model = Config::of(json).ok_or_else(|| ConvertError::Malformed { format: "Keras", what: "no model".into() })?;
    let weighted = |layer: &&Layer<'_>| layers::has_weights(&layer.config);
    let names: Vec<&str> = network.layers.iter().filter(weighted).map(|layer| layer.config.name).collect();
    weights.match_names(&names)?;

    let dims = input_dims(&network, &model)?;
    let (shape, seen) = input_shape(&network, &dims);
    let shape = shape.ok_or_else(|| model.unsupported(format!("its input is {dims:?}")))?;
    let draft = Draft::new(shape);
    let input = Flow { id: draft.input(), dims: seen };
    let mut builder = Builder {
        draft,
        weights,
        tensors: BTreeMap::new(),
        called: BTreeMap::new(),
        steps: MAX_NODES,
        filled: MAX_FILLED,
        warned: false,
    };
    let place = Place { names: Vec::new(), path: String::new() };
    let output = builder.network(&network, &place, input)?;
    builder.draft.finish(output.id)
}

/// The dimensions of the input, without the batch.
fn input_dims(network: &Network<'_>, model: &Config<'_>) -> Result<Vec<usize>, ConvertError> {
    let shape = network.input_shape.and_then(serde_json::Value::as_array);
    let shape = shape.ok_or_else(|| model.unsupported("the shape of its input is not in the file"))?;
    let number = |d: &serde_json::Value| d.as_u64().and_then(|d| usize::try_from(d).ok()).filter(|&d| d > 0);
    let dims: Option<Vec<usize>> = shape.iter().skip(1).map(number).collect();
    let text = || serde_json::Value::Array(shape.iter().take(MAX_RANK).cloned().collect()).to_string();
    dims.ok_or_else(|| {
        model.unsupported(format!("its input has the shape {}, all sizes but the batch must be fixed", text()))
    })
}

/// The draft's shape of the input, and its dimensions as they are from there on.
///
/// The graph has no reshape but to a vector; where the network begins by giving a flat input its height and width,
/// the input has them from the beginning, which are the same numbers in memory.
fn input_shape(network: &Network<'_>, dims: &[usize]) -> (Option<Shape>, Vec<usize>) {
    let reads = |call: &&Call<'_>| call.operands.contains(&Operand::Value(Source::Input));
    let mut readers = network.calls.iter().filter(reads);
    if let (Some(call), None) = (readers.next(), readers.next())
        && let Some(layer) = network.layers.get(call.layer)
    {
        if layer.config.class == "Reshape"
            && let Ok(target) = layers::shape::target(&layer.config, dims)
            && target.len() == 3
        {
            return (shape_of(&target), target);
        }
        if layer.config.class == "Flatten"
            && let [h, w] = *dims
        {
            return (shape_of(&[h, w, 1]), vec![h, w, 1]);
        }
    }
    (shape_of(dims), dims.to_vec())
}

/// The shape of a value of these dimensions; `None` where it has too many of them.
pub(super) fn shape_of(dims: &[usize]) -> Option<Shape> {
    match *dims {
        [c] => Some(Shape::vector(c)),
        [w, c] => Some(Shape::new(1, w, c)),
        [h, w, c] => Some(Shape::new(h, w, c)),
        _ => None,
    }
}

impl Builder {
    fn network(&mut self, network: &Network<'_>, place: &Place, input: Flow) -> Result<Flow, ConvertError> {
        self.spend(network.layers.len().saturating_add(network.calls.len()))?;
        let mut flows: Vec<Option<Flow>> = vec![None; network.calls.len()];
        let circle = || ConvertError::Malformed { format: "Keras", what: "a layer reads what is not there yet".into() };
        for &number in &network.order {
            let Some((call, layer)) = network.calls.get(number).and_then(|c| Some((c, network.layers.get(c.layer)?)))
            else {
                return Err(circle());
            };
            let resolve = |operand: &Operand| match operand {
                Operand::Constant(number) => Ok(Input::Constant(*number)),
                Operand::Value(Source::Input) => Ok(Input::Flow(input.clone())),
                Operand::Value(Source::Call(source)) => {
                    flows.get(*source).cloned().flatten().map(Input::Flow).ok_or_else(circle)
                }
            };
            let inputs = call.operands.iter().map(resolve).collect::<Result<Vec<Input>, _>>()?;
            let named = call.named.iter().map(|(name, operand)| Ok((*name, resolve(operand)?)));
            let named = named.collect::<Result<Vec<_>, ConvertError>>()?;
            let place = inside(place, layer);
            let node = self.numbered(place.node());
            let step = Step { config: layer.config, place, node, inputs, named, options: call.options };
            let flow = self.call(layer, &step)?;
            if let Some(slot) = flows.get_mut(number) {
                *slot = Some(flow);
            }
        }
        match network.output {
            Source::Input => Ok(input),
            Source::Call(number) => flows.get(number).cloned().flatten().ok_or_else(circle),
        }
    }

    fn call(&mut self, layer: &Layer<'_>, step: &Step<'_>) -> Result<Flow, ConvertError> {
        if is_model(&layer.config) {
            let network = Network::read(layer.json)?;
            let input = step.one()?.clone();
            return self.network(&network, &step.place, input);
        }
        self.draft.found(layer.config.class);
        self.warn_of_precision(step);
        let flow = layers::call(self, step)?;
        // The dimensions are followed here, the shapes by the draft: they must agree.
        let shape = self.draft.shape(flow.id);
        let elements = flow.dims.iter().try_fold(1_usize, |product, &d| product.checked_mul(d));
        if elements != shape.checked_elements() {
            return Err(step.unsupported(format!("its output {:?} is not of the shape {shape}", flow.dims)));
        }
        Ok(flow)
    }

    /// Layers that compute in another precision are taken in with a warning, once.
    fn warn_of_precision(&mut self, step: &Step<'_>) {
        let policy = step.config.get("dtype").and_then(|dtype| match dtype.as_str() {
            Some(name) => Some(name),
            None => dtype.get("config")?.get("name")?.as_str(),
        });
        if let Some(policy) = policy.filter(|&policy| policy != "float32" && !self.warned) {
            let policy: String = policy.chars().take(40).collect();
            let what = format!("computes in {policy} in the source, from here on all is computed in f32");
            self.draft.warn(Warning::Other { node: step.node.clone(), what });
            self.warned = true;
        }
    }

    /// The node's name, with a number from a layer's second call on.
    fn numbered(&mut self, node: String) -> String {
        let count = self.called.entry(node.clone()).and_modify(|count| *count += 1).or_insert(1);
        if *count == 1 { node } else { format!("{node}.call{count}") }
    }

    fn spend(&mut self, steps: usize) -> Result<(), ConvertError> {
        let what = || format!("the network has more than {MAX_NODES} layers and calls");
        self.steps =
            self.steps.checked_sub(steps).ok_or_else(|| ConvertError::Malformed { format: "Keras", what: what() })?;
        Ok(())
    }

    /// A weight of the layer.
    pub(super) fn weight(&mut self, step: &Step<'_>, variable: Variable) -> Result<Array, ConvertError> {
        self.weights.get(&step.place, variable)
    }

    /// A weight of one number per channel.
    pub(super) fn vector(&mut self, step: &Step<'_>, variable: Variable, c: usize) -> Result<Vec<f32>, ConvertError> {
        let array = self.weight(step, variable)?;
        if array.shape != [c] {
            let name = format!("{}/{}", step.node, variable.name);
            return Err(ConvertError::WeightShape { name, expected: format!("[{c}]"), found: array.shape });
        }
        Ok(array.data)
    }

    /// The same number for each of `c` channels.
    pub(super) fn fill(&mut self, step: &Step<'_>, number: f32, c: usize) -> Result<Vec<f32>, ConvertError> {
        let left = self.filled.checked_sub(c).ok_or_else(|| step.unsupported("its channels are too many"))?;
        self.filled = left;
        Ok(vec![number; c])
    }

    /// The tensor `kind` of the layer, made when first asked for.
    pub(super) fn tensor(
        &mut self,
        step: &Step<'_>,
        kind: &str,
        make: impl FnOnce(&mut Self) -> Result<(Vec<usize>, Vec<f32>), ConvertError>,
    ) -> Result<String, ConvertError> {
        let key = format!("{} {kind}", step.place.path);
        if let Some(name) = self.tensors.get(&key) {
            return Ok(name.clone());
        }
        let (shape, data) = make(self)?;
        let name = self.draft.f32(&format!("{}.{kind}", step.node), shape, data)?;
        self.tensors.insert(key, name.clone());
        Ok(name)
    }

    /// `x * mul[c] + add[c]`; the two tensors are made when the layer is first called on as many channels.
    pub(super) fn mul_add(
        &mut self,
        step: &Step<'_>,
        node: &str,
        x: &Flow,
        make: impl FnOnce(&mut Self, usize) -> Result<(Vec<f32>, Vec<f32>), ConvertError>,
    ) -> Result<Flow, ConvertError> {
        let c = self.draft.shape(x.id).c;
        let kinds = [format!("{c}.mul"), format!("{c}.add")];
        let known = |kind: &String| self.tensors.get(&format!("{} {kind}", step.place.path)).cloned();
        let (mul, add) = match (known(&kinds[0]), known(&kinds[1])) {
            (Some(mul), Some(add)) => (mul, add),
            _ => {
                let (mul, add) = make(self, c)?;
                let mul = self.tensor(step, &kinds[0], |_| Ok((vec![c], mul)))?;
                (mul, self.tensor(step, &kinds[1], |_| Ok((vec![c], add)))?)
            }
        };
        let id = self.draft.node(node, Op::MulAdd { mul, add }, &[x.id])?;
        Ok(Flow { id, dims: x.dims.clone() })
    }

    /// The sign of a value, as the numbers +1 and -1.
    pub(super) fn sign(&mut self, node: &str, x: &Flow) -> Result<Flow, ConvertError> {
        Ok(Flow { id: self.draft.sign(node, x.id)?, dims: x.dims.clone() })
    }

    /// A picture with more around it: top, left, bottom, right.
    pub(super) fn pad(&mut self, node: &str, x: &Flow, pads: [usize; 4], value: f32) -> Result<Flow, ConvertError> {
        let id = self.draft.node(node, Op::Pad { pads, value }, &[x.id])?;
        let shape = self.draft.shape(id);
        Ok(Flow { id, dims: vec![shape.h, shape.w, shape.c] })
    }

    /// A node of one operand that keeps the dimensions.
    pub(super) fn unary(&mut self, node: &str, op: Op, x: &Flow) -> Result<Flow, ConvertError> {
        Ok(Flow { id: self.draft.node(node, op, &[x.id])?, dims: x.dims.clone() })
    }
}

/// The place of a layer of the model at `place`.
fn inside(place: &Place, layer: &Layer<'_>) -> Place {
    let mut names = place.names.clone();
    names.push(layer.config.name.to_owned());
    let path = if place.path.is_empty() { String::new() } else { format!("{}/", place.path) };
    Place { names, path: format!("{path}layers/{}", layer.key) }
}
