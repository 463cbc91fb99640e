//! Ranks that are threads of one process: for tests, and to see what sharing costs where talking costs nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::Exchange;

/// What is under way from each rank to each other one.
struct Post {
    letters: Mutex<Vec<VecDeque<Vec<f64>>>>,
    news: Condvar,
}

/// One of several ranks in one process. Each is handed to a thread of its own.
pub struct Threads {
    rank: usize,
    size: usize,
    post: Arc<Post>,
}

impl Threads {
    /// As many ranks.
    pub fn ranks(size: usize) -> Vec<Self> {
        let letters = Mutex::new((0..size * size).map(|_| VecDeque::new()).collect());
        let post = Arc::new(Post { letters, news: Condvar::new() });
        (0..size).map(|rank| Self { rank, size, post: post.clone() }).collect()
    }

    /// What `work` returns on each of `size` ranks, in their order.
    ///
    /// # Panics
    /// If `work` does.
    pub fn on_all<T: Send>(size: usize, work: impl Fn(Self) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let work = &work;
            let all: Vec<_> = Self::ranks(size).into_iter().map(|rank| scope.spawn(move || work(rank))).collect();
            all.into_iter().map(|thread| thread.join().expect("a rank's work")).collect()
        })
    }

    fn post(&self, to: usize, letter: Vec<f64>) {
        let mut letters = self.post.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters[self.rank * self.size + to].push_back(letter);
        self.post.news.notify_all();
    }

    fn wait_for(&self, from: usize) -> Vec<f64> {
        let mut letters = self.post.letters.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(letter) = letters[from * self.size + self.rank].pop_front() {
                return letter;
            }
            letters = self.post.news.wait(letters).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// An f64 holds every f32.
fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&x| f64::from(x)).collect()
}

fn narrow(from: &[f64], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from as f32);
}

impl Exchange for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn gather(&self, own: &[f32], counts: &[usize], all: &mut [f32]) {
        let mut every = vec![0.0; all.len()];
        self.gather_f64(&wide(own), counts, &mut every);
        narrow(&every, all);
    }

    fn gather_f64(&self, own: &[f64], counts: &[usize], all: &mut [f64]) {
        assert_eq!(own.len(), counts[self.rank], "this rank's numbers");
        (0..self.size).for_each(|to| self.post(to, own.to_vec()));
        let mut left = all;
        for (from, &count) in counts.iter().enumerate() {
            let (its, rest) = left.split_at_mut(count);
            its.copy_from_slice(&self.wait_for(from));
            left = rest;
        }
        assert!(left.is_empty(), "numbers of no rank");
    }

    fn send(&self, to: usize, numbers: &[f32]) {
        self.post(to, wide(numbers));
    }

    fn receive(&self, from: usize, numbers: &mut [f32]) {
        let letter = self.wait_for(from);
        assert_eq!(letter.len(), numbers.len(), "numbers from rank {from}");
        narrow(&letter, numbers);
    }

    fn broadcast(&self, root: usize, numbers: &mut [f32]) {
        if self.rank == root {
            (0..self.size).filter(|&to| to != root).for_each(|to| self.send(to, numbers));
        } else {
            self.receive(root, numbers);
        }
    }
}
