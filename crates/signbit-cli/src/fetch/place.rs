//! The folder of a set: which files are there and right, and how a checked file comes to its place.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tempfile::{Builder, NamedTempFile};

use super::Trouble;
use super::catalog::DataFile;
use crate::failure::Failure;

/// What is there of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Missing,
    Right,
    /// Something else; the sum that was found.
    Other(String),
}

/// The folder into which a set is fetched.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// The folders that were made for it, innermost first.
    made: Vec<PathBuf>,
}

impl Folder {
    /// The folder, created if need be.
    pub(super) fn create(path: PathBuf) -> Result<Self, Failure> {
        let made = path.ancestors().filter(|folder| !folder.as_os_str().is_empty());
        let made = made.take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
        fs::create_dir_all(&path).map_err(|e| Failure::path(&path, format!("cannot make this folder: {e}")))?;
        Ok(Self { path, made })
    }

    /// Takes away the folders that were made and in which there is nothing.
    pub(super) fn tidy(&self) {
        // A folder with something in it refuses, as it should.
        self.made.iter().take_while(|folder| fs::remove_dir(folder).is_ok()).for_each(drop);
    }

    /// What is there of a file.
    pub(super) fn state(path: &Path, file: DataFile) -> Result<State, Failure> {
        let unreadable = |e: io::Error| Failure::path(path, format!("cannot read this file: {e}"));
        let mut found = match File::open(path) {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(State::Missing);
            }
            Err(error) => return Err(unreadable(error)),
        };
        let mut sum = Sum::new(io::sink());
        io::copy(&mut found, &mut sum).map_err(unreadable)?;
        let sum = hex(&sum.digest.finalize());
        Ok(if sum == file.sha256 { State::Right } else { State::Other(sum) })
    }

    /// Takes `source`, gzipped or not, to the place of `file` if it has the right sum, in one step; else it leaves
    /// nothing behind, and what was there stays. `origin` says where the bytes are from.
    pub(super) fn put(&self, file: DataFile, source: impl Read, origin: &str) -> Result<(), Trouble> {
        let broken = |e: io::Error| Trouble::Source(format!("{origin}: cannot read {}: {e}", file.name));
        self.put_plain(file, uncompressed(source).map_err(broken)?, origin)
    }

    /// As [`put`](Self::put), for what is not compressed.
    pub(super) fn put_plain(&self, file: DataFile, source: impl Read, origin: &str) -> Result<(), Trouble> {
        let path = self.path.join(file.name);
        let failed = |e: io::Error| Trouble::Here(Failure::path(&path, format!("cannot write this file: {e}")));
        let wrong = |reason: String| Trouble::Wrong(format!("{origin}: {} {reason}", file.name));
        // Without the temporary's name, of which the user need not know.
        let temporary = self.temporary(file.name).map_err(|error| failed(error.kind().into()))?;
        let mut sum = Sum::new(temporary.as_file());
        // One byte more than there should be, so that a longer file is noticed and no bomb goes off.
        let mut source = source.take(file.bytes + 1);
        let mut buffer = vec![0; 1 << 17];
        loop {
            let n = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(wrong(format!("is damaged: {error}"))),
            };
            sum.write_all(&buffer[..n]).map_err(failed)?;
        }
        if sum.bytes > file.bytes {
            return Err(wrong(format!("is longer than the {} bytes that it should have", file.bytes)));
        }
        let (bytes, found) = (sum.bytes, hex(&sum.digest.finalize()));
        if found != file.sha256 {
            let length = if bytes == file.bytes { String::new() } else { format!(" ({bytes} bytes)") };
            return Err(wrong(format!("has SHA-256 {found}{length}, wanted is {}; it was not kept", file.sha256)));
        }
        temporary.as_file().sync_all().map_err(failed)?;
        temporary.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn temporary(&self, name: &str) -> io::Result<NamedTempFile> {
        let prefix = format!(".{name}.");
        let mut builder = Builder::new();
        builder.prefix(&prefix);
        // Readable for whom the user's mask lets read, as other files are.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(&self.path)
    }
}

/// First bytes of a gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a stream holds, gzipped or not.
pub(super) fn uncompressed<'r>(source: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut source = BufReader::with_capacity(1 << 17, source);
    Ok(match source.fill_buf()?.starts_with(&GZIP) {
        true => Box::new(MultiGzDecoder::new(source)),
        false => Box::new(source),
    })
}

/// Sums up what passes through.
struct Sum<W> {
    digest: Sha256,
    bytes: u64,
    out: W,
}

impl<W> Sum<W> {
    fn new(out: W) -> Self {
        Self { digest: Sha256::new(), bytes: 0, out }
    }
}

impl<W: Write> Write for Sum<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.digest.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "abc", of which FIPS 180-2 gives the sum.
    const ABC: DataFile =
        DataFile { name: "abc", bytes: 3, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" };

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_right_is_placed_and_what_is_wrong_leaves_the_old_file() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::create(temporary.path().join("new/set")).unwrap();
        let path = folder.path.join("abc");
        let wrong = [
            (
                b"abd".to_vec(),
                "has SHA-256 a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9, wanted is ba78",
            ),
            (b"ab".to_vec(), "(2 bytes)"),
            (gzipped(&vec![0; 1 << 20]), "longer than the 3 bytes"),
            (gzipped(b"abc")[..12].to_vec(), "is damaged"),
            (vec![], "(0 bytes)"),
        ];
        fs::write(&path, "old").unwrap();
        for (bytes, expected) in &wrong {
            let Err(Trouble::Wrong(line)) = folder.put(ABC, &bytes[..], "mirror") else { panic!("{expected}: taken") };
            assert!(line.starts_with("mirror: abc ") && line.contains(expected), "{line}");
            assert_eq!(fs::read_dir(&folder.path).unwrap().count(), 1, "{expected}: something is left behind");
            assert_eq!(fs::read(&path).unwrap(), b"old");
        }
        assert!(matches!(Folder::state(&path, ABC), Ok(State::Other(_))));
        for bytes in [b"abc".to_vec(), gzipped(b"abc")] {
            folder.put(ABC, &bytes[..], "mirror").unwrap_or_else(|e| panic!("{e:?}"));
            assert_eq!(Folder::state(&path, ABC).unwrap(), State::Right);
        }
        assert_eq!(Folder::state(&folder.path.join("none"), ABC).unwrap(), State::Missing);
    }
}
