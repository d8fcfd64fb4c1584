//! A loopback HTTP server for tests: serves bytes by path, does ranges, and misbehaves on request.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// How a path is answered.
#[derive(Clone)]
pub(crate) enum Answer {
    /// These bytes; honours ranges.
    File(Vec<u8>),
    /// These bytes, but the connection ends after so many.
    Cut(Vec<u8>, usize),
    /// These bytes always from the beginning.
    NoRanges(Vec<u8>),
    /// This status line, nothing else.
    Status(&'static str),
}

/// The server; it stops when dropped.
pub(crate) struct TestServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Answers by path; each request takes the first and leaves the last.
    answers: Mutex<HashMap<String, Vec<Answer>>>,
    /// `path` or `path bytes=N-` of every request.
    requests: Mutex<Vec<String>>,
    stop: std::sync::atomic::AtomicBool,
}

impl TestServer {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming() {
                    if shared.stop.load(std::sync::atomic::Ordering::SeqCst) {
                        break;
                    }
                    // A client that goes away is no concern of the server.
                    let _ = stream.and_then(|stream| shared.answer(stream));
                }
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn serve(&self, path: &str, answers: impl Into<Vec<Answer>>) -> String {
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answers.into());
        self.base() + path
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut range = None;
        for line in lines {
            let line = line?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            range = range.or_else(|| line.strip_prefix("range: ").map(str::to_owned));
        }
        let seen = [Some(path.clone()), range.clone()].into_iter().flatten().collect::<Vec<_>>();
        self.requests.lock().unwrap().push(seen.join(" "));
        let from = range.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let answer = self.take(&path);
        stream.write_all(&render(answer, from))
    }

    fn take(&self, path: &str) -> Answer {
        let mut answers = self.answers.lock().unwrap();
        match answers.get_mut(path) {
            Some(list) if list.len() > 1 => list.remove(0),
            Some(list) => list[0].clone(),
            None => Answer::Status("404 Not Found"),
        }
    }
}

fn render(answer: Answer, from: Option<usize>) -> Vec<u8> {
    let (bytes, sent, from) = match answer {
        Answer::Status(status) => {
            return format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes();
        }
        Answer::File(bytes) => (bytes, usize::MAX, from),
        Answer::Cut(bytes, at) => (bytes, at, from),
        Answer::NoRanges(bytes) => (bytes, usize::MAX, None),
    };
    let start = from.unwrap_or(0);
    if start > 0 && start >= bytes.len() {
        return render(Answer::Status("416 Range Not Satisfiable"), None);
    }
    let head = match from {
        None => "200 OK".to_owned(),
        Some(at) => {
            format!("206 Partial Content\r\nContent-Range: bytes {at}-{}/{}", bytes.len() - 1, bytes.len())
        }
    };
    let length = bytes.len() - start;
    let mut out =
        format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").into_bytes();
    out.extend(&bytes[start..bytes.len().min(sent.max(start))]);
    out
}
