//! Signs, thresholds and what else works number by number.

use signbit_model::{Node, ValueId};

use super::super::{int, weights};
use super::Lowering;
use crate::ConvertError;

/// Farther than every dot product that [`Lowering::check_row`] lets through, and exact in F32.
const FAR: i32 = 1 << 25;

impl Lowering<'_> {
    pub(super) fn sign(&mut self, name: &str, x: &str) -> String {
        let zero = self.w.scalar(0.0);
        self.at_least(name, x, &zero)
    }

    /// `x - shift >= 0` is `x >= shift`.
    pub(super) fn rsign(&mut self, node: &Node, x: ValueId, shift: &str) -> Result<String, ConvertError> {
        let shift = self.per_channel(node, x, shift)?;
        Ok(self.at_least(&node.name, &self.value(x), &shift))
    }

    /// +1 where `x` is at least the bound, else -1.
    fn at_least(&mut self, name: &str, x: &str, bound: &str) -> String {
        let reached = self.w.node(&format!("{name}.reached"), "GreaterOrEqual", &[x, bound], Vec::new());
        let (one, minus_one) = (self.w.scalar(1.0), self.w.scalar(-1.0));
        self.w.node(name, "Where", &[&reached, &one, &minus_one], Vec::new())
    }

    /// A flipped channel chooses among -1 and +1 the other way round.
    pub(super) fn threshold(
        &mut self,
        node: &Node,
        x: ValueId,
        threshold: &str,
        flip: &str,
    ) -> Result<String, ConvertError> {
        let (name, value) = (&node.name, self.value(x));
        let dims = self.channel_dims(x)?;
        let bounds = weights::tensor(self.model, node, threshold)?.as_i32().unwrap_or_default();
        let bounds: Vec<f32> = bounds.iter().map(|&t| t.clamp(-FAR, FAR) as f32).collect();
        let bounds = self.w.reals(&format!("{name}.threshold"), &dims, &bounds);
        let flips = weights::signs(weights::tensor(self.model, node, flip)?);
        if !flips.contains(&1) {
            return Ok(self.at_least(name, &value, &bounds));
        }
        let reached = self.w.node(&format!("{name}.reached"), "GreaterOrEqual", &[&value, &bounds], Vec::new());
        let below: Vec<f32> = flips.iter().map(|&flip| f32::from(flip)).collect();
        let above: Vec<f32> = below.iter().map(|v| -v).collect();
        let above = self.w.reals(&format!("{name}.above"), &dims, &above);
        let below = self.w.reals(&format!("{name}.below"), &dims, &below);
        Ok(self.w.node(name, "Where", &[&reached, &above, &below], Vec::new()))
    }

    pub(super) fn rprelu(&mut self, node: &Node, x: ValueId, names: [&String; 3]) -> Result<String, ConvertError> {
        let (name, value) = (&node.name, self.value(x));
        let [shift_in, slope, shift_out] = names;
        let shift_in = self.per_channel(node, x, shift_in)?;
        let slope = self.per_channel(node, x, slope)?;
        let shift_out = self.per_channel(node, x, shift_out)?;
        let t = self.w.node(&format!("{name}.in"), "Sub", &[&value, &shift_in], Vec::new());
        let t = self.w.node(&format!("{name}.prelu"), "PRelu", &[&t, &slope], Vec::new());
        Ok(self.w.node(name, "Add", &[&t, &shift_out], Vec::new()))
    }

    /// A tensor of one real number per channel, shaped to spread over the value.
    pub(super) fn per_channel(&mut self, node: &Node, x: ValueId, name: &str) -> Result<String, ConvertError> {
        let dims = self.channel_dims(x)?;
        let data = weights::reals(weights::tensor(self.model, node, name)?);
        self.w.shared(format!("channels {dims:?} {name}"), |w| Ok(w.reals(name, &dims, &data)))
    }

    /// A tensor of one real number per position, shaped to spread over the value.
    pub(super) fn per_position(&mut self, node: &Node, x: ValueId, name: &str) -> Result<String, ConvertError> {
        let shape = self.shape(x);
        let dims = if shape.is_vector() { vec![1] } else { vec![1, int(shape.h)?, int(shape.w)?] };
        let data = weights::reals(weights::tensor(self.model, node, name)?);
        self.w.shared(format!("positions {dims:?} {name}"), |w| Ok(w.reals(name, &dims, &data)))
    }
}
