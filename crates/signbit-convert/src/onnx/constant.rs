//! Constant tensors: as a file holds them, and as the folding of constant nodes makes them.

use std::rc::Rc;

use super::proto::{TensorProto, data_type};
use crate::ConvertError;

/// Most axes of a value.
pub(super) const MAX_RANK: usize = 8;

/// The elements of a constant.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// Of any float type.
    Float(Vec<f32>),
    /// Of any integer type; of bool as 0 and 1.
    Int(Vec<i64>),
}

/// A constant tensor in row-major order; an axis may be empty.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    dims: Vec<usize>,
    data: Data,
}

/// A shared constant.
pub(super) type Shared = Rc<Constant>;

impl Constant {
    /// A constant whose data fits its shape; `None` otherwise.
    pub(super) fn new(dims: Vec<usize>, data: Data) -> Option<Self> {
        let len = match &data {
            Data::Float(data) => data.len(),
            Data::Int(data) => data.len(),
        };
        (dims.len() <= MAX_RANK && elements(&dims) == Some(len)).then_some(Self { dims, data })
    }

    /// A list of integers.
    pub(super) fn ints(data: Vec<i64>) -> Self {
        Self { dims: vec![data.len()], data: Data::Int(data) }
    }

    /// A single number.
    pub(super) fn scalar(value: f32) -> Self {
        Self { dims: Vec::new(), data: Data::Float(vec![value]) }
    }

    pub(super) fn dims(&self) -> &[usize] {
        &self.dims
    }

    pub(super) fn data(&self) -> &Data {
        &self.data
    }

    pub(super) fn len(&self) -> usize {
        match &self.data {
            Data::Float(data) => data.len(),
            Data::Int(data) => data.len(),
        }
    }

    /// The elements as floats.
    pub(super) fn to_floats(&self) -> Vec<f32> {
        match &self.data {
            Data::Float(data) => data.clone(),
            Data::Int(data) => data.iter().map(|&v| v as f32).collect(),
        }
    }

    /// The elements, where they are integers.
    pub(super) fn as_ints(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Int(data) => Some(data),
            Data::Float(_) => None,
        }
    }

    /// The only element, as a float.
    pub(super) fn single(&self) -> Option<f32> {
        match &self.data {
            Data::Float(data) => <[f32; 1]>::try_from(data.as_slice()).ok().map(|[v]| v),
            Data::Int(data) => <[i64; 1]>::try_from(data.as_slice()).ok().map(|[v]| v as f32),
        }
    }

    /// The same elements in another shape of as many.
    pub(super) fn reshaped(&self, dims: Vec<usize>) -> Option<Self> {
        Self::new(dims, self.data.clone())
    }

    /// The same shape with other elements.
    pub(super) fn map(&self, f: impl FnMut(f32) -> f32) -> Self {
        let data = Data::Float(self.to_floats().into_iter().map(f).collect());
        Self { dims: self.dims.clone(), data }
    }

    /// The constant of a file.
    pub(super) fn read(tensor: &TensorProto, budget: &mut Budget) -> Result<Self, ConvertError> {
        let wrong = |what: &str| super::malformed(format!("tensor `{}`: {what}", tensor.name));
        if tensor.data_location != 0 || !tensor.external_data.is_empty() {
            return Err(ConvertError::unsupported(
                &tensor.name,
                "external data",
                "its elements are in another file; save the network as one file",
            ));
        }
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
        let dims = dims.filter(|dims| dims.len() <= MAX_RANK).ok_or_else(|| wrong("its shape is not possible"))?;
        let len = elements(&dims).ok_or_else(|| wrong("its shape is too large"))?;
        // Checked before the elements are converted: the shape alone must not make memory.
        let too_short = || wrong("it has not as many elements as its shape says");
        let raw = tensor.raw_data.as_slice();
        let ints = tensor.int32_data.as_slice();
        let data = match tensor.data_type {
            data_type::FLOAT if raw.is_empty() => Data::Float(tensor.float_data.clone()),
            data_type::DOUBLE if raw.is_empty() => Data::Float(tensor.double_data.iter().map(|&v| v as f32).collect()),
            data_type::FLOAT16 if raw.is_empty() => Data::Float(ints.iter().map(|&v| half(v as u16)).collect()),
            data_type::BFLOAT16 if raw.is_empty() => Data::Float(ints.iter().map(|&v| bfloat(v as u16)).collect()),
            data_type::INT64 if raw.is_empty() => Data::Int(tensor.int64_data.clone()),
            data_type::INT8
            | data_type::UINT8
            | data_type::INT16
            | data_type::UINT16
            | data_type::INT32
            | data_type::BOOL
                if raw.is_empty() =>
            {
                Data::Int(ints.iter().map(|&v| i64::from(v)).collect())
            }
            data_type::FLOAT => Data::Float(words(raw, f32::from_le_bytes)),
            data_type::DOUBLE => Data::Float(words(raw, |b| f64::from_le_bytes(b) as f32)),
            data_type::FLOAT16 => Data::Float(words(raw, |b| half(u16::from_le_bytes(b)))),
            data_type::BFLOAT16 => Data::Float(words(raw, |b| bfloat(u16::from_le_bytes(b)))),
            data_type::INT64 => Data::Int(words(raw, i64::from_le_bytes)),
            data_type::INT32 => Data::Int(words(raw, |b| i64::from(i32::from_le_bytes(b)))),
            data_type::INT16 => Data::Int(words(raw, |b| i64::from(i16::from_le_bytes(b)))),
            data_type::UINT16 => Data::Int(words(raw, |b| i64::from(u16::from_le_bytes(b)))),
            data_type::INT8 => Data::Int(words(raw, |b| i64::from(i8::from_le_bytes(b)))),
            data_type::UINT8 | data_type::BOOL => Data::Int(words(raw, |[b]| i64::from(b))),
            data_type::UINT32 if !raw.is_empty() => Data::Int(words(raw, |b| i64::from(u32::from_le_bytes(b)))),
            other => {
                return Err(ConvertError::unsupported(&tensor.name, "tensor", format!("element type {other}")));
            }
        };
        let constant = Self::new(dims, data).ok_or_else(too_short)?;
        budget.charge(&tensor.name, "tensor", len)?;
        Ok(constant)
    }
}

/// What the file's size justifies to compute and to hold.
///
/// A file of `n` bytes may make a million and `256 n` elements of constants in all its steps, and hold a million and
/// `32 n` of them at a time: packed bits have 8 elements in a byte, and more than one copy while they are folded.
#[derive(Debug)]
pub(super) struct Budget {
    work: usize,
    room: usize,
}

impl Budget {
    pub(super) fn for_file(bytes: usize) -> Self {
        let elements = |per_byte: usize| bytes.saturating_mul(per_byte).saturating_add(1 << 20);
        Self { work: elements(256), room: elements(32) }
    }

    /// Takes note of a step that makes `elements`, which are not held.
    pub(super) fn charge(&mut self, node: &str, operator: &str, elements: usize) -> Result<(), ConvertError> {
        let left = self.work.checked_sub(elements).filter(|_| elements <= self.room);
        self.work = left.ok_or_else(|| {
            ConvertError::unsupported(node, operator, "its constants are far larger than the file justifies")
        })?;
        Ok(())
    }

    /// Takes note of `elements` that are made and held.
    pub(super) fn hold(&mut self, node: &str, operator: &str, elements: usize) -> Result<(), ConvertError> {
        self.charge(node, operator, elements)?;
        self.room -= elements;
        Ok(())
    }

    /// Takes note of `elements` that are held no more.
    pub(super) fn release(&mut self, elements: usize) {
        self.room = self.room.saturating_add(elements);
    }
}

/// The number of elements of a shape; `None` where it overflows, whatever the order of its axes.
pub(super) fn elements(dims: &[usize]) -> Option<usize> {
    let product = dims.iter().try_fold(1_usize, |product, &d| product.checked_mul(d.max(1)));
    product.filter(|&n| n <= isize::MAX as usize / 8).map(|n| if dims.contains(&0) { 0 } else { n })
}

/// The distance of neighbours along each axis, in elements.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; dims.len()];
    let mut step = 1_usize;
    for (stride, &dim) in strides.iter_mut().zip(dims).rev() {
        *stride = step;
        step = step.saturating_mul(dim);
    }
    strides
}

fn words<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, rest) = raw.as_chunks::<N>();
    // A torn last element: nothing fits the shape then.
    if rest.is_empty() { chunks.iter().map(|&b| read(b)).collect() } else { Vec::new() }
}

fn bfloat(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// A half-precision number.
fn half(bits: u16) -> f32 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => mantissa * 2.0_f32.powi(-24),
        31 if mantissa == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + mantissa) * 2.0_f32.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tensor: &TensorProto) -> Result<Constant, ConvertError> {
        Constant::read(tensor, &mut Budget::for_file(100))
    }

    #[test]
    fn halves() {
        let known =
            [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 2.0_f32.powi(-24)), (0x7bff, 65504.0), (0x3555, 0.333_251_95)];
        for (bits, value) in known {
            assert_eq!(half(bits), value);
        }
        assert_eq!(half(0xfc00), f32::NEG_INFINITY);
        assert!(half(0x7c01).is_nan());
    }

    #[test]
    fn raw_and_typed_elements() {
        let raw = |data_type, raw_data: &[u8]| TensorProto {
            dims: vec![2],
            data_type,
            raw_data: raw_data.to_vec(),
            ..Default::default()
        };
        assert_eq!(read(&raw(data_type::INT8, &[255, 3])).unwrap().as_ints(), Some(&[-1, 3][..]));
        assert_eq!(read(&raw(data_type::FLOAT16, &[0, 0x3c, 0, 0xc0])).unwrap().to_floats(), [1.0, -2.0]);
        let typed = TensorProto { dims: vec![1, 2], data_type: 11, double_data: vec![0.5, 2.0], ..Default::default() };
        assert_eq!(read(&typed).unwrap().to_floats(), [0.5, 2.0]);
    }

    #[test]
    fn a_shape_without_its_elements_is_refused() {
        for dims in [vec![1 << 40], vec![3], vec![-1], vec![i64::MAX, i64::MAX], vec![1; 9]] {
            let tensor = TensorProto { dims, data_type: data_type::FLOAT, float_data: vec![1.0], ..Default::default() };
            assert!(matches!(read(&tensor), Err(ConvertError::Malformed { .. })));
        }
        let torn = TensorProto { dims: vec![1], data_type: 1, raw_data: vec![0; 5], ..Default::default() };
        assert!(read(&torn).is_err());
        let outside = TensorProto { data_location: 1, ..torn };
        assert!(read(&outside).unwrap_err().to_string().contains("another file"));
    }
}
