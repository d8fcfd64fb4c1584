//! Bodies: JSON in, within bounds; JSON, problems and streams out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Frame};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use kennel_model::api::Problem;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::say;

/// What every answer carries.
pub(super) type AnswerBody = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

/// A body that someone else fills piece by piece; its filler sees when nobody reads it any more.
pub(crate) struct Streamed(mpsc::Receiver<io::Result<Bytes>>);

impl Streamed {
    /// The filler's end and the body.
    pub(crate) fn channel() -> (mpsc::Sender<io::Result<Bytes>>, Self) {
        let (sender, receiver) = mpsc::channel(4);
        (sender, Self(receiver))
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Reads a JSON body of at most `limit` bytes within `time`.
pub(super) async fn read_json<T, B>(body: B, limit: usize, time: Duration) -> Result<T>
where
    T: DeserializeOwned,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let read = timeout(time, Limited::new(body, limit).collect()).await.map_err(|_| Error::Timeout)?;
    let bytes = read
        .map_err(|e| match e.downcast_ref::<LengthLimitError>() {
            Some(_) => Error::TooLarge(limit),
            None => Error::BadRequest(format!("the body broke off: {e}")),
        })?
        .to_bytes();
    serde_json::from_slice(&bytes).map_err(|e| Error::BadRequest(format!("the body is not as expected: {e}")))
}

/// An answer with a JSON body.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<AnswerBody> {
    match serde_json::to_vec(value) {
        Ok(bytes) => raw(status, "application/json", bytes.into()),
        Err(cause) => problem(&Error::Internal(cause.to_string())),
    }
}

/// An answer with this body.
pub(super) fn raw(status: StatusCode, media_type: &'static str, body: Bytes) -> Response<AnswerBody> {
    stream(status, media_type, Full::new(body).map_err(|never| match never {}).boxed_unsync())
}

/// An answer whose body comes piece by piece.
pub(super) fn stream(status: StatusCode, media_type: &'static str, body: AnswerBody) -> Response<AnswerBody> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<AnswerBody> {
    let mut answer = raw(status, "", Bytes::new());
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}

/// What is told of what went wrong.
pub(super) fn told(error: &Error) -> Problem {
    Problem { code: error.code().0.to_owned(), message: error.to_string(), hint: error.hint() }
}

/// The answer to what went wrong. What is the host's fault is also said on its console.
pub(super) fn problem(error: &Error) -> Response<AnswerBody> {
    let (code, status) = error.code();
    if status.is_server_error() {
        say!("{code}: {error}");
    }
    let body = told(error);
    let mut answer = json(status, &body);
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Error::TooManyWrong(left) = error {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(left.as_secs() + 1));
    }
    if let Error::Method { allow, .. } = error
        && let Ok(allow) = HeaderValue::from_str(allow)
    {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}
