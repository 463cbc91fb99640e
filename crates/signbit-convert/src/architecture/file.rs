//! From TOML to an [`Architecture`].

use std::collections::BTreeSet;

use signbit_model::{Geometry, Shape};
use toml::{Table, Value};

use super::keys::{Keys, PAIR, integer, integers, nearest, pair, real};
use super::{Architecture, Kind, Layer, Quantizer};
use crate::ConvertError;

/// Most layers.
const MAX_LAYERS: usize = 16_384;
/// Most elements of an input.
const MAX_INPUT: usize = 1 << 26;
/// What the network's input is called in `from`.
pub(super) const INPUT: &str = "input";
/// The types of layers.
const TYPES: [&str; 21] = [
    "conv2d",
    "dense",
    "batch_norm",
    "sign",
    "rsign",
    "relu",
    "prelu",
    "rprelu",
    "clip",
    "scale",
    "bias",
    "max_pool2d",
    "avg_pool2d",
    "global_avg_pool",
    "flatten",
    "pad",
    "add",
    "mul",
    "concat",
    "softmax",
    "sigmoid",
];

impl Architecture {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// [`ConvertError::Architecture`] names the line of what is no TOML, or the layer and key that is wrong, an unknown
    /// one with the nearest right one.
    pub fn from_toml(text: &str) -> Result<Self, ConvertError> {
        let table: Table = toml::from_str(text).map_err(|error| {
            let before = |end: usize| text.bytes().take(end).filter(|&b| b == b'\n').count();
            let line = error.span().map_or(String::new(), |span| format!("line {}: ", 1 + before(span.start)));
            let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            ConvertError::Architecture(format!("the architecture is no TOML: {line}{message}"))
        })?;
        let mut keys = Keys::new("the architecture".into(), table);
        let size = |value: &Value| <[usize; 3]>::try_from(integers(value)?).ok();
        let [h, w, c] = keys.need("input", "[height, width, channels]", size)?;
        let input = Shape::new(h, w, c);
        if input.checked_elements().is_none_or(|n| n > MAX_INPUT) {
            return Err(keys.wrong(&format!("`input` must have 1 to {MAX_INPUT} elements, not {input}")));
        }
        let zero = |value: &Value| integer(value).filter(|&n| n <= 1);
        let sign_of_zero_is_one = keys.or("sign_of_zero", "0 or 1", 0, zero)? == 1;
        let tables = keys.need("layer", "[[layer]] tables", |value| {
            value.as_array()?.iter().map(|value| value.as_table().cloned()).collect::<Option<Vec<Table>>>()
        })?;
        if tables.is_empty() || tables.len() > MAX_LAYERS {
            return Err(keys.wrong(&format!("there must be 1 to {MAX_LAYERS} layers, not {}", tables.len())));
        }
        keys.finish()?;
        let mut ids = BTreeSet::from([INPUT.to_owned()]);
        let mut layers = Vec::new();
        for (i, table) in tables.into_iter().enumerate() {
            let layer = layer(i, table, &ids)?;
            ids.insert(layer.id.clone());
            layers.push(layer);
        }
        Ok(Self { input, sign_of_zero_is_one, layers })
    }
}

/// Reads layer `i`, counted from 0; `ids` are those before it.
fn layer(i: usize, mut table: Table, ids: &BTreeSet<String>) -> Result<Layer, ConvertError> {
    let at = format!("layer {}", i + 1);
    let kind = match table.remove("type") {
        Some(Value::String(kind)) => kind,
        _ => {
            let known = TYPES.join(", ");
            return Err(ConvertError::Architecture(format!("{at}: `type` is missing, one of {known}")));
        }
    };
    let mut keys = Keys::new(format!("{at} ({})", kind.escape_debug().take(40).collect::<String>()), table);
    let name = keys.text("name")?;
    let id = keys.text("id")?;
    let id = id.or(name.clone()).unwrap_or_else(|| format!("{kind}{}", i + 1));
    if ids.contains(&id) {
        return Err(keys.wrong(&format!("another layer before has the id {id:?}; give this one an `id` of its own")));
    }
    let from = keys.or("from", "ids of layers before, [\"id\", ...]", vec![], |value| match value {
        Value::String(id) => Some(vec![id.clone()]),
        value => value.as_array()?.iter().map(|id| id.as_str().map(str::to_owned)).collect(),
    })?;
    if let Some(unknown) = from.iter().find(|id| !ids.contains(*id)) {
        let hint = nearest(unknown, ids.iter().map(String::as_str));
        let hint = hint.map_or(String::new(), |id| format!("; did you mean {id:?}?"));
        return Err(keys.wrong(&format!("`from`: no layer before has the id {unknown:?}{hint}")));
    }
    let kind = self::kind(&kind, name.unwrap_or_else(|| id.clone()), &mut keys)?;
    keys.finish()?;
    Ok(Layer { id, from, kind })
}

fn kind(kind: &str, name: String, keys: &mut Keys) -> Result<Kind, ConvertError> {
    Ok(match kind {
        "conv2d" => Kind::Conv2d {
            name,
            weights: quantizer(keys)?,
            kernel: keys.or("kernel", PAIR, None, |value| pair(value).map(Some))?,
            stride: keys.pair("stride", [1, 1])?,
            padding: keys.pads("padding")?,
            pad_value: keys
                .or("pad_value", "0, 1 or -1", 0.0, |value| real(value).filter(|v| [0.0, 1.0, -1.0].contains(v)))?
                as f32,
            dilation: keys.pair("dilation", [1, 1])?,
            groups: keys.or("groups", "a number", 1, integer)?,
        },
        "dense" => Kind::Dense { name, weights: quantizer(keys)? },
        "batch_norm" => {
            let positive = |value: &Value| real(value).filter(|&eps| eps >= 0.0);
            Kind::BatchNorm { name, eps: keys.or("eps", "a number from 0", 1e-5, positive)? }
        }
        "sign" => Kind::Sign,
        "rsign" => Kind::RSign { name },
        "relu" => Kind::Relu,
        "prelu" => Kind::PRelu { name },
        "rprelu" => {
            let mut whole = |key| keys.need(key, "a weight's whole name", |v| v.as_str().map(str::to_owned));
            Kind::RPRelu { bias_in: whole("bias_in")?, slope: whole("slope")?, bias_out: whole("bias_out")? }
        }
        "clip" => {
            let min = keys.or("min", "a number", -1.0, real)? as f32;
            Kind::Clip { min, max: keys.or("max", "a number", 1.0, real)? as f32 }
        }
        "scale" => Kind::Scale { name },
        "bias" => Kind::Bias { name },
        "max_pool2d" => Kind::MaxPool2d { geometry: window(keys)? },
        "avg_pool2d" => Kind::AvgPool2d {
            geometry: window(keys)?,
            count_include_pad: keys.or("count_include_pad", "true or false", true, Value::as_bool)?,
        },
        "global_avg_pool" => Kind::GlobalAvgPool,
        "flatten" => Kind::Flatten,
        "pad" => {
            let padding = keys.pads("padding")?;
            Kind::Pad { padding, value: keys.or("value", "a number", 0.0, real)? as f32 }
        }
        "add" => Kind::Add,
        "mul" => Kind::Mul,
        "concat" => Kind::Concat,
        "softmax" => Kind::Softmax,
        "sigmoid" => Kind::Sigmoid,
        unknown => {
            let hint = match nearest(unknown, TYPES.into_iter()) {
                Some(kind) => format!("did you mean {kind:?}?"),
                None => format!("there are {}", TYPES.join(", ")),
            };
            return Err(keys.wrong(&format!("there is no such type; {hint}")));
        }
    })
}

fn quantizer(keys: &mut Keys) -> Result<Quantizer, ConvertError> {
    let words = [("real", Quantizer::Real), ("sign", Quantizer::Sign), ("scaled_sign", Quantizer::ScaledSign)];
    keys.choice("weights", &words)
}

/// The window of a pooling.
fn window(keys: &mut Keys) -> Result<Geometry, ConvertError> {
    let kernel = keys.need("kernel", PAIR, pair)?;
    Ok(Geometry { kernel, stride: keys.pair("stride", kernel)?, dilation: [1, 1], pads: keys.pads("padding")? })
}
