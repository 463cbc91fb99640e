//! Poolings, and operators that only move elements.

use signbit_model::{Geometry, Node, Shape, ValueId};

use super::super::{int, weights};
use super::graph::{integer, ints};
use super::layers::{dims, window};
use super::{Lowering, lowest};
use crate::ConvertError;

impl Lowering<'_> {
    pub(super) fn max_pool(
        &mut self,
        node: &Node,
        x: ValueId,
        output: Shape,
        geometry: &Geometry,
    ) -> Result<String, ConvertError> {
        let (dtype, mut geometry) = (self.ty(x).dtype, *geometry);
        let mut x = self.map(&node.name, x)?;
        if !pads_below_kernel(&geometry) {
            x = self.pad(&node.name, &x, geometry.pads, lowest(dtype))?;
            geometry.pads = [0; 4];
        }
        let y = self.w.node(&node.name, "MaxPool", &[&x], window(&geometry, None)?);
        Ok(self.settle(&node.name, y, output))
    }

    /// `AveragePool`; what it has no attributes for is a sum by `Conv`, divided by the counts.
    pub(super) fn avg_pool(
        &mut self,
        node: &Node,
        x: ValueId,
        output: Shape,
        geometry: &Geometry,
        count_include_pad: bool,
    ) -> Result<String, ConvertError> {
        let input = self.shape(x);
        let name = &node.name;
        let x = self.map(name, x)?;
        if pads_below_kernel(geometry) && geometry.dilation == [1, 1] {
            let mut attributes = window(geometry, None)?;
            attributes.push(integer("count_include_pad", i64::from(count_include_pad)));
            let y = self.w.node(name, "AveragePool", &[&x], attributes);
            return Ok(self.settle(name, y, output));
        }
        let [kh, kw] = geometry.kernel;
        let shape = dims(&[input.c, 1, kh, kw])?;
        let ones = self.w.reals(&format!("{name}.ones"), &shape, &vec![1.0; input.c * kh * kw]);
        let attributes = window(geometry, Some(input.c))?;
        let sum = self.w.node(&format!("{name}.sum"), "Conv", &[&x, &ones], attributes);
        let counts = if count_include_pad {
            self.w.scalar((kh * kw) as f32)
        } else {
            let shape = dims(&[1, 1, output.h, output.w])?;
            self.w.reals(&format!("{name}.counts"), &shape, &weights::taps_inside(geometry, input, output))
        };
        let y = self.w.node(name, "Div", &[&sum, &counts], Vec::new());
        Ok(self.settle(name, y, output))
    }

    /// A pooling over height and width; a vector stays as it is.
    pub(super) fn global_pool(&mut self, name: &str, x: ValueId, op: &str) -> String {
        let (shape, value) = (self.shape(x), self.value(x));
        if shape.is_vector() {
            return value;
        }
        let y = self.w.node(name, op, &[&value], Vec::new());
        self.settle(name, y, Shape::vector(shape.c))
    }

    /// To a vector in the order of rows, columns, channels.
    pub(super) fn flatten(&mut self, name: &str, x: ValueId) -> String {
        let (shape, mut value) = (self.shape(x), self.value(x));
        if shape.is_vector() {
            return value;
        }
        if shape.c > 1 {
            let perm = vec![ints("perm", &[0, 2, 3, 1])];
            value = self.w.node(&format!("{name}.nhwc"), "Transpose", &[&value], perm);
        }
        self.w.node(name, "Flatten", &[&value], vec![integer("axis", 1)])
    }

    pub(super) fn concat(&mut self, node: &Node) -> String {
        let values: Vec<String> = node.inputs.iter().map(|&x| self.value(x)).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        self.w.node(&node.name, "Concat", &values, vec![integer("axis", 1)])
    }

    /// The product; one channel, or one pixel, serves all.
    pub(super) fn mul(&mut self, name: &str, x: ValueId, k: ValueId) -> Result<String, ConvertError> {
        let value = self.value(x);
        let k = if self.shape(x).is_vector() { self.value(k) } else { self.map(name, k)? };
        Ok(self.w.node(name, "Mul", &[&value, &k], Vec::new()))
    }

    /// The dimensions of one number per channel of a value.
    pub(super) fn channel_dims(&self, x: ValueId) -> Result<Vec<i64>, ConvertError> {
        let shape = self.shape(x);
        Ok(if shape.is_vector() { vec![int(shape.c)?] } else { vec![int(shape.c)?, 1, 1] })
    }
}

/// Engines refuse a pooling whose pads are not smaller than its kernel.
fn pads_below_kernel(geometry: &Geometry) -> bool {
    let [kh, kw] = geometry.kernel;
    let [top, left, bottom, right] = geometry.pads;
    top.max(bottom) < kh && left.max(right) < kw
}
