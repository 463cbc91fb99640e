//! Who does the work: the caller's thread, or a pool of threads of the session's own.

use crate::Error;

/// Work below this many nanoseconds (by [`crate::plan::Step::nanoseconds`]) stays on one thread: waking the
/// others takes about as long.
#[cfg(feature = "rayon")]
const WORTH_SHARING: f64 = 50_000.0;

/// Elements that a step with an epilogue computes before the epilogue runs over them: few enough to be still
/// in the cache, enough to keep the kernels' start negligible.
const CACHED: usize = 8 * 1024;

/// The threads of a session.
#[derive(Debug)]
pub(crate) struct Workers {
    /// Steps of an estimated time below this many nanoseconds stay on one thread.
    #[cfg(feature = "rayon")]
    worth_sharing: f64,
    #[cfg(feature = "rayon")]
    pool: Option<rayon::ThreadPool>,
}

impl Workers {
    #[cfg(feature = "rayon")]
    pub(crate) fn new(threads: usize) -> Result<Self, Error> {
        let pool = match threads {
            0 => return Err(Error::NoThreads),
            1 => None,
            _ => {
                let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
                Some(builder.build().map_err(|error| Error::ThreadPool(error.to_string()))?)
            }
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

    /// Calls `f` with the number of its first row and the rows themselves, for all rows of `out`.
    pub(crate) fn for_rows<T: Send>(&self, out: &mut [T], rows: Rows, f: impl Fn(usize, &mut [T]) + Send + Sync) {
        let total = out.len() / rows.len;
        let cached = if rows.in_cache { (CACHED / rows.len).max(1) } else { total.max(1) };
        #[cfg(feature = "rayon")]
        if let Some(pool) = &self.pool
            && rows.nanoseconds >= self.worth_sharing
            && total > 1
        {
            use rayon::prelude::*;
            // Two pieces per thread even out what the operating system takes away.
            let piece = total.div_ceil(pool.current_num_threads() * 2).min(cached);
            let pieces = out.par_chunks_mut(piece * rows.len).enumerate();
            return pool.install(|| pieces.for_each(|(i, out)| f(i * piece, out)));
        }
        for (i, out) in out.chunks_mut(cached * rows.len).enumerate() {
            f(i * cached, out);
        }
    }
}

/// How the output of a step may be cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    /// Elements of a row, at least 1.
    pub(crate) len: usize,
    /// Whether a piece should stay small enough for the cache.
    pub(crate) in_cache: bool,
    /// Estimated time of the whole step on one thread.
    #[cfg_attr(not(feature = "rayon"), expect(dead_code, reason = "nothing is shared"))]
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
            for (total, in_cache, nanoseconds) in
                [(0, false, 1e9), (1, true, 1e9), (7, false, 1e9), (40_000, true, 1e9), (5, true, 0.0)]
            {
                let mut out = vec![usize::MAX; total * 3];
                workers.for_rows(&mut out, Rows { len: 3, in_cache, nanoseconds }, |first, out| {
                    out.iter_mut().enumerate().for_each(|(i, out)| *out = first * 3 + i);
                });
                assert!(out.iter().enumerate().all(|(i, &out)| i == out), "{threads} threads, {total} rows");
            }
        }
    }
}
