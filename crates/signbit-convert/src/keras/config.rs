//! A layer's configuration: JSON with the names that Keras gives.

use serde_json::{Map, Value};

use crate::ConvertError;

/// A layer's class, name and options.
#[derive(Debug, Clone, Copy)]
pub(super) struct Config<'a> {
    /// The class without its package: `QuantConv2D`.
    pub(super) class: &'a str,
    /// The layer's name, for messages and nodes.
    pub(super) name: &'a str,
    options: Option<&'a Map<String, Value>>,
}

impl<'a> Config<'a> {
    /// That of `{"class_name": ..., "config": {...}}`; `None` where it is not of that form.
    pub(super) fn of(layer: &'a Value) -> Option<Self> {
        let class = bare(layer.get("class_name")?.as_str()?);
        let options = layer.get("config").and_then(Value::as_object);
        let name = options.and_then(|o| o.get("name")).or_else(|| layer.get("name")).and_then(Value::as_str);
        Some(Self { class, name: name.unwrap_or(class), options })
    }

    /// The option; `None` where it is not there, or null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.options?.get(key).filter(|value| !value.is_null())
    }

    /// A refusal of this layer.
    pub(super) fn unsupported(&self, reason: impl Into<String>) -> ConvertError {
        ConvertError::unsupported(self.name, self.class, reason)
    }

    fn wrong(&self, key: &str, value: &Value) -> ConvertError {
        let mut text = value.to_string();
        text.truncate(text.char_indices().nth(80).map_or(text.len(), |(i, _)| i));
        self.unsupported(format!("its option `{key}` is {text}"))
    }

    /// A whole number; an error where it is missing.
    pub(super) fn usize(&self, key: &str) -> Result<usize, ConvertError> {
        let value = self.get(key).ok_or_else(|| self.unsupported(format!("its option `{key}` is missing")))?;
        whole(value).ok_or_else(|| self.wrong(key, value))
    }

    /// A whole number, or what stands for it where it is missing.
    pub(super) fn usize_or(&self, key: &str, default: usize) -> Result<usize, ConvertError> {
        self.get(key).map_or(Ok(default), |value| whole(value).ok_or_else(|| self.wrong(key, value)))
    }

    /// Height and width, written as two numbers or as one for both.
    pub(super) fn pair(&self, key: &str) -> Result<Option<[usize; 2]>, ConvertError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let numbers = match value {
            Value::Array(values) => values.iter().map(whole).collect(),
            one => whole(one).map(|n| vec![n, n]),
        };
        match numbers.as_deref() {
            Some(&[h, w]) => Ok(Some([h, w])),
            _ => Err(self.wrong(key, value)),
        }
    }

    /// A truth value, or what stands for it where it is missing.
    pub(super) fn bool_or(&self, key: &str, default: bool) -> Result<bool, ConvertError> {
        self.get(key).map_or(Ok(default), |value| value.as_bool().ok_or_else(|| self.wrong(key, value)))
    }

    /// A text, or what stands for it where it is missing.
    pub(super) fn str_or(&self, key: &str, default: &'static str) -> Result<&'a str, ConvertError> {
        self.get(key).map_or(Ok(default), |value| value.as_str().ok_or_else(|| self.wrong(key, value)))
    }

    /// A finite real number; `None` where it is missing.
    pub(super) fn f32(&self, key: &str) -> Result<Option<f32>, ConvertError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        real(value).map(Some).ok_or_else(|| self.wrong(key, value))
    }

    /// Finite real numbers, of one or of nested lists; `None` where they are missing.
    pub(super) fn f32s(&self, key: &str) -> Result<Option<Vec<f32>>, ConvertError> {
        fn collect(value: &Value, numbers: &mut Vec<f32>) -> Option<()> {
            match value {
                Value::Array(values) => values.iter().try_for_each(|v| collect(v, numbers)),
                // An array of numpy: {"class_name": "__numpy__", "config": {"value": [...]}}
                Value::Object(object) => collect(object.get("config")?.get("value")?, numbers),
                one => {
                    numbers.push(real(one)?);
                    Some(())
                }
            }
        }
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let mut numbers = Vec::new();
        collect(value, &mut numbers).ok_or_else(|| self.wrong(key, value))?;
        Ok(Some(numbers))
    }

    /// Axes, written as a number or a list; a negative one counts from the end of `rank` axes (the batch is axis 0).
    pub(super) fn axes(&self, key: &str, rank: usize) -> Result<Option<Vec<usize>>, ConvertError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let axis = |value: &Value| {
            let axis = value.as_i64()?;
            let axis = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
            usize::try_from(axis).ok().filter(|&axis| axis < rank)
        };
        let axes = match value {
            Value::Array(values) => values.iter().map(axis).collect(),
            one => axis(one).map(|axis| vec![axis]),
        };
        axes.map(Some).ok_or_else(|| self.wrong(key, value))
    }

    /// Only `channels_last` can be taken in.
    pub(super) fn channels_last(&self) -> Result<(), ConvertError> {
        match self.str_or("data_format", "channels_last")? {
            "channels_last" => Ok(()),
            other => Err(self.unsupported(format!("its data_format is {other}, only channels_last can be taken in"))),
        }
    }
}

/// A class name without its package: `SteSign` of `Larq>SteSign`.
pub(super) fn bare(class: &str) -> &str {
    class.rsplit('>').next().unwrap_or(class)
}

fn whole(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok())
}

/// A finite number; numpy's scalars come as objects.
pub(super) fn real(value: &Value) -> Option<f32> {
    let value = match value {
        Value::Object(object) => object.get("config")?.get("value")?,
        other => other,
    };
    value.as_f64().map(|x| x as f32).filter(|x| x.is_finite())
}
