//! Windows: TensorFlow's two paddings where they fit, an explicit `PAD` elsewhere.

use signbit_model::{Geometry, Shape};

use super::file::{Code, Field, Options};
use super::lower::{Lowering, builtin};
use crate::ConvertError;

/// TensorFlow's two paddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pads {
    /// As many as the output has `ceil(size / stride)` rows.
    Same,
    /// None.
    Valid,
}

impl Pads {
    /// The one that reads what the geometry reads for an input of this size; pads that no window reaches do not
    /// count. `None`: neither.
    pub(super) fn of(geometry: &Geometry, input: Shape) -> Option<Self> {
        let Geometry { kernel, stride, dilation, pads } = *geometry;
        let size = |g: &Geometry| g.output_size(input.h, input.w).ok();
        let fits = |g: Geometry| g.pads[..2] == pads[..2] && size(&g) == size(geometry);
        if fits(Geometry::valid(kernel, stride, dilation)) {
            return Some(Self::Valid);
        }
        // Where the last window ends before the input does, engines disagree about `SAME`.
        let reaches = |i: usize, size: usize| {
            size.div_ceil(stride[i]).saturating_sub(1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 >= size
        };
        if !reaches(0, input.h) || !reaches(1, input.w) {
            return None;
        }
        fits(Geometry::same(input.h, input.w, kernel, stride, dilation)).then_some(Self::Same)
    }

    pub(super) fn number(self) -> i8 {
        match self {
            Self::Same => 0,
            Self::Valid => 1,
        }
    }
}

/// What a tensor of a file holds, where it is padded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Frame {
    /// Real numbers around real numbers.
    Real(f32),
    /// Words around packed bits.
    Packed(i32),
}

impl Lowering<'_> {
    /// A tensor of `shape` made ready for a window: itself with `SAME` or `VALID`, or padded and `VALID`.
    pub(super) fn framed(
        &mut self,
        name: &str,
        x: usize,
        shape: Shape,
        geometry: &Geometry,
        frame: Frame,
    ) -> Result<(usize, Pads), ConvertError> {
        match Pads::of(geometry, shape) {
            Some(pads) => Ok((x, pads)),
            None => Ok((self.pad(&format!("{name}.pad"), x, shape, geometry.pads, frame)?, Pads::Valid)),
        }
    }

    /// A frame of one value around height and width.
    pub(super) fn pad(
        &mut self,
        name: &str,
        x: usize,
        shape: Shape,
        pads: [usize; 4],
        frame: Frame,
    ) -> Result<usize, ConvertError> {
        let [top, left, bottom, right] = pads;
        let dims = [0, 0, top, bottom, left, right, 0, 0];
        let dims = dims.into_iter().map(super::super::int).collect::<Result<Vec<i32>, _>>()?;
        let mut inputs = vec![x, self.words(&format!("{name}.sizes"), &[4, 2], &dims)?];
        let shape = Shape { h: shape.h + top + bottom, w: shape.w + left + right, ..shape };
        let zero = matches!(frame, Frame::Real(0.0) | Frame::Packed(0));
        if !zero {
            let value = format!("{name}.value");
            inputs.push(match frame {
                Frame::Real(v) => self.reals(&value, &[1], &[v])?,
                Frame::Packed(v) => self.words(&value, &[1], &[v])?,
            });
        }
        let (code, options): (Code, u8) = if zero { (builtin::PAD, 22) } else { (builtin::PADV2, 43) };
        let options = Options::Builtin(options, Vec::new());
        Ok(match frame {
            Frame::Real(_) => self.real_node(name, code, &inputs, shape, options),
            Frame::Packed(_) => self.packed_node(name, code, &inputs, shape, options),
        })
    }
}

/// The options of a pooling of real numbers.
pub(super) fn pool_options(geometry: &Geometry, pads: Pads) -> Result<Options, ConvertError> {
    let [kh, kw] = geometry.kernel;
    let [sh, sw] = geometry.stride;
    let sizes = [(1, sw), (2, sh), (3, kw), (4, kh)];
    let mut fields = vec![(0, Field::I8(pads.number()))];
    for (field, size) in sizes {
        fields.push((field, Field::I32(super::super::int(size)?)));
    }
    Ok(Options::Builtin(5, fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pads(geometry: Geometry) -> Option<Pads> {
        Pads::of(&geometry, Shape::new(8, 8, 1))
    }

    #[test]
    fn tensorflow_s_paddings_are_found() {
        assert_eq!(pads(Geometry::padded([3, 3], [1, 1], 1)), Some(Pads::Same));
        assert_eq!(pads(Geometry::same(8, 8, [3, 3], [2, 2], [1, 1])), Some(Pads::Same));
        assert_eq!(pads(Geometry::valid([3, 3], [2, 2], [1, 1])), Some(Pads::Valid));
        // PyTorch's: `SAME` would pad below and to the right only.
        assert_eq!(pads(Geometry::padded([3, 3], [2, 2], 1)), None);
        // A pad that no window reaches.
        let unreached = Geometry { pads: [0, 0, 1, 1], ..Geometry::valid([2, 2], [2, 2], [1, 1]) };
        assert_eq!(pads(unreached), Some(Pads::Valid));
        // The last row is skipped.
        let skipping = Geometry { pads: [0, 1, 0, 1], ..Geometry::valid([1, 3], [2, 1], [1, 1]) };
        assert_eq!(pads(skipping), None);
    }
}
