//! What one connection waits for, and what it copies: bytes of its client, of the program that it has asked, and time. While an answer is owed the client is
//! listened to, so that one who leaves is not worked for.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{io, mem};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::{self, Answer};
use super::buffer::Buffer;
use super::clock::Clock;
use super::request::{self, Head, Reading};
use super::spare;
use crate::aside::Aside;
use crate::client::Client;
use crate::fairness::Throttle;
use crate::plain::Plain;
use crate::shared::Shared;
use crate::stall::WriteBound;

/// Most heads are shorter by far; longer ones are hyper's.
const INPUT_BYTES: usize = 8 << 10;
/// As much of an answer at a time.
const ANSWER_BYTES: usize = spare::BYTES;
/// And of a long one.
const LONG_BYTES: usize = 64 << 10;

/// What came of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Some of a request.
    Bytes,
    /// Nothing, for so long that it is worth to give back what is held.
    Nothing,
    /// Nothing, and nothing more will.
    End,
}

/// What came of a program.
#[derive(Debug)]
pub(super) enum Got {
    /// An answer, whose head is in `out` for the client.
    Plain(Answer),
    /// Anything else, up to this.
    Odd(Option<io::Error>),
    /// The client has left.
    Left,
    /// Nothing in time.
    Late,
}

/// What came of either.
enum More {
    Bytes,
    End(Option<io::Error>),
    Left,
    Late,
}

/// One connection.
pub(super) struct Line<'c, T> {
    pub(super) shared: &'c Arc<Shared>,
    pub(super) client: &'c Client,
    io: &'c mut WriteBound<T>,
    /// Of the client, from the request on that is not answered yet.
    pub(super) input: Buffer,
    /// Of these, the request's that is being answered.
    asked: usize,
    /// Of the program.
    pub(super) answer: Buffer,
    /// For either.
    pub(super) out: Vec<u8>,
    clock: Clock,
    drain: Aside<'static, ()>,
    draining: bool,
}

impl<'c, T> Line<'c, T> {
    pub(super) fn new(
        shared: &'c Arc<Shared>,
        io: &'c mut WriteBound<T>,
        rest: &[u8],
        client: &'c Client,
        mut drain: watch::Receiver<bool>,
    ) -> Self {
        let drain = Aside::new(async move {
            // An error would mean that nobody can ask for a drain any more, which is as good as asking.
            _ = drain.wait_for(|drain| *drain).await;
        });
        Self {
            shared,
            client,
            io,
            input: Buffer::new(rest, INPUT_BYTES.min(shared.limits.request_head_bytes)),
            asked: 0,
            answer: Buffer::new(&[], 0),
            out: Vec::new(),
            clock: Clock::default(),
            drain,
            draining: false,
        }
    }

    /// The answer's head is read, and has so many bytes: the request is used.
    pub(super) fn begins(&mut self, head: usize) {
        self.answer.used(head);
        self.input.used(self.asked);
        self.asked = 0;
    }

    /// Takes so much of the answer to what is written next.
    pub(super) fn takes(&mut self, count: usize) {
        self.out.extend_from_slice(&self.answer.bytes()[..count]);
        self.answer.used(count);
    }

    fn poll_draining(&mut self, cx: &mut Context<'_>) -> bool {
        self.draining = self.draining || Pin::new(&mut self.drain).poll(cx).is_ready();
        self.draining
    }

    /// Whether this answer is the last.
    pub(super) async fn is_draining(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.poll_draining(cx))).await
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Line<'_, T> {
    /// Waits for the next request.
    pub(super) async fn next(&mut self) -> Came {
        let mut until = None;
        let came = poll_fn(|cx| {
            match self.input.poll_read(self.io, cx) {
                Poll::Ready(Ok(1..)) => return Poll::Ready(Came::Bytes),
                Poll::Ready(_) => return Poll::Ready(Came::End),
                Poll::Pending => (),
            }
            if self.poll_draining(cx) {
                return Poll::Ready(Came::End);
            }
            let until = *until.get_or_insert_with(|| Instant::now() + self.shared.limits.park);
            spare::give(mem::take(&mut self.out));
            self.clock.poll(cx, until).map(|()| Came::Nothing)
        });
        came.await
    }

    /// Reads the head of what has come, as far as that is there; none if it is not that of a plain request. What the program gets is in `out`.
    pub(super) async fn head(&mut self) -> Option<Head> {
        if self.out.capacity() == 0 {
            self.out = spare::take(0);
        }
        loop {
            match request::read(self.input.bytes(), &mut self.out) {
                Reading::Plain(head) if head.bytes > self.shared.limits.request_head_bytes => return None,
                Reading::Plain(head) => {
                    self.asked = head.bytes;
                    return Some(head);
                }
                Reading::Odd => return None,
                Reading::Partial if self.input.is_full() => return None,
                Reading::Partial => {
                    // What is late is hyper's.
                    let read = poll_fn(|cx| Poll::Ready(self.input.poll_read(self.io, cx))).await;
                    if !matches!(read, Poll::Ready(Ok(1..))) {
                        return None;
                    }
                }
            }
        }
    }

    /// Sends the request in `out` and waits for the head of its answer.
    pub(super) async fn ask(&mut self, program: &mut Plain, is_head: bool) -> Got {
        // One that had to be larger, for a long answer, is not kept for short ones.
        self.answer.empty(ANSWER_BYTES);
        if let Err(e) = program.wire.write_all(&self.out).await {
            return Got::Odd(Some(e));
        }
        let until = Instant::now() + self.shared.limits.response_head;
        loop {
            match self.more(program, until).await {
                More::Bytes => (),
                More::End(failed) => return Got::Odd(failed),
                More::Left => return Got::Left,
                More::Late => return Got::Late,
            }
            match answer::read(self.answer.bytes(), is_head, &mut self.out) {
                answer::Reading::Plain(answer) if answer.bytes <= self.shared.limits.response_head_bytes => {
                    return Got::Plain(answer);
                }
                answer::Reading::Partial if !self.answer.is_full() => (),
                _ => return Got::Odd(None),
            }
        }
    }

    /// Reads more of an answer that has so much left; answers whether any has come.
    pub(super) async fn reads_on(&mut self, program: &mut Plain, left: u64, until: Instant) -> bool {
        if left > ANSWER_BYTES as u64 {
            self.answer.grow(LONG_BYTES);
        }
        matches!(self.more(program, until).await, More::Bytes)
    }

    async fn more(&mut self, program: &mut Plain, until: Instant) -> More {
        poll_fn(|cx| {
            match self.answer.poll_read(&mut program.wire, cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(More::End(None)),
                Poll::Ready(Ok(_)) => return Poll::Ready(More::Bytes),
                Poll::Ready(Err(e)) => return Poll::Ready(More::End(Some(e))),
                Poll::Pending => (),
            }
            if self.poll_left(cx) {
                return Poll::Ready(More::Left);
            }
            self.clock.poll(cx, until).map(|()| More::Late)
        })
        .await
    }

    /// Whether the client has left. One that has asked for more has not, and is not looked at.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> bool {
        self.input.bytes().len() == self.asked
            && !self.input.is_full()
            && matches!(self.input.poll_read(self.io, cx), Poll::Ready(Ok(0) | Err(_)))
    }

    /// Until the next piece may go; answers whether the client is still there.
    pub(super) async fn waits_for(&mut self, throttle: &mut Throttle) -> bool {
        poll_fn(|cx| match throttle.poll_ready(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if self.poll_left(cx) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Writes what is in `out`, and so much of the answer; answers whether the client has taken it.
    pub(super) async fn writes(&mut self, count: usize) -> bool {
        let part = &self.answer.bytes()[..count];
        let written = async {
            if !self.out.is_empty() {
                self.io.write_all(&self.out).await?;
            }
            if !part.is_empty() {
                self.io.write_all(part).await?;
            }
            self.io.flush().await
        };
        let written = written.await.is_ok();
        self.out.clear();
        self.answer.used(count);
        written
    }

    /// Ends the connection in order.
    pub(super) async fn closes(&mut self) {
        // How it ends is the client's affair.
        _ = self.io.shutdown().await;
    }
}
