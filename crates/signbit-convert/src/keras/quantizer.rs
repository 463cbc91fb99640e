//! Larq's quantizers, by their names, and what they make of a kernel.

use serde_json::Value;

use super::config::{Config, bare};
use super::hdf5::Array;
use crate::ConvertError;

/// A quantizer of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KernelQuantizer {
    /// None: the weights as they are.
    None,
    /// sign(w).
    Sign,
    /// mean(|w|) * sign(w), the mean over all axes but the last: Bi-Real Net.
    MagnitudeAware,
    /// The same of the weights clipped to [-1, 1]: larq-zoo's XNOR-Net.
    XnorScale,
    /// mean(|w|) * sign(w), one mean for the whole kernel: larq-zoo's DoReFa-Net.
    LayerMagnitude,
}

/// The name that a quantizer or an activation goes by: of a text, a function or an object; `None` where there is none.
pub(super) fn name_of(value: Option<&Value>) -> Option<&str> {
    let value = value?;
    let name = match value.as_str() {
        Some(name) => name,
        None => match value.get("class_name")?.as_str()? {
            "function" => value.get("config").and_then(|c| c.as_str().or_else(|| c.get("name")?.as_str()))?,
            class => class,
        },
    };
    Some(bare(name))
}

/// Class names and aliases are the same but for capitals and underlines.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|&c| c != '_').flat_map(char::to_lowercase).collect()
}

/// True for the quantizers that are the sign, whatever their gradient.
pub(super) fn is_sign(plain: &str) -> bool {
    matches!(plain, "stesign" | "approxsign" | "swishsign")
}

/// True where the layer takes the sign of its input.
pub(super) fn input_sign(config: &Config<'_>) -> Result<bool, ConvertError> {
    let key = "input_quantizer";
    match name_of(config.get(key)) {
        None if config.get(key).is_none() => Ok(false),
        None => Err(config.unsupported("its input_quantizer has no name")),
        Some(name) => match plain(name).as_str() {
            "noop" | "noopquantizer" | "linear" => Ok(false),
            plain if is_sign(plain) => Ok(true),
            _ => Err(config.unsupported(format!("its input_quantizer is {name}, which is not a sign"))),
        },
    }
}

/// The quantizer of the option `key`.
pub(super) fn kernel_quantizer(config: &Config<'_>, key: &str) -> Result<KernelQuantizer, ConvertError> {
    match name_of(config.get(key)) {
        None if config.get(key).is_none() => Ok(KernelQuantizer::None),
        None => Err(config.unsupported(format!("its {key} has no name"))),
        Some(name) => match plain(name).as_str() {
            "noop" | "noopquantizer" | "linear" => Ok(KernelQuantizer::None),
            "magnitudeawaresign" => Ok(KernelQuantizer::MagnitudeAware),
            "magnitudeawaresignunclipped" => Ok(KernelQuantizer::LayerMagnitude),
            "xnorweightscale" => Ok(KernelQuantizer::XnorScale),
            plain if is_sign(plain) => Ok(KernelQuantizer::Sign),
            _ => Err(config.unsupported(format!("its {key} is {name}, which is not a sign with a scale"))),
        },
    }
}

impl KernelQuantizer {
    /// The quantized kernel, still in Keras' layout.
    pub(super) fn apply(self, mut kernel: Array) -> Array {
        let sign = |w: f32| if w >= 0.0 { 1.0 } else { -1.0 };
        let last = kernel.shape.last().copied().unwrap_or(1).max(1);
        let data = &mut kernel.data;
        match self {
            Self::None => {}
            Self::Sign => data.iter_mut().for_each(|w| *w = sign(*w)),
            Self::LayerMagnitude => scale(data, 1, sign),
            Self::MagnitudeAware => scale(data, last, sign),
            Self::XnorScale => {
                data.iter_mut().for_each(|w| *w = w.clamp(-1.0, 1.0));
                scale(data, last, sign);
            }
        }
        kernel
    }
}

/// mean(|w|) * sign(w), one mean for each of the `channels` of the last axis.
fn scale(data: &mut [f32], channels: usize, sign: impl Fn(f32) -> f32) {
    let mut sums = vec![0.0_f64; channels];
    for row in data.chunks_exact(channels) {
        sums.iter_mut().zip(row).for_each(|(sum, &w)| *sum += f64::from(w.abs()));
    }
    let rows = (data.len() / channels).max(1) as f64;
    for row in data.chunks_exact_mut(channels) {
        row.iter_mut().zip(&sums).for_each(|(w, sum)| *w = sign(*w) * (sum / rows) as f32);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn quantizer(value: &Value) -> Result<KernelQuantizer, ConvertError> {
        let layer = json!({"class_name": "QuantConv2D", "config": {"name": "q", "kernel_quantizer": value}});
        kernel_quantizer(&Config::of(&layer).unwrap(), "kernel_quantizer")
    }

    #[test]
    fn names_aliases_objects_and_functions() {
        let function = json!({"class_name": "function", "config": "xnor_weight_scale", "module": "builtins"});
        let object = json!({"class_name": "Larq>SteSign", "config": {"clip_value": 1.25}});
        assert_eq!(quantizer(&json!(null)).unwrap(), KernelQuantizer::None);
        assert_eq!(quantizer(&json!("ste_sign")).unwrap(), KernelQuantizer::Sign);
        assert_eq!(quantizer(&object).unwrap(), KernelQuantizer::Sign);
        assert_eq!(quantizer(&function).unwrap(), KernelQuantizer::XnorScale);
        assert_eq!(quantizer(&json!({"class_name": "MagnitudeAwareSign"})).unwrap(), KernelQuantizer::MagnitudeAware);
        for refused in [json!("dorefa_quantizer"), json!({"class_name": "SteTern"}), json!("ste_heaviside")] {
            let name = name_of(Some(&refused)).unwrap().to_owned();
            assert!(quantizer(&refused).unwrap_err().to_string().contains(&name));
        }
        assert!(quantizer(&json!(3)).is_err());
    }

    #[test]
    fn the_scale_is_the_mean_magnitude_of_a_channel() {
        let kernel = Array { shape: vec![1, 1, 2, 2], data: vec![0.5, -3.0, -0.25, 0.0] };
        let apply = |quantizer: KernelQuantizer| quantizer.apply(kernel.clone()).data;
        assert_eq!(apply(KernelQuantizer::Sign), [1.0, -1.0, -1.0, 1.0]);
        assert_eq!(apply(KernelQuantizer::MagnitudeAware), [0.375, -1.5, -0.375, 1.5]);
        assert_eq!(apply(KernelQuantizer::XnorScale), [0.375, -0.5, -0.375, 0.5]);
        assert_eq!(apply(KernelQuantizer::LayerMagnitude), [0.9375, -0.9375, -0.9375, 0.9375]);
    }
}
