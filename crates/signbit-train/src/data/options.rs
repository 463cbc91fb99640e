//! What a recipe says of its data: where it is, and how pictures in folders become pictures of one size.

use serde::{Deserialize, Serialize};

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
