//! What a recipe says of its data: where it is, and how pictures in folders become pictures of one size.

use serde::{Deserialize, Serialize};

use crate::range::{MAX_SEED, OutOfRange, SEEDS};

/// Longest side of a network's picture.
const MAX_SIDE: usize = 4_096;

/// Where the data is and how it is brought into shape. Sets of one size (IDX, CIFAR, NPZ) need none of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataOptions {
    /// Name of a set or path, where the command line gives none; "" for none.
    pub source: String,
    /// Height and width that pictures of a folder are resized to.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (red, green, blue); 0 takes colour where a picture of the folder has it.
    pub channels: usize,
    /// Keep the proportions and cut the centre out, instead of stretching.
    pub crop: bool,
    /// Share of the pictures kept for the test, of each class, where no part is named test.
    pub test_share: f32,
    /// Decides which pictures these are.
    pub split_seed: u64,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self { source: String::new(), size: [32, 32], channels: 0, crop: true, test_share: 0.2, split_seed: 0 }
    }
}

impl DataOptions {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first that is out of range.
    pub fn validate(&self) -> Result<(), OutOfRange> {
        for side in self.size {
            OutOfRange::unless((1..=MAX_SIDE).contains(&side), "size of the pictures", side, "from 1 to 4096 pixels")?;
        }
        let wanted = "1 (grey), 3 (colour) or 0 (colour where a picture has it)";
        OutOfRange::unless([0, 1, 3].contains(&self.channels), "number of channels", self.channels, wanted)?;
        let share = self.test_share;
        OutOfRange::unless(share > 0.0 && share < 1.0, "test share", share, "above 0 and below 1")?;
        OutOfRange::unless(self.split_seed <= MAX_SEED, "seed of the split", self.split_seed, SEEDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_out_of_range_is_named() {
        let good = DataOptions::default();
        assert!(good.validate().is_ok());
        let bad = [
            ("size", DataOptions { size: [32, 0], ..good.clone() }),
            ("size", DataOptions { size: [4097, 32], ..good.clone() }),
            ("channels", DataOptions { channels: 2, ..good.clone() }),
            ("test share", DataOptions { test_share: 0.0, ..good.clone() }),
            ("test share", DataOptions { test_share: 1.0, ..good.clone() }),
            ("test share", DataOptions { test_share: f32::NAN, ..good.clone() }),
        ];
        for (word, options) in bad {
            let message = options.validate().unwrap_err().to_string();
            assert!(message.contains(word), "{word}: {message}");
        }
    }
}
