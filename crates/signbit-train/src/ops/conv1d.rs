//! Convolution over a sequence: `[n, 1, length, c]`, which is an image of one row. The layers are [`Conv2d`] and
//! [`BinaryConv2d`] with a kernel of one row; so are their packed forms.

use std::sync::Arc;

use signbit_kernels::Padding;
use signbit_model::Geometry;

use super::binary_conv2d::BinaryConv2d;
use super::conv2d::Conv2d;
use super::weight_scale::WeightScale;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::quantizer::Quantizer;

/// A window over a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window1d {
    /// Taps.
    pub kernel: usize,
    /// Step between neighbouring outputs.
    pub stride: usize,
    /// Step between neighbouring taps.
    pub dilation: usize,
    /// Padding before and behind the sequence.
    pub pads: [usize; 2],
}

impl Window1d {
    /// No padding.
    #[must_use]
    pub const fn valid(kernel: usize, stride: usize, dilation: usize) -> Self {
        Self { kernel, stride, dilation, pads: [0; 2] }
    }

    /// `ceil(length / stride)` outputs; of an odd total the larger half of the padding is behind the sequence.
    #[must_use]
    pub fn same(length: usize, kernel: usize, stride: usize, dilation: usize) -> Self {
        let Geometry { pads: [_, before, _, behind], .. } =
            Geometry::same(1, length, [1, kernel], [1, stride], [1, dilation]);
        Self { kernel, stride, dilation, pads: [before, behind] }
    }
}

/// The window over an image of one row.
impl From<Window1d> for Geometry {
    fn from(Window1d { kernel, stride, dilation, pads: [before, behind] }: Window1d) -> Self {
        Self { kernel: [1, kernel], stride: [1, stride], dilation: [1, dilation], pads: [0, before, 0, behind] }
    }
}

/// A real convolution over a sequence. See [`Conv1d::add`].
#[derive(Debug)]
pub struct Conv1d;

impl Conv1d {
    /// Adds a real convolution of `[n, 1, length, c]` with `c_out` outputs to a network.
    ///
    /// # Errors
    /// Where the window does not fit the input.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        c_out: usize,
        window: Window1d,
        groups: usize,
    ) -> Result<Var, NetworkError> {
        Conv2d::add(builder, name, x, c_out, window.into(), groups)
    }
}

/// A convolution with binary weights over a sequence. See [`BinaryConv1d::add`].
#[derive(Debug)]
pub struct BinaryConv1d;

impl BinaryConv1d {
    /// Adds a binary convolution of `[n, 1, length, c]` with `c_out` outputs to a network.
    ///
    /// # Errors
    /// Where the window does not fit the input, or the quantizer is none of weights.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        c_out: usize,
        window: Window1d,
        groups: usize,
        padding: Padding,
        quantizer: Arc<dyn Quantizer>,
        scale: WeightScale,
    ) -> Result<Var, NetworkError> {
        BinaryConv2d::add(builder, name, x, c_out, window.into(), groups, padding, quantizer, scale)
    }
}
