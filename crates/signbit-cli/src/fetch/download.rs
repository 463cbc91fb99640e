//! Downloads over HTTP that go on where they stopped: bytes are kept in NAME.part until they have been checked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode};
use ureq::{Agent, Body, http::Response};

use super::Trouble;
use crate::failure::Failure;
use crate::output::grouped;
use crate::progress::Progress;

/// What speaks HTTP. Proxies of the environment are used.
pub(super) struct Client {
    agent: Agent,
}

/// A download that is there as a whole, under the name of a part.
pub(super) struct Part {
    pub(super) file: File,
    path: PathBuf,
    /// Whether a part of it was there before: only then may a wrong sum come from two sources.
    pub(super) resumed: bool,
}

impl Part {
    /// Takes it away, after its bytes have come to their place or have turned out wrong.
    pub(super) fn remove(self) {
        drop(self.file);
        // What cannot be removed does no harm: its sum is checked again.
        let _ = fs::remove_file(self.path);
    }
}

impl Client {
    /// Gives up on a server that is silent for so long.
    pub(super) fn new(silence: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("signbit/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(silence))
            .timeout_connect(Some(silence))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence));
        Self { agent: config.build().new_agent() }
    }

    /// Downloads no more than `limit` bytes of a URL to the file `part`, or goes on with what is there of it.
    pub(super) fn download(&self, url: &str, part: &Path, limit: u64) -> Result<Part, Trouble> {
        let failed = |e: io::Error| Trouble::Here(Failure::path(part, format!("cannot write this file: {e}")));
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(part).map_err(failed)?;
        if file.try_lock().is_err() {
            return Err(Trouble::Here(Failure::path(part, "another signbit is downloading this; wait for it")));
        }
        let mut download = Download { client: self, url, part, limit, file };
        match download.run() {
            Ok(resumed) => Ok(Part { file: download.file, path: part.into(), resumed }),
            Err(trouble) => {
                if download.file.metadata().is_ok_and(|found| found.len() == 0) {
                    // Of which nothing is there, nothing is kept.
                    let _ = fs::remove_file(part);
                }
                Err(trouble)
            }
        }
    }

    fn get(&self, url: &str, from: u64) -> Result<Response<Body>, Trouble> {
        let request = self.agent.get(url);
        let request = if from > 0 { request.header("Range", format!("bytes={from}-")) } else { request };
        request.call().map_err(|error| Trouble::Source(format!("{url}: {}", reason(error))))
    }
}

struct Download<'a> {
    client: &'a Client,
    url: &'a str,
    part: &'a Path,
    limit: u64,
    file: File,
}

impl Download<'_> {
    /// Whether a part of it was there before.
    fn run(&mut self) -> Result<bool, Trouble> {
        let have = self.file.metadata().map_err(|e| self.failed(e))?.len();
        let mut response = self.client.get(self.url, have)?;
        let mut start = 0;
        if have > 0 {
            match response.status() {
                StatusCode::PARTIAL_CONTENT if range(response.headers()).0 == Some(have) => start = have,
                StatusCode::RANGE_NOT_SATISFIABLE if range(response.headers()).1 == Some(have) => return Ok(true),
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                    response = self.client.get(self.url, 0)?;
                }
                _ => {}
            }
        }
        match response.status() {
            StatusCode::OK => {}
            StatusCode::PARTIAL_CONTENT if start > 0 => {}
            status @ (StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE) => {
                return Err(Trouble::Absent(format!("{}: the server says {status}", self.url)));
            }
            status => return Err(Trouble::Source(format!("{}: the server says {status}", self.url))),
        }
        self.receive(response, start)?;
        Ok(start > 0)
    }

    fn receive(&mut self, response: Response<Body>, start: u64) -> Result<(), Trouble> {
        self.file.set_len(start).and_then(|()| self.file.seek(SeekFrom::Start(start))).map_err(|e| self.failed(e))?;
        let total = response.body().content_length().map(|length| start.saturating_add(length));
        let progress = Progress::new(total.unwrap_or(self.limit).div_ceil(MEGABYTE) as usize, "MB");
        progress.prefix(&self.part.file_stem().unwrap_or_default().to_string_lossy());
        let mut body = response.into_body().into_reader();
        let (mut have, mut buffer) = (start, vec![0; 1 << 16]);
        let stopped = loop {
            if have.max(total.unwrap_or(0)) > self.limit {
                // Not what was asked for: nothing of it is worth keeping.
                self.file.set_len(0).map_err(|e| self.failed(e))?;
                let limit = grouped(self.limit);
                return Err(Trouble::Source(format!("{}: has more than {limit} bytes, too many", self.url)));
            }
            match body.read(&mut buffer) {
                Ok(0) if total.is_none_or(|total| have >= total) => break None,
                Ok(0) => break Some("the server ended it".to_owned()),
                Ok(n) => {
                    self.file.write_all(&buffer[..n]).map_err(|e| self.failed(e))?;
                    have += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Some(reason(ureq::Error::from(error))),
            }
            progress.done((have / MEGABYTE) as usize);
        };
        progress.end();
        let Some(why) = stopped else { return Ok(()) };
        let of = total.map_or(String::new(), |total| format!(" of {}", grouped(total)));
        let (have, part) = (grouped(have), self.part.display());
        Err(Trouble::Source(format!(
            "{}: stopped after {have}{of} bytes ({why}); they are kept in {part}, the same command goes on from there",
            self.url
        )))
    }

    fn failed(&self, error: io::Error) -> Trouble {
        Trouble::Here(Failure::path(self.part, format!("cannot write this file: {error}")))
    }
}

const MEGABYTE: u64 = 1_000_000;

/// First byte and whole length that `Content-Range: bytes 7-9/10` names; of `bytes */10` the length alone.
fn range(headers: &HeaderMap) -> (Option<u64>, Option<u64>) {
    let text = headers.get("content-range").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (range, length) = text.trim_start_matches("bytes").trim().split_once('/').unwrap_or_default();
    (range.split('-').next().and_then(|first| first.parse().ok()), length.parse().ok())
}

/// Why a request failed.
fn reason(error: ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(_) => "no answer for too long".into(),
        ureq::Error::HostNotFound => "there is no such host, or no network".into(),
        error => error.to_string(),
    }
}
