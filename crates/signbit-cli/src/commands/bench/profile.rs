//! `signbit bench MODEL --profile`: one call, step by step.

use serde_json::json;
use signbit::StepTime;

use super::record::{Layer, Settings};
use crate::failure::Failure;
use crate::output::{Out, grouped, short, table};

/// Prints the steps of one call in the order in which they ran.
pub(super) fn tell(out: Out, settings: &Settings, steps: &[StepTime]) -> Result<(), Failure> {
    let total: f64 = steps.iter().map(|step| step.seconds * 1e3).sum();
    let layers: Vec<_> = steps.iter().map(|step| Layer::new(step, step.seconds * 1e3, total, 0.0)).collect();
    let rows = layers.iter().enumerate().map(|(i, layer)| {
        vec![
            (i + 1).to_string(),
            layer.name.clone(),
            layer.kernel.clone(),
            layer.isa.clone(),
            format!("{:.4}", layer.ms),
            format!("{:.1} %", 100.0 * layer.share),
            layer.gmac_per_second.map(short).unwrap_or_default(),
            grouped(layer.weight_bytes),
            grouped(layer.activation_bytes),
        ]
    });
    let head = ["step", "layer", "kernel", "isa", "ms", "share", "GMAC/s", "weight bytes", "activation bytes"];
    out.headed(table(&head, 4, rows))?;
    out.text(format_args!("\n{}: {} ms in one call, the first", settings.way(), short(total)))?;
    let steps: Vec<_> = steps
        .iter()
        .zip(&layers)
        .map(|(step, layer)| {
            json!({
                "layer": layer.name, "nodes": step.nodes, "ops": step.ops, "kernel": layer.kernel, "isa": layer.isa,
                "ms": layer.ms, "share": layer.share, "macs": layer.macs,
                "macs_1bit": step.macs_1bit, "macs_32bit": step.macs_32bit, "gmac_per_second": layer.gmac_per_second,
                "weight_bytes": layer.weight_bytes, "activation_bytes": layer.activation_bytes,
            })
        })
        .collect();
    let mut document = json!(settings);
    document["record"] = "signbit bench --profile".into();
    document["ms"] = total.into();
    document["steps"] = steps.into();
    out.json(&document)
}
