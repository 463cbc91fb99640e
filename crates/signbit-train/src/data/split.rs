//! The test part of data that names none: of each class the same share, chosen by a seed.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::DataOptions;

/// Indices for training and for the test, each in rising order.
pub(super) struct Split {
    pub(super) train: Vec<usize>,
    pub(super) test: Vec<usize>,
}

/// Splits samples of classes `0..classes`. Each class leaves at least one sample in each part. A class's choice depends
/// on the seed, the class and its number of samples alone.
///
/// # Errors
/// The first class with a single sample.
pub(super) fn stratified(labels: &[u32], classes: usize, options: &DataOptions) -> Result<Split, usize> {
    let mut of_class = vec![Vec::new(); classes];
    for (i, &label) in labels.iter().enumerate() {
        of_class[label as usize].push(i);
    }
    let mut split = Split { train: Vec::new(), test: Vec::new() };
    for (class, indices) in of_class.iter_mut().enumerate() {
        let n = indices.len();
        if n == 0 {
            continue;
        }
        if n == 1 {
            return Err(class);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(options.split_seed);
        rng.set_stream(class as u64);
        indices.shuffle(&mut rng);
        let test = (n as f64 * f64::from(options.test_share)).round() as usize;
        let (test, train) = indices.split_at(test.clamp(1, n - 1));
        split.test.extend(test);
        split.train.extend(train);
    }
    split.train.sort_unstable();
    split.test.sort_unstable();
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[u32], test_share: f32, split_seed: u64) -> Split {
        stratified(labels, 3, &DataOptions { test_share, split_seed, ..DataOptions::default() }).unwrap()
    }

    #[test]
    fn each_class_gives_its_share() {
        let labels = [[0; 50], [2; 50]].concat();
        let split = of(&labels, 0.2, 0);
        assert_eq!((split.train.len(), split.test.len()), (80, 20));
        assert_eq!(split.test.iter().filter(|&&i| i < 50).count(), 10);
        let mut all = [split.train, split.test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_seed_decides() {
        let labels = [0; 100];
        assert_eq!(of(&labels, 0.2, 1).test, of(&labels, 0.2, 1).test);
        assert_ne!(of(&labels, 0.2, 1).test, of(&labels, 0.2, 2).test);
    }

    #[test]
    fn both_parts_get_one_of_each_class() {
        for share in [0.001, 0.999] {
            let split = of(&[0, 0, 1, 1], share, 0);
            assert_eq!((split.train.len(), split.test.len()), (2, 2));
        }
        assert_eq!(stratified(&[0, 0, 1], 2, &DataOptions::default()).err(), Some(1));
    }
}
