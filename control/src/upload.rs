//! The way of an archive: from the request's body into `kennel-unpack`'s pipe, as fast as both can, and its report
//! back. Nothing is kept here, and nothing of the archive is looked at.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use kennel_model::found::Found;
use kennel_model::msg::UnpackReport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::config::HttpBounds;
use crate::error::{Error, Result};

/// A report holds at most 200 names of 255 bytes, a command, and some lines; as JSON each byte may need six.
const MAX_REPORT: u64 = 512 << 10;

/// A release as `kennel-unpack` reports it.
pub(crate) struct Received {
    pub(crate) bytes: u64,
    pub(crate) entries: u32,
    pub(crate) found: Found,
}

/// Feeds the body into the first descriptor and reads the report from the second. Returns only when `kennel-unpack` has
/// said its last word or has gone, also for a broken upload: then nothing works on the release any more.
///
/// # Errors
/// [`Error::UploadBroken`], [`Error::UploadRefused`], [`Error::BasisDiffers`].
pub(crate) async fn receive<B>(body: &mut B, pipes: Vec<OwnedFd>, bounds: &HttpBounds) -> Result<Received>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let [archive, report]: [OwnedFd; 2] =
        pipes.try_into().map_err(|_| Error::Internal("init sent no pipes for the upload".into()))?;
    let archive = pipe::Sender::from_owned_fd(archive).map_err(|e| Error::Io("the archive's pipe", e))?;
    let mut report = pipe::Receiver::from_owned_fd(report).map_err(|e| Error::Io("the report's pipe", e))?;
    // Dropping the archive's end is what tells `kennel-unpack` that no more comes.
    let fed = feed(body, archive, bounds).await;
    let said = timeout(bounds.unpack, read_report(&mut report)).await;
    // A refusal explains why feeding failed, unless feeding failed first and the refusal is only its echo.
    fed.and_then(|()| reported(said, bounds))
}

/// The same of what a build has left: there is a report only.
///
/// # Errors
/// [`Error::UploadRefused`] and others.
pub(crate) async fn report(pipes: Vec<OwnedFd>, bounds: &HttpBounds) -> Result<Received> {
    let [report]: [OwnedFd; 1] =
        pipes.try_into().map_err(|_| Error::Internal("init sent no pipe for the report".into()))?;
    let mut report = pipe::Receiver::from_owned_fd(report).map_err(|e| Error::Io("the report's pipe", e))?;
    reported(timeout(bounds.unpack, read_report(&mut report)).await, bounds)
}

fn reported(
    said: std::result::Result<io::Result<UnpackReport>, tokio::time::error::Elapsed>,
    bounds: &HttpBounds,
) -> Result<Received> {
    match said {
        Ok(Ok(UnpackReport::Refused { reason })) => Err(Error::UploadRefused(reason)),
        Ok(Ok(UnpackReport::Unfit { reason })) => Err(Error::BasisDiffers(reason)),
        Ok(Ok(UnpackReport::Done { bytes, entries, found })) => {
            // It has read what strangers wrote.
            found.validate().map_err(|cause| Error::UploadRefused(cause.to_string()))?;
            Ok(Received { bytes, entries, found })
        }
        Ok(Err(cause)) => Err(Error::Io("the report of the upload", cause)),
        Err(_) => Err(Error::UploadBroken(format!("unpacking took over {:?}", bounds.unpack))),
    }
}

/// Copies until the body's end, or until the reader has heard enough: its report then says why.
async fn feed<B>(body: &mut B, mut archive: pipe::Sender, bounds: &HttpBounds) -> Result<()>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let idle = bounds.upload_idle;
    loop {
        let frame = match timeout(idle, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(()),
            Ok(Some(Err(cause))) => return Err(Error::UploadBroken(cause.to_string())),
            Err(_) => return Err(Error::UploadBroken(format!("nothing arrived for {idle:?}"))),
        };
        // Trailers carry nothing that is wanted.
        let Ok(data) = frame.into_data() else { continue };
        match timeout(bounds.unpack, archive.write_all(&data)).await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Ok(Err(cause)) => return Err(Error::Io("the archive's pipe", cause)),
            Err(_) => {
                return Err(Error::UploadBroken(format!("unpacking stood still for {:?}", bounds.unpack)));
            }
        }
    }
}

async fn read_report(report: &mut pipe::Receiver) -> io::Result<UnpackReport> {
    let mut text = Vec::new();
    report.take(MAX_REPORT).read_to_end(&mut text).await?;
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "kennel-unpack ended without a word"));
    }
    Ok(serde_json::from_slice(&text)?)
}

/// Reads and drops what still comes of a body that was answered early, for a bounded time, so that the client gets to
/// read the answer instead of a reset connection.
pub(crate) async fn drain<B: Body<Data = Bytes> + Unpin>(mut body: B, time: Duration) {
    let _ = timeout(time, async { while let Some(Ok(_)) = body.frame().await {} }).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Streamed;
    use http_body_util::Full;
    use std::io::{Read, Write};

    /// Control's two ends, and the two that stand in for `kennel-unpack`.
    fn pipes() -> (Vec<OwnedFd>, io::PipeReader, io::PipeWriter) {
        let (archive, feed) = io::pipe().unwrap();
        let (report, say) = io::pipe().unwrap();
        (vec![feed.into(), report.into()], archive, say)
    }

    fn bounds() -> HttpBounds {
        HttpBounds { upload_idle: Duration::from_millis(50), ..HttpBounds::default() }
    }

    const DONE: &[u8] = br#"{"done":{"bytes":3,"entries":1,"found":{"top":["server.js"],"folders":[],"said":null,"programs":[],"node":null,"processes":[],"left":[]}}}"#;

    #[tokio::test]
    async fn a_large_body_passes_whole_through_a_slow_reader() {
        let (ours, mut archive, mut say) = pipes();
        let reader = tokio::task::spawn_blocking(move || {
            let mut got = 0;
            let mut block = [0; 5000];
            loop {
                match archive.read(&mut block).unwrap() {
                    0 => break,
                    n => got += n,
                }
            }
            say.write_all(DONE).unwrap();
            got
        });
        let mut body = Full::new(Bytes::from(vec![7; 3 << 20]));
        let received = receive(&mut body, ours, &HttpBounds::default()).await.unwrap();
        assert_eq!(
            (received.bytes, received.entries, received.found.top),
            (3, 1, vec!["server.js".to_owned()])
        );
        assert_eq!(reader.await.unwrap(), 3 << 20);
    }

    #[tokio::test]
    async fn a_refusal_in_the_middle_ends_the_upload_with_its_reason() {
        let (ours, archive, mut say) = pipes();
        say.write_all(br#"{"refused":{"reason":"a/../b leaves the release"}}"#).unwrap();
        drop((archive, say));
        let mut body = Full::new(Bytes::from(vec![7; 3 << 20]));
        let error = receive(&mut body, ours, &bounds()).await.err().unwrap();
        assert_eq!(error.to_string(), "the upload was refused: a/../b leaves the release");
    }

    #[tokio::test]
    async fn silence_and_breaks_are_told_from_refusals() {
        let silent = Ok(Bytes::from_static(b"x"));
        let cut = Err(io::Error::other("connection lost"));
        for (frame, message) in [(silent, "nothing arrived for 50ms"), (cut, "connection lost")] {
            let (ours, mut archive, mut say) = pipes();
            let unpack = tokio::task::spawn_blocking(move || {
                archive.read_to_end(&mut vec![]).unwrap();
                say.write_all(br#"{"refused":{"reason":"the archive ends early"}}"#).unwrap();
            });
            let (sender, mut body) = Streamed::channel();
            sender.send(frame).await.unwrap();
            let error = receive(&mut body, ours, &bounds()).await.err().unwrap();
            assert_eq!(error.to_string(), format!("the upload broke off: {message}"));
            unpack.await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_unpacker_that_dies_is_an_error() {
        let (ours, archive, say) = pipes();
        drop((archive, say));
        let error = receive(&mut Full::new(Bytes::new()), ours, &bounds()).await.err().unwrap();
        assert!(error.to_string().contains("without a word"), "{error}");
    }
}
