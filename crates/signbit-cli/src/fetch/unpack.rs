//! Archives of a set: tar, gzipped or not. Only files with wanted names are looked at, wherever they lie in the
//! archive, and nothing is written but under the names of the catalogue; so no path leads out of the folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::ControlFlow;

use tar::Archive;

use super::Trouble;
use super::catalog::{DataFile, Set};
use super::place::{Folder, uncompressed};
use super::sheets::{self, SHEETS, TEST_LABELS, TRAINING_LABELS};

/// The most bytes of a list of labels, and of a sheet.
const MAX_LABELS: u64 = 1 << 20;
const MAX_SHEET: u64 = 40 << 20;

/// Puts the files `wanted` from an archive into the folder. `origin` says where the archive is from.
pub(super) fn unpack(
    set: &Set,
    wanted: &[DataFile],
    folder: &Folder,
    archive: &mut File,
    origin: &str,
) -> Result<(), Trouble> {
    let reader = Reader { archive, limit: 2 * set.bytes() + (64 << 20), origin };
    reader.put(wanted, folder)
}

/// An archive that is read several times.
struct Reader<'a> {
    archive: &'a mut File,
    /// The most bytes that it may unpack to.
    limit: u64,
    origin: &'a str,
}

impl Reader<'_> {
    fn put(mut self, wanted: &[DataFile], folder: &Folder) -> Result<(), Trouble> {
        // First what is in it: the labels of sheets may stand behind them.
        let (mut names, mut lists) = (Vec::new(), BTreeMap::new());
        let origin = self.origin;
        self.each(|name, entry| {
            if name == TRAINING_LABELS || name == TEST_LABELS {
                let json = read_all(entry, MAX_LABELS).and_then(|json| sheets::labels(&json));
                lists.insert(name.to_owned(), json.map_err(|reason| wrong(origin, name, &reason))?);
            }
            names.push(name.to_owned());
            Ok(ControlFlow::Continue(()))
        })?;
        let has = |name: &str| names.iter().any(|found| found == name);
        let by_name = |name: &str| wanted.iter().find(|file| file.name == name).copied();
        let sheet_of = |file: &str| SHEETS.iter().find(|sheet| sheet.1 == file);
        for file in wanted {
            let sheet = sheet_of(file.name).is_some_and(|sheet| has(sheet.0) && has(sheet.2));
            if !sheet && !has(file.name) && !has(&format!("{}.gz", file.name)) {
                return Err(Trouble::Wrong(format!("{origin}: there is no {} in this archive", file.name)));
            }
        }
        // A file may be in the archive more than once; the first is taken.
        let mut left: Vec<&str> = wanted.iter().map(|file| file.name).collect();
        self.each(|name, entry| {
            if let Some(file) = by_name(name).or_else(|| by_name(name.strip_suffix(".gz")?)) {
                if left.contains(&file.name) {
                    folder.put(file, entry, origin)?;
                    left.retain(|other| *other != file.name);
                }
            } else if let Some(&(_, file, labels, first)) = SHEETS.iter().find(|sheet| sheet.0 == name)
                && let (Some(file), Some(labels)) = (by_name(file), lists.get(labels))
                && left.contains(&file.name)
            {
                let labels = labels.get(first..first + sheets::ROWS);
                let labels = labels.ok_or_else(|| wrong(origin, name, "has fewer labels than pictures"))?;
                let bytes = read_all(entry, MAX_SHEET).and_then(|png| sheets::batch(&png, labels));
                let bytes = bytes.map_err(|reason| wrong(origin, name, &reason))?;
                folder.put_plain(file, &bytes[..], origin)?;
                left.retain(|other| *other != file.name);
            }
            Ok(if left.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
    }

    /// Calls `visit` with each file of the archive and the last part of its name.
    fn each(
        &mut self,
        mut visit: impl FnMut(&str, &mut dyn Read) -> Result<ControlFlow<()>, Trouble>,
    ) -> Result<(), Trouble> {
        let origin = self.origin;
        let damaged = |error: io::Error| {
            Trouble::Wrong(format!("{origin}: not a whole tar archive (.tar, .tar.gz, .tgz): {error}"))
        };
        self.archive.rewind().map_err(damaged)?;
        let source = uncompressed(&mut *self.archive).map_err(damaged)?;
        let mut tar = Archive::new(Bounded { source, left: self.limit, limit: self.limit });
        for entry in tar.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = entry.path_bytes().into_owned();
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            if visit(&name, &mut entry)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn wrong(origin: &str, name: &str, reason: &str) -> Trouble {
    Trouble::Wrong(format!("{origin}: {name} {reason}"))
}

/// All bytes of an entry of no more than `limit` bytes.
fn read_all(entry: &mut dyn Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    entry.take(limit + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > limit { Err(format!("has more than {limit} bytes")) } else { Ok(bytes) }
}

/// Refuses to give more than it should.
struct Bounded<R> {
    source: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        let left = self.left.checked_sub(n as u64);
        self.left = left.ok_or_else(|| io::Error::other(format!("it unpacks to more than {} bytes", self.limit)))?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// A set of "abc" and "".
    const SET: Set = Set {
        name: "letters",
        files: &[
            DataFile {
                name: "abc",
                bytes: 3,
                sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            },
            DataFile {
                name: "none",
                bytes: 0,
                sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            },
        ],
        homes: &[],
        archive: None,
    };

    fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            // The builder refuses names that lead out, so they are written past it.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_entry_type(tar::EntryType::Regular);
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Unpacks, and gives the names in the folder above, the folder of the set being `set`.
    fn unpacked(archive: &[u8]) -> (Result<(), Trouble>, Vec<String>) {
        let above = tempfile::tempdir().unwrap();
        let folder = Folder::create(above.path().join("set")).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(archive).unwrap();
        let result = unpack(&SET, SET.files, &folder, &mut file, "a.tar");
        let list = |path| std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = list(above.path()).chain(list(&folder.path)).collect();
        names.sort();
        (result, names)
    }

    #[test]
    fn wanted_files_come_out_wherever_they_lie_and_nothing_else() {
        let packed = gzip(b"abc");
        let archives: [&[(&str, &[u8])]; 3] = [
            &[("abc", b"abc"), ("none", b"")],
            &[("package/readme", b"hello"), ("package/data/none", b""), ("package/data/abc.gz", &packed)],
            &[("../evil", b"x"), ("../../abc", b"abc"), ("/none", b""), ("x/abc", b"another")],
        ];
        for entries in archives {
            let plain = tar(entries);
            for archive in [gzip(&plain), plain] {
                let (result, names) = unpacked(&archive);
                result.unwrap_or_else(|e| panic!("{e:?}"));
                assert_eq!(names, ["abc", "none", "set"]);
            }
        }
    }

    #[test]
    fn bad_archives_leave_nothing() {
        let whole = tar(&[("abc", &[b'a'; 2000]), ("none", b"")]);
        let bomb = tar(&[("none", b""), ("zeros", &vec![0; 70 << 20]), ("abc", b"abc")]);
        let cases = [
            (gzip(&tar(&[("abc", b"abd"), ("none", b"")])), "abc has SHA-256"),
            (tar(&[("none", b"")]), "no abc in this archive"),
            (b"PK\x03\x04 a zip, not a tar".to_vec(), "not a whole tar archive"),
            (whole[..1000].to_vec(), "not a whole tar archive"),
            (gzip(&whole)[..60].to_vec(), "not a whole tar archive"),
            (gzip(&bomb), "unpacks to more than 67108870 bytes"),
        ];
        for (archive, expected) in cases {
            let (result, names) = unpacked(&archive);
            let Err(Trouble::Wrong(line)) = result else { panic!("{expected}: taken") };
            assert!(line.starts_with("a.tar: ") && line.contains(expected), "{expected}: {line}");
            assert_eq!(names, ["set"], "{expected}");
        }
    }
}
