//! The two kinds of values that flow through a training network: real tensors and packed bits, both NHWC.

use signbit_kernels::bits;
use signbit_model::Shape;

/// A real tensor `[n, h, w, c]`, row-major, f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Samples in the batch.
    pub n: usize,
    /// Shape of one sample.
    pub shape: Shape,
    /// `n * h * w * c` numbers.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor over `data`.
    ///
    /// # Panics
    /// If `data` does not hold `n * h * w * c` numbers.
    pub fn new(n: usize, shape: Shape, data: Vec<f32>) -> Self {
        assert_eq!(data.len(), n * shape.elements(), "tensor data does not fit its shape");
        Self { n, shape, data }
    }

    /// Number of rows of `c` channels: `n * h * w`.
    pub fn rows(&self) -> usize {
        self.n * self.shape.h * self.shape.w
    }
}

/// Signs `[n, h, w, c]`: every pixel's channels in `words(c)` u64, 1 = +1, tail bits 0.
#[derive(Clone, Debug, PartialEq)]
pub struct BitTensor {
    /// Samples in the batch.
    pub n: usize,
    /// Shape of one sample.
    pub shape: Shape,
    /// `n * h * w * words(c)` words.
    pub words: Vec<u64>,
}

impl BitTensor {
    /// A bit tensor over `words`.
    ///
    /// # Panics
    /// If `words` does not hold `n * h * w * words(c)` words.
    pub fn new(n: usize, shape: Shape, words: Vec<u64>) -> Self {
        assert_eq!(words.len(), n * shape.h * shape.w * bits::words(shape.c), "bit tensor does not fit its shape");
        Self { n, shape, words }
    }

    /// Number of rows of `c` bits: `n * h * w`.
    pub fn rows(&self) -> usize {
        self.n * self.shape.h * self.shape.w
    }
}

/// What an operator takes and gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Real numbers.
    Real(Tensor),
    /// Signs.
    Bits(BitTensor),
}

impl Value {
    /// Samples in the batch.
    pub fn n(&self) -> usize {
        match self {
            Value::Real(t) => t.n,
            Value::Bits(b) => b.n,
        }
    }

    /// Shape of one sample.
    pub fn shape(&self) -> Shape {
        match self {
            Value::Real(t) => t.shape,
            Value::Bits(b) => b.shape,
        }
    }

    /// The real tensor.
    ///
    /// # Panics
    /// If the value is bits: [`Operator::output`](crate::op::Operator::output) has to refuse such a network.
    pub fn real(&self) -> &Tensor {
        match self {
            Value::Real(t) => t,
            Value::Bits(_) => panic!("a real tensor was expected, these are bits"),
        }
    }

    /// The bits.
    ///
    /// # Panics
    /// If the value is real: [`Operator::output`](crate::op::Operator::output) has to refuse such a network.
    pub fn bits(&self) -> &BitTensor {
        match self {
            Value::Bits(b) => b,
            Value::Real(_) => panic!("bits were expected, this is a real tensor"),
        }
    }
}

/// Buffers that steps hand back and take again, so that a training step does not ask the system for
/// tens of megabytes anew (every page would be zeroed on first touch).
#[derive(Debug, Default)]
pub struct Buffers {
    real: Vec<Vec<f32>>,
    words: Vec<Vec<u64>>,
}

impl Buffers {
    /// A buffer of `len` numbers. **Its contents are stale**: every number must be written.
    pub fn real(&mut self, len: usize) -> Vec<f32> {
        take(&mut self.real, len, 0.0)
    }

    /// A buffer of `len` zeros.
    pub fn zeros(&mut self, len: usize) -> Vec<f32> {
        let mut buffer = self.real(len);
        buffer.fill(0.0);
        buffer
    }

    /// A buffer of `len` words. **Its contents are stale**: every word must be written.
    pub fn words(&mut self, len: usize) -> Vec<u64> {
        take(&mut self.words, len, 0)
    }

    /// Hands a buffer back.
    pub fn give(&mut self, buffer: Vec<f32>) {
        self.real.push(buffer);
    }

    /// Hands a value's buffer back.
    pub fn give_value(&mut self, value: Value) {
        match value {
            Value::Real(t) => self.real.push(t.data),
            Value::Bits(b) => self.words.push(b.words),
        }
    }
}

/// The smallest kept buffer that is large enough, else a new one.
fn take<T: Copy>(kept: &mut Vec<Vec<T>>, len: usize, fill: T) -> Vec<T> {
    let fits = (0..kept.len()).filter(|&i| kept[i].capacity() >= len).min_by_key(|&i| kept[i].capacity());
    match fits {
        // A much larger buffer is left for the tensor that needs it.
        Some(i) if kept[i].capacity() <= 2 * len + 64 => {
            let mut buffer = kept.swap_remove(i);
            buffer.resize(len, fill);
            buffer
        }
        _ => vec![fill; len],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_taken_again() {
        let mut buffers = Buffers::default();
        let first = buffers.real(1000);
        let address = first.as_ptr();
        buffers.give(first);
        let small = buffers.real(10);
        assert!(small.as_ptr() != address, "a small request must not take a large buffer");
        for len in [900, 1000] {
            let large = buffers.real(len);
            assert_eq!((large.as_ptr(), large.len()), (address, len));
            buffers.give(large);
        }
    }
}
