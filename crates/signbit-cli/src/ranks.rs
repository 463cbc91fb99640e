//! One training by all processes that `mpirun` has started: who speaks, who writes, and how they end together.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use signbit_train::ranks::{Exchange, gather_one};

use crate::failure::Failure;

/// How long a process other than the first waits before it tells of a failure, which the first may tell of too: then
/// `mpirun` ends this one meanwhile.
const COURTESY: Duration = Duration::from_secs(2);
/// How long a step may take after SIGTERM before the first process says that it may not end.
const PATIENCE: Duration = Duration::from_millis(500);

/// A number that an MPI library's starter gives to its processes.
fn given(names: [&str; 2]) -> Option<usize> {
    names.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// This process among those of a training.
pub(crate) struct Ranks {
    exchange: Arc<dyn Exchange>,
    /// Set when this process has nothing to wait for any more.
    ended: Arc<AtomicBool>,
}

impl Ranks {
    /// Joins the others, where `mpirun` has started several processes; `None` where this one is alone.
    pub(crate) fn join() -> Result<Option<Self>, Failure> {
        match given(["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]) {
            Some(size) if size > 1 => Self::of(size),
            _ => Ok(None),
        }
    }

    #[cfg(feature = "mpi")]
    fn of(_: usize) -> Result<Option<Self>, Failure> {
        let exchange = Arc::new(signbit_train::ranks::mpi::Mpi::join()?);
        if exchange.rank() > 0 {
            crate::output::be_quiet(true);
        }
        Ok((exchange.size() > 1).then(|| Self { exchange, ended: Arc::default() }))
    }

    #[cfg(not(feature = "mpi"))]
    fn of(size: usize) -> Result<Option<Self>, Failure> {
        if given(["OMPI_COMM_WORLD_RANK", "PMI_RANK"]).unwrap_or(0) > 0 {
            sleep(COURTESY);
            return Err(Failure::Told(ExitCode::from(2)));
        }
        Err(Failure::input(format!(
            "this is one of {size} processes, but this signbit was built without MPI; `cargo build --release --features mpi` \
             builds it with (the book's page on several machines says what that needs)"
        )))
    }

    /// The way to the other processes.
    pub(crate) fn exchange(&self) -> &Arc<dyn Exchange> {
        &self.exchange
    }

    /// Whether this process is the one that speaks and writes.
    pub(crate) fn is_first(&self) -> bool {
        self.exchange.rank() == 0
    }

    /// What was prepared, if all processes have prepared the same; else all of them end, and one says why.
    pub(crate) fn agree<T>(&self, prepared: Result<T, Failure>, fingerprint: impl Fn(&T) -> u32) -> Result<T, Failure> {
        let failed = gather_one(&*self.exchange, prepared.is_err().into());
        let fingerprints = gather_one(&*self.exchange, prepared.as_ref().map_or(0, fingerprint));
        let rank = self.exchange.rank();
        let failure = match (prepared, failed.iter().position(|failed| *failed != 0)) {
            (Err(failure), Some(first)) if first == rank => self.named(failure),
            (_, Some(_)) => Failure::Told(ExitCode::from(2)),
            (Ok(prepared), _) => match fingerprints.iter().position(|other| *other != fingerprints[0]) {
                None => return Ok(prepared),
                Some(other) if rank == 0 => Failure::input(format!(
                    "process {other} begins with another recipe, data or checkpoint than process 0; all need the same files"
                )),
                Some(_) => Failure::Told(ExitCode::from(2)),
            },
            (Err(failure), None) => failure,
        };
        Err(self.leave(failure))
    }

    /// A failure with the process that it happened to, unless that is the first.
    fn named(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Input(message) if !self.is_first() => {
                Failure::Input(format!("process {}: {message}", self.exchange.rank()))
            }
            failure => failure,
        }
    }

    /// Tells of a failure that all processes end with, and waits until they do.
    fn leave(&self, failure: Failure) -> Failure {
        self.ended.store(true, Ordering::Relaxed);
        let code = failure.report();
        self.exchange.leave();
        Failure::Told(code)
    }

    /// Ends as the training has ended.
    pub(crate) fn end(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        match result {
            Ok(()) => {
                self.ended.store(true, Ordering::Relaxed);
                self.exchange.leave();
                Ok(())
            }
            // All processes have stopped after the same step.
            Err(Failure::Stopped(message)) if self.is_first() => Err(self.leave(Failure::Stopped(message))),
            Err(Failure::Stopped(_)) => Err(self.leave(Failure::Told(ExitCode::from(crate::interrupt::CODE)))),
            // The others may be waiting for this one: it does not wait for them, and `mpirun` ends them.
            Err(failure) => {
                if !self.is_first() && !matches!(failure, Failure::Told(_)) {
                    sleep(COURTESY);
                }
                Err(self.named(failure))
            }
        }
    }

    /// Says how the training goes on where it cannot end by itself: a process that has died leaves the others waiting for
    /// it until `mpirun`, which has sent SIGTERM, kills them.
    pub(crate) fn watch(&self, stop: &Arc<AtomicBool>, run: &Path) {
        if !self.is_first() {
            return;
        }
        let (stop, ended, run) = (stop.clone(), self.ended.clone(), run.to_owned());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(50));
            }
            sleep(PATIENCE);
            if !ended.load(Ordering::Relaxed) {
                let line = format!(
                    "{}: the training is ended, as a process of it has died or a step takes long; the last checkpoint is whole, \
                     the same command with --resume goes on",
                    run.display()
                );
                Failure::Stopped(line).report();
            }
        });
    }
}
