//! What the packed network says of the test pictures.

use signbit::{Model, Options};
use signbit_train::data::DataSet;

use super::Way;
use crate::commands::eval::each_batch;
use crate::failure::Failure;
use crate::files::BATCH;

/// A test picture that the network takes for something else.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wrong {
    /// The picture.
    pub(super) index: usize,
    pub(super) truth: usize,
    pub(super) said: usize,
    /// Softmax of the class that was said.
    pub(super) probability: f32,
}

/// All answers.
pub(super) struct Answers {
    /// Row: the class; column: what the network says.
    pub(super) confusion: Vec<Vec<u64>>,
    /// The wrong ones, the surest first.
    pub(super) wrong: Vec<Wrong>,
    pub(super) pictures: usize,
}

impl Answers {
    pub(super) fn right(&self) -> usize {
        self.pictures - self.wrong.len()
    }

    /// Share of right answers.
    pub(super) fn accuracy(&self) -> f64 {
        self.right() as f64 / self.pictures.max(1) as f64
    }

    /// Right answers and pictures of a class.
    pub(super) fn of_class(&self, class: usize) -> (u64, u64) {
        let row = &self.confusion[class];
        (row[class], row.iter().sum())
    }

    /// The most frequent mistakes as (class, said, how often), the most frequent first.
    pub(super) fn mistakes(&self) -> Vec<(usize, usize, u64)> {
        let cells = self.confusion.iter().enumerate();
        let mut all: Vec<_> = cells
            .flat_map(|(truth, row)| row.iter().enumerate().map(move |(said, &n)| (truth, said, n)))
            .filter(|&(truth, said, n)| truth != said && n > 0)
            .collect();
        all.sort_by_key(|&(truth, said, n)| (std::cmp::Reverse(n), truth, said));
        all
    }
}

/// Runs a model on all test pictures. It has an output for each class of the data.
pub(super) fn of(model: &Model, data: &DataSet, way: Way) -> Result<Answers, Failure> {
    let test = &data.test;
    let mut session =
        model.session(Options { isa: way.isa, threads: way.threads, batch: BATCH, ..Options::default() })?;
    let outputs = session.output_type().shape.elements();
    let mut confusion = vec![vec![0; outputs]; data.classes.len()];
    let mut wrong = Vec::new();
    each_batch(model, &mut session, test, |indices, scores| {
        for (&index, scores) in indices.iter().zip(scores.chunks_exact(outputs)) {
            let truth = test.labels[index] as usize;
            let (said, probability) = surest(scores);
            confusion[truth][said] += 1;
            if said != truth {
                wrong.push(Wrong { index, truth, said, probability });
            }
        }
    })?;
    wrong.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.index.cmp(&b.index)));
    Ok(Answers { confusion, wrong, pictures: test.len() })
}

/// The first of the highest scores, and its softmax.
fn surest(scores: &[f32]) -> (usize, f32) {
    let better = |best: usize, i: usize| if scores[i] > scores[best] { i } else { best };
    let said = (1..scores.len()).fold(0, better);
    let sum: f32 = scores.iter().map(|score| (score - scores[said]).exp()).sum();
    (said, 1.0 / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_class_and_its_probability() {
        let (said, probability) = surest(&[0.0, 3_f32.ln(), 0.0]);
        assert_eq!(said, 1);
        assert!((probability - 0.6).abs() < 1e-6, "{probability}");
        assert_eq!(surest(&[1000.0, 1000.0]), (0, 0.5));
    }

    #[test]
    fn mistakes_are_ordered() {
        let confusion = vec![vec![5, 1, 0], vec![2, 7, 1], vec![0, 0, 9]];
        let answers = Answers { confusion, wrong: vec![], pictures: 25 };
        assert_eq!(answers.mistakes(), [(1, 0, 2), (0, 1, 1), (1, 2, 1)]);
        assert_eq!(answers.of_class(1), (7, 10));
    }
}
