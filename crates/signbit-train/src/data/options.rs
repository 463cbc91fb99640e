//! What a recipe says of its data: where it is, and how pictures in folders become pictures of one size.

use serde::{Deserialize, Serialize};

use super::DataError;

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
    /// [`DataError::Range`] for the first that is out of range.
    pub fn validate(&self) -> Result<(), DataError> {
        let range = |what, value: String, range| Err(DataError::Range { what, value, range });
        if let Some(side) = self.size.iter().find(|side| !(1..=MAX_SIDE).contains(*side)) {
            return range("size of the pictures", side.to_string(), "from 1 to 4096 pixels");
        }
        if ![0, 1, 3].contains(&self.channels) {
            let wanted = "1 (grey), 3 (colour) or 0 (colour where a picture has it)";
            return range("number of channels", self.channels.to_string(), wanted);
        }
        if !(self.test_share > 0.0 && self.test_share < 1.0) {
            return range("test share", self.test_share.to_string(), "above 0 and below 1");
        }
        Ok(())
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
