//! Who does the work: the caller's thread, with it others of the session's own or of the rayon pool that the caller is in
//! already.

#[cfg(feature = "rayon")]
mod awake;

#[cfg(feature = "rayon")]
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// Work below this many nanoseconds (by [`crate::plan::Step::nanoseconds`]) stays on one thread: waking the
/// others takes about as long.
#[cfg(feature = "rayon")]
const WORTH_SHARING: f64 = 50_000.0;

/// Elements that a step with an epilogue computes before the epilogue runs over them: few enough to be still
/// in the second-level cache, enough that kernels read their weights seldom.
const CACHED: usize = 32 * 1024;

/// The threads of a session.
#[derive(Debug)]
pub(crate) struct Workers {
    /// Steps of an estimated time below this many nanoseconds stay on one thread.
    #[cfg(feature = "rayon")]
    worth_sharing: f64,
    #[cfg(feature = "rayon")]
    pool: Option<awake::Pool>,
}

impl Workers {
    #[cfg(feature = "rayon")]
    pub(crate) fn new(threads: usize) -> Result<Self, Error> {
        let pool = match threads {
            0 => return Err(Error::NoThreads),
            1 => None,
            _ => Some(awake::Pool::new(threads)?),
        };
        Ok(Self { pool, worth_sharing: WORTH_SHARING })
    }

    #[cfg(not(feature = "rayon"))]
    pub(crate) fn new(threads: usize) -> Result<Self, Error> {
        match threads {
            0 => Err(Error::NoThreads),
            1 => Ok(Self {}),
            _ => Err(Error::ThreadsFeature { threads }),
        }
    }

    /// The same threads, which share the smallest step too.
    #[cfg_attr(not(feature = "rayon"), expect(unused_mut, reason = "one thread shares nothing"))]
    pub(crate) fn sharing_small_steps(mut self) -> Self {
        #[cfg(feature = "rayon")]
        {
            self.worth_sharing = 0.0;
        }
        self
    }

    /// Runs `work`, steps of these estimated times, where they can be shared: with the session's threads awake, which are
    /// woken once for all of them. A caller who is in a rayon pool shares with its threads, so that no more run than that
    /// pool has.
    pub(crate) fn enter<R>(&self, mut nanoseconds: impl Iterator<Item = f64>, work: impl FnOnce() -> R) -> R {
        #[cfg(feature = "rayon")]
        if let Some(pool) = &self.pool
            && nanoseconds.any(|nanoseconds| nanoseconds >= self.worth_sharing)
        {
            return pool.enter(work);
        }
        let _ = &mut nanoseconds;
        work()
    }

    /// How many threads share a step of this estimated time.
    fn sharers(&self, nanoseconds: f64) -> usize {
        #[cfg(feature = "rayon")]
        if let Some(pool) = &self.pool
            && nanoseconds >= self.worth_sharing
        {
            return pool.threads();
        }
        let _ = nanoseconds;
        1
    }

    /// Calls `f` with the number of its first element and the elements themselves, for all parts of `out`, the one pixel
    /// of a layer's output. It has `units` times `unit` elements and fewer than one unit more; a part begins at a unit and
    /// has at least one.
    pub(crate) fn for_channels<T: Send>(
        &self,
        out: &mut [T],
        [units, unit]: [usize; 2],
        nanoseconds: f64,
        f: impl Fn(usize, &mut [T]) + Send + Sync,
    ) {
        let mut parts = self.sharers(nanoseconds).min(units);
        if parts < 2 {
            return f(0, out);
        }
        // The last part is one of the largest, so it has a unit and what is left over.
        let size = |left: usize| {
            parts -= 1;
            left / (parts + 1)
        };
        self.in_pieces(out, unit, Ends::First, size, f);
    }

    /// Cuts `out` into pieces and calls `f` for each with the number of its first element, on whichever thread is free.
    /// `size` says of how many units the next piece is, at least 1, given those that are left; the last unit may be shorter.
    /// From both `ends`, each of two threads has the same half in every step, and finds what it made in the step before in
    /// its own cache.
    fn in_pieces<T: Send>(
        &self,
        out: &mut [T],
        unit: usize,
        ends: Ends,
        size: impl FnMut(usize) -> usize + Send,
        f: impl Fn(usize, &mut [T]) + Send + Sync,
    ) {
        #[cfg(feature = "rayon")]
        if let Some(pool) = &self.pool {
            let rest = Mutex::new((0, out, size));
            let next = |from_behind: bool| {
                let mut rest = rest.lock().unwrap_or_else(PoisonError::into_inner);
                let (first, left, size) = &mut *rest;
                if left.is_empty() {
                    return None;
                }
                let units = left.len().div_ceil(unit);
                let taken = size(units).min(units);
                let all = std::mem::take(left);
                if from_behind {
                    let (before, piece) = all.split_at_mut((units - taken) * unit);
                    *left = before;
                    return Some((*first + left.len(), piece));
                }
                let (piece, behind) = all.split_at_mut((taken * unit).min(all.len()));
                let start = *first;
                (*first, *left) = (start + piece.len(), behind);
                Some((start, piece))
            };
            return pool.share(|| {
                // The caller's thread is in no pool, or all are in the caller's.
                let number = rayon::current_thread_index().map_or(0, |index| index + 1);
                let from_behind = ends == Ends::Both && number % 2 == 1;
                while let Some((first, piece)) = next(from_behind) {
                    f(first, piece);
                }
            });
        }
        let _ = (unit, ends, size);
        f(0, out);
    }

    /// Calls `f` with the number of its first row and the rows themselves, for all rows of `out`.
    pub(crate) fn for_rows<T: Send>(&self, out: &mut [T], rows: Rows, f: impl Fn(usize, &mut [T]) + Send + Sync) {
        let total = out.len() / rows.len;
        let cached = if rows.in_cache { (CACHED / rows.len).max(1) } else { total.max(1) };
        let cached = cached.next_multiple_of(rows.unit);
        if let threads @ 2.. = self.sharers(rows.nanoseconds)
            && total > 1
        {
            // Half of each thread's share of what is left: pieces get smaller, so that all threads end at about the same
            // time, whatever the operating system takes away from one of them.
            let size = |left: usize| left.div_ceil(2 * threads).min(cached / rows.unit);
            return self.in_pieces(out, rows.unit * rows.len, Ends::Both, size, |first, out| f(first / rows.len, out));
        }
        for (i, out) in out.chunks_mut(cached * rows.len).enumerate() {
            f(i * cached, out);
        }
    }
}

/// Where the next piece is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// At the beginning of what is left.
    First,
    /// There by every second thread, at the end by the others.
    Both,
}

/// How the output of a step may be cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    /// Elements of a row, at least 1.
    pub(crate) len: usize,
    /// Rows that a kernel makes together, at least 1.
    pub(crate) unit: usize,
    /// Whether a piece should stay small enough for the cache.
    pub(crate) in_cache: bool,
    /// Estimated time of the whole step on one thread.
    pub(crate) nanoseconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_threads() {
        assert!(matches!(Workers::new(0), Err(Error::NoThreads)));
    }

    #[cfg(not(feature = "rayon"))]
    #[test]
    fn threads_need_the_feature() {
        let error = Workers::new(2).unwrap_err();
        assert!(matches!(error, Error::ThreadsFeature { threads: 2 }));
        assert!(error.to_string().contains("feature `rayon`"));
    }

    /// Every row exactly once and with its own number, however the rows are cut.
    #[test]
    fn every_row_once() {
        let threads: &[usize] = if cfg!(feature = "rayon") { &[1, 2, 3] } else { &[1] };
        for &threads in threads {
            let workers = Workers::new(threads).unwrap();
            for (total, unit, in_cache, nanoseconds) in [
                (0, 1, false, 1e9),
                (1, 1, true, 1e9),
                (1, 3, true, 1e9),
                (7, 1, false, 1e9),
                (7, 3, false, 1e9),
                (40_000, 1, true, 1e9),
                (40_000, 7, true, 1e9),
                (5, 1, true, 0.0),
                (5, 4, true, 0.0),
            ] {
                let mut out = vec![usize::MAX; total * 3];
                workers.enter(std::iter::once(1e9), || {
                    workers.for_rows(&mut out, Rows { len: 3, unit, in_cache, nanoseconds }, |first, out| {
                        assert!(first.is_multiple_of(unit), "row {first} does not begin {unit} of them");
                        out.iter_mut().enumerate().for_each(|(i, out)| *out = first * 3 + i);
                    });
                });
                assert!(out.iter().enumerate().all(|(i, &out)| i == out), "{threads} threads, {total} rows");
            }
        }
    }

    /// Every channel exactly once, in parts that are whole units but the last, which is at least one.
    #[test]
    fn every_channel_once() {
        let threads: &[usize] = if cfg!(feature = "rayon") { &[1, 2, 3, 8] } else { &[1] };
        for &threads in threads {
            let workers = Workers::new(threads).unwrap();
            for (len, units, unit) in [(1, 0, 64), (64, 1, 64), (127, 1, 64), (1000, 15, 64), (5, 4, 1), (2, 1, 1)] {
                let mut out = vec![usize::MAX; len];
                workers.enter(std::iter::once(1e9), || {
                    workers.for_channels(&mut out, [units, unit], 1e9, |first, out| {
                        assert!(first.is_multiple_of(unit) && out.len() >= unit.min(len), "{first}: {}", out.len());
                        out.iter_mut().enumerate().for_each(|(i, out)| *out = first + i);
                    });
                });
                assert!(out.iter().enumerate().all(|(i, &out)| i == out), "{threads} threads, {len} channels");
            }
        }
    }

    /// Each of two threads that take turns has half of the rows, however few.
    #[cfg(feature = "rayon")]
    #[test]
    fn pieces_get_smaller() {
        let workers = Workers::new(2).unwrap();
        for (total, len, in_cache) in [(56, 1792, true), (28, 1792, true), (14, 3584, true), (14, 100, false)] {
            let pieces = Mutex::new(Vec::new());
            workers.enter(std::iter::once(1e9), || {
                workers.for_rows(
                    &mut vec![0; total * len],
                    Rows { len, unit: 1, in_cache, nanoseconds: 1e9 },
                    |first, out| {
                        pieces.lock().unwrap().push((first, out.len() / len));
                    },
                );
            });
            let mut pieces = pieces.into_inner().unwrap();
            // In the order of time: none is larger than the one before.
            pieces.sort_unstable_by_key(|(_, rows)| std::cmp::Reverse(*rows));
            let mut busy = [0, 0];
            for (_, rows) in pieces {
                *busy.iter_mut().min().unwrap() += rows;
            }
            assert_eq!(busy, [total / 2; 2], "{total} rows of {len}");
        }
    }

    /// The caller has the first rows and the other thread the rest, however many each gets to: in every step the same half.
    #[cfg(feature = "rayon")]
    #[test]
    fn two_threads_keep_to_their_ends() {
        let workers = Workers::new(2).unwrap();
        let caller = std::thread::current().id();
        for (total, unit) in [(56, 1), (13, 4), (7, 1)] {
            let mut out = vec![None; total * 3];
            workers.enter(std::iter::once(1e9), || {
                workers.for_rows(&mut out, Rows { len: 3, unit, in_cache: false, nanoseconds: 1e9 }, |_, out| {
                    out.fill(Some(std::thread::current().id() == caller));
                });
            });
            assert!(out.iter().all(Option::is_some) && out.is_sorted_by(|a, b| a >= b), "{total} rows: {out:?}");
        }
    }

    /// In a caller's pool the work stays with its threads, and a session of one thread stays on the caller's.
    #[cfg(feature = "rayon")]
    #[test]
    fn a_callers_pool_is_kept_to() {
        let callers = rayon::ThreadPoolBuilder::new().num_threads(2).thread_name(|_| "caller".into()).build().unwrap();
        for threads in [1, 4] {
            let workers = Workers::new(threads).unwrap();
            let mut out = vec![false; 1000];
            let here = callers.install(|| {
                workers.enter(std::iter::once(1e9), || {
                    workers.for_rows(
                        &mut out,
                        Rows { len: 1, unit: 1, in_cache: false, nanoseconds: 1e9 },
                        |_, out| {
                            out.fill(std::thread::current().name() == Some("caller"));
                        },
                    );
                    rayon::current_num_threads()
                })
            });
            assert!(here == 2 && out.iter().all(|&in_callers| in_callers), "{threads} threads");
        }
    }
}
