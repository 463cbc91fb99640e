//! What the ranks of a training tell each other between forward and backward, and in evaluation. Alone, nothing is copied.

use std::borrow::Cow;

use crate::ranks::Ranks;
use crate::tensor::{Buffers, Tensor};

/// The outputs of the whole batch, of which `own` are this rank's; and whether any rank was told to stop.
pub(super) fn whole<'t>(ranks: Option<&Ranks>, own: &'t Tensor, stop: bool) -> (Cow<'t, Tensor>, bool) {
    let Some(ranks) = ranks else { return (Cow::Borrowed(own), stop) };
    let each = own.shape.elements();
    // One message: the word to stop goes behind the outputs.
    let mut message = own.data.clone();
    message.push(if stop { 1.0 } else { 0.0 });
    let counts: Vec<usize> = ranks.bounds().windows(2).map(|pair| (pair[1] - pair[0]) * each + 1).collect();
    let mut all = vec![0.0; counts.iter().sum()];
    ranks.exchange().gather(&message, &counts, &mut all);
    let (mut data, mut stop, mut left) = (Vec::with_capacity(ranks.whole() * each), false, &all[..]);
    for count in counts {
        let (its, rest) = left.split_at(count);
        data.extend_from_slice(&its[..count - 1]);
        stop |= its[count - 1] != 0.0;
        left = rest;
    }
    (Cow::Owned(Tensor::new(ranks.whole(), own.shape, data)), stop)
}

/// This rank's part of the gradient by the outputs of the whole batch.
pub(super) fn own(ranks: Option<&Ranks>, buffers: &mut Buffers, whole: Tensor) -> Tensor {
    let Some(ranks) = ranks else { return whole };
    let (own, each) = (ranks.own(), whole.shape.elements());
    let mut data = buffers.real(own.len() * each);
    data.copy_from_slice(&whole.data[own.start * each..own.end * each]);
    buffers.give(whole.data);
    Tensor::new(own.len(), whole.shape, data)
}

/// The sum of the loss and the number of right samples of all `tasks` pieces of an evaluation, in their order.
pub(super) fn figures(ranks: &Ranks, own: &[(f64, usize)], tasks: usize) -> Vec<(f64, usize)> {
    let message: Vec<f64> = own.iter().flat_map(|&(loss, right)| [loss, right as f64]).collect();
    let all = ranks.gather_of_tasks(&message, tasks, 2);
    all.chunks_exact(2).map(|pair| (pair[0], pair[1] as usize)).collect()
}
