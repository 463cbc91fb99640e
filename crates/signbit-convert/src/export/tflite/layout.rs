//! Max pooling and operators that only move elements, on real numbers or on packed bits.

use signbit_model::{DType, Geometry, Node, Shape, ValueId};

use super::super::{int, refuse};
use super::FORMAT;
use super::file::{Code, Field, Options};
use super::lower::{Lowering, builtin, lowest};
use super::window::{Frame, pool_options};
use crate::ConvertError;

impl Lowering<'_> {
    pub(super) fn max_pool(
        &mut self,
        node: &Node,
        x: ValueId,
        y: ValueId,
        geometry: &Geometry,
    ) -> Result<(), ConvertError> {
        let (name, ty, output) = (&node.name, self.ty(x), self.shape(y));
        let [kh, kw] = geometry.kernel;
        if (kh > 1 && geometry.dilation[0] > 1) || (kw > 1 && geometry.dilation[1] > 1) {
            return Err(refuse(node, FORMAT, "TensorFlow Lite has no dilated pooling"));
        }
        if ty.dtype == DType::Bits {
            let packed = self.packed(x)?;
            // A word of 1s is 32 times -1; every window has a tap inside, so that the tail stays 0.
            let (packed, pads) = self.framed(name, packed, ty.shape, geometry, Frame::Packed(-1))?;
            let [sh, sw] = geometry.stride;
            let mut entries = vec![("padding", i32::from(pads.number()))];
            let sizes = [("stride_width", sw), ("stride_height", sh), ("filter_width", kw), ("filter_height", kh)];
            for (key, size) in sizes {
                entries.push((key, int(size)?));
            }
            let pooled =
                self.packed_node(name, Code::Custom("LceBMaxPool2d"), &[packed], output, Options::Custom(entries));
            self.set_packed(y, pooled);
            return Ok(());
        }
        let real = self.real(x)?;
        let (real, pads) = self.framed(name, real, ty.shape, geometry, Frame::Real(lowest(ty.dtype)))?;
        let pooled = self.real_node(name, builtin::MAX_POOL_2D, &[real], output, pool_options(geometry, pads)?);
        self.set_real(y, pooled);
        Ok(())
    }

    pub(super) fn global_max_pool(&mut self, node: &Node, x: ValueId, y: ValueId) -> Result<(), ConvertError> {
        let shape = self.shape(x);
        self.max_pool(node, x, y, &Geometry::valid([shape.h, shape.w], [1, 1], [1, 1]))
    }

    /// Packed bits stay packed where the values meet at whole words.
    pub(super) fn concat(&mut self, node: &Node, y: ValueId) -> Result<(), ConvertError> {
        let (bits, shape) = (self.ty(y).dtype == DType::Bits, self.shape(y));
        let options = Options::Builtin(10, vec![(0, Field::I32(3))]);
        let whole = node.inputs.iter().rev().skip(1).all(|&x| self.shape(x).c.is_multiple_of(32));
        if bits && whole {
            let inputs = node.inputs.iter().map(|&x| self.packed(x)).collect::<Result<Vec<_>, _>>()?;
            let y_packed = self.packed_node(&node.name, builtin::CONCATENATION, &inputs, shape, options);
            self.set_packed(y, y_packed);
            return Ok(());
        }
        let inputs = node.inputs.iter().map(|&x| self.real(x)).collect::<Result<Vec<_>, _>>()?;
        let real = self.real_node(&node.name, builtin::CONCATENATION, &inputs, shape, options);
        self.set_real(y, real);
        Ok(())
    }

    /// Packed bits stay packed where a pixel ends at a whole word.
    pub(super) fn flatten(&mut self, node: &Node, x: ValueId, y: ValueId) -> Result<(), ConvertError> {
        let (input, shape) = (self.shape(x), self.shape(y));
        if input.is_vector() {
            let forms = self.forms(x);
            self.set(y, forms);
        } else if self.is_packed(x) && input.c.is_multiple_of(32) {
            let packed = self.packed(x)?;
            let dims = self.ints(&format!("{}.shape", node.name), &[1, 1, 1, shape.c / 32])?;
            let packed = self.packed_node(&node.name, builtin::RESHAPE, &[packed, dims], shape, Options::None);
            self.set_packed(y, packed);
        } else {
            let real = self.real(x)?;
            let real = self.reshape(&node.name, real, shape)?;
            self.set_real(y, real);
        }
        Ok(())
    }

    /// Bits in a frame of bits, packed. The frame's tail must be 0, so that -1 is whole words or made before packing.
    pub(super) fn pad_bits(
        &mut self,
        name: &str,
        x: ValueId,
        pads: [usize; 4],
        positive: bool,
    ) -> Result<usize, ConvertError> {
        let shape = self.shape(x);
        if positive || shape.c.is_multiple_of(32) {
            let packed = self.packed(x)?;
            return self.pad(name, packed, shape, pads, Frame::Packed(if positive { 0 } else { -1 }));
        }
        let real = self.real(x)?;
        let real = self.pad(&format!("{name}.real"), real, shape, pads, Frame::Real(-1.0))?;
        let [top, left, bottom, right] = pads;
        Ok(self.quantize(name, real, Shape { h: shape.h + top + bottom, w: shape.w + left + right, ..shape }))
    }

    pub(super) fn pad_value(
        &mut self,
        node: &Node,
        x: ValueId,
        y: ValueId,
        pads: [usize; 4],
        value: f32,
    ) -> Result<(), ConvertError> {
        if self.ty(x).dtype == DType::Bits {
            let packed = self.pad_bits(&node.name, x, pads, value > 0.0)?;
            self.set_packed(y, packed);
            return Ok(());
        }
        let real = self.real(x)?;
        let real = self.pad(&node.name, real, self.shape(x), pads, Frame::Real(value))?;
        self.set_real(y, real);
        Ok(())
    }

    /// Packed bits stay packed where the channels begin and end at whole words.
    pub(super) fn slice(
        &mut self,
        node: &Node,
        x: ValueId,
        y: ValueId,
        start: usize,
        end: usize,
    ) -> Result<(), ConvertError> {
        let (name, input, shape) = (&node.name, self.shape(x), self.shape(y));
        let whole = start.is_multiple_of(32) && (end.is_multiple_of(32) || end == input.c);
        let packed = self.is_packed(x) && whole;
        let (x, start, end) =
            if packed { (self.packed(x)?, start / 32, end.div_ceil(32)) } else { (self.real(x)?, start, end) };
        let begin = self.ints(&format!("{name}.begin"), &[0, 0, 0, start])?;
        let end = self.ints(&format!("{name}.end"), &[1, input.h, input.w, end])?;
        let step = self.ints(&format!("{name}.step"), &[1, 1, 1, 1])?;
        let (inputs, options) = ([x, begin, end, step], Options::Builtin(32, Vec::new()));
        if packed {
            let y_packed = self.packed_node(name, builtin::STRIDED_SLICE, &inputs, shape, options);
            self.set_packed(y, y_packed);
        } else {
            let real = self.real_node(name, builtin::STRIDED_SLICE, &inputs, shape, options);
            self.set_real(y, real);
        }
        Ok(())
    }
}
