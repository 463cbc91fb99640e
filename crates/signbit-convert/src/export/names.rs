//! Names for the values of an exported graph.

use std::collections::BTreeSet;

/// Gives each value a name of its own.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// `name`, or `name.2`, `name.3` ... where it is taken.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let numbered = (2_u64..).map(|i| format!("{name}.{i}"));
        let free = std::iter::once(name.to_owned()).chain(numbered).find(|n| !self.0.contains(n));
        let free = free.unwrap_or_default();
        self.0.insert(free.clone());
        free
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn a_name_is_given_once() {
        let mut names = Names::default();
        let given: Vec<_> = ["a", "a", "a.2", "a"].iter().map(|n| names.unique(n)).collect();
        assert_eq!(given, ["a", "a.2", "a.2.2", "a.3"]);
    }
}
