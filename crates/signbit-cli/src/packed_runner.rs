//! The runtime as what `verify` compares the trained network with.

use std::collections::BTreeMap;

use signbit::{Error, Isa, Options, Session, ValueView};
use signbit_train::verify::{PackedRunner, SeenBits};

use crate::files::BATCH;

/// A model's sessions on one instruction set and number of threads.
///
/// What is compared is the session as users run it. Where that fuses a layer away, its bits come from a second
/// session without fusion, so that every hidden bit is seen.
pub(crate) struct SessionRunner {
    fused: Session,
    unfused: Session,
}

impl SessionRunner {
    pub(crate) fn new(model: &signbit_model::Model, isa: Isa, threads: usize) -> Result<Self, Error> {
        let options = Options { isa, threads, batch: BATCH, ..Options::default() };
        let fused = Session::new(model, options)?;
        Ok(Self { fused, unfused: Session::new(model, Options { fuse: false, ..options })? })
    }
}

impl PackedRunner for SessionRunner {
    type Error = Error;

    fn run(&mut self, n: usize, input: &[f32], seen: &mut dyn FnMut(&str, SeenBits<'_>)) -> Result<Vec<f32>, Error> {
        // A session shows a large batch in slices: they are put together again.
        let mut fused: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let output = self.fused.run_traced(input, n, |node, value| {
            if let ValueView::Bits { data, .. } = value {
                fused.entry(node.name.clone()).or_default().extend_from_slice(data);
            }
        })?;
        let output = output.to_vec();
        let mut all: Vec<(String, usize, Vec<u64>)> = Vec::new();
        self.unfused.run_traced(input, n, |node, value| {
            let ValueView::Bits { shape, data } = value else { return };
            match all.iter_mut().find(|(name, ..)| *name == node.name) {
                Some((.., words)) => words.extend_from_slice(data),
                None => all.push((node.name.clone(), shape.c, data.to_vec())),
            }
        })?;
        for (name, channels, words) in &all {
            seen(name, SeenBits { channels: *channels, words: fused.get(name).unwrap_or(words) });
        }
        Ok(output)
    }
}
