//! Looking at a value of the graph while it is there.

use signbit_model::{DType, Shape, ValueType};

/// A value of `n` samples, as it lies in memory: `[n, h, w, c]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueView<'a> {
    /// Real numbers.
    F32 {
        /// Shape per sample.
        shape: Shape,
        /// `n * h * w * c` numbers.
        data: &'a [f32],
    },
    /// Integers.
    I32 {
        /// Shape per sample.
        shape: Shape,
        /// `n * h * w * c` numbers.
        data: &'a [i32],
    },
    /// Bits; 1 is +1, 0 is -1. Each pixel's channels begin with a new word, least significant bit
    /// first; the bits behind the last channel are 0.
    Bits {
        /// Shape per sample.
        shape: Shape,
        /// `n * h * w * ceil(c / 64)` words.
        data: &'a [u64],
    },
}

impl ValueView<'_> {
    /// Shape and element type.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match *self {
            Self::F32 { shape, .. } => ValueType { shape, dtype: DType::F32 },
            Self::I32 { shape, .. } => ValueType { shape, dtype: DType::I32 },
            Self::Bits { shape, .. } => ValueType { shape, dtype: DType::Bits },
        }
    }
}
