//! Depthwise and separable convolution with binary weights (Sifre 2014; Chollet 2017, arXiv 1610.02357), of the layers that
//! exist.

use std::sync::Arc;

use signbit_kernels::Padding;
use signbit_model::Geometry;

use super::binary_conv2d::BinaryConv2d;
use super::weight_scale::WeightScale;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::quantizer::Quantizer;

/// A binary filter for each channel. See [`BinaryDepthwiseConv2d::add`].
#[derive(Debug)]
pub struct BinaryDepthwiseConv2d;

impl BinaryDepthwiseConv2d {
    /// Adds a convolution with a group for each channel of `x` and `multiplier` outputs of each.
    ///
    /// # Errors
    /// Where the geometry does not fit the input, or the quantizer is none of weights.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        multiplier: usize,
        geometry: Geometry,
        padding: Padding,
        quantizer: Arc<dyn Quantizer>,
        scale: WeightScale,
    ) -> Result<Var, NetworkError> {
        let c = builder.ty(x).shape.c;
        BinaryConv2d::add(builder, name, x, c * multiplier, geometry, c, padding, quantizer, scale)
    }
}

/// A binary filter for each channel, then binary weights over the channels of a pixel. See [`BinarySeparableConv2d::add`].
#[derive(Debug)]
pub struct BinarySeparableConv2d;

impl BinarySeparableConv2d {
    /// Adds `{name}.depthwise`, whose sums are read as they are, and `{name}.pointwise` with `c_out` outputs: Larq's
    /// `QuantSeparableConv2D`. With a batch norm and a sign between the two, which usually learns better, add them one by one.
    ///
    /// # Errors
    /// Where the geometry does not fit the input, or the quantizer is none of weights.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        c_out: usize,
        geometry: Geometry,
        padding: Padding,
        quantizer: Arc<dyn Quantizer>,
        scale: WeightScale,
    ) -> Result<Var, NetworkError> {
        let depthwise = format!("{name}.depthwise");
        let y = BinaryDepthwiseConv2d::add(builder, &depthwise, x, 1, geometry, padding, quantizer.clone(), scale)?;
        let pixel = Geometry::valid([1, 1], [1, 1], [1, 1]);
        let pointwise = format!("{name}.pointwise");
        BinaryConv2d::add(builder, &pointwise, y, c_out, pixel, 1, Padding::Zero, quantizer, scale)
    }
}
