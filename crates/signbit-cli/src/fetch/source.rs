//! Where a set is fetched from: a folder or an archive, on this machine or behind a URL.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A home or a mirror of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Folder(PathBuf),
    Archive(PathBuf),
    /// With a slash at its end.
    FolderUrl(String),
    ArchiveUrl(String),
}

impl Source {
    /// What the user gave: a folder, a file or a URL.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("http" | "https") => return Ok(Self::url(text)),
            Some(_) => return Err(Failure::input(format!("--from {text}: give an http or https URL, or a path"))),
            None => {}
        }
        let path = Path::new(text);
        match path.metadata() {
            Ok(found) if found.is_dir() => Ok(Self::Folder(path.into())),
            Ok(_) => Ok(Self::Archive(path.into())),
            Err(error) => Err(Failure::input(format!("--from {text}: no such folder or archive: {error}"))),
        }
    }

    /// An archive by its ending, else a folder.
    pub(super) fn url(url: &str) -> Self {
        let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
        match [".tar.gz", ".tgz", ".tar"].iter().any(|ending| path.ends_with(ending)) {
            true => Self::ArchiveUrl(url.into()),
            false => Self::FolderUrl(format!("{}/", url.trim_end_matches('/'))),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) | Self::Archive(path) => path.display().fmt(f),
            Self::FolderUrl(url) | Self::ArchiveUrl(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_archives_by_their_ending() {
        let cases = [
            ("http://h/a/", Source::FolderUrl("http://h/a/".into())),
            ("HTTPS://h/a", Source::FolderUrl("HTTPS://h/a/".into())),
            ("http://h/a.tgz?x=1", Source::ArchiveUrl("http://h/a.tgz?x=1".into())),
            ("http://h/A.TAR.GZ", Source::ArchiveUrl("http://h/A.TAR.GZ".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(Source::parse(text).unwrap_or_else(|e| panic!("{e:?}")), expected);
        }
        for (text, expected) in [("ftp://h/a/", "http or https"), ("no/such/thing", "no such folder")] {
            let Err(Failure::Input(line)) = Source::parse(text) else { panic!("{text} is taken") };
            assert!(line.contains(expected), "{line}");
        }
    }
}
