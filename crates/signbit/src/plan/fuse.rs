//! Fusion: neighbouring steps become one, so that a value between them is never stored.
//!
//! One function per fusion, listed in [`RULES`]. A rule looks at one step and the steps that make its
//! inputs; where it applies, the later step takes the earlier one in. No rule changes a result: a fused step
//! does the same operations on each element in the same order.

use signbit_model::ValueType;

use super::Step;
use crate::ops::binary::Thresholds;
use crate::ops::pooled::Pooled;
use crate::ops::sign;
use crate::ops::stage::Stage;
use crate::ops::{BitsKernel, F32Kernel, I32Kernel, Kernel};

/// A fusion: changes step `s` and returns true where it applies.
type Rule = fn(&mut Fusion<'_>, s: usize) -> bool;

const RULES: [Rule; 7] = [
    threshold_after_dots,
    epilogue_after_dots,
    epilogue_after_real,
    pooling_after_real,
    sign_after_elementwise,
    slice_of_a_concatenation,
    parts_of_a_concatenation,
];

/// Fuses the steps of a graph with values of `types`, of which `output` is the result. Steps whose output
/// nobody reads are dropped first.
pub(super) fn run(steps: Vec<Step>, types: &[ValueType], output: usize) -> Vec<Step> {
    let mut fusion = Fusion::new(steps, types, output);
    for s in 0..fusion.steps.len() {
        while RULES.iter().any(|rule| rule(&mut fusion, s)) {}
    }
    fusion.steps.into_iter().flatten().collect()
}

/// The steps while they are being fused.
struct Fusion<'a> {
    types: &'a [ValueType],
    /// In their order; a step that another one has taken in is `None`.
    steps: Vec<Option<Step>>,
    /// How often each value is read.
    reads: Vec<usize>,
    /// The step that makes each value.
    maker: Vec<Option<usize>>,
}

impl<'a> Fusion<'a> {
    fn new(steps: Vec<Step>, types: &'a [ValueType], output: usize) -> Self {
        let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
        let mut reads = vec![0; types.len()];
        let mut maker = vec![None; types.len()];
        // The caller reads the output; twice, so that no rule takes it for a value of one reader.
        reads[output] = 2;
        for (i, slot) in steps.iter_mut().enumerate().rev() {
            let Some(step) = slot.take_if(|step| reads[step.output] > 0) else {
                *slot = None;
                continue;
            };
            step.inputs.iter().for_each(|&value| reads[value] += 1);
            maker[step.output] = Some(i);
            *slot = Some(step);
        }
        Self { types, steps, reads, maker }
    }

    /// The step that makes `value`, where no one else reads it.
    fn only_for_this(&self, value: usize) -> Option<(usize, &Step)> {
        let maker = self.maker[value].filter(|_| self.reads[value] == 1)?;
        Some((maker, self.steps[maker].as_ref()?))
    }

    /// Whether step `p` only concatenates real numbers.
    fn is_concatenation(&self, p: usize) -> bool {
        let step = self.steps[p].as_ref();
        step.is_some_and(|p| matches!(p.kernel, Kernel::F32(F32Kernel::Concat)) && p.stages.is_empty())
    }

    /// Step `s` takes in step `p`, the maker of its first input: it has `kernel`, then both steps' stages.
    fn join(&mut self, p: usize, s: usize, kernel: impl FnOnce(Kernel, Kernel) -> Kernel) -> bool {
        let (Some(first), Some(second)) = (self.steps[p].take(), self.steps[s].take()) else {
            return false;
        };
        let shift = first.inputs.len() - 1;
        let later = second.stages.into_iter().map(|stage| stage.shift_operand(shift));
        self.steps[s] = Some(Step {
            nodes: first.nodes.into_iter().chain(second.nodes).collect(),
            kernel: kernel(first.kernel, second.kernel),
            stages: first.stages.into_iter().chain(later).collect(),
            inputs: first.inputs.into_iter().chain(second.inputs.into_iter().skip(1)).collect(),
            ..second
        });
        true
    }
}

/// Dot products that are only compared with thresholds: bits come out of the kernel.
fn threshold_after_dots(fusion: &mut Fusion<'_>, s: usize) -> bool {
    let Some(step) = &fusion.steps[s] else {
        return false;
    };
    let Kernel::Bits(BitsKernel::Threshold(_) | BitsKernel::SignI32) = step.kernel else {
        return false;
    };
    let Some((p, maker)) = fusion.only_for_this(step.inputs[0]) else {
        return false;
    };
    let Kernel::I32(I32Kernel::Dots(_) | I32Kernel::TransposedDots(_)) = maker.kernel else {
        return false;
    };
    let channels = fusion.types[maker.output].shape.c;
    fusion.join(p, s, |dots, compare| {
        let thresholds = match compare {
            Kernel::Bits(BitsKernel::Threshold(thresholds)) => thresholds,
            _ => Thresholds::of_sign(channels),
        };
        match dots {
            Kernel::I32(I32Kernel::Dots(dots)) => Kernel::Bits(BitsKernel::Dots(dots, thresholds)),
            Kernel::I32(I32Kernel::TransposedDots(dots)) => Kernel::Bits(BitsKernel::TransposedDots(dots, thresholds)),
            other => other,
        }
    })
}

/// Dot products that only become real numbers: the kernel converts them, and what follows runs on each piece
/// while it is in the cache.
fn epilogue_after_dots(fusion: &mut Fusion<'_>, s: usize) -> bool {
    let Some(step) = &fusion.steps[s] else {
        return false;
    };
    let Kernel::F32(F32Kernel::Convert) = step.kernel else {
        return false;
    };
    let Some((p, maker)) = fusion.only_for_this(step.inputs[0]) else {
        return false;
    };
    let Kernel::I32(I32Kernel::Dots(_) | I32Kernel::TransposedDots(_)) = maker.kernel else {
        return false;
    };
    fusion.join(p, s, |dots, convert| match dots {
        Kernel::I32(I32Kernel::Dots(dots)) => Kernel::F32(F32Kernel::Dots(dots)),
        Kernel::I32(I32Kernel::TransposedDots(dots)) => Kernel::F32(F32Kernel::TransposedDots(dots)),
        _ => convert,
    })
}

/// Real numbers that only meet an elementwise operator: it runs on each piece while that is in the cache.
fn epilogue_after_real(fusion: &mut Fusion<'_>, s: usize) -> bool {
    let Some(step) = &fusion.steps[s] else {
        return false;
    };
    let Kernel::F32(F32Kernel::Copy) = step.kernel else {
        return false;
    };
    let takes_stages = |value: usize| {
        fusion.only_for_this(value).filter(|(_, maker)| matches!(maker.kernel, Kernel::F32(_))).map(|(p, _)| p)
    };
    let first = takes_stages(step.inputs[0]);
    // A sum may be taken from either side; the side that is made last is the one still in the cache.
    let second = match step.stages[..] {
        [Stage::Add { .. }] if step.inputs.len() == 2 => takes_stages(step.inputs[1]),
        _ => None,
    };
    let Some(p) = first.max(second) else {
        return false;
    };
    if Some(p) != first
        && let Some(step) = &mut fusion.steps[s]
    {
        step.inputs.swap(0, 1);
    }
    fusion.join(p, s, |maker, _| maker)
}

/// A large picture of a real convolution that is only pooled: a few rows at a time, while they are in the cache.
fn pooling_after_real(fusion: &mut Fusion<'_>, s: usize) -> bool {
    let Some(step) = &fusion.steps[s] else {
        return false;
    };
    let Kernel::F32(F32Kernel::Pool(window, _)) = &step.kernel else {
        return false;
    };
    let value = step.inputs[0];
    let Some(rows) = Pooled::rows(fusion.types[value].shape, window) else {
        return false;
    };
    let Some((p, maker)) = fusion.only_for_this(value) else {
        return false;
    };
    let alone = !maker.stages.iter().any(Stage::reads_operand);
    if !matches!(maker.kernel, Kernel::F32(F32Kernel::Real(_))) || !alone {
        return false;
    }
    let stages = fusion.steps[p].as_mut().map(|maker| std::mem::take(&mut maker.stages)).unwrap_or_default();
    fusion.join(p, s, |real, pool| match (real, pool) {
        (Kernel::F32(F32Kernel::Real(real)), Kernel::F32(F32Kernel::Pool(window, pooling))) => {
            Kernel::F32(F32Kernel::Pooled(Box::new(Pooled::new(real, stages, window, pooling, rows))))
        }
        (_, other) => other,
    })
}

/// Elementwise operators whose results only matter by their signs: they run on the way to the bits.
fn sign_after_elementwise(fusion: &mut Fusion<'_>, s: usize) -> bool {
    let Some(step) = &fusion.steps[s] else {
        return false;
    };
    let (Kernel::Bits(BitsKernel::Sign), &[value]) = (&step.kernel, step.kernel_inputs()) else {
        return false;
    };
    if fusion.types[value].shape.c > sign::BLOCK {
        return false;
    }
    let Some((p, maker)) = fusion.only_for_this(value) else {
        return false;
    };
    let Kernel::F32(F32Kernel::Copy) = maker.kernel else {
        return false;
    };
    fusion.join(p, s, |_, sign| sign)
}

/// A slice of a concatenation that is cut between its parts: it is one of them, or a concatenation of some. A MeliusNet
/// adds to the newest features and leaves the others as they are.
fn slice_of_a_concatenation(fusion: &mut Fusion<'_>, s: usize) -> bool {
    let Some(step) = &fusion.steps[s] else {
        return false;
    };
    let (Kernel::F32(F32Kernel::Slice(start)), &[value]) = (&step.kernel, &step.inputs[..]) else {
        return false;
    };
    let Some(p) = fusion.maker[value].filter(|&p| step.stages.is_empty() && fusion.is_concatenation(p)) else {
        return false;
    };
    let Some(all) = fusion.steps[p].as_ref().map(|first| first.inputs.clone()) else {
        return false;
    };
    // Where each part begins, and where the last one ends.
    let mut begins = vec![0];
    begins.extend(all.iter().scan(0, |end, &part| {
        *end += fusion.types[part].shape.c;
        Some(*end)
    }));
    let end = start + fusion.types[step.output].shape.c;
    let (Ok(first), Ok(last)) = (begins.binary_search(start), begins.binary_search(&end)) else {
        return false;
    };
    let parts = all[first..last].to_vec();
    let mut nodes = Vec::new();
    fusion.reads[value] -= 1;
    if fusion.reads[value] == 0 {
        all.iter().for_each(|&part| fusion.reads[part] -= 1);
        nodes = fusion.steps[p].take().map_or(nodes, |first| first.nodes);
    }
    parts.iter().for_each(|&part| fusion.reads[part] += 1);
    if let Some(step) = &mut fusion.steps[s] {
        nodes.append(&mut step.nodes);
        step.nodes = nodes;
        step.kernel = if parts.len() == 1 { Kernel::Alias } else { Kernel::F32(F32Kernel::Concat) };
        step.inputs = parts;
    }
    true
}

/// A concatenation that is only read to be copied or to have its signs taken: its reader reads the parts. A block of a
/// DenseNet concatenates what it concatenated before; so each feature is copied once, not once per layer.
fn parts_of_a_concatenation(fusion: &mut Fusion<'_>, s: usize) -> bool {
    let Some(step) = &fusion.steps[s] else {
        return false;
    };
    let reads_parts = match step.kernel {
        Kernel::Bits(BitsKernel::Sign) => fusion.types[step.output].shape.c <= sign::BLOCK,
        Kernel::F32(F32Kernel::Concat) => true,
        _ => false,
    };
    let is_concatenation = |value: &usize| fusion.maker[*value].is_some_and(|p| fusion.is_concatenation(p));
    let Some(at) = step.kernel_inputs().iter().position(is_concatenation).filter(|_| reads_parts) else {
        return false;
    };
    let value = step.inputs[at];
    let Some(p) = fusion.maker[value] else {
        return false;
    };
    let (Some(mut first), Some(mut step)) = (fusion.steps[p].take(), fusion.steps[s].take()) else {
        return false;
    };
    let parts = first.inputs.clone();
    step.stages = step.stages.into_iter().map(|stage| stage.shift_operand(parts.len() - 1)).collect();
    step.inputs.splice(at..=at, parts.iter().copied());
    fusion.reads[value] -= 1;
    if fusion.reads[value] == 0 {
        first.nodes.append(&mut step.nodes);
        step.nodes = first.nodes;
    } else {
        parts.iter().for_each(|&part| fusion.reads[part] += 1);
        fusion.steps[p] = Some(first);
    }
    fusion.steps[s] = Some(step);
    true
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use signbit_model::{Model, ModelBuilder, Op, Shape, Tensor, ValueId};

    use super::*;
    use crate::Options;
    use crate::memory::Budget;

    /// The names of the nodes of each step of a network on 4 numbers, made by `build`.
    fn steps(build: impl FnOnce(&mut ModelBuilder) -> ValueId) -> Vec<String> {
        let mut b = ModelBuilder::new(Shape::vector(4));
        b.tensor("w", Tensor::bits_from_signs([4, 4], &[1; 16]).unwrap());
        b.tensor("m", Tensor::f32([4], vec![1.0; 4]).unwrap());
        b.tensor("t", Tensor::i32([4], vec![0; 4]).unwrap());
        b.tensor("f", Tensor::bits_from_signs([1, 4], &[-1; 4]).unwrap());
        let output = build(&mut b);
        let model = used(b, output);
        let types = signbit_model::infer(&model.graph, &model.tensors).unwrap();
        let steps =
            super::super::lower::steps(&mut Cow::Borrowed(&model), &types, &Options::default(), &Budget::new(u64::MAX))
                .unwrap();
        let names =
            |step: &Step| step.nodes.iter().map(|&i| model.graph.nodes[i].name.as_str()).collect::<Vec<_>>().join(" ");
        run(steps, &types, output.index()).iter().map(names).collect()
    }

    /// Finishes the network. Every tensor gets a reader whose result nobody reads.
    fn used(mut b: ModelBuilder, output: ValueId) -> Model {
        let x = b.input();
        b.node("use m", mul_add(), &[x]);
        let x = b.node("use sign", Op::Sign, &[x]);
        let x = b.node("use w", dots(), &[x]);
        b.node("use t", threshold(), &[x]);
        b.finish(output).unwrap()
    }

    fn dots() -> Op {
        Op::BinaryDense { weight: "w".into() }
    }

    fn mul_add() -> Op {
        Op::MulAdd { mul: "m".into(), add: "m".into() }
    }

    fn threshold() -> Op {
        Op::Threshold { threshold: "t".into(), flip: "f".into() }
    }

    #[test]
    fn thresholds_and_signs_follow_dot_products() {
        let found = steps(|b| {
            let x = b.node("sign", Op::Sign, &[b.input()]);
            let x = b.node("fc1", dots(), &[x]);
            let x = b.node("t1", threshold(), &[x]);
            let x = b.node("fc2", dots(), &[x]);
            let x = b.node("s2", Op::Sign, &[x]);
            b.node("fc3", dots(), &[x])
        });
        assert_eq!(found, ["sign", "fc1 t1", "fc2 s2", "fc3"]);
    }

    #[test]
    fn a_second_reader_keeps_the_value() {
        let found = steps(|b| {
            let x = b.node("sign", Op::Sign, &[b.input()]);
            let dot = b.node("fc", dots(), &[x]);
            b.node("t", threshold(), &[dot]);
            let bits = b.node("t2", threshold(), &[dot]);
            let fc = b.node("fc2", dots(), &[bits]);
            let real = b.node("bn", mul_add(), &[dot]);
            b.node("mul", Op::Mul, &[fc, real])
        });
        // `t` has no reader and goes first; then `t2` and `bn` still share the dot products.
        assert_eq!(found, ["sign", "fc", "t2", "bn", "fc2 mul"]);
    }

    #[test]
    fn elementwise_operators_become_an_epilogue() {
        let found = steps(|b| {
            let x = b.node("sign", Op::Sign, &[b.input()]);
            let x = b.node("fc", dots(), &[x]);
            let x = b.node("bn", mul_add(), &[x]);
            let x = b.node("relu", Op::Relu, &[x]);
            let x = b.node("add", Op::Add, &[b.input(), x]);
            b.node("clip", Op::Clip { min: -1.0, max: 1.0 }, &[x])
        });
        assert_eq!(found, ["sign", "fc bn relu add clip"]);
    }

    #[test]
    fn a_sign_takes_the_elementwise_operators_before_it() {
        let found = steps(|b| {
            let x = b.node("bn", mul_add(), &[b.input()]);
            let x = b.node("add", Op::Add, &[x, b.input()]);
            let x = b.node("s", Op::Sign, &[x]);
            b.node("fc", dots(), &[x])
        });
        assert_eq!(found, ["bn add s", "fc"]);
    }

    /// The block of a DenseNet: the first concatenation is never stored.
    #[test]
    fn features_are_concatenated_once() {
        let half = |b: &mut ModelBuilder, x: ValueId| {
            b.node(format!("half{}", x.index()), Op::Slice { start: 0, end: 1 }, &[x])
        };
        let found = steps(|b| {
            let x = half(b, b.input());
            let new = b.node("new", Op::Slice { start: 1, end: 3 }, &[b.input()]);
            let cat = b.node("cat", Op::Concat, &[x, new]);
            let bits = b.node("s", Op::Sign, &[cat]);
            let more = b.node("more", Op::Unpack, &[bits]);
            let last = half(b, more);
            let cat = b.node("cat2", Op::Concat, &[cat, last]);
            b.node("relu", Op::Relu, &[cat])
        });
        assert_eq!(found, ["half0", "new", "s", "more", "half5", "cat cat2 relu"]);
    }

    /// The improvement block of a MeliusNet: neither concatenation is stored, and nothing is copied.
    #[test]
    fn slices_of_a_concatenation_are_its_parts() {
        let found = steps(|b| {
            let x = b.node("early", Op::Relu, &[b.input()]);
            let new = b.node("new", mul_add(), &[b.input()]);
            let more = b.node("more", Op::Clip { min: 0.0, max: 1.0 }, &[b.input()]);
            let cat = b.node("cat", Op::Concat, &[x, new, more]);
            let old = b.node("old", Op::Slice { start: 0, end: 8 }, &[cat]);
            let last = b.node("last", Op::Slice { start: 8, end: 12 }, &[cat]);
            let last = b.node("add", Op::Add, &[last, b.input()]);
            let cat = b.node("cat2", Op::Concat, &[old, last]);
            b.node("s", Op::Sign, &[cat])
        });
        assert_eq!(found, ["early", "new", "more", "cat last", "add", "old cat2 s"]);
    }

    /// A slice through a part stays.
    #[test]
    fn other_slices_of_a_concatenation_stay() {
        let found = steps(|b| {
            let x = b.node("early", Op::Relu, &[b.input()]);
            let cat = b.node("cat", Op::Concat, &[x, b.input()]);
            b.node("some", Op::Slice { start: 0, end: 5 }, &[cat])
        });
        assert_eq!(found, ["early", "cat", "some"]);
    }

    #[test]
    fn the_output_is_kept() {
        let mut relu = ValueId::INPUT;
        let found = steps(|b| {
            relu = b.node("relu", Op::Relu, &[b.input()]);
            b.node("clip", Op::Clip { min: -1.0, max: 1.0 }, &[relu]);
            relu
        });
        assert_eq!(found, ["relu"]);
    }

    #[test]
    fn a_value_added_to_itself_is_read_twice() {
        let found = steps(|b| {
            let x = b.node("relu", Op::Relu, &[b.input()]);
            b.node("double", Op::Add, &[x, x])
        });
        assert_eq!(found, ["relu", "double"]);
    }

    #[test]
    fn of_two_branches_the_later_one_takes_the_sum() {
        let found = steps(|b| {
            let early = b.node("early", Op::Relu, &[b.input()]);
            let late = b.node("late", mul_add(), &[b.input()]);
            b.node("add", Op::Add, &[early, late])
        });
        assert_eq!(found, ["early", "late add"]);
    }
}
