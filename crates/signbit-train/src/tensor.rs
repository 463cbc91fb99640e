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
    scratch: Vec<Vec<f32>>,
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

    /// At least `len` numbers, stale, for one operator's work: layers of all sizes share them.
    pub fn scratch(&mut self, len: usize) -> Vec<f32> {
        let mut scratch = self.scratch.pop().unwrap_or_default();
        if scratch.len() < len {
            // What it held is of no use: growing in place would copy it.
            scratch = Vec::new();
            scratch.resize(len, 0.0);
        }
        scratch
    }

    /// Hands scratch back. Of several, the last that was taken first.
    pub fn give_scratch(&mut self, scratch: Vec<f32>) {
        self.scratch.push(scratch);
    }

    /// How many buffers are waiting to be taken.
    pub fn kept(&self) -> usize {
        self.real.len() + self.words.len()
    }

    /// Hands a buffer back.
    pub fn give(&mut self, buffer: Vec<f32>) {
        keep(&mut self.real, buffer);
    }

    /// Hands a buffer of words back.
    pub fn give_words(&mut self, buffer: Vec<u64>) {
        keep(&mut self.words, buffer);
    }

    /// Hands a value's buffer back.
    pub fn give_value(&mut self, value: Value) {
        match value {
            Value::Real(t) => keep(&mut self.real, t.data),
            Value::Bits(b) => keep(&mut self.words, b.words),
        }
    }
}

/// Most buffers of one length that are kept. An operator that takes none and gives its outputs would fill the memory.
const MOST: usize = 64;

/// Keeps a buffer, if it has room and there are not many like it.
fn keep<T>(kept: &mut Vec<Vec<T>>, buffer: Vec<T>) {
    if !buffer.is_empty() && kept.iter().filter(|k| k.len() == buffer.len()).count() < MOST {
        kept.push(buffer);
    }
}

/// How many times as much room as is needed a buffer may have.
const LOOSE: usize = 2;

/// A kept buffer of this length, else the smallest with room for it, else a new one. A network asks for the same lengths in
/// every step; what deep layers have done with then serves the large ones before them, at the price of filling what was cut
/// off.
fn take<T: Copy>(kept: &mut Vec<Vec<T>>, len: usize, fill: T) -> Vec<T> {
    if let Some(i) = kept.iter().rposition(|buffer| buffer.len() == len) {
        return kept.swap_remove(i);
    }
    let room = len..=len.saturating_mul(LOOSE);
    let with_room = kept.iter().enumerate().filter(|(_, buffer)| room.contains(&buffer.capacity()));
    let Some((i, _)) = with_room.min_by_key(|(_, buffer)| buffer.capacity()) else {
        return vec![fill; len];
    };
    let mut buffer = kept.swap_remove(i);
    buffer.resize(len, fill);
    buffer
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
        let other = buffers.real(10);
        assert!(other.as_ptr() != address, "a hundredth of a buffer is another one");
        let half = buffers.real(500);
        assert_eq!((half.as_ptr(), half.len()), (address, 500));
        buffers.give(half);
        let again = buffers.real(1000);
        assert_eq!((again.as_ptr(), again.len()), (address, 1000));
    }

    #[test]
    fn buffers_that_nobody_takes_do_not_pile_up() {
        let mut buffers = Buffers::default();
        (0..1000).for_each(|_| buffers.give(vec![0.0; 10]));
        assert_eq!(buffers.kept(), MOST);
    }
}
