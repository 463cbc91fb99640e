//! Ranks that are processes, by MPI. The one file that names the `mpi` crate.

use std::mem::ManuallyDrop;
use std::sync::{Mutex, PoisonError};

use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::Exchange;

/// The largest piece of one message: counts are those of a C `int`.
const PIECE: usize = 1 << 28;

/// The processes that `mpirun` has started together.
///
/// MPI's own way with errors is kept: a process that cannot reach another one ends, and `mpirun` ends the rest. A process
/// that ends without [`Exchange::leave`] is one that failed, and `mpirun` ends the others.
pub struct Mpi {
    // Not dropped: leaving waits for the others, which may be waiting for what will never be sent.
    universe: ManuallyDrop<Mutex<Option<Universe>>>,
    // Known after the end, too, when MPI must not be asked.
    rank: usize,
    size: usize,
}

/// MPI cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the MPI library cannot be called from several threads in turn; one with MPI_THREAD_SERIALIZED is needed")]
pub struct NoThreads;

impl Mpi {
    /// Takes part. To be called once in a process.
    ///
    /// # Errors
    /// Where the library allows calls from the first thread only.
    pub fn join() -> Result<Self, NoThreads> {
        match mpi::initialize_with_threading(Threading::Serialized) {
            Some((universe, Threading::Serialized | Threading::Multiple)) => {
                let (rank, size) = (world().rank() as usize, world().size() as usize);
                Ok(Self { universe: ManuallyDrop::new(Mutex::new(Some(universe))), rank, size })
            }
            _ => Err(NoThreads),
        }
    }
}

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

/// All ranks' numbers, as many at once as MPI counts.
fn gather<T: Equivalence>(own: &[T], counts: &[usize], all: &mut [T]) {
    assert!(all.len() <= i32::MAX as usize, "more numbers than MPI counts");
    let counts: Vec<i32> = counts.iter().map(|&count| count as i32).collect();
    let places: Vec<i32> = counts
        .iter()
        .scan(0, |place, count| {
            let own = *place;
            *place += count;
            Some(own)
        })
        .collect();
    world().all_gather_varcount_into(own, &mut PartitionMut::new(all, &counts[..], &places[..]));
}

fn process(rank: usize) -> i32 {
    i32::try_from(rank).expect("a rank")
}

impl Exchange for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn gather(&self, own: &[f32], counts: &[usize], all: &mut [f32]) {
        gather(own, counts, all);
    }

    fn gather_f64(&self, own: &[f64], counts: &[usize], all: &mut [f64]) {
        gather(own, counts, all);
    }

    fn send(&self, to: usize, numbers: &[f32]) {
        let world = world();
        numbers.chunks(PIECE).for_each(|piece| world.process_at_rank(process(to)).send(piece));
    }

    fn receive(&self, from: usize, numbers: &mut [f32]) {
        let world = world();
        for piece in numbers.chunks_mut(PIECE) {
            world.process_at_rank(process(from)).receive_into(piece);
        }
    }

    fn broadcast(&self, root: usize, numbers: &mut [f32]) {
        let world = world();
        for piece in numbers.chunks_mut(PIECE) {
            world.process_at_rank(process(root)).broadcast_into(piece);
        }
    }

    fn leave(&self) {
        drop(self.universe.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
