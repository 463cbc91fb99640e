//! From a name or path to a data set: which kind it is, and where named ones lie.

use std::path::{Path, PathBuf};

use super::{DataError, DataOptions, DataSet, cifar, digits, folder, idx, npz, numbered};

/// The data sets that have a name.
pub const NAMES: [&str; 4] = ["digits", "mnist", "fashion-mnist", "cifar10"];

/// The classes of Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747, table 2).
const FASHION: [&str; 10] =
    ["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];
/// A name that is less like a known one is no slip of the keyboard.
const ALIKE: f64 = 0.8;

impl DataSet {
    /// The 1,797 digits of 8x8 pixels that are inside the crate.
    ///
    /// # Errors
    /// None where the crate was built whole.
    pub fn digits() -> Result<Self, DataError> {
        digits::load()
    }

    /// A data set by name ([`NAMES`]) or path. A path is a folder with one subfolder of pictures per class, a folder
    /// with MNIST's four IDX files or CIFAR-10's binary files, or a `.npz` file.
    ///
    /// Named sets other than `digits`, which are inside the crate, are looked for as `ROOT/NAME` in each of `roots` in
    /// turn. `options` say how pictures of folders become pictures of one size, and which of them are for the test.
    ///
    /// # Errors
    /// Where nothing is found, or a file is not what it should be.
    pub fn open(name: &str, options: &DataOptions, roots: &[PathBuf]) -> Result<Self, DataError> {
        if name == "digits" {
            return Self::digits();
        }
        if NAMES.contains(&name) {
            return named(name, roots);
        }
        let path = Path::new(name);
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => of_folder(name, path, options),
            Ok(_) if has_ending(path, &["npz"]) => npz::load(name, path, options),
            Ok(_) => Err(DataError::format(path, "this is a file; give a folder of pictures or a .npz file")),
            Err(_) => Err(DataError::Unknown { name: name.into(), nearest: nearest(name, NAMES) }),
        }
    }
}

/// The folder of a named set: the first `ROOT/NAME` that is there.
pub fn find(name: &str, roots: &[PathBuf]) -> Option<PathBuf> {
    roots.iter().map(|root| root.join(name)).find(|path| path.is_dir())
}

fn named(name: &str, roots: &[PathBuf]) -> Result<DataSet, DataError> {
    let Some(path) = find(name, roots) else {
        return Err(DataError::Missing {
            name: name.into(),
            searched: roots.iter().map(|root| root.join(name)).collect(),
        });
    };
    let path = path.as_path();
    match name {
        "cifar10" => cifar::load(name, path),
        "mnist" => idx::load_folder(name, path, Some(numbered(10))),
        _ => idx::load_folder(name, path, Some(FASHION.map(String::from).to_vec())),
    }
}

fn of_folder(name: &str, path: &Path, options: &DataOptions) -> Result<DataSet, DataError> {
    if cifar::is_here(path) {
        cifar::load(name, path)
    } else if idx::is_here(path) {
        idx::load_folder(name, path, None)
    } else {
        folder::load(name, path, options)
    }
}

/// Whether the name ends in one of these, in letters of either case.
pub(super) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| endings.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

/// The name among `known` that was meant, most likely; none where none is much like it.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_lowercase();
    let alike = |known: &&str| strsim::jaro_winkler(&name, known);
    known.into_iter().max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|known| alike(known) >= ALIKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, roots: &[PathBuf]) -> String {
        DataSet::open(name, &DataOptions::default(), roots).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_one() {
        for (name, nearest) in [("mnits", "mnist"), ("cifar-10", "cifar10"), ("fashion_mnist", "fashion-mnist")] {
            let message = message(name, &[]);
            assert!(message.contains(&format!("did you mean {nearest}?")), "{message}");
        }
        let message = message("somewhere/photos", &[]);
        assert!(!message.contains("did you mean") && message.contains("digits, mnist"), "{message}");
    }

    #[test]
    fn named_sets_are_looked_for_in_each_root() {
        let roots = ["nowhere/a", "nowhere/b"].map(PathBuf::from);
        let message = message("mnist", &roots);
        let places = roots.map(|root| root.join("mnist").display().to_string());
        assert!(places.iter().all(|place| message.contains(place)), "{message}");
        assert!(message.contains("`signbit data fetch mnist`"), "{message}");
    }

    #[test]
    fn the_first_root_that_has_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("b/cifar10")).unwrap();
        let message = message("cifar10", &["a", "b"].map(|root| folder.path().join(root)));
        assert!(message.contains("data_batch_1.bin"), "{message}");
    }
}
