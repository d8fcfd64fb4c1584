//! A request as PHP is asked it, and what PHP answers as an answer. A worker is taken only once a body of usual size is here,
//! so that slow visitors do not keep all workers waiting; longer bodies, and all answers, pass through.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use crate::body::Body;
use crate::fastcgi::{self, Params, Piece, TooLong};
use crate::site::Script;
use crate::{Answer, plain};

mod head;
mod params;
#[cfg(test)]
mod tests;

/// A body up to this size is here whole before PHP is asked.
const WHOLE_BYTES: u64 = 128 << 10;
/// A body that does not say its size is too, up to this one: PHP has to be told it.
const UNSAID_BYTES: usize = 1 << 20;
/// Longest head of an answer.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// PHP, behind its process manager.
#[derive(Debug, Clone)]
pub(crate) struct Php {
    socket: PathBuf,
    workers: Arc<Semaphore>,
}

/// Why a request gets no answer of PHP's.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// The body does not say its size, and is long.
    #[error("a long body without a size")]
    Unsized,
    /// The visitor has gone.
    #[error("the body of the request: {0}")]
    Body(#[from] hyper::Error),
    /// The head cannot be said in FastCGI.
    #[error("{0}")]
    TooLong(#[from] TooLong),
    /// The connection.
    #[error("php-fpm: {0}")]
    Io(#[from] io::Error),
    /// PHP has answered what is no answer.
    #[error("the head of what PHP answers is not one, or longer than {} KiB", MAX_HEAD_BYTES >> 10)]
    Head,
}

/// What of a body is here, and what is to come.
struct Asked {
    here: Bytes,
    rest: Option<Incoming>,
    length: u64,
}

/// Ends the sending of a body when nobody reads the answer any more.
struct Sending(AbortHandle);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer as it comes.
struct Coming {
    from: OwnedReadHalf,
    _sending: Sending,
    _worker: OwnedSemaphorePermit,
}

impl Php {
    /// PHP at a socket, with so many workers.
    pub(crate) fn at(socket: &Path, workers: usize) -> Self {
        Self { socket: socket.to_owned(), workers: Arc::new(Semaphore::new(workers)) }
    }

    /// Has it answer.
    pub(crate) async fn answer(&self, root: &Path, script: &Script, parts: Parts, body: Incoming) -> Answer {
        match self.asked(root, script, parts, body).await {
            Ok(answer) => answer,
            Err(failed) => {
                let status = match &failed {
                    Failed::Unsized => StatusCode::LENGTH_REQUIRED,
                    Failed::Body(_) => StatusCode::BAD_REQUEST,
                    Failed::TooLong(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                    Failed::Io(_) | Failed::Head => StatusCode::BAD_GATEWAY,
                };
                if status == StatusCode::BAD_GATEWAY {
                    eprintln!("kennel-php: {}: {failed}", script.name);
                }
                plain(status)
            }
        }
    }

    async fn asked(
        &self,
        root: &Path,
        script: &Script,
        parts: Parts,
        body: Incoming,
    ) -> Result<Answer, Failed> {
        let body = Asked::of(body).await?;
        let params = params::of(root, script, &parts, body.length)?;
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(io::Error::other)?;
        let (from, to) = UnixStream::connect(&self.socket).await?.into_split();
        // Beside the reading: who answers before he has read all must not wait for us.
        let sending = tokio::spawn(send(to, params, body));
        let coming = Coming { from, _sending: Sending(sending.abort_handle()), _worker: worker };
        coming.answer().await
    }
}

impl Asked {
    /// Takes what is to be here before PHP is asked.
    async fn of(mut body: Incoming) -> Result<Self, Failed> {
        let said = body.size_hint().exact();
        match said {
            Some(length) if length > WHOLE_BYTES => {
                return Ok(Self { here: Bytes::new(), rest: Some(body), length });
            }
            _ => {}
        }
        let mut here = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame?.into_data() else { continue };
            if here.len() + piece.len() > UNSAID_BYTES {
                return Err(Failed::Unsized);
            }
            here.extend_from_slice(&piece);
        }
        Ok(Self { length: here.len() as u64, here: here.freeze(), rest: None })
    }
}

/// Sends a request. That PHP does not read to its end is not an error: it may have answered already.
async fn send(mut to: OwnedWriteHalf, params: Params, mut body: Asked) -> io::Result<()> {
    fastcgi::begin(&mut to, &params).await?;
    fastcgi::send(&mut to, &body.here).await?;
    if let Some(rest) = &mut body.rest {
        while let Some(frame) = rest.frame().await {
            if let Ok(piece) = frame.map_err(io::Error::other)?.into_data() {
                fastcgi::send(&mut to, &piece).await?;
            }
        }
    }
    fastcgi::sent(&mut to).await?;
    // The half is kept until the answer is through: PHP would take its end for that of the visitor.
    std::future::pending::<()>().await;
    Ok(())
}

impl Coming {
    /// Reads the head, and has the rest follow as it comes.
    async fn answer(mut self) -> Result<Answer, Failed> {
        let mut begun = BytesMut::new();
        loop {
            let ended = match self.next().await? {
                Some(piece) => {
                    begun.extend_from_slice(&piece);
                    false
                }
                None => true,
            };
            match head::read(&begun)? {
                Some((answer, length)) if ended => {
                    return Ok(answer.map(|()| Body::whole(begun.split_off(length).freeze())));
                }
                Some((answer, length)) => {
                    let (body, to) = Body::begun(begun.split_off(length).freeze());
                    tokio::spawn(self.follow(to));
                    return Ok(answer.map(|()| body));
                }
                None if ended || begun.len() > MAX_HEAD_BYTES => return Err(Failed::Head),
                None => {}
            }
        }
    }

    /// Passes on what comes, as long as somebody takes it. What breaks is broken for the visitor too.
    async fn follow(mut self, to: Sender<io::Result<Bytes>>) {
        loop {
            let next = tokio::select! {
                next = self.next() => next,
                // Whoever asked has gone: PHP need not go on.
                () = to.closed() => return,
            };
            let piece = match next {
                Ok(Some(piece)) => Ok(piece),
                Ok(None) => return,
                Err(error) => {
                    eprintln!("kennel-php: php-fpm, in the middle of an answer: {error}");
                    Err(error)
                }
            };
            let broken = piece.is_err();
            if to.send(piece).await.is_err() || broken {
                return;
            }
        }
    }

    /// The next piece of the answer. What PHP has to say of a script it says here and on its standard error, which is the tenant's
    /// log: there it is said also by whoever is not answering anybody.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match fastcgi::next(&mut self.from).await? {
                Piece::Out(piece) => return Ok(Some(piece)),
                Piece::Err(_) => {}
                Piece::End => return Ok(None),
            }
        }
    }
}
