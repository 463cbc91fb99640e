//! Public data sets brought to this machine: from their homes or a mirror, whole and checked, or not at all.

mod catalog;
mod download;
mod place;
mod sheets;
mod source;
mod unpack;

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::Failure;
use crate::files;
use crate::output::visible;
use catalog::{CIFAR10_CLASSES, CIFAR10_NAMES, DataFile};
pub(crate) use catalog::{SETS, Set};
use download::{Client, Part};
use place::{Folder, State};
use source::Source;

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a source did not give a file.
#[derive(Debug)]
enum Trouble {
    /// It does not have it.
    Absent(String),
    /// It cannot be reached, or stopped.
    Source(String),
    /// It has something else.
    Wrong(String),
    /// This machine cannot take it: no other source will help.
    Here(Failure),
}

/// What is asked for.
pub(crate) struct Request<'a> {
    pub(crate) name: &'a str,
    /// A mirror instead of the homes.
    pub(crate) from: Option<&'a str>,
    /// The folder that holds the folder of the set.
    pub(crate) dir: Option<&'a Path>,
    /// Fetch what is there and right too.
    pub(crate) force: bool,
}

/// What was done.
pub(crate) struct Fetched {
    pub(crate) set: &'static Set,
    pub(crate) folder: PathBuf,
    /// The files that were fetched; the others were there.
    pub(crate) files: Vec<&'static str>,
    /// Where they are from.
    pub(crate) source: Option<String>,
}

/// Makes a set be there.
pub(crate) fn fetch(request: &Request<'_>) -> Result<Fetched, Failure> {
    let set = Set::by_name(request.name)?;
    let sources = match request.from {
        Some(from) => vec![Source::parse(from)?],
        None => set.homes.iter().map(|home| Source::url(home)).collect(),
    };
    // The last folder in which named sets are looked for is the one to write to.
    let root = request.dir.map(Path::to_owned).or_else(|| files::data_roots().pop()).unwrap_or_default();
    let path = root.join(set.name);
    let mut wanted = Vec::new();
    for &file in set.files {
        match Folder::state(&path.join(file.name), file)? {
            State::Right if !request.force => {}
            State::Other(sum) if !request.force => {
                let message = format!("not the file of {} (SHA-256 {sum}, wanted is {})", set.name, file.sha256);
                return Err(Failure::path(
                    &path.join(file.name),
                    message + "; --force puts the right one in its place",
                ));
            }
            _ => wanted.push(file),
        }
    }
    let files = wanted.iter().map(|file| file.name).collect();
    if wanted.is_empty() {
        return Ok(Fetched { set, folder: path, files, source: None });
    }
    let folder = Folder::create(path.clone())?;
    let job = Job { set, folder: &folder, client: Client::new(SILENCE), force: request.force };
    let done = job.try_each(&sources, &wanted, request.from.is_none());
    if done.is_err() {
        folder.tidy();
    }
    Ok(Fetched { set, folder: path, files, source: Some(done?) })
}

struct Job<'a> {
    set: &'static Set,
    folder: &'a Folder,
    client: Client,
    force: bool,
}

impl Job<'_> {
    /// Tries one source after the other; gives the one that had what was left.
    fn try_each(&self, sources: &[Source], wanted: &[DataFile], homes: bool) -> Result<String, Failure> {
        let mut wanted = wanted.to_vec();
        for source in sources {
            let line = match self.take(source, &mut wanted) {
                Ok(()) => return Ok(source.to_string()),
                Err(Trouble::Here(failure)) => return Err(failure),
                Err(Trouble::Absent(line) | Trouble::Source(line) | Trouble::Wrong(line)) => line,
            };
            if !homes {
                return Err(Failure::Input(line));
            }
            // Where nobody reads it, the last line still tells.
            let _ = writeln!(io::stderr(), "signbit: {}", visible(&line));
        }
        let (name, missing) = (self.set.name, wanted.iter().map(|file| file.name).collect::<Vec<_>>().join(", "));
        let message = format!("{name}: no home of it gave {missing}; try again later, or name a mirror");
        Err(Failure::input(message + " (a folder, an archive or a URL) with --from"))
    }

    /// Takes what is wanted from one source; what has come is wanted no more.
    fn take(&self, source: &Source, wanted: &mut Vec<DataFile>) -> Result<(), Trouble> {
        let names = wanted.iter().position(|file| file.name == CIFAR10_NAMES).map(|at| wanted.remove(at));
        let done = self.take_pictures(source, wanted);
        let Some(names) = names else { return done };
        if done.is_err() {
            wanted.push(names);
            return done;
        }
        self.folder.put_plain(names, CIFAR10_CLASSES.as_bytes(), "signbit")
    }

    fn take_pictures(&self, source: &Source, wanted: &mut Vec<DataFile>) -> Result<(), Trouble> {
        if wanted.is_empty() {
            return Ok(());
        }
        match source {
            Source::Archive(path) => {
                let unreadable = |e: io::Error| Trouble::Source(format!("{}: cannot read this: {e}", path.display()));
                let mut archive = File::open(path).map_err(unreadable)?;
                let origin = path.display().to_string();
                return unpack::unpack(self.set, wanted, self.folder, &mut archive, &origin);
            }
            Source::Folder(path) if self.set.archive.is_some_and(|archive| path.join(archive).is_file()) => {
                return self.take_pictures(&Source::Archive(path.join(self.set.archive.unwrap_or_default())), wanted);
            }
            Source::ArchiveUrl(url) => return self.take_archive_url(url, wanted),
            Source::FolderUrl(url) if let Some(archive) = self.set.archive => {
                match self.take_archive_url(&format!("{url}{archive}"), wanted) {
                    Err(Trouble::Absent(_)) => {}
                    done => return done,
                }
            }
            Source::Folder(_) | Source::FolderUrl(_) => {}
        }
        while let Some(&file) = wanted.first() {
            match source {
                Source::FolderUrl(url) => self.take_from_folder_url(url, file)?,
                Source::Folder(path) => self.take_from_folder(path, file)?,
                _ => {}
            }
            wanted.remove(0);
        }
        Ok(())
    }

    fn take_from_folder(&self, path: &Path, file: DataFile) -> Result<(), Trouble> {
        let origin = path.display().to_string();
        for name in [file.name.to_owned(), format!("{}.gz", file.name)] {
            match File::open(path.join(&name)) {
                Ok(found) => return self.folder.put(file, found, &origin),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Trouble::Source(format!("{origin}: cannot read {name}: {error}"))),
            }
        }
        Err(Trouble::Absent(format!("{origin}: there is neither {0} nor {0}.gz in this folder", file.name)))
    }

    fn take_from_folder_url(&self, url: &str, file: DataFile) -> Result<(), Trouble> {
        // A gzip stream is hardly ever longer than what is in it.
        let limit = file.bytes + file.bytes / 100 + 1024;
        let put = |part: &mut Part, origin: &str| {
            part.file.rewind().map_err(|e| Trouble::Source(format!("{origin}: {e}")))?;
            self.folder.put(file, &part.file, origin)
        };
        match self.downloaded(&format!("{url}{}.gz", file.name), limit, put) {
            Err(Trouble::Absent(_)) => self.downloaded(&format!("{url}{}", file.name), limit, put),
            done => done,
        }
    }

    fn take_archive_url(&self, url: &str, wanted: &[DataFile]) -> Result<(), Trouble> {
        self.downloaded(url, 2 * self.set.bytes(), |part, origin| {
            unpack::unpack(self.set, wanted, self.folder, &mut part.file, origin)
        })
    }

    /// Downloads and uses. Where that began with an old part and is wrong, it is tried once more from the start: the
    /// old part may be of another source.
    fn downloaded(
        &self,
        url: &str,
        limit: u64,
        mut put: impl FnMut(&mut Part, &str) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let name = url.split(['?', '#']).next().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
        let path = self.folder.path.join(format!("{name}.part"));
        if self.force {
            // It is downloaded from the start.
            let _ = std::fs::remove_file(&path);
        }
        loop {
            let mut part = self.client.download(url, &path, limit)?;
            let (result, resumed) = (put(&mut part, url), part.resumed);
            match result {
                // The download is right and the disk is full: it can go on from here.
                Err(Trouble::Here(failure)) => return Err(Trouble::Here(failure)),
                Err(Trouble::Wrong(_)) if resumed => part.remove(),
                result => {
                    part.remove();
                    return result;
                }
            }
        }
    }
}
