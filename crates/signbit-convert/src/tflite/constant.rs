//! Constants of the file: real numbers, whatever they are stored as, and short lists of integers.

use super::Result;
use super::fold::Folded;
use super::reader::{Dim, Held, Reader};
use super::schema::{Kind, Operator, Quantization, TensorInfo, malformed};

/// A constant of real numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reals {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f32>,
}

/// Most elements of a list of integers.
const MAX_LIST: usize = 64;

impl Kind {
    /// A type of real numbers.
    pub(super) fn is_real(self) -> bool {
        matches!(self, Self::F32 | Self::F16) || self.is_quantized()
    }

    /// The size of an element in bytes, of the types that are read.
    fn size(self) -> Option<usize> {
        match self {
            Self::I8 | Self::U8 => Some(1),
            Self::F16 | Self::I16 => Some(2),
            Self::F32 | Self::I32 => Some(4),
            Self::I64 => Some(8),
            Self::Other(_) => None,
        }
    }
}

impl<'a> Reader<'_, 'a> {
    /// A constant operand's real numbers.
    pub(super) fn reals(&mut self, op: &Operator, i: usize) -> Result<Reals> {
        if matches!(self.held(op, i)?, Some(Held::Folded(Folded { packed: true, .. }))) {
            return Err(op.refuse(format!("its input {i} is packed bits, it must be real")));
        }
        if let Some(reals) = self.folded(op, i)? {
            return Ok(reals);
        }
        let Some(index) = self.constant(op, i)? else {
            return Err(op.refuse(format!("its input {i} is not a constant")));
        };
        let tensor = self.file.tensor(index)?;
        let data = checked_data(op, i, &tensor)?;
        let count: usize = tensor.shape.iter().product();
        self.spend(count.checked_mul(4))?;
        self.see_quantized(&tensor, &op.name);
        let scaled = |q: &Quantization, value: i64, i: usize| {
            let inner: usize = tensor.shape.iter().skip(q.axis + 1).product();
            let place = if q.scales.len() == 1 { 0 } else { i / inner.max(1) % q.scales.len() };
            let zero = q.zero_points.get(place).or(q.zero_points.first()).copied().unwrap_or(0);
            q.scales.get(place).copied().unwrap_or(0.0) * value.saturating_sub(zero) as f32
        };
        let quantization = tensor.quantization()?;
        let integers = |values: &mut dyn Iterator<Item = i64>| match &quantization {
            Some(q) => Ok(values.enumerate().map(|(i, value)| scaled(q, value, i)).collect()),
            None => Err(op.refuse(format!("its input {i} is {:?} without a scale", tensor.kind))),
        };
        let data = match tensor.kind {
            Kind::F32 => data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Kind::F16 => data.as_chunks().0.iter().map(|&b| half(u16::from_le_bytes(b))).collect(),
            Kind::I8 => integers(&mut data.iter().map(|&b| i64::from(b as i8)))?,
            Kind::U8 => integers(&mut data.iter().map(|&b| i64::from(b)))?,
            Kind::I16 => integers(&mut data.as_chunks().0.iter().map(|&b| i64::from(i16::from_le_bytes(b))))?,
            Kind::I32 => integers(&mut data.as_chunks().0.iter().map(|&b| i64::from(i32::from_le_bytes(b))))?,
            other => return Err(op.refuse(format!("its input {i} is {other:?}, it must be real"))),
        };
        Ok(Reals { shape: tensor.shape, data })
    }

    /// A constant operand of the given length.
    pub(super) fn vector(&mut self, op: &Operator, i: usize, len: usize) -> Result<Vec<f32>> {
        let reals = self.reals(op, i)?;
        if reals.data.len() != len {
            return Err(op.refuse(format!("its input {i} has {} elements, not {len}", reals.data.len())));
        }
        Ok(reals.data)
    }

    /// A constant operand's 32-bit words, with its shape.
    pub(super) fn words(&mut self, op: &Operator, i: usize) -> Result<(Vec<usize>, &'a [[u8; 4]])> {
        let Some(index) = self.constant(op, i)? else {
            return Err(op.refuse(format!("its input {i} is not a constant")));
        };
        let tensor = self.file.tensor(index)?;
        if tensor.kind != Kind::I32 {
            return Err(op.refuse(format!("its input {i} is {:?}, it must be I32", tensor.kind)));
        }
        let data = checked_data(op, i, &tensor)?;
        Ok((tensor.shape, data.as_chunks().0))
    }

    /// A constant operand's integers.
    pub(super) fn integers(&self, op: &Operator, i: usize) -> Result<Vec<i64>> {
        let constant = self.constant(op, i)?;
        let found = constant.map(|index| self.integers_of(index)).transpose()?.flatten();
        found.ok_or_else(|| op.refuse(format!("its input {i} is no constant list of integers")))
    }

    /// Dimensions of a shape, constant or computed; `None` for anything else.
    pub(super) fn dims(&self, op: &Operator, i: usize) -> Result<Option<Vec<Dim>>> {
        match self.held(op, i)? {
            Some(Held::Dims(dims)) => Ok(Some(dims.clone())),
            Some(_) => Ok(None),
            None => {
                let integers = self.integers_of(op.needs(i)?)?;
                Ok(integers.map(|list| list.into_iter().map(Dim::Known).collect()))
            }
        }
    }

    fn integers_of(&self, index: usize) -> Result<Option<Vec<i64>>> {
        let tensor = self.file.tensor(index)?;
        let Some(data) = tensor.data else { return Ok(None) };
        let list: Vec<i64> = match tensor.kind {
            Kind::I32 => data.as_chunks().0.iter().take(MAX_LIST).map(|&b| i64::from(i32::from_le_bytes(b))).collect(),
            Kind::I64 => data.as_chunks().0.iter().take(MAX_LIST).map(|&b| i64::from_le_bytes(b)).collect(),
            _ => return Ok(None),
        };
        Ok((list.len() < MAX_LIST).then_some(list))
    }
}

/// A constant's bytes, as many as its shape and type say.
fn checked_data<'a>(op: &Operator, i: usize, tensor: &TensorInfo<'a>) -> Result<&'a [u8]> {
    let data = tensor.data.ok_or_else(|| op.refuse(format!("its input {i} has no data in the file")))?;
    let size = tensor.kind.size().ok_or_else(|| op.refuse(format!("its input {i} has the type {:?}", tensor.kind)))?;
    let expected = tensor.shape.iter().try_fold(size, |product, &d| product.checked_mul(d));
    if expected != Some(data.len()) {
        let what = format!("`{}`: input {i} has {} bytes for the shape {:?}", op.name, data.len(), tensor.shape);
        return Err(malformed(what));
    }
    Ok(data)
}

/// An IEEE 754 half precision number.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023) / 1024.0);
    let magnitude = match exponent {
        0 => fraction * 2.0_f32.powi(-14),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction) * 2.0_f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn half_precision_numbers() {
        let known = [(0x0000, 0.0), (0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 2.0_f32.powi(-24))];
        for (bits, value) in known {
            assert_eq!(half(bits), value);
        }
        assert_eq!(half(0x8000).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(half(0xfc00), f32::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
    }
}
