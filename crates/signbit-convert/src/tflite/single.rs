//! Each operator as a network of its own.

use signbit_model::{DType, Model, Op, Shape, ValueId, ValueType};

use super::Result;
use super::reader::{Held, Reader};
use super::schema::{File, Quantization};

/// One output of one operator, as a network whose input is the operator's own.
#[derive(Debug, Clone)]
pub struct Step {
    /// The operator's name, that of its node in the whole network.
    pub name: String,
    /// The operator's kind, as TFLite or Larq Compute Engine calls it.
    pub kind: String,
    /// The tensors that the operator reads; constants are not among them.
    pub inputs: Vec<Operand>,
    /// The tensor that it makes.
    pub output: Operand,
    /// The network. Its input are the [`Step::inputs`], joined along the channels in their order: bits as +1 and -1,
    /// and a value of one pixel repeated for each pixel of the others.
    pub model: Model,
}

/// A tensor of the file, and what it is in the network.
#[derive(Debug, Clone, Copy)]
pub struct Operand {
    /// Its number in the file.
    pub tensor: usize,
    /// Shape per sample and element type.
    pub ty: ValueType,
    /// Of an int8 tensor, which is F32 in the network: the real number of `q` is `scale * (q - zero_point)`.
    pub quantization: Option<(f32, i64)>,
}

/// Every operator's outputs that depend on the network's input, in the order of the file.
///
/// # Errors
/// As [`super::read`].
pub fn operators(bytes: &[u8]) -> Result<Vec<Step>> {
    let file = File::read(bytes)?;
    let mut whole = Reader::of_graph(&file)?;
    whole.run()?;
    let mut steps = Vec::new();
    for i in 0..file.operators() {
        for &output in &file.operator(i)?.outputs {
            steps.extend(step(&file, &whole, i, output)?);
        }
    }
    Ok(steps)
}

fn step(file: &File, whole: &Reader, i: usize, output: usize) -> Result<Option<Step>> {
    let op = file.operator(i)?;
    let Some(output) = operand(file, whole, output)? else { return Ok(None) };
    let mut inputs: Vec<Operand> = Vec::new();
    for &tensor in op.inputs.iter().flatten() {
        if !inputs.iter().any(|known| known.tensor == tensor) {
            inputs.extend(operand(file, whole, tensor)?);
        }
    }
    let size = |size: fn(&Shape) -> usize| inputs.iter().map(|input| size(&input.ty.shape)).max().unwrap_or(0);
    let channels = inputs.iter().fold(0_usize, |sum, input| sum.saturating_add(input.ty.shape.c));
    let joined = Shape::new(size(|s| s.h), size(|s| s.w), channels);
    let mut reader = Reader::new(file, joined, whole.batch);
    for (tensor, held) in whole.all_held() {
        if !matches!(held, Held::Value(_)) && !op.outputs.contains(tensor) {
            reader.hold(*tensor, held.clone());
        }
    }
    let mut start = 0;
    for &Operand { tensor, ty, .. } in &inputs {
        let value = part(&mut reader, joined, ty, start)?;
        reader.hold(tensor, Held::Value(value));
        start += ty.shape.c;
    }
    let (name, kind) = (op.name.clone(), op.kind.clone());
    reader.step(op)?;
    let Some(Held::Value(value)) = reader.all_held().get(&output.tensor).cloned() else { return Ok(None) };
    Ok(Some(Step { name, kind, inputs, output, model: reader.draft.finish(value)?.model }))
}

/// A tensor that is a value of the network.
fn operand(file: &File, whole: &Reader, tensor: usize) -> Result<Option<Operand>> {
    let Some(Held::Value(value)) = whole.all_held().get(&tensor) else { return Ok(None) };
    let info = file.tensor(tensor)?;
    let scale = info.quantization()?.filter(|_| info.kind.is_quantized());
    let first = |q: Quantization| q.scales.first().copied().zip(q.zero_points.first().copied());
    Ok(Some(Operand { tensor, ty: whole.draft.value_type(*value), quantization: scale.and_then(first) }))
}

/// The value of type `ty` in the channels of the joined input from `start` on.
fn part(reader: &mut Reader, joined: Shape, ty: ValueType, start: usize) -> Result<ValueId> {
    let draft = &mut reader.draft;
    let mut value = draft.input();
    if ty.shape.c != joined.c {
        value = draft.node("operand", Op::Slice { start, end: start + ty.shape.c }, &[value])?;
    }
    if ty.shape.is_vector() && !joined.is_vector() {
        value = draft.node("operand", Op::GlobalMaxPool, &[value])?;
    }
    match ty.dtype {
        DType::Bits => draft.node("operand", Op::Sign, &[value]),
        _ => Ok(value),
    }
}
