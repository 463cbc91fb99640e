//! Layers on bits, by Larq Compute Engine's operators. The engine's bit is 1 for -1.

use signbit_model::{Geometry, Node, Op, Padding, Shape, Tensor, ValueId};

use super::super::{int, refuse, weights};
use super::FORMAT;
use super::file::{Code, Options};
use super::lower::{Lowering, builtin, negated};
use super::window::Pads;
use crate::ConvertError;

/// What becomes of the dot products.
enum Finish {
    /// `dot * mul[c] + add[c]`; without it the dot product itself.
    Real(Option<(Vec<f32>, Vec<f32>)>),
    /// `(dot >= threshold[c]) XOR flip[c]`.
    Bits(Vec<i64>, Vec<bool>),
}

/// A binary layer as a convolution.
struct Layer<'a> {
    weight: &'a str,
    geometry: Geometry,
    groups: usize,
    padding: Padding,
}

impl Lowering<'_> {
    /// A binary layer, with the threshold, sign or factors behind it where nothing else reads its integers.
    pub(super) fn binary_layer(&mut self, node: &Node, i: usize) -> Result<(), ConvertError> {
        let layer = match &node.op {
            Op::BinaryConv2d { weight, geometry, groups, padding } => {
                Layer { weight, geometry: *geometry, groups: *groups, padding: *padding }
            }
            Op::BinaryDense { weight } => {
                let geometry = Geometry::valid([1, 1], [1, 1], [1, 1]);
                Layer { weight, geometry, groups: 1, padding: Padding::Zero }
            }
            _ => return Ok(()),
        };
        let mut output = ValueId::of_node(i);
        let mut finish = Finish::Real(None);
        let reader = self.only_reader(output).map(|(i, reader)| (i, reader.clone()));
        if let Some((reader, next)) = reader {
            let taken = match &next.op {
                Op::MulAdd { mul, add } => {
                    Some(Finish::Real(Some((self.channels(&next, mul)?, self.channels(&next, add)?))))
                }
                Op::Affine { mul, add } => {
                    let channels = self.shape(output).c;
                    Some(Finish::Real(Some((vec![*mul; channels], vec![*add; channels]))))
                }
                Op::Sign | Op::Threshold { .. } => {
                    let (threshold, flip) = self.bounds(&next, self.shape(output).c)?;
                    Some(Finish::Bits(threshold, flip))
                }
                _ => None,
            };
            if let Some(taken) = taken {
                finish = taken;
                output = ValueId::of_node(reader);
                self.take(reader);
            }
        }
        self.binary_conv(node, &layer, finish, output)
    }

    /// The thresholds of a [`Op::Threshold`], or zeros for a sign.
    fn bounds(&self, node: &Node, channels: usize) -> Result<(Vec<i64>, Vec<bool>), ConvertError> {
        let Op::Threshold { threshold, flip } = &node.op else {
            return Ok((vec![0; channels], vec![false; channels]));
        };
        let threshold = weights::tensor(self.model, node, threshold)?.as_i32().unwrap_or_default();
        let flip = weights::signs(weights::tensor(self.model, node, flip)?);
        Ok((threshold.iter().map(|&t| i64::from(t)).collect(), flip.iter().map(|&f| f == 1).collect()))
    }

    fn binary_conv(
        &mut self,
        node: &Node,
        layer: &Layer<'_>,
        finish: Finish,
        output: ValueId,
    ) -> Result<(), ConvertError> {
        let x = node.inputs.first().copied().unwrap_or(ValueId::INPUT);
        let (input, shape) = (self.shape(x), self.shape(output));
        let per_group = input.c / layer.groups.max(1);
        if layer.groups > 1 && !per_group.is_multiple_of(32) {
            let reason = format!("{per_group} input channels per group, the engine takes multiples of 32");
            return Err(refuse(node, FORMAT, reason));
        }
        let [kh, kw] = layer.geometry.kernel;
        let k = (kh * kw).saturating_mul(per_group);
        self.check_row(node, k)?;
        let (x, pads) = self.padded_bits(node, x, layer)?;
        // Pads outside of the engine's own count as +1; where they must count as 0, they are taken out.
        let outside =
            layer.padding == Padding::Zero && pads == Pads::Valid && Pads::of(&layer.geometry, input) != Some(pads);
        let inside = layer.padding == Padding::Zero && pads == Pads::Same;
        let whole_words = layer.groups == 1 || (shape.c / layer.groups).is_multiple_of(32);
        match finish {
            Finish::Bits(threshold, flip) if !outside && !inside && whole_words => {
                let filter = self.filter(node, layer.weight, &flip)?;
                let threshold: Vec<i32> = threshold.iter().zip(&flip).map(|(&t, &f)| differences(k, t, f)).collect();
                let threshold = self.words(&format!("{}.threshold", node.name), &[shape.c], &threshold)?;
                let options = bconv_options(layer, input.c, pads)?;
                let inputs = vec![Some(x), Some(filter), None, None, Some(threshold)];
                let y = self.packed_tensor(&node.name, shape);
                self.push_optional(Code::Custom("LceBconv2d"), inputs, y, options);
                self.set_packed(output, y);
            }
            finish => {
                let (factors, bits) = match finish {
                    Finish::Real(factors) => (factors, false),
                    Finish::Bits(threshold, flip) => (Some(as_factors(k, &threshold, &flip)), true),
                };
                let now = if outside { None } else { factors.as_ref() };
                let mut y = self.real_bconv(node, layer, x, input, shape, pads, now)?;
                if outside {
                    y = self.without_pads(node, layer, y, input, shape)?;
                    if let Some((mul, add)) = &factors {
                        y = self.mul_add(&format!("{}.scaled", node.name), y, shape, mul, add)?;
                    }
                }
                if bits {
                    let packed = self.quantize(&format!("{}.sign", node.name), y, shape);
                    self.set_packed(output, packed);
                } else {
                    self.set_real(output, y);
                }
            }
        }
        Ok(())
    }

    /// The operand's packed bits, with a frame where the engine cannot pad so.
    fn padded_bits(&mut self, node: &Node, x: ValueId, layer: &Layer<'_>) -> Result<(usize, Pads), ConvertError> {
        let (geometry, shape) = (&layer.geometry, self.shape(x));
        let pads = Pads::of(geometry, shape);
        let engine_pads = match layer.padding {
            Padding::Zero => corrects_zeros(geometry, shape),
            Padding::One => true,
            Padding::MinusOne => false,
        };
        match pads {
            Some(pads) if pads == Pads::Valid || engine_pads => Ok((self.packed(x)?, pads)),
            _ => {
                let name = format!("{}.pad", node.name);
                let framed = self.pad_bits(&name, x, geometry.pads, layer.padding != Padding::MinusOne)?;
                Ok((framed, Pads::Valid))
            }
        }
    }

    fn real_bconv(
        &mut self,
        node: &Node,
        layer: &Layer<'_>,
        x: usize,
        input: Shape,
        output: Shape,
        pads: Pads,
        factors: Option<&(Vec<f32>, Vec<f32>)>,
    ) -> Result<usize, ConvertError> {
        let name = &node.name;
        let filter = self.filter(node, layer.weight, &[])?;
        let (ones, zeros);
        let (mul, add) = match factors {
            Some((mul, add)) => (mul, add),
            None => {
                (ones, zeros) = (vec![1.0; output.c], vec![0.0; output.c]);
                (&ones, &zeros)
            }
        };
        let mul = self.reals(&format!("{name}.multiplier"), &[output.c], mul)?;
        let add = self.reals(&format!("{name}.bias"), &[output.c], add)?;
        let inputs = vec![Some(x), Some(filter), Some(mul), Some(add), None];
        let y = self.real_tensor(name, output);
        self.push_optional(Code::Custom("LceBconv2d"), inputs, y, bconv_options(layer, input.c, pads)?);
        Ok(y)
    }

    /// Dot products whose pads counted as +1, without them.
    fn without_pads(
        &mut self,
        node: &Node,
        layer: &Layer<'_>,
        y: usize,
        input: Shape,
        output: Shape,
    ) -> Result<usize, ConvertError> {
        self.check_room(output.elements())?;
        let [kh, kw] = layer.geometry.kernel;
        let tensor = weights::tensor(self.model, node, layer.weight)?;
        let per_tap = tensor.row_len() / (kh * kw).max(1);
        // [O][tap]: what a tap of +1 in every channel adds.
        let sums: Vec<i32> = weights::signs(tensor)
            .chunks_exact(per_tap.max(1))
            .map(|tap| tap.iter().map(|&w| i32::from(w)).sum())
            .collect();
        let g = &layer.geometry;
        let mut frame = Vec::with_capacity(output.elements());
        for (y, x) in (0..output.h).flat_map(|y| (0..output.w).map(move |x| (y, x))) {
            let padded = |tap: usize| g.row(y, tap / kw, input.h).is_none() || g.column(x, tap % kw, input.w).is_none();
            let taps: Vec<usize> = (0..kh * kw).filter(|&tap| padded(tap)).collect();
            for filter in sums.chunks_exact((kh * kw).max(1)) {
                frame.push(-taps.iter().filter_map(|&tap| filter.get(tap)).sum::<i32>() as f32);
            }
        }
        let name = &node.name;
        let frame = self.reals(&format!("{name}.frame"), &[1, output.h, output.w, output.c], &frame)?;
        let options = Options::Builtin(11, Vec::new());
        Ok(self.real_node(&format!("{name}.inside"), builtin::ADD, &[y, frame], output, options))
    }

    /// The engine's filter `[O, kh, kw, ceil(C / 32)]`; of a channel that is flipped, the weights are negated.
    fn filter(&mut self, node: &Node, name: &str, flip: &[bool]) -> Result<usize, ConvertError> {
        let tensor = weights::tensor(self.model, node, name)?;
        let (o, kh, kw, c) = match *tensor.shape() {
            [o, kh, kw, c] => (o, kh, kw, c),
            [o, c] => (o, 1, 1, c),
            _ => return Err(refuse(node, FORMAT, "a weight of another rank")),
        };
        self.words(name, &[o, kh, kw, c.div_ceil(32)], &packed_filter(tensor, c, kh * kw, flip))
    }

    /// A sign, shifted sign or threshold that no binary layer has taken in.
    pub(super) fn bits(&mut self, node: &Node, x: ValueId, y: ValueId) -> Result<(), ConvertError> {
        let (name, shape) = (&node.name, self.shape(x));
        let mut real = self.real(x)?;
        match &node.op {
            Op::RSign { shift } => {
                let shift = negated(&self.channels(node, shift)?);
                real = self.plus(&format!("{name}.shifted"), real, shape, &shift)?;
            }
            Op::Threshold { .. } => {
                let (threshold, flip) = self.bounds(node, shape.c)?;
                let (mul, add) = as_factors(1 << 22, &threshold, &flip);
                real = self.mul_add(&format!("{name}.shifted"), real, shape, &mul, &add)?;
            }
            _ => {}
        }
        let packed = self.quantize(name, real, shape);
        self.set_packed(y, packed);
        Ok(())
    }
}

/// Whether the engine's own padding with 0 is right: it expects no window to reach over both edges.
fn corrects_zeros(geometry: &Geometry, input: Shape) -> bool {
    let fits = |i: usize, size: usize| (geometry.kernel[i] - 1) * geometry.dilation[i] < size;
    fits(0, input.h) && fits(1, input.w)
}

fn bconv_options(layer: &Layer<'_>, channels: usize, pads: Pads) -> Result<Options, ConvertError> {
    let ([sh, sw], [dh, dw]) = (layer.geometry.stride, layer.geometry.dilation);
    let sizes = [
        ("channels_in", channels),
        ("dilation_height_factor", dh),
        ("dilation_width_factor", dw),
        ("stride_height", sh),
        ("stride_width", sw),
    ];
    let pad_values = i32::from(layer.padding == Padding::One);
    let mut entries =
        vec![("fused_activation_function", 0), ("pad_values", pad_values), ("padding", i32::from(pads.number()))];
    for (key, size) in sizes {
        entries.push((key, int(size)?));
    }
    Ok(Options::Custom(entries))
}

/// The most differing bits with which the engine's packed output is +1, of `k`.
///
/// `dot >= t` is `differing <= (k - t) / 2`. Flipped, with the weights negated: `dot < t` is `-dot >= 1 - t`.
fn differences(k: usize, threshold: i64, flip: bool) -> i32 {
    let threshold = if flip { 1 - threshold } else { threshold };
    let k = i64::try_from(k).unwrap_or(i64::MAX);
    let most = k.saturating_sub(threshold).div_euclid(2).clamp(-1, k);
    i32::try_from(most).unwrap_or(i32::MAX)
}

/// Factors and summands whose result has the threshold's sign, for dot products of up to `k` bits.
fn as_factors(k: usize, threshold: &[i64], flip: &[bool]) -> (Vec<f32>, Vec<f32>) {
    let far = i64::try_from(k).unwrap_or(i64::MAX).saturating_add(1);
    let one = |(&t, &flip): (&i64, &bool)| {
        let t = t.clamp(-far, far);
        if flip { (-1.0, (t - 1) as f32) } else { (1.0, -t as f32) }
    };
    threshold.iter().zip(flip).map(one).unzip()
}

/// Rows of `taps` times `c` signs, each tap in whole words, 1 for -1.
fn packed_filter(tensor: &Tensor, c: usize, taps: usize, flip: &[bool]) -> Vec<i32> {
    let signs = weights::signs(tensor);
    let mut words = Vec::with_capacity(signs.len().div_ceil(32));
    for (o, filter) in signs.chunks_exact((taps * c).max(1)).enumerate() {
        let minus_one = if flip.get(o) == Some(&true) { 1 } else { -1 };
        for channels in filter.chunks_exact(c.max(1)).flat_map(|tap| tap.chunks(32)) {
            let word = channels.iter().enumerate().map(|(i, &s)| u32::from(s == minus_one) << i).sum::<u32>();
            words.push(word.cast_signed());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All dot products of `k` bits, against the engine's rule for its bit.
    #[test]
    fn differences_are_thresholds() {
        for k in 1..6_usize {
            for (t, flip) in
                (-8..8).chain([i64::from(i32::MIN), i64::from(i32::MAX)]).flat_map(|t| [(t, false), (t, true)])
            {
                let most = i64::from(differences(k, t, flip));
                let (mul, add) = as_factors(k, &[t], &[flip]);
                for count in 0..=k as i64 {
                    // Negated weights differ where the others agree.
                    let dot = k as i64 - 2 * count;
                    let counted = if flip { k as i64 - count } else { count };
                    let bit = (dot >= t) != flip;
                    assert_eq!(counted <= most, bit, "{k} {t} {flip} {dot}");
                    assert_eq!(dot as f32 * mul[0] + add[0] >= 0.0, bit, "{k} {t} {flip} {dot}");
                }
            }
        }
    }

    #[test]
    fn filters_are_packed_by_taps() {
        let signs: Vec<i8> = (0..2 * 2 * 33).map(|i| if i % 33 == 32 { -1 } else { 1 }).collect();
        let filter = Tensor::bits_from_signs([2, 2, 1, 33], &signs).unwrap();
        assert_eq!(packed_filter(&filter, 33, 2, &[false, true]), [0, 1, 0, 1, -1, 0, -1, 0]);
    }
}
