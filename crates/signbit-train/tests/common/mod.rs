//! What the tests of packed networks share.

#![allow(dead_code, reason = "each test file uses its own part")]

use signbit_model::interpreter::{self, ValueData};
use signbit_model::{Model, Shape, words};
use signbit_train::data::Pictures;
use signbit_train::network::Network;
use signbit_train::verify::{PackedRunner, Report, SeenBits, verify};

/// The packed network in the reference interpreter.
pub(crate) struct Reference(pub Model);

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

pub(crate) fn pictures(n: usize, shape: Shape) -> Pictures {
    let pixels = (0..n * shape.elements()).map(|i| ((i * 7919 + i / 64 * 31) % 256) as u8).collect();
    Pictures { shape, pixels, labels: (0..n as u32).map(|i| i % 10).collect() }
}

pub(crate) fn preprocessing(shape: Shape) -> signbit_model::Preprocessing {
    let (scale, shift) = (vec![2.0 / 255.0; shape.c], vec![-1.0; shape.c]);
    signbit_model::Preprocessing { channels: shape.c, height: shape.h, width: shape.w, resize: None, scale, shift }
}

/// Batch norm as no initial weights have it: factors of both signs, some zero, some offsets that make ties, running
/// statistics of the layer's size.
pub(crate) fn disturb(network: &mut Network) {
    let params = network.params_mut();
    for info in params.infos().to_vec() {
        let values = &mut params.values_mut()[info.range];
        for (i, v) in values.iter_mut().enumerate() {
            match info.name.rsplit('.').next() {
                Some("gamma") => *v = [1.0, -0.5, 0.0, 2.0, -1.0][i % 5],
                Some("beta") => *v = [0.0, 0.3, -0.2, 0.0, 0.0, 1.5, 0.0][i % 7],
                Some("alpha") => *v = [1.0, -0.3, 0.0, 0.7, -0.0, -2.0][i % 6],
                Some("shift") => *v = [0.0, 0.3, -0.2, -1.0, 1.5][i % 5],
                _ => {}
            }
        }
    }
    for info in params.state_infos().to_vec() {
        let values = &mut params.states_mut()[info.range];
        for (i, v) in values.iter_mut().enumerate() {
            // Whole means meet whole dot products: ties.
            *v = if info.name.ends_with("mean") { (i % 9) as f32 - 4.0 } else { [1.0, 4.0, 0.3][i % 3] };
        }
    }
}

pub(crate) fn compare(network: &mut Network, model: Model, n: usize) -> Report {
    let shape = network.input_shape();
    verify(network, &mut Reference(model), &pictures(n, shape), &preprocessing(shape), &mut |_| {}).expect("comparable")
}
