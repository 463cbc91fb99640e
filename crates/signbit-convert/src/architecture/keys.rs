//! The values of one TOML table. Which keys there may be is known from which were asked for.

use toml::{Table, Value};

use crate::ConvertError;

/// A table whose values are taken out one by one.
pub(super) struct Keys {
    /// Where the table stands, for messages.
    at: String,
    table: Table,
    asked: Vec<&'static str>,
}

impl Keys {
    pub(super) fn new(at: String, table: Table) -> Self {
        Self { at, table, asked: Vec::new() }
    }

    /// An error at this table.
    pub(super) fn wrong(&self, what: &str) -> ConvertError {
        ConvertError::Architecture(format!("{}: {what}", self.at))
    }

    /// A value, or `default`.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        must_be: &str,
        default: T,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, ConvertError> {
        self.asked.push(key);
        let Some(value) = self.table.remove(key) else { return Ok(default) };
        read(&value).ok_or_else(|| self.wrong(&format!("`{key}` must be {must_be}, not {}", shortened(&value))))
    }

    /// A value that must be there.
    pub(super) fn need<T>(
        &mut self,
        key: &'static str,
        must_be: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, ConvertError> {
        let value = self.or(key, must_be, None, |value| read(value).map(Some))?;
        let misspelt = || nearest(key, self.table.keys().map(String::as_str));
        value.ok_or_else(|| match misspelt() {
            Some(found) => self.wrong(&format!("`{key}` is missing; is `{found}` meant for it?")),
            None => self.wrong(&format!("`{key}` is missing, {must_be}")),
        })
    }

    /// A text, or `None`.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, ConvertError> {
        self.or(key, "a text", None, |value| value.as_str().map(|text| Some(text.to_owned())))
    }

    /// One of these words, or the first.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Result<T, ConvertError> {
        let names: Vec<_> = words.iter().map(|(name, _)| format!("{name:?}")).collect();
        let find = |value: &Value| words.iter().find(|(name, _)| value.as_str() == Some(name)).map(|&(_, t)| t);
        self.or(key, &names.join(" or "), words[0].1, find)
    }

    /// A number, or `[vertical, horizontal]`.
    pub(super) fn pair(&mut self, key: &'static str, default: [usize; 2]) -> Result<[usize; 2], ConvertError> {
        self.or(key, PAIR, default, pair)
    }

    /// Padding on four sides.
    pub(super) fn pads(&mut self, key: &'static str) -> Result<[usize; 4], ConvertError> {
        let four = |value: &Value| match pair(value) {
            Some([v, h]) => Some([v, h, v, h]),
            None => <[usize; 4]>::try_from(integers(value)?).ok(),
        };
        self.or(key, "a number, [vertical, horizontal] or [top, left, bottom, right]", [0; 4], four)
    }

    /// Refuses what was not asked for.
    pub(super) fn finish(self) -> Result<(), ConvertError> {
        let Some(key) = self.table.keys().next() else { return Ok(()) };
        let key = key.chars().take(40).collect::<String>();
        let hint = match nearest(&key, self.asked.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("there are {}", self.asked.join(", ")),
        };
        Err(self.wrong(&format!("there is no key {key:?}; {hint}")))
    }
}

/// What [`pair`] takes.
pub(super) const PAIR: &str = "a number or [vertical, horizontal]";

/// A number, or `[vertical, horizontal]`.
pub(super) fn pair(value: &Value) -> Option<[usize; 2]> {
    match integer(value) {
        Some(n) => Some([n, n]),
        None => integers(value)?.try_into().ok(),
    }
}

pub(super) fn integer(value: &Value) -> Option<usize> {
    usize::try_from(value.as_integer()?).ok()
}

pub(super) fn integers(value: &Value) -> Option<Vec<usize>> {
    value.as_array()?.iter().map(integer).collect()
}

/// A finite number.
pub(super) fn real(value: &Value) -> Option<f64> {
    let real = value.as_float().or(value.as_integer().map(|n| n as f64))?;
    (real as f32).is_finite().then_some(real)
}

fn shortened(value: &Value) -> String {
    value.to_string().split_whitespace().collect::<Vec<_>>().join(" ").chars().take(40).collect()
}

/// The known name that is most like `name`, where one is alike enough.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    /// Below this likeness the nearest name is not what was meant.
    const ALIKE: f64 = 0.75;
    let alike = |known: &&str| strsim::jaro_winkler(name, known);
    known.max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|known| alike(known) >= ALIKE)
}
