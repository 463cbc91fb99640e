//! Writing a file's bytes to where a user said.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Links that are followed one after the other, as many as Linux does.
const MAX_LINKS: usize = 40;

/// Names that are tried for a temporary file: more than chance can take.
const ATTEMPTS: usize = 100;

/// Replaces the file `path` by `bytes` in one step: a temporary file beside it, flushed to the disk, then
/// renamed. Checkpoints are written so too.
///
/// A symbolic link stays, the file that it leads to is replaced. The new file has the permissions of the old
/// one, not its owner nor its other hard links. What is no file, such as a pipe or a device, is not replaced but
/// written to.
///
/// # Errors
/// [`io::ErrorKind::IsADirectory`] where `path` is a folder, and what the operating system says; an old
/// file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let permissions = match fs::metadata(path) {
        Ok(old) if old.is_file() => Some(old.permissions()),
        Ok(old) if old.is_dir() => return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder")),
        Ok(_) => return OpenOptions::new().write(true).open(path)?.write_all(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let path = follow_links(path)?;
    let (temporary, file) = create_beside(&path, random)?;
    let written = fill(file, permissions, bytes).and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        // The first error is the one to tell; a file left behind does no harm.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The path at the end of a chain of symbolic links; nothing needs to be there.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Ok(path);
        }
        let target = fs::read_link(&path)?;
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Creates a file beside `path` under a name that nothing has, made of numbers that `suffix` gives.
fn create_beside(path: &Path, mut suffix: impl FnMut() -> u64) -> io::Result<(PathBuf, File)> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "is not the name of a file");
    let name = path.file_name().ok_or_else(no_name)?.to_string_lossy();
    let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..ATTEMPTS {
        let temporary = path.with_file_name(format!(".{name}.{:016x}.tmp", suffix()));
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

/// A number that no other call of any process has, most likely.
fn random() -> u64 {
    // The hasher's keys come from the operating system's random numbers, and differ from call to call.
    RandomState::new().build_hasher().finish()
}

/// Writes the whole of a new file; nobody reads it before it has its permissions.
fn fill(mut file: File, permissions: Option<Permissions>, bytes: &[u8]) -> io::Result<()> {
    if let Some(permissions) = permissions
        && file.metadata()?.permissions() != permissions
    {
        file.set_permissions(permissions)?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken_are_passed_over_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let mut numbers = [1, 1, 2].into_iter();
        let (left_over, _) = create_beside(&path, || 1).unwrap();
        fs::write(&left_over, b"of another run").unwrap();
        let (created, _) = create_beside(&path, || numbers.next().unwrap()).unwrap();
        assert_ne!(created, left_over);
        assert_eq!(create_beside(&path, || 1).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&left_over).unwrap(), b"of another run");
    }

    #[test]
    fn suffixes_differ() {
        assert_ne!(random(), random());
    }
}
