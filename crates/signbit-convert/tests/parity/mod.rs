//! Operator by operator: each one's translation on the engine's own inputs, against the engine's own output.
//!
//! So a difference stays where it arises. Bits must be equal, real numbers close.

use std::collections::BTreeMap;
use std::path::Path;

use signbit_convert::tflite::{self, Step};
use signbit_model::{DType, Model, Op, ValueType};

use crate::npy;

/// What one operator's translation computes, beside what the engine computes.
pub(crate) struct Comparison {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) dtype: DType,
    pub(crate) elements: usize,
    /// Elements that are not equal.
    pub(crate) unequal: usize,
    /// Largest distance, relative to the larger of the element's magnitude and the tensor's root mean square.
    pub(crate) worst: f32,
    /// What that may be.
    pub(crate) allowed: f32,
}

impl Comparison {
    pub(crate) fn is_good(&self) -> bool {
        if self.dtype == DType::F32 { self.worst <= self.allowed } else { self.unequal == 0 }
    }
}

/// Compares all operators whose tensors are in the folder `tensors`, as `t{tensor}.npy`; `input` is the network's
/// input. `run` runs a network on a batch. Also gives the number of operators whose tensors are not there.
pub(crate) fn compare(
    file: &[u8],
    input: &Path,
    tensors: &Path,
    run: &mut dyn FnMut(&Model, usize, &[f32]) -> Vec<f32>,
) -> (Vec<Comparison>, usize) {
    let steps = tflite::operators(file).unwrap();
    let made: Vec<usize> = steps.iter().map(|step| step.output).collect();
    let input = npy::f32s(input);
    let n = input.shape[0];
    let (mut found, mut skipped) = (Vec::new(), 0);
    let mut known: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
    for step in &steps {
        let output = step.model.validate().unwrap()[step.model.graph.output.index()];
        let wanted = step.inputs.iter().copied().chain([(step.output, output)]);
        let mut complete = true;
        for (tensor, ty) in wanted {
            let is_input = !made.contains(&tensor);
            if is_input {
                known.entry(tensor).or_insert_with(|| input.data.clone());
            } else if !known.contains_key(&tensor) {
                match load(&tensors.join(format!("t{tensor}.npy")), n, ty) {
                    Some(data) => drop(known.insert(tensor, data)),
                    None => complete = false,
                }
            }
        }
        if !complete {
            skipped += 1;
            continue;
        }
        let y = run(&step.model, n, &joined(step, n, &known));
        found.push(comparison(step, output, &y, &known[&step.output]));
    }
    (found, skipped)
}

/// A tensor of the engine as real numbers, packed bits as +1 and -1.
fn load(path: &Path, n: usize, ty: ValueType) -> Option<Vec<f32>> {
    if !path.exists() {
        return None;
    }
    if ty.dtype != DType::Bits {
        let data = npy::f32s(path).data;
        assert_eq!(data.len(), n * ty.shape.elements(), "{}", path.display());
        return Some(data);
    }
    let (words, c) = (npy::i32s(path).data, ty.shape.c);
    assert_eq!(words.len(), n * ty.shape.h * ty.shape.w * c.div_ceil(32), "{}", path.display());
    let pixel = |words: &[i32]| (0..c).map(|k| if words[k / 32] >> (k % 32) & 1 == 1 { -1.0 } else { 1.0 }).collect();
    Some(words.chunks_exact(c.div_ceil(32)).flat_map(|words| -> Vec<f32> { pixel(words) }).collect())
}

/// The step's inputs, joined along the channels, a value of one pixel at each pixel.
fn joined(step: &Step, n: usize, known: &BTreeMap<usize, Vec<f32>>) -> Vec<f32> {
    let shape = step.model.graph.input.shape;
    let mut data = Vec::with_capacity(n * shape.elements());
    for sample in 0..n {
        for pixel in 0..shape.h * shape.w {
            for &(tensor, ty) in &step.inputs {
                let pixels = ty.shape.h * ty.shape.w;
                let start = (sample * pixels + pixel % pixels) * ty.shape.c;
                data.extend(&known[&tensor][start..start + ty.shape.c]);
            }
        }
    }
    data
}

fn comparison(step: &Step, ty: ValueType, found: &[f32], expected: &[f32]) -> Comparison {
    assert_eq!(found.len(), expected.len(), "{}", step.name);
    let rms = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt();
    let distance = |(a, b): (&f32, &f32)| if a == b { 0.0 } else { (a - b).abs() / b.abs().max(rms) };
    Comparison {
        name: step.name.clone(),
        kind: step.kind.clone(),
        dtype: ty.dtype,
        elements: found.len(),
        unequal: found.iter().zip(expected).filter(|(a, b)| a != b).count(),
        worst: found.iter().zip(expected).map(distance).fold(0.0, f32::max),
        allowed: (engine_rounding(&step.model) / rms).max(1e-5),
    }
}

/// What the engine's own order of steps costs. It computes `bias + k * scale` first, and takes `2 * scale` for each of
/// the differing bits from that: both may be much larger than the result.
fn engine_rounding(model: &Model) -> f32 {
    let nodes = &model.graph.nodes;
    let k = nodes.iter().find_map(|node| match &node.op {
        Op::BinaryConv2d { weight, .. } => Some(model.tensors[weight].row_len()),
        _ => None,
    });
    let scale = nodes.last().and_then(|node| match &node.op {
        Op::MulAdd { mul, .. } => model.tensors[mul].as_f32(),
        _ => None,
    });
    let largest = scale.unwrap_or(&[]).iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    k.unwrap_or(0) as f32 * largest * f32::EPSILON
}
