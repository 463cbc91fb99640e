//! A tensor of a model: real numbers, integers, or rows of bits.

use crate::error::{ModelError, TensorError};
use crate::limits::MAX_RANK;
use crate::types::{DType, checked_product};

/// The `u64` words that `bits` bits take.
#[must_use]
pub const fn words(bits: usize) -> usize {
    bits.div_ceil(64)
}

/// A tensor in row-major order.
///
/// The constructors check lengths and tail bits; a value built by hand is checked by
/// [`crate::Model::validate`].
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Real numbers.
    F32 {
        /// Dimensions, each at least 1.
        shape: Vec<usize>,
        /// The numbers; NaN and infinities are allowed.
        data: Vec<f32>,
    },
    /// Integers.
    I32 {
        /// Dimensions, each at least 1.
        shape: Vec<usize>,
        /// The numbers.
        data: Vec<i32>,
    },
    /// Bits; 1 is +1, 0 is -1.
    ///
    /// `shape[0]` is the number of rows, the product of the other dimensions the bits of a row. Bit `k` of
    /// row `r` is bit `k % 64` (0 is the least significant) of `rows[r * words + k / 64]`, with
    /// `words = ceil(bits / 64)`; the bits behind a row's last are 0.
    Bits {
        /// Logical dimensions, each at least 1.
        shape: Vec<usize>,
        /// The rows' words, one row after the other.
        rows: Vec<u64>,
    },
}

impl Tensor {
    /// A tensor of real numbers.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] where shape and data disagree.
    pub fn f32(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self, ModelError> {
        Self::F32 { shape: shape.into(), data }.checked()
    }

    /// A tensor of integers.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] where shape and data disagree.
    pub fn i32(shape: impl Into<Vec<usize>>, data: Vec<i32>) -> Result<Self, ModelError> {
        Self::I32 { shape: shape.into(), data }.checked()
    }

    /// A tensor of bits from packed rows.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] where shape and data disagree, or a tail bit is 1.
    pub fn bits(shape: impl Into<Vec<usize>>, rows: Vec<u64>) -> Result<Self, ModelError> {
        Self::Bits { shape: shape.into(), rows }.checked()
    }

    /// A tensor of bits from unpacked numbers, +1 or -1, in row-major order.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] where shape and data disagree, or a number is neither +1 nor -1.
    pub fn bits_from_signs(shape: impl Into<Vec<usize>>, signs: &[i8]) -> Result<Self, ModelError> {
        let shape = shape.into();
        let unnamed = |source| ModelError::Tensor { tensor: String::new(), source };
        if let Some(index) = signs.iter().position(|&s| s != 1 && s != -1) {
            return Err(unnamed(TensorError::NotASign { index, found: signs[index] }));
        }
        let (count, bits) = rows_and_bits(&shape).map_err(unnamed)?;
        if signs.len() != count * bits {
            return Err(unnamed(TensorError::Length { expected: count * bits, found: signs.len() }));
        }
        let mut rows = vec![0_u64; count * words(bits)];
        for (i, _) in signs.iter().enumerate().filter(|&(_, &s)| s == 1) {
            let (row, k) = (i / bits, i % bits);
            rows[row * words(bits) + k / 64] |= 1 << (k % 64);
        }
        Ok(Self::Bits { shape, rows })
    }

    fn checked(self) -> Result<Self, ModelError> {
        match self.check() {
            Ok(()) => Ok(self),
            Err(source) => Err(ModelError::Tensor { tensor: String::new(), source }),
        }
    }

    /// Checks that shape and data belong together and that tail bits are 0.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), TensorError> {
        let (count, bits) = rows_and_bits(self.shape())?;
        let (expected, found) = match self {
            Self::F32 { data, .. } => (count * bits, data.len()),
            Self::I32 { data, .. } => (count * bits, data.len()),
            Self::Bits { rows, .. } => (count * words(bits), rows.len()),
        };
        if expected != found {
            return Err(TensorError::Length { expected, found });
        }
        if let Self::Bits { rows, .. } = self
            && !bits.is_multiple_of(64)
        {
            let dirty = |row: &[u64]| row.last().is_some_and(|word| word >> (bits % 64) != 0);
            if let Some(row) = rows.chunks_exact(words(bits)).position(dirty) {
                return Err(TensorError::TailBits { row });
            }
        }
        Ok(())
    }

    /// The dimensions.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32 { shape, .. } | Self::I32 { shape, .. } | Self::Bits { shape, .. } => shape,
        }
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32 { .. } => DType::F32,
            Self::I32 { .. } => DType::I32,
            Self::Bits { .. } => DType::Bits,
        }
    }

    /// The number of elements; of a bit tensor, the bits without the tails.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape().iter().fold(1, |product, &d| product.saturating_mul(d))
    }

    /// The bits of one row of a bit tensor; of another tensor, the elements behind the first dimension.
    #[must_use]
    pub fn row_len(&self) -> usize {
        self.shape().iter().skip(1).fold(1, |product, &d| product.saturating_mul(d))
    }

    /// The bytes that the tensor takes in a file: 4 per number, `ceil(bits / 8)` per row of bits.
    #[must_use]
    pub fn file_bytes(&self) -> usize {
        match self {
            Self::F32 { data, .. } => data.len().saturating_mul(4),
            Self::I32 { data, .. } => data.len().saturating_mul(4),
            Self::Bits { shape, .. } => {
                let rows = shape.first().copied().unwrap_or(0);
                rows.saturating_mul(self.row_len().div_ceil(8))
            }
        }
    }

    /// The numbers of an `F32` tensor.
    #[must_use]
    pub fn as_f32(&self) -> Option<&[f32]> {
        match self {
            Self::F32 { data, .. } => Some(data),
            _ => None,
        }
    }

    /// The numbers of an `I32` tensor.
    #[must_use]
    pub fn as_i32(&self) -> Option<&[i32]> {
        match self {
            Self::I32 { data, .. } => Some(data),
            _ => None,
        }
    }

    /// The words of a `Bits` tensor.
    #[must_use]
    pub fn as_rows(&self) -> Option<&[u64]> {
        match self {
            Self::Bits { rows, .. } => Some(rows),
            _ => None,
        }
    }

    /// The bits of a `Bits` tensor as +1 and -1, in row-major order, without the tails.
    #[must_use]
    pub fn to_signs(&self) -> Option<Vec<i8>> {
        let rows = self.as_rows()?;
        let bits = self.row_len();
        let sign = |word: u64, k: usize| if word >> (k % 64) & 1 == 1 { 1 } else { -1 };
        let unpack = |row: &[u64]| (0..bits).map(|k| sign(row[k / 64], k)).collect::<Vec<i8>>();
        Some(rows.chunks_exact(words(bits).max(1)).flat_map(unpack).collect())
    }
}

/// Rows and elements per row of a shape.
pub(crate) fn rows_and_bits(shape: &[usize]) -> Result<(usize, usize), TensorError> {
    let wrong = || TensorError::Shape { shape: shape.to_vec() };
    if shape.len() > MAX_RANK {
        return Err(wrong());
    }
    checked_product(shape).ok_or_else(wrong)?;
    let (&rows, rest) = shape.split_first().ok_or_else(wrong)?;
    Ok((rows, rest.iter().product()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem<T: std::fmt::Debug>(result: Result<T, ModelError>) -> TensorError {
        match result {
            Err(ModelError::Tensor { source, .. }) => source,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn shapes_without_elements_or_with_too_many_are_refused() {
        let wrong: [&[usize]; 5] = [&[], &[0], &[3, 0], &[usize::MAX, usize::MAX], &[1, 1, 1, 1, 1, 1, 1, 1, 1]];
        for shape in wrong {
            let expected = TensorError::Shape { shape: shape.to_vec() };
            assert_eq!(problem(Tensor::f32(shape, vec![])), expected);
            assert_eq!(problem(Tensor::bits_from_signs(shape, &[])), expected);
        }
    }

    #[test]
    fn lengths_are_checked() {
        let five_of_six = TensorError::Length { expected: 6, found: 5 };
        assert_eq!(problem(Tensor::f32([2, 3], vec![0.0; 5])), five_of_six);
        assert_eq!(problem(Tensor::i32([2, 3], vec![0; 5])), five_of_six);
        assert_eq!(problem(Tensor::bits_from_signs([2, 3], &[1; 5])), five_of_six);
        let words = TensorError::Length { expected: 4, found: 2 };
        assert_eq!(problem(Tensor::bits([2, 65], vec![0; 2])), words);
    }

    #[test]
    fn tail_bits_are_refused() {
        assert_eq!(problem(Tensor::bits([2, 3], vec![0b111, 0b1000])), TensorError::TailBits { row: 1 });
        assert!(Tensor::bits([2, 64], vec![u64::MAX; 2]).is_ok());
    }

    #[test]
    fn only_signs_become_bits() {
        let found = problem(Tensor::bits_from_signs([1, 3], &[1, 0, -1]));
        assert_eq!(found, TensorError::NotASign { index: 1, found: 0 });
    }

    #[test]
    fn signs_go_to_the_least_significant_bit_first() {
        let mut signs = vec![-1_i8; 2 * 66];
        for k in [0, 2, 65, 66 + 64] {
            signs[k] = 1;
        }
        let tensor = Tensor::bits_from_signs([2, 3, 22], &signs).unwrap();
        assert_eq!(tensor.as_rows().unwrap(), [0b101, 0b10, 0, 0b1]);
        assert_eq!(tensor.to_signs().unwrap(), signs);
        assert_eq!((tensor.elements(), tensor.row_len(), tensor.file_bytes()), (132, 66, 18));
    }
}
