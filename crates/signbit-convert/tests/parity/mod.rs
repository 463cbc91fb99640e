//! Operator by operator: each one's translation on the engine's own inputs, against the engine's own output.
//!
//! So a difference stays where it arises. Bits and scaled dot products must be equal, other real numbers close.

use std::collections::BTreeMap;
use std::path::Path;

use signbit_convert::tflite::{self, Operand, Step};
use signbit_model::{DType, Model, Op, Padding};

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
    mut run: impl FnMut(&Model, usize, &[f32]) -> Vec<f32>,
) -> (Vec<Comparison>, usize) {
    let steps = tflite::operators(file).unwrap();
    let made: Vec<usize> = steps.iter().map(|step| step.output.tensor).collect();
    let input = npy::f32s(input);
    let n = input.shape[0];
    let (mut found, mut skipped) = (Vec::new(), 0);
    let mut known: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
    for step in &steps {
        let mut complete = true;
        for operand in step.inputs.iter().chain([&step.output]) {
            let tensor = operand.tensor;
            let data = match known.contains_key(&tensor) {
                true => continue,
                false if made.contains(&tensor) => load(&tensors.join(format!("t{tensor}.npy")), n, operand),
                false => Some(stored(operand, input.data.clone())),
            };
            complete &= data.is_some();
            known.extend(data.map(|data| (tensor, data)));
        }
        if complete {
            let y = run(&step.model, n, &joined(step, n, &known));
            found.push(comparison(step, stored(&step.output, y), &known[&step.output.tensor]));
        } else {
            skipped += 1;
        }
    }
    (found, skipped)
}

/// A tensor of the engine as real numbers, packed bits as +1 and -1.
fn load(path: &Path, n: usize, Operand { ty, quantization, .. }: &Operand) -> Option<Vec<f32>> {
    if !path.exists() {
        return None;
    }
    let data = match (ty.dtype, quantization) {
        (DType::Bits, _) => {
            let (words, c) = (npy::i32s(path).data, ty.shape.c);
            let bit = |words: &[i32], k: usize| if words[k / 32] >> (k % 32) & 1 == 1 { -1.0 } else { 1.0 };
            let pixel = |words: &[i32]| (0..c).map(|k| bit(words, k)).collect::<Vec<f32>>();
            words.chunks_exact(c.div_ceil(32)).flat_map(pixel).collect()
        }
        (_, Some((scale, zero))) => npy::i8s(path).data.iter().map(|&q| scale * (i64::from(q) - zero) as f32).collect(),
        (_, None) => npy::f32s(path).data,
    };
    assert_eq!(data.len(), n * ty.shape.elements(), "{}", path.display());
    Some(data)
}

/// What of real numbers an operand can hold.
fn stored(operand: &Operand, mut data: Vec<f32>) -> Vec<f32> {
    if let Some((scale, zero)) = operand.quantization {
        data.iter_mut()
            .for_each(|v| *v = (((*v / scale).round() + zero as f32).clamp(-128.0, 127.0) - zero as f32) * scale);
    }
    data
}

/// The step's inputs, joined along the channels, a value of one pixel at each pixel.
fn joined(step: &Step, n: usize, known: &BTreeMap<usize, Vec<f32>>) -> Vec<f32> {
    let shape = step.model.graph.input.shape;
    let mut data = Vec::with_capacity(n * shape.elements());
    for sample in 0..n {
        for pixel in 0..shape.h * shape.w {
            for &Operand { tensor, ty, .. } in &step.inputs {
                let pixels = ty.shape.h * ty.shape.w;
                let start = (sample * pixels + pixel % pixels) * ty.shape.c;
                data.extend(&known[&tensor][start..start + ty.shape.c]);
            }
        }
    }
    data
}

fn comparison(step: &Step, found: Vec<f32>, expected: &[f32]) -> Comparison {
    assert_eq!(found.len(), expected.len(), "{}", step.name);
    let rms = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt();
    let distance = |(a, b): (&f32, &f32)| if a == b { 0.0 } else { (a - b).abs() / b.abs().max(rms) };
    Comparison {
        name: step.name.clone(),
        kind: step.kind.clone(),
        dtype: step.output.ty.dtype,
        elements: found.len(),
        unequal: found.iter().zip(expected).filter(|(a, b)| a != b).count(),
        worst: found.iter().zip(expected).map(distance).fold(0.0, f32::max),
        allowed: allowed(step, rms),
    }
}

/// What a real output may differ by, relative to the tensor's root mean square of `rms`.
///
/// The order of sums in a real layer is each system's own. A binary layer must be exact but next to zero padding: there
/// the engine counts the padding as +1 and takes it out of the scaled sum, which may be much larger than the result.
fn allowed(step: &Step, rms: f32) -> f32 {
    // int8 arithmetic may round to a neighbour.
    let of_int8 = step.output.quantization.map_or(0.0, |(scale, _)| 1.01 * scale / rms);
    let Step { model, .. } = step;
    let dots = model.graph.nodes.iter().find_map(|node| match &node.op {
        Op::BinaryConv2d { weight, geometry, padding, .. } => Some((weight, geometry, padding)),
        _ => None,
    });
    let scales = model.graph.nodes.last().and_then(|node| match &node.op {
        Op::MulAdd { mul, .. } => model.tensors[mul].as_f32(),
        _ => None,
    });
    of_int8.max(match (dots, scales) {
        (Some((weight, geometry, Padding::Zero)), Some(scales)) if geometry.pads != [0; 4] => {
            let largest = scales.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            model.tensors[weight].row_len() as f32 * largest * f32::EPSILON / rms
        }
        (Some(_), _) => 0.0,
        (None, _) => 1e-5,
    })
}
