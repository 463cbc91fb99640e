//! Numbers that must lie in a range: one message for all of them.

use std::fmt::Display;

/// Largest seed: TOML's integers, in which recipes are written, are those of `i64`.
pub(crate) const MAX_SEED: u64 = i64::MAX as u64;
/// In words.
pub(crate) const SEEDS: &str = "at most 9223372036854775807";

/// A number that is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {value}; it must be {range}")]
pub struct OutOfRange {
    /// Which number.
    pub what: &'static str,
    /// What was given.
    pub value: String,
    /// What is allowed.
    pub range: &'static str,
}

impl OutOfRange {
    /// An error unless the number is within its range.
    pub(crate) fn unless(
        within: bool,
        what: &'static str,
        value: impl Display,
        range: &'static str,
    ) -> Result<(), Self> {
        if within { Ok(()) } else { Err(Self { what, value: value.to_string(), range }) }
    }
}
