//! Something run beside a tenant's program for whoever waits at the other end: what it reads comes in frames with the request's
//! body, what it prints goes out with the answer's, and its end is the last of them. Who goes away ends it.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use kennel_model::TenantName;
use kennel_model::msg::ControlRequest;
use kennel_model::task::{Frame, FrameKind, Frames, Run, TaskId, TaskIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::control::{Control, QUICK};
use crate::error::{Error, Result};
use crate::http::Streamed;
use crate::init::{Init, Started};

/// Read at a time of what a task prints.
const BLOCK: usize = 16 << 10;

type Sink = mpsc::Sender<io::Result<Bytes>>;

impl Control {
    /// Runs what the body's first frame says, whose program is told; the answer's body goes on until it has ended.
    ///
    /// # Errors
    /// [`Error`]; nothing was run.
    pub(crate) async fn exec<B>(self: Arc<Self>, name: &TenantName, body: B) -> Result<(String, Streamed)>
    where
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: std::fmt::Display + Send,
    {
        let mut typed = Typed { body, frames: Frames::default() };
        let wish = timeout(self.config.http.json, typed.wish()).await.map_err(|_| Error::Timeout)??;
        let program = wish.command.first().cloned().unwrap_or_default();
        let started = self.begin_task(name, wish.command, TaskIo::Streams).await?;
        let (sink, answer) = Streamed::channel();
        let init = self.init.clone();
        tokio::spawn(async move { attend(&init, typed, started, sink).await });
        Ok((program, answer))
    }

    /// Starts a task with the files and the environment of the release that serves.
    ///
    /// # Errors
    /// [`Error::NotDeployed`] and others.
    pub(crate) async fn begin_task(
        &self,
        name: &TenantName,
        command: Vec<String>,
        io: TaskIo,
    ) -> Result<Started> {
        if command.first().is_none_or(String::is_empty) {
            return Err(Error::BadRequest("there is no command to run".into()));
        }
        let row = self.ready(name).await?;
        let mut spec = self.spec(&row).await?.ok_or_else(|| Error::NotDeployed(name.clone()))?;
        spec.argv = command;
        spec.validate()?;
        Ok(self.init.run_task(row.slot, spec, io, QUICK).await?)
    }
}

/// What a client sends.
struct Typed<B> {
    body: B,
    frames: Frames,
}

impl<B> Typed<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    /// The next frame; none when the client has gone, or makes no sense.
    async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            match self.frames.take() {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(bad) => return Err(Error::BadRequest(bad.to_string())),
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(cause)) => return Err(Error::BadRequest(format!("the body broke off: {cause}"))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.frames.push(&data);
                    }
                }
            }
        }
    }

    async fn wish(&mut self) -> Result<Run> {
        match self.next().await? {
            Some(Frame { kind: FrameKind::Run, bytes }) => serde_json::from_slice(&bytes)
                .map_err(|e| Error::BadRequest(format!("the first frame is not as expected: {e}"))),
            _ => Err(Error::BadRequest("the body does not begin with what to run".into())),
        }
    }
}

/// Passes on what goes in and out until the task has ended and all that it printed is passed on.
async fn attend<B>(init: &Init, typed: Typed<B>, started: Started, sink: Sink)
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let Started { id, streams, end } = started;
    let attended = match sockets(streams) {
        Ok([input, output, errors]) => {
            let out = async {
                tokio::join!(
                    pass_on(output, FrameKind::Output, &sink),
                    pass_on(errors, FrameKind::ErrorOutput, &sink)
                );
                end.await.map_err(|_| io::Error::other("the host's init has gone"))
            };
            let beside = async {
                tokio::select! { () = feed(init, typed, id, input) => {}, () = sink.closed() => {} }
                stop(init, id).await;
                std::future::pending::<Infallible>().await
            };
            tokio::select! { ended = out => ended, never = beside => match never {} }
        }
        Err(cause) => {
            stop(init, id).await;
            Err(cause)
        }
    };
    let last = attended.and_then(|end| Ok(Frame::encode(FrameKind::End, &serde_json::to_vec(&end)?)));
    let _ = sink.send(last.map(Bytes::from)).await;
}

/// Init's other ends, for this thread's event loop.
fn sockets(streams: Vec<OwnedFd>) -> io::Result<[UnixStream; 3]> {
    let none = |_| io::Error::other("init sent no streams for the task");
    let [input, output, errors]: [OwnedFd; 3] = streams.try_into().map_err(none)?;
    let socket = |fd: OwnedFd| {
        let socket = net::UnixStream::from(fd);
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket)
    };
    Ok([socket(input)?, socket(output)?, socket(errors)?])
}

/// What the client sends, to the task, until the client has gone. Who has no more to type is still there.
async fn feed<B>(init: &Init, mut typed: Typed<B>, id: TaskId, input: UnixStream)
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut input = Some(input);
    while let Ok(Some(Frame { kind, bytes })) = typed.next().await {
        match (kind, &mut input) {
            (FrameKind::Input, Some(open)) => {
                if open.write_all(&bytes).await.is_err() {
                    // One that reads no more is no reason to end it.
                    input = None;
                }
            }
            (FrameKind::Input, None) => {}
            (FrameKind::InputEnd, _) => input = None,
            _ => stop(init, id).await,
        }
    }
}

async fn stop(init: &Init, id: TaskId) {
    // Init that does not answer is about to end everything.
    let _ = init.act(ControlRequest::StopTask(id), QUICK).await;
}

/// What a task prints, until it has closed that.
async fn pass_on(mut from: impl AsyncRead + Unpin, kind: FrameKind, sink: &Sink) {
    let mut block = vec![0; BLOCK];
    while let Ok(n @ 1..) = from.read(&mut block).await {
        // Nobody reads it any more: it is read on all the same, or the task would wait for ever before it can end.
        let _ = sink.send(Ok(Frame::encode(kind, &block[..n]).into())).await;
    }
}
