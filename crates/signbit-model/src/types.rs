//! What a value in the graph is: its shape per sample and the type of its elements.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_ELEMENTS;

/// The shape of a value for one sample: height, width, channels. A vector is `1 x 1 x C`.
///
/// In memory a batch is `[N, H, W, C]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Height in pixels.
    pub h: usize,
    /// Width in pixels.
    pub w: usize,
    /// Number of channels.
    pub c: usize,
}

impl Shape {
    /// A picture-like shape.
    #[must_use]
    pub const fn new(h: usize, w: usize, c: usize) -> Self {
        Self { h, w, c }
    }

    /// A vector of `c` elements: `1 x 1 x C`.
    #[must_use]
    pub const fn vector(c: usize) -> Self {
        Self { h: 1, w: 1, c }
    }

    /// True for `1 x 1 x C`.
    #[must_use]
    pub const fn is_vector(self) -> bool {
        self.h == 1 && self.w == 1
    }

    /// The number of elements per sample, or `None` where a dimension is 0 or the product is over
    /// [`MAX_ELEMENTS`].
    #[must_use]
    pub fn checked_elements(self) -> Option<usize> {
        checked_product(&[self.h, self.w, self.c])
    }

    /// The number of elements per sample; saturates for a shape that [`Shape::checked_elements`] refuses.
    #[must_use]
    pub const fn elements(self) -> usize {
        self.h.saturating_mul(self.w).saturating_mul(self.c)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.h, self.w, self.c)
    }
}

/// The product of `dims`, or `None` where one is 0 or the product is over [`MAX_ELEMENTS`].
pub(crate) fn checked_product(dims: &[usize]) -> Option<usize> {
    dims.iter()
        .try_fold(1_usize, |product, &d| product.checked_mul(d))
        .filter(|&product| product > 0 && product <= MAX_ELEMENTS)
}

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DType {
    /// IEEE 754 single precision.
    F32,
    /// Two's complement, 32 bits: the result of a binary dot product.
    I32,
    /// One bit: 1 is +1, 0 is -1.
    Bits,
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::I32 => "i32",
            DType::Bits => "bits",
        })
    }
}

/// The type of a value: shape per sample and element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueType {
    /// Shape per sample.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

impl ValueType {
    /// A value type.
    #[must_use]
    pub const fn new(shape: Shape, dtype: DType) -> Self {
        Self { shape, dtype }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dtype, self.shape)
    }
}
