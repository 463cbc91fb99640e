//! One training by several processes, the *ranks*: each has the whole network and a share of every batch.
//!
//! What is summed over a batch is summed over all ranks' shares, in the order in which one process would do it, so that
//! the weights after any number of steps are those of one process, to the bit. Three rules see to it:
//!
//! * A batch is cut into [`PARTS`] parts whatever the number of ranks, and a rank's share is a number of whole parts. The
//!   weight gradients of convolutions, summed part by part, go from rank to rank (`sum_parts`).
//! * Sums over rows, as batch norm's, have parts of their own; the few rows of a part that lie with two ranks go to all.
//! * Dense layers gather their activations and share the work by blocks of channels (Krizhevsky 2014, arXiv 1404.5997,
//!   has data-parallel convolutions and model-parallel dense layers for the sake of speed; it is exact, too).
//!
//! All that follows from the gradients, from clipping to the optimiser's step, each rank does for itself, with equal
//! numbers. [`Exchange`] is how ranks talk; MPI is one way, threads of one process another.

#[cfg(feature = "mpi")]
pub mod mpi;
mod threads;

use std::ops::Range;
use std::sync::Arc;

pub use threads::Threads;

/// Into how many parts a batch is cut, each with its own sum of weight gradients. Fixed, so that no sum depends on the
/// number of threads, or of ranks.
pub const PARTS: usize = 10;

/// Numbers that go from rank to rank at once, so that a rank adds while the one before it sends on.
const PIECE: usize = 64 * 1024;

/// How the ranks of a training talk. All ranks make the same calls in the same order; a call returns when this rank's
/// part in it is done. There are no errors: where another rank cannot be reached, the process ends.
pub trait Exchange: Send + Sync {
    /// This rank, counted from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// Each rank's numbers, one rank's after the other's; `counts` says how many each has.
    fn gather(&self, own: &[f32], counts: &[usize], all: &mut [f32]);

    /// As [`Exchange::gather`].
    fn gather_f64(&self, own: &[f64], counts: &[usize], all: &mut [f64]);

    /// Sends numbers to another rank, which receives as many.
    fn send(&self, to: usize, numbers: &[f32]);

    /// Receives what another rank sends.
    fn receive(&self, from: usize, numbers: &mut [f32]);

    /// Gives the numbers of rank `root` to all.
    fn broadcast(&self, root: usize, numbers: &mut [f32]);

    /// Ends the talking, when all ranks do: the last call.
    fn leave(&self) {}
}

/// A batch that cannot be shared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a batch of {batch} is cut into {parts} parts, too few for {ranks} processes; start at most {parts}")]
pub struct TooManyRanks {
    /// Samples of a batch.
    pub batch: usize,
    /// Its parts.
    pub parts: usize,
    /// How many ranks there are.
    pub ranks: usize,
}

/// This rank's share of every batch, and the way to the others.
#[derive(Clone)]
pub struct Ranks {
    exchange: Arc<dyn Exchange>,
    /// Where each rank's samples begin, and where the last one's end.
    bounds: Vec<usize>,
}

impl Ranks {
    /// Shares of batches of `batch` samples.
    ///
    /// # Errors
    /// Where a batch has fewer parts than there are ranks.
    pub fn new(exchange: Arc<dyn Exchange>, batch: usize) -> Result<Self, TooManyRanks> {
        let (ranks, per_part) = (exchange.size(), batch.div_ceil(PARTS).max(1));
        let parts = batch.div_ceil(per_part);
        if parts < ranks {
            return Err(TooManyRanks { batch, parts, ranks });
        }
        let bounds = cut(parts, ranks).into_iter().map(|part| (part * per_part).min(batch)).collect();
        Ok(Self { exchange, bounds })
    }

    /// How the ranks talk.
    pub fn exchange(&self) -> &dyn Exchange {
        &*self.exchange
    }

    /// This rank, counted from 0.
    pub fn rank(&self) -> usize {
        self.exchange.rank()
    }

    /// Samples of the whole batch.
    pub fn whole(&self) -> usize {
        self.bounds[self.bounds.len() - 1]
    }

    /// This rank's samples.
    pub fn own(&self) -> Range<usize> {
        self.bounds[self.rank()]..self.bounds[self.rank() + 1]
    }

    /// Where each rank's samples begin, and where the last one's end.
    pub(crate) fn bounds(&self) -> &[usize] {
        &self.bounds
    }

    /// Writes the numbers of the whole batch, of which `own` are this rank's samples'.
    ///
    /// # Panics
    /// If the numbers are not as many for each sample.
    pub fn gather(&self, own: &[f32], whole: &mut [f32]) {
        let sample = own.len() / self.own().len();
        assert_eq!(whole.len(), sample * self.whole(), "numbers of the whole batch");
        self.exchange.gather(own, &lengths(&self.bounds, sample), whole);
    }

    /// Whether it is so on any rank.
    pub(crate) fn any(&self, here: bool) -> bool {
        gather_one(self.exchange(), u32::from(here)).into_iter().any(|there| there != 0)
    }

    /// The numbers of all samples of the batch, one for each of this rank's.
    pub(crate) fn gather_f64(&self, own: &[f64]) -> Vec<f64> {
        let mut whole = vec![0.0; self.whole()];
        self.exchange.gather_f64(own, &lengths(&self.bounds, 1), &mut whole);
        whole
    }

    /// The tasks of this rank, where `tasks` are shared by all.
    pub(crate) fn tasks(&self, tasks: usize) -> Range<usize> {
        let bounds = cut(tasks, self.exchange.size());
        bounds[self.rank()]..bounds[self.rank() + 1]
    }

    /// What all ranks have found in `tasks` shared tasks, `each` numbers in each.
    pub(crate) fn gather_of_tasks(&self, own: &[f64], tasks: usize, each: usize) -> Vec<f64> {
        let mut all = vec![0.0; tasks * each];
        self.exchange.gather_f64(own, &lengths(&cut(tasks, self.exchange.size()), each), &mut all);
        all
    }

    /// Completes `all`, of whose tasks of `len` numbers (the last has what is left) each rank has written its own.
    pub(crate) fn gather_tasks(&self, all: &mut [f32], len: usize) {
        let bounds = cut(all.len().div_ceil(len.max(1)), self.exchange.size());
        let bounds: Vec<usize> = bounds.into_iter().map(|task| (task * len).min(all.len())).collect();
        let own = all[bounds[self.rank()]..bounds[self.rank() + 1]].to_vec();
        self.exchange.gather(&own, &lengths(&bounds, 1), all);
    }

    /// `total` = the sum of all ranks' parts, which follow one another in `parts`, added in order.
    pub(crate) fn sum_parts(&self, parts: &[f32], total: &mut [f32]) {
        let (rank, last, len) = (self.rank(), self.exchange.size() - 1, total.len());
        for (i, piece) in total.chunks_mut(PIECE).enumerate() {
            let places = i * PIECE..i * PIECE + piece.len();
            let mut parts = parts.chunks_exact(len).map(|part| &part[places.clone()]);
            match rank {
                0 => piece.copy_from_slice(parts.next().expect("each rank has a part")),
                _ => self.exchange.receive(rank - 1, piece),
            }
            parts.for_each(|part| piece.iter_mut().zip(part).for_each(|(t, p)| *t += p));
            if rank < last {
                self.exchange.send(rank + 1, piece);
            }
        }
        self.exchange.broadcast(last, total);
    }
}

/// A number from each rank.
pub fn gather_one(exchange: &dyn Exchange, own: u32) -> Vec<u32> {
    let mut all = vec![0.0; exchange.size()];
    exchange.gather_f64(&[f64::from(own)], &vec![1; exchange.size()], &mut all);
    all.into_iter().map(|number| number as u32).collect()
}

/// Where each of `shares` nearly equal shares of `n` things begins, and where the last one ends.
fn cut(n: usize, shares: usize) -> Vec<usize> {
    (0..=shares).map(|share| n * share / shares).collect()
}

/// How many numbers lie between bounds of things of `each` numbers.
fn lengths(bounds: &[usize], each: usize) -> Vec<usize> {
    bounds.windows(2).map(|pair| (pair[1] - pair[0]) * each).collect()
}

/// The batch of which `n` samples are here.
pub(crate) fn whole(ranks: Option<&Ranks>, n: usize) -> usize {
    ranks.map_or(n, Ranks::whole)
}

/// The numbers of `all` that this rank computes, in tasks of `len`: all of them, unless ranks share the work.
pub(crate) fn own_tasks(ranks: Option<&Ranks>, all: &[f32], len: usize) -> Range<usize> {
    ranks.map_or(0..all.len(), |ranks| {
        let tasks = ranks.tasks(all.len().div_ceil(len.max(1)));
        (tasks.start * len).min(all.len())..(tasks.end * len).min(all.len())
    })
}

/// Takes what other ranks have computed of `all`. Returns where this rank's samples begin in the batch.
pub(crate) fn complete(ranks: Option<&Ranks>, all: &mut [f32], len: usize) -> usize {
    ranks.map_or(0, |ranks| {
        ranks.gather_tasks(all, len);
        ranks.own().start
    })
}

/// Samples of a part of the batch of which `n` samples are here.
pub(crate) fn per_part(ranks: Option<&Ranks>, n: usize) -> usize {
    whole(ranks, n).div_ceil(PARTS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_parts() {
        let shares = |batch, size| {
            let ranks = |exchange: Threads| Ranks::new(Arc::new(exchange), batch).map(|ranks| ranks.own());
            Threads::ranks(size).into_iter().map(ranks).collect::<Result<Vec<_>, _>>()
        };
        assert_eq!(shares(100, 2), Ok(vec![0..50, 50..100]));
        assert_eq!(shares(100, 4), Ok(vec![0..20, 20..50, 50..70, 70..100]));
        assert_eq!(shares(128, 2), Ok(vec![0..65, 65..128]));
        assert_eq!(shares(7, 3), Ok(vec![0..2, 2..4, 4..7]));
        assert_eq!(shares(12, 7), Err(TooManyRanks { batch: 12, parts: 6, ranks: 7 }));
        assert!(shares(100, 11).unwrap_err().to_string().contains("at most 10"));
    }

    /// A sum of numbers of very different sizes depends on its order; with any number of ranks it is the same.
    #[test]
    fn parts_are_added_in_order() {
        let (len, parts) = (PIECE + 5, 10);
        let numbers: Vec<f32> = (0..len * parts).map(|i| (i as f32 * 0.37).sin() * 10f32.powi(i as i32 % 7)).collect();
        let sum = |size| {
            let on_all = Threads::on_all(size, |exchange| {
                let ranks = Ranks::new(Arc::new(exchange), parts).unwrap();
                let own = ranks.own();
                let mut total = vec![f32::NAN; len];
                ranks.sum_parts(&numbers[own.start * len..own.end * len], &mut total);
                total
            });
            assert!(on_all.windows(2).all(|pair| pair[0] == pair[1]), "all ranks have the sum");
            on_all.into_iter().next().unwrap()
        };
        let one = sum(1);
        assert!([2, 3, 10].into_iter().all(|size| sum(size) == one));
    }

    #[test]
    fn each_rank_does_its_tasks_and_has_all() {
        let all = Threads::on_all(3, |exchange| {
            let ranks = Ranks::new(Arc::new(exchange), 10).unwrap();
            let mut all = vec![0.0; 23];
            for task in ranks.tasks(6) {
                let end = (4 * task + 4).min(23);
                all[4 * task..end].fill(task as f32);
            }
            ranks.gather_tasks(&mut all, 4);
            all
        });
        let expected: Vec<f32> = (0..23).map(|i| (i / 4) as f32).collect();
        assert!(all.iter().all(|all| *all == expected), "{all:?}");
    }
}
