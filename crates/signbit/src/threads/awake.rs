//! The other threads of a session: a rayon pool that stays awake for as long as a run lasts.
//!
//! A thread of rayon without work falls asleep after some microseconds, and waking it takes tens of them: as long as a
//! step. So the threads look for work in a loop from a run's beginning to its end. The caller's thread is one of those that
//! work: were it to sleep meanwhile, there would be a thread more than cores, and two of them at times on one.

use std::cell::Cell;
use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{Scope, ThreadPool, ThreadPoolBuilder, Yield};

use crate::Error;

/// Rounds of waiting for another thread's piece before the core is offered to others.
const ROUNDS: usize = 10_000;

/// Rounds of looking for work before the core is offered to others: some tens of microseconds, so that it is not lost
/// between two steps. Another program on it, however low its priority, would have it for longer than a step takes.
const IDLE_ROUNDS: usize = 1_000;

thread_local! {
    /// Whether this thread is in the loop already.
    static AWAKE: Cell<bool> = const { Cell::new(false) };
}

/// The threads beside the caller's.
#[derive(Debug)]
pub(super) struct Pool {
    pool: ThreadPool,
    /// Runs that are under way.
    runs: Arc<AtomicUsize>,
}

/// What is under way, counted down at its end, be it a panic.
struct Run<'a>(&'a AtomicUsize);

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Pool {
    /// `threads`, at least 2, with the caller's.
    pub(super) fn new(threads: usize) -> Result<Self, Error> {
        let pool = ThreadPoolBuilder::new().num_threads(threads - 1).build();
        Ok(Self { pool: pool.map_err(|error| Error::ThreadPool(error.to_string()))?, runs: Arc::default() })
    }

    /// The threads with the caller's.
    pub(super) fn threads(&self) -> usize {
        self.pool.current_num_threads() + 1
    }

    /// Runs `work` with the threads awake; a caller in a rayon pool has those of that pool.
    pub(super) fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        if rayon::current_thread_index().is_some() {
            return work();
        }
        let first = self.runs.fetch_add(1, Ordering::Relaxed) == 0;
        let _run = Run(&self.runs);
        // Where others run already, the threads are awake.
        for _ in 1..if first { self.threads() } else { 1 } {
            let runs = Arc::clone(&self.runs);
            self.pool.spawn(move || stay_awake(&runs));
        }
        work()
    }

    /// Calls `work` on the caller's thread and on the others, and returns when all have come back. Which of them find
    /// something to do is for `work` to see to.
    pub(super) fn share(&self, work: impl Fn() + Sync) {
        let others = self.threads() - 1;
        let away = AtomicUsize::new(others);
        match rayon::current_thread_index() {
            Some(_) => rayon::in_place_scope(|scope| send(scope, others, &work, &away)),
            None => self.pool.in_place_scope(|scope| {
                send(scope, others, &work, &away);
                // The end of the scope would fall asleep.
                let mut rounds = 0;
                while away.load(Ordering::Acquire) > 0 {
                    rounds += 1;
                    if rounds < ROUNDS { hint::spin_loop() } else { std::thread::yield_now() }
                }
            }),
        }
    }
}

/// Calls `work` here and on so many others, which count down `away` when they come back.
fn send<'scope>(scope: &Scope<'scope>, others: usize, work: &'scope (impl Fn() + Sync), away: &'scope AtomicUsize) {
    for _ in 0..others {
        scope.spawn(move |_| {
            let _back = Run(away);
            work();
        });
    }
    work();
}

/// Does the pool's work until no run is under way.
fn stay_awake(runs: &AtomicUsize) {
    if AWAKE.replace(true) {
        return;
    }
    let mut idle = 0;
    while runs.load(Ordering::Acquire) > 0 {
        if rayon::yield_now() == Some(Yield::Executed) {
            idle = 0;
        } else if idle < IDLE_ROUNDS {
            idle += 1;
            hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
    AWAKE.set(false);
}
