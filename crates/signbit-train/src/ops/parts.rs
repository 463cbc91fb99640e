//! Sums over the parts of a batch, added in order, so that neither threads nor ranks change a bit; and no more of them in
//! memory than are at work.

use std::cell::RefCell;

use rayon::prelude::*;

use crate::ranks::Ranks;
use crate::tensor::Buffers;

thread_local! {
    /// Scratch of the part at hand.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Lends `len` stale numbers of this thread, to one borrower at a time.
pub(super) fn with_scratch(len: usize, work: impl FnOnce(&mut [f32])) {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        work(&mut scratch[..len]);
    });
}

/// `total` = the sum over all parts of what `part(number, item, sum)` writes to all of `sum`, added in order; of all ranks'
/// parts, if there are several. There is an item for each part of this rank.
pub(super) fn sum_parts<T: Send>(
    ranks: Option<&Ranks>,
    buffers: &mut Buffers,
    mut items: Vec<T>,
    total: &mut [f32],
    part: impl Fn(usize, T, &mut [f32]) + Sync,
) {
    let (parts, len) = (items.len(), total.len());
    // A rank's sums begin with those of the rank before it, so all its parts wait for them.
    let at_once = if ranks.is_some() { parts } else { parts.min(rayon::current_num_threads()) };
    let mut scratch = buffers.scratch(at_once * len);
    let sums = &mut scratch[..at_once * len];
    let mut done = 0;
    while !items.is_empty() {
        let later = items.split_off(at_once.min(items.len()));
        let now = std::mem::replace(&mut items, later);
        let count = now.len();
        let jobs: Vec<_> = now.into_iter().zip(pieces(sums, len, count)).collect();
        jobs.into_par_iter().enumerate().for_each(|(i, (item, sum))| part(done + i, item, sum));
        match ranks {
            _ if len == 0 => {}
            Some(ranks) => ranks.sum_parts(sums, total),
            None => add(&sums[..count * len], total, done == 0),
        }
        done += count;
    }
    buffers.give_scratch(scratch);
}

/// The chunks of `len` numbers of what is to be written for each of `count` parts, or nothing for each.
pub(super) fn chunks_or_none(out: Option<&mut [f32]>, len: usize, count: usize) -> Vec<Option<&mut [f32]>> {
    match out {
        Some(out) => out.chunks_mut(len).map(Some).collect(),
        None => (0..count).map(|_| None).collect(),
    }
}

/// The first `count` pieces of `len` numbers each, which may be none.
fn pieces(mut numbers: &mut [f32], len: usize, count: usize) -> Vec<&mut [f32]> {
    (0..count).map(|_| numbers.split_off_mut(..len).unwrap_or_default()).collect()
}

/// Adds the parts to `total`, or starts with them.
fn add(parts: &[f32], total: &mut [f32], first: bool) {
    for (i, part) in parts.chunks_exact(total.len()).enumerate() {
        match first && i == 0 {
            true => total.copy_from_slice(part),
            false => total.iter_mut().zip(part).for_each(|(t, p)| *t += p),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of additions decides the last bits of such numbers.
    #[test]
    fn any_number_of_threads_adds_in_order() {
        let number = |part: usize, i: usize| [1.0f32, 1e-8, -1.0, 3e7, 0.1][(part + i) % 5] * (i as f32 + 0.3);
        let (parts, len) = (10, 37);
        let wanted: Vec<f32> =
            (0..len).map(|i| (1..parts).fold(number(0, i), |sum, part| sum + number(part, i))).collect();
        for threads in [1, 2, 3, 7, 16] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut total = vec![f32::NAN; len];
            pool.install(|| {
                sum_parts(None, &mut Buffers::default(), (0..parts).collect(), &mut total, |part, item, sum| {
                    assert_eq!(part, item);
                    sum.iter_mut().enumerate().for_each(|(i, sum)| *sum = number(part, i));
                });
            });
            assert_eq!(total, wanted, "{threads} threads");
        }
    }

    #[test]
    fn parts_without_a_sum_are_worked_on() {
        let mut seen = [false; 5];
        sum_parts(None, &mut Buffers::default(), seen.iter_mut().collect(), &mut [], |_, seen, _| *seen = true);
        assert_eq!(seen, [true; 5]);
    }
}
