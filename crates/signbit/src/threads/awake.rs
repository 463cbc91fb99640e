//! A rayon pool whose threads stay awake for as long as a run lasts.
//!
//! A thread of rayon without work falls asleep after some microseconds, and waking it takes tens of them: as long as a
//! step. So the threads look for work in a loop from a run's beginning to its end.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

use crate::Error;

thread_local! {
    /// Whether this thread is in a run, in a part of a step or in the loop: it must not begin the loop within these, or
    /// who waits for them would wait for the end of the run.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a thread that will not begin to wait for the end of a run meanwhile.
pub(super) fn busy<R>(work: impl FnOnce() -> R) -> R {
    /// Puts back what was, after a panic, too.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            BUSY.set(self.0);
        }
    }
    let _before = Before(BUSY.replace(true));
    work()
}

#[derive(Debug)]
pub(super) struct Pool {
    pool: ThreadPool,
    /// Runs that are under way.
    runs: Arc<AtomicUsize>,
}

/// A run that is under way.
struct Run<'a>(&'a AtomicUsize);

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Pool {
    pub(super) fn new(threads: usize) -> Result<Self, Error> {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Self { pool: pool.map_err(|error| Error::ThreadPool(error.to_string()))?, runs: Arc::default() })
    }

    pub(super) fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `work` in the pool, or in that of the caller.
    pub(super) fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        if rayon::current_thread_index().is_some() {
            return work();
        }
        self.pool.install(|| {
            let first = self.runs.fetch_add(1, Ordering::Relaxed) == 0;
            let _run = Run(&self.runs);
            // Where others run already, the threads are awake.
            for _ in 1..if first { self.threads() } else { 1 } {
                let runs = Arc::clone(&self.runs);
                rayon::spawn(move || wait(&runs));
            }
            busy(work)
        })
    }
}

/// Does the pool's work until no run is under way.
fn wait(runs: &AtomicUsize) {
    if BUSY.get() {
        return;
    }
    busy(|| {
        while runs.load(Ordering::Acquire) > 0 {
            if rayon::yield_now() != Some(Yield::Executed) {
                std::thread::yield_now();
            }
        }
    });
}
