//! Augmentation: training pictures changed at random, anew in every epoch.

use serde::{Deserialize, Serialize};

/// How training pictures are changed before each use. All zero and false: not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Mirror half of the pictures left to right.
    pub flip: bool,
    /// Move by up to so many pixels in both directions; what comes in from outside is black.
    pub shift: u32,
    /// Change the brightness by up to this share, 0 to 1.
    pub brightness: f32,
}
