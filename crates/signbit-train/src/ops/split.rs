//! Where the parts of a sum over rows lie, if the rows lie with several ranks: parts that are here as a whole, and pieces
//! of such as lie with several.

use std::ops::Range;

use crate::ranks::Ranks;

/// The parts of this process' rows. All lengths are in numbers.
pub(super) struct Split<'r> {
    pub(super) part: usize,
    ranks: Option<&'r Ranks>,
    channels: usize,
    len: usize,
    /// Of all ranks' rows together.
    whole: usize,
}

/// Sums of one part, or of all: two per channel.
pub(super) type Pair = (Vec<f64>, Vec<f64>);

impl<'r> Split<'r> {
    /// Of `len` numbers here, in rows of `channels`; `part(n)` says how long a part of `n` numbers is.
    pub(super) fn new(
        ranks: Option<&'r Ranks>,
        len: usize,
        channels: usize,
        part: impl Fn(usize, usize) -> usize,
    ) -> Self {
        let whole = ranks.map_or(len, |ranks| len / ranks.own().len() * ranks.whole());
        Self { part: part(whole, channels), ranks, channels, len, whole }
    }

    /// The numbers of parts that are here as a whole. What is before and behind them are pieces.
    pub(super) fn middle(&self) -> Range<usize> {
        self.ranks.map_or(0..self.len, |ranks| self.middle_of(ranks, ranks.rank()))
    }

    /// As [`Split::middle`], for the numbers of any rank.
    fn middle_of(&self, ranks: &Ranks, rank: usize) -> Range<usize> {
        let each = self.whole / ranks.whole();
        let (start, end) = (ranks.bounds()[rank] * each, ranks.bounds()[rank + 1] * each);
        let first = start.next_multiple_of(self.part).min(end);
        let last = if end == self.whole { end } else { (end / self.part * self.part).max(first) };
        first - start..last - start
    }

    /// The sums of all parts of all ranks, added in their order. `sums` are those of the parts in the middle, `x` and `y`
    /// all numbers that are here, and `sum(x, y)` sums a part.
    pub(super) fn total(&self, sums: Vec<Pair>, x: &[f32], y: &[f32], sum: impl Fn(&[f32], &[f32]) -> Pair) -> Pair {
        let c = self.channels;
        let mut total = Total { sums: (vec![0.0; c], vec![0.0; c]) };
        let Some(ranks) = self.ranks else {
            sums.iter().for_each(|(a, b)| total.add(a, b));
            return total.sums;
        };
        let middle = self.middle();
        let mut own = Vec::new();
        let piece = |own: &mut Vec<f64>, place: Range<usize>| {
            own.extend([x, y].iter().flat_map(|numbers| &numbers[place.clone()]).map(|&x| f64::from(x)));
        };
        piece(&mut own, 0..middle.start);
        sums.iter().for_each(|(a, b)| own.extend(a.iter().chain(b)));
        piece(&mut own, middle.end..self.len);
        let each = self.whole / ranks.whole();
        let lengths: Vec<[usize; 3]> = (0..ranks.bounds().len() - 1)
            .map(|rank| {
                let (middle, samples) = (self.middle_of(ranks, rank), &ranks.bounds()[rank..rank + 2]);
                [middle.start, middle.len().div_ceil(self.part), (samples[1] - samples[0]) * each - middle.end]
            })
            .collect();
        let counts: Vec<usize> = lengths.iter().map(|[head, parts, tail]| 2 * (head + parts * c + tail)).collect();
        let mut all = vec![0.0; counts.iter().sum()];
        ranks.exchange().gather_f64(&own, &counts, &mut all);
        let (mut left, mut pending) = (&all[..], (Vec::new(), Vec::new()));
        let mut take = |n: usize| {
            let (taken, rest) = left.split_at(n);
            left = rest;
            taken
        };
        let narrow = |to: &mut Vec<f32>, from: &[f64]| to.extend(from.iter().map(|&x| x as f32));
        for (rank, [head, parts, tail]) in lengths.into_iter().enumerate() {
            narrow(&mut pending.0, take(head));
            narrow(&mut pending.1, take(head));
            let end = ranks.bounds()[rank] * each + head;
            if !pending.0.is_empty() && (end.is_multiple_of(self.part) || end == self.whole) {
                let (a, b) = sum(&pending.0, &pending.1);
                total.add(&a, &b);
                pending = (Vec::new(), Vec::new());
            }
            (0..parts).for_each(|_| total.add(take(c), take(c)));
            narrow(&mut pending.0, take(tail));
            narrow(&mut pending.1, take(tail));
        }
        total.sums
    }
}

/// Sums that grow part by part.
struct Total {
    sums: Pair,
}

impl Total {
    fn add(&mut self, first: &[f64], second: &[f64]) {
        for (total, part) in [(&mut self.sums.0, first), (&mut self.sums.1, second)] {
            total.iter_mut().zip(part).for_each(|(t, s)| *t += s);
        }
    }
}
