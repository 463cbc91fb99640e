//! What tests of several files share.

use signbit_model::interpreter::{self, ValueData};
use signbit_model::{Model, words};
use signbit_train::verify::{PackedRunner, SeenBits};

/// The packed network in the reference interpreter.
pub(crate) struct Reference(pub(crate) Model);

impl PackedRunner for Reference {
    type Error = signbit_model::ModelError;

    fn run(
        &mut self,
        n: usize,
        input: &[f32],
        seen: &mut dyn FnMut(&str, SeenBits<'_>),
    ) -> Result<Vec<f32>, Self::Error> {
        let output = interpreter::run_traced(&self.0, n, input, |node, value| {
            let ValueData::Bits(signs) = &value.data else { return };
            let channels = value.ty.shape.c;
            let mut rows = vec![0u64; signs.len() / channels * words(channels)];
            for (i, _) in signs.iter().enumerate().filter(|(_, s)| **s > 0) {
                rows[i / channels * words(channels) + i % channels / 64] |= 1 << (i % channels % 64);
            }
            seen(&node.name, SeenBits { channels, words: &rows });
        })?;
        match output.data {
            ValueData::F32(y) => Ok(y),
            _ => unreachable!("networks end in real numbers"),
        }
    }
}
