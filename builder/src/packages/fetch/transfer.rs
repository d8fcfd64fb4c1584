//! One download: into a `.part` file that the next attempt, or the next run, continues; then size and digest; then the
//! store. Passing trouble is tried again a few times, and for ever as long as each attempt gets further.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::{Counted, FetchError, Progress, Wanted};
use crate::digest::Sha256;
use crate::steps::Step;
use crate::store::{Store, StoreError};

/// Attempts in a row that may bring nothing.
const TRIES: u32 = 4;
/// An attempt that brought this much did get further.
const FURTHER: u64 = 64 << 10;
/// Wait before the second attempt; doubled for each one after.
const FIRST_WAIT: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 500 });

/// How an attempt failed.
enum Trouble {
    /// Trying again is no use.
    Final(FetchError),
    /// It may pass. So many new bytes were got.
    Passing { cause: String, gained: u64 },
}

impl<E: Into<FetchError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Final(error.into())
    }
}

fn passing(cause: impl ToString) -> Trouble {
    Trouble::Passing { cause: cause.to_string(), gained: 0 }
}

/// Runs attempts until one succeeds, trouble is final, or `TRIES` of them in a row brought nothing.
fn persist<T>(
    name: &str,
    url: &str,
    stopped: impl Fn() -> bool,
    mut attempt: impl FnMut() -> Result<T, Trouble>,
) -> Result<T, FetchError> {
    let mut tries = 0;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::Passing { cause, gained }) => {
                tries = if gained >= FURTHER { 1 } else { tries + 1 };
                if tries >= TRIES || stopped() {
                    return Err(FetchError::Unreachable {
                        name: name.to_owned(),
                        url: url.to_owned(),
                        cause,
                        tries,
                    });
                }
                thread::sleep(FIRST_WAIT * 2_u32.pow(tries - 1));
            }
        }
    }
}

/// Downloads a file into the store.
pub(super) fn download(
    agent: &Agent,
    store: &Store,
    wanted: &Wanted,
    progress: &Progress<'_>,
) -> Result<(), FetchError> {
    let stopped = || progress.stop.load(Ordering::Relaxed);
    persist(&wanted.name, &wanted.url, stopped, || attempt(agent, store, wanted, progress))
}

/// Downloads a document of at most `limit` bytes into memory.
pub(super) fn read(
    agent: &Agent,
    name: &str,
    url: &str,
    limit: u64,
    step: &Step,
) -> Result<Vec<u8>, FetchError> {
    let attempt = || {
        let response = agent.get(url).call().map_err(passing)?;
        if response.status() != StatusCode::OK {
            return Err(refused(name, url, false, response.status()));
        }
        let total = response.body().content_length().unwrap_or_default();
        let mut bytes = Vec::new();
        copy(&mut response.into_body().into_reader().take(limit + 1), |piece| {
            bytes.extend_from_slice(piece);
            step.progress(bytes.len() as u64, total);
            Ok(())
        })?;
        if bytes.len() as u64 > limit {
            let what = format!("it is longer than {limit} bytes");
            return Err(FetchError::WrongFile { name: name.to_owned(), url: url.to_owned(), what }.into());
        }
        Ok(bytes)
    };
    persist(name, url, || false, attempt)
}

fn attempt(agent: &Agent, store: &Store, wanted: &Wanted, progress: &Progress<'_>) -> Result<(), Trouble> {
    let mut counted = Counted::new(progress);
    let Some(mut part) = Part::open(store, wanted)? else { return Ok(()) };
    if part.length()? > wanted.size {
        part.cut()?;
    }
    let resumed = part.length()? > 0;
    if part.length()? < wanted.size {
        complete(agent, &mut part, wanted, &mut counted)?;
    }
    if let Err(what) = part.check(wanted) {
        part.cut()?;
        // Perhaps only what was there from an earlier run was bad.
        return Err(if resumed { passing(what) } else { wrong(wanted, what).into() });
    }
    part.enter(store, wanted)?;
    counted.keep();
    Ok(())
}

/// Downloads what a part still lacks.
fn complete(agent: &Agent, part: &mut Part, wanted: &Wanted, counted: &mut Counted<'_>) -> Result<(), Trouble> {
    let mut have = part.length()?;
    let response = request(agent, wanted, have)?;
    if response.status() == StatusCode::OK && have > 0 {
        // The server does not do ranges: from the beginning.
        have = part.cut()?;
    }
    if let Err(trouble) = check_range(&response, have).and_then(|()| check_length(&response, have, wanted)) {
        part.cut()?;
        return Err(trouble);
    }
    counted.add(have);
    let before = have;
    // One byte more than promised is enough to know that it is another file.
    let mut body = response.into_body().into_reader().take(wanted.size - have + 1);
    let result = copy(&mut body, |piece| {
        part.append(piece)?;
        have += piece.len() as u64;
        counted.add(piece.len() as u64);
        Ok(())
    });
    let gained = have - before;
    match result {
        Err(Trouble::Passing { cause, .. }) => Err(Trouble::Passing { cause, gained }),
        Ok(()) if have < wanted.size => {
            Err(Trouble::Passing { cause: format!("it ended at {have} of {} bytes", wanted.size), gained })
        }
        result => result,
    }
}

/// Asks for the rest of a file of which `have` bytes are there.
fn request(agent: &Agent, wanted: &Wanted, have: u64) -> Result<Response<Body>, Trouble> {
    let mut request = agent.get(&wanted.url);
    if have > 0 {
        request = request.header(header::RANGE, format!("bytes={have}-"));
    }
    let response = request.call().map_err(passing)?;
    match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
        status => Err(refused(&wanted.name, &wanted.url, wanted.locked, status)),
    }
}

/// Whether the answer continues where we are; if not, the part is worthless.
fn check_range(response: &Response<Body>, have: u64) -> Result<(), Trouble> {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    match response.status() {
        StatusCode::OK => Ok(()),
        StatusCode::PARTIAL_CONTENT if range.is_some_and(|r| r.starts_with(&format!("bytes {have}-"))) => {
            Ok(())
        }
        status => Err(passing(format!("no continuation at byte {have} ({status}, {range:?})"))),
    }
}

/// Whether the server's file can be the promised one, judging by its size.
fn check_length(response: &Response<Body>, have: u64, wanted: &Wanted) -> Result<(), Trouble> {
    match response.body().content_length() {
        Some(length) if have + length != wanted.size => {
            Err(wrong(wanted, format!("it has {} bytes, not {}", have + length, wanted.size)).into())
        }
        _ => Ok(()),
    }
}

fn wrong(wanted: &Wanted, what: String) -> FetchError {
    FetchError::WrongFile { name: wanted.name.clone(), url: wanted.url.clone(), what }
}

fn refused(name: &str, url: &str, locked: bool, status: StatusCode) -> Trouble {
    let (name, url) = (name.to_owned(), url.to_owned());
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE if locked => FetchError::LockedFileGone { name, url }.into(),
        StatusCode::NOT_FOUND | StatusCode::GONE => FetchError::NotFound { name, url }.into(),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => passing(status),
        status if status.is_server_error() => passing(status),
        status => FetchError::Refused { name, url, status: status.as_u16() }.into(),
    }
}

/// Reads to the end, piece by piece. Trouble with reading may pass; trouble with taking does not.
fn copy(from: &mut impl Read, mut take: impl FnMut(&[u8]) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(passing(error)),
        }
    }
}

/// A `.part` file that is ours alone.
struct Part {
    file: File,
    path: PathBuf,
    /// Set when another process is at the same file: then this part is a nameless one that nobody resumes.
    _private: Option<tempfile::TempPath>,
}

impl Part {
    /// Opens the part of a file, or nothing when somebody else just brought the file into the store.
    fn open(store: &Store, wanted: &Wanted) -> Result<Option<Self>, StoreError> {
        let path = store.part(&wanted.sha256);
        let io = |cause| StoreError::Io { path: path.clone(), cause };
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(io)?;
        let file = File::options().read(true).append(true).create(true).open(&path).map_err(io)?;
        let ours = file.try_lock().is_ok();
        if store.holds(&wanted.sha256, wanted.size) {
            return Ok(None);
        }
        // Between opening and locking, the file may have been moved into the store and removed from there.
        let same =
            fs::metadata(&path).is_ok_and(|meta| file.metadata().is_ok_and(|own| own.ino() == meta.ino()));
        if ours && same {
            return Ok(Some(Self { file, path, _private: None }));
        }
        let (file, private) = tempfile::NamedTempFile::new_in(folder).map_err(io)?.into_parts();
        Ok(Some(Self { file, path: private.to_path_buf(), _private: Some(private) }))
    }

    fn length(&self) -> Result<u64, StoreError> {
        self.file.metadata().map(|meta| meta.len()).map_err(|cause| self.error(cause))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(|cause| self.error(cause))
    }

    /// Throws away what is there.
    fn cut(&mut self) -> Result<u64, StoreError> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(|cause| self.error(cause))?;
        Ok(0)
    }

    /// Says how the whole part differs from what was promised.
    fn check(&mut self, wanted: &Wanted) -> Result<(), String> {
        self.file.seek(SeekFrom::Start(0)).map_err(|error| error.to_string())?;
        match Sha256::of_reader(&self.file).map_err(|error| error.to_string())? {
            (_, size) if size != wanted.size => Err(format!("it is longer than {} bytes", wanted.size)),
            (sha256, _) if sha256 != wanted.sha256 => {
                Err(format!("its sha256 is {sha256}, not {}", wanted.sha256))
            }
            _ => Ok(()),
        }
    }

    fn enter(self, store: &Store, wanted: &Wanted) -> Result<(), StoreError> {
        store.adopt(&self.path, &wanted.sha256).map(drop)
    }

    fn error(&self, cause: io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), cause }
    }
}

impl Drop for Part {
    /// Closing is not enough: a child that another thread is just starting has the descriptor, and the lock, until it executes.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}
