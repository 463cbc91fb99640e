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
    /// `None` where no output is a number.
    pub(super) said: Option<usize>,
    /// Softmax of the class that was said, 0 where there is none.
    pub(super) probability: f32,
}

/// All answers.
pub(super) struct Answers {
    /// Row: the class; column: what the network says.
    pub(super) confusion: Vec<Vec<u64>>,
    /// By class: pictures for which no output is a number.
    pub(super) without_class: Vec<u64>,
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
        (row[class], row.iter().sum::<u64>() + self.without_class[class])
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
    let mut without_class = vec![0; data.classes.len()];
    let mut wrong = Vec::new();
    each_batch(model, &mut session, test, |indices, scores| {
        for (&index, scores) in indices.iter().zip(scores.chunks_exact(outputs)) {
            let truth = test.labels[index] as usize;
            let Some((said, probability)) = surest(scores) else {
                without_class[truth] += 1;
                wrong.push(Wrong { index, truth, said: None, probability: 0.0 });
                continue;
            };
            confusion[truth][said] += 1;
            if said != truth {
                wrong.push(Wrong { index, truth, said: Some(said), probability });
            }
        }
    })?;
    wrong.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.index.cmp(&b.index)));
    Ok(Answers { confusion, without_class, wrong, pictures: test.len() })
}

/// The first of the highest scores, and its softmax among those that are numbers; `None` where none is.
fn surest(scores: &[f32]) -> Option<(usize, f32)> {
    let numbers = || scores.iter().copied().enumerate().filter(|(_, score)| !score.is_nan());
    let (said, best) = numbers().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    // The difference of two infinities would be no number.
    let sum: f32 = numbers().map(|(_, score)| if score == best { 1.0 } else { (score - best).exp() }).sum();
    Some((said, 1.0 / sum))
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;
    use signbit_train::loss::classes_of;
    use signbit_train::tensor::Tensor;

    use super::*;

    #[test]
    fn the_surest_class_and_its_probability() {
        let (said, probability) = surest(&[0.0, 3_f32.ln(), 0.0]).unwrap();
        assert_eq!(said, 1);
        assert!((probability - 0.6).abs() < 1e-6, "{probability}");
        assert_eq!(surest(&[1000.0, 1000.0]), Some((0, 0.5)));
    }

    /// The class is that of every other count.
    #[test]
    fn what_is_no_number_is_never_said() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let rows = [[nan, 1.0, 1.0], [2.0, nan, 1.0], [nan, nan, -inf], [1.0, inf, nan], [-inf; 3], [nan; 3]];
        let classes = classes_of(&Tensor::new(6, Shape::vector(3), rows.concat())).collect::<Vec<_>>();
        let said = rows.map(|row| surest(&row));
        assert_eq!(said.map(|said| said.map_or(u32::MAX, |(class, _)| class as u32)), classes[..]);
        let probabilities = said.map(|said| said.map_or(0.0, |(_, probability)| probability));
        assert_eq!([0, 2, 3, 4, 5].map(|i| probabilities[i]), [0.5, 1.0, 1.0, 1.0 / 3.0, 0.0]);
    }

    #[test]
    fn mistakes_are_ordered() {
        let confusion = vec![vec![5, 1, 0], vec![2, 7, 1], vec![0, 0, 9]];
        let answers = Answers { confusion, without_class: vec![0, 3, 0], wrong: vec![], pictures: 28 };
        assert_eq!(answers.mistakes(), [(1, 0, 2), (0, 1, 1), (1, 2, 1)]);
        assert_eq!(answers.of_class(1), (7, 13));
    }
}
