//! The real tensors of a `.safetensors` file by name.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::architecture::nearest;
use crate::{ConvertError, Warning};

/// What `torch.nn.DataParallel` puts before every name.
const PARALLEL: &str = "module.";
/// The numbers that are read are at most so many times those of the file: a weight may be shared by some layers.
const SHARED: usize = 8;
/// Names that stand in messages about what was found.
const NAMED: usize = 4;

/// A state dict.
pub(crate) struct StateDict<'a> {
    tensors: BTreeMap<String, TensorView<'a>>,
    used: RefCell<BTreeSet<String>>,
    /// Numbers that may still be read.
    left: Cell<usize>,
}

/// A tensor's numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Real {
    /// Outermost first; may be empty, of one number.
    pub(crate) shape: Vec<usize>,
    /// As many as the product of the shape.
    pub(crate) data: Vec<f32>,
}

impl<'a> StateDict<'a> {
    /// Reads a file's header; the tensors are read when they are asked for.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ConvertError> {
        let malformed = |what: String| ConvertError::Malformed { format: "safetensors", what };
        let file = SafeTensors::deserialize(bytes).map_err(|e| malformed(e.to_string()))?;
        if file.is_empty() {
            return Err(malformed("there are no tensors in it".into()));
        }
        let parallel = file.iter().all(|(name, _)| name.starts_with(PARALLEL));
        let strip = |name: &str| name[if parallel { PARALLEL.len() } else { 0 }..].to_owned();
        let tensors = file.tensors().into_iter().map(|(name, view)| (strip(&name), view)).collect();
        let left = Cell::new(bytes.len().saturating_mul(SHARED));
        Ok(Self { tensors, used: RefCell::default(), left })
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// A tensor's shape, where there is one of this name.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(TensorView::shape)
    }

    /// The first of these names that is there.
    pub(crate) fn first_of(&self, names: &[String]) -> Result<String, ConvertError> {
        let first = names.iter().find(|name| self.has(name)).cloned();
        first.ok_or_else(|| self.missing(names.first().map_or("", String::as_str)))
    }

    /// A tensor's numbers.
    pub(crate) fn real(&self, name: &str) -> Result<Real, ConvertError> {
        let view = self.tensors.get(name).ok_or_else(|| self.missing(name))?;
        let malformed = |what: String| ConvertError::Malformed { format: "safetensors", what };
        let bytes = view.data();
        let size = (view.dtype().bitsize() / 8).max(1);
        let left = self.left.get().checked_sub(bytes.len() / size);
        self.left.set(left.ok_or_else(|| {
            malformed(format!("`{name}`: the layers read more than {SHARED} numbers for each byte of the file"))
        })?);
        let data: Vec<f32> = match view.dtype() {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Dtype::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
            Dtype::BF16 => bytes.as_chunks().0.iter().map(|&[a, b]| f32::from_le_bytes([0, 0, a, b])).collect(),
            Dtype::F16 => bytes.as_chunks().0.iter().map(|&b| half(u16::from_le_bytes(b))).collect(),
            other => {
                return Err(malformed(format!("`{name}` is of type {other:?}; F32, F16, BF16 and F64 are read")));
            }
        };
        if let Some(i) = data.iter().position(|x| !x.is_finite()) {
            return Err(malformed(format!("number {i} of `{name}` is {}", data[i])));
        }
        self.used.borrow_mut().insert(name.to_owned());
        Ok(Real { shape: view.shape().to_vec(), data })
    }

    /// The error that there is no such weight.
    pub(crate) fn missing(&self, name: &str) -> ConvertError {
        let nearest = nearest(name, self.names()).map(str::to_owned);
        ConvertError::MissingWeight { name: name.to_owned(), nearest }
    }

    /// What was never read, leaving out counters: how many tensors, and the first one's name.
    fn unused(&self) -> Option<(usize, &str)> {
        let used = self.used.borrow();
        let counter = |name: &str| name.rsplit('.').next() == Some("num_batches_tracked");
        let mut unused = self.names().filter(|name| !used.contains(*name) && !counter(name));
        let first = unused.next()?;
        Some((1 + unused.count(), first))
    }

    /// That tensors were not read, where there are such.
    pub(crate) fn unused_warning(&self) -> Option<Warning> {
        let (count, first) = self.unused()?;
        let what = format!("no layer reads {count} of the file's tensors, such as {first:?}");
        Some(Warning::Other { node: "weights".into(), what })
    }

    /// A few of the names, for messages.
    pub(crate) fn some_names(&self) -> String {
        let some: Vec<_> = self.names().take(NAMED).map(|name| format!("{name:?}")).collect();
        let more = self.tensors.len().saturating_sub(NAMED);
        if more == 0 { some.join(", ") } else { format!("{} and {more} more", some.join(", ")) }
    }
}

/// IEEE 754 half precision: five bits of exponent, ten of fraction.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023) / 1024.0);
    sign * match exponent {
        0 => fraction * 2_f32.powi(-14),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        e => (1.0 + fraction) * 2_f32.powi(e - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
        let views = tensors.iter().map(|(n, d, s, b)| (*n, TensorView::new(*d, s.clone(), b).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    #[test]
    fn every_type_is_read() {
        let bytes = file(&[
            ("module.a", Dtype::F32, vec![1], 1.5_f32.to_le_bytes().to_vec()),
            ("module.b", Dtype::F64, vec![1], (-2.25_f64).to_le_bytes().to_vec()),
            ("module.c", Dtype::BF16, vec![2], vec![0xc0, 0x3f, 0x00, 0xc0]),
            ("module.d", Dtype::F16, vec![5], [0x3e00_u16, 0xc000, 1, 0x8000, 0x7bff].map(u16::to_le_bytes).concat()),
            ("module.e", Dtype::F16, vec![1], 0x7c00_u16.to_le_bytes().to_vec()),
            ("module.n.num_batches_tracked", Dtype::I64, vec![], vec![1, 0, 0, 0, 0, 0, 0, 0]),
        ]);
        let dict = StateDict::parse(&bytes).unwrap();
        let read = |name: &str| dict.real(name).unwrap().data;
        assert_eq!((read("a"), read("b"), read("c")), (vec![1.5], vec![-2.25], vec![1.5, -2.0]));
        assert_eq!(read("d"), [1.5, -2.0, 2_f32.powi(-24), 0.0, 65504.0]);
        assert!(dict.real("e").unwrap_err().to_string().contains("number 0 of `e` is inf"));
        assert!(dict.real("n.num_batches_tracked").unwrap_err().to_string().contains("I64"));
        assert_eq!(dict.unused(), Some((1, "e")));
        assert!(dict.real("aa").unwrap_err().to_string().contains("there is no weight `aa`"));
    }

    #[test]
    fn one_tensor_cannot_be_read_without_end() {
        let bytes = file(&[("w", Dtype::F32, vec![1000], vec![0; 4000])]);
        let dict = StateDict::parse(&bytes).unwrap();
        assert!((0..20).all(|_| dict.real("w").is_ok()));
        assert!((0..40).any(|_| dict.real("w").is_err()));
    }
}
