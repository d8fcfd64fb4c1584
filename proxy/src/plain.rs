//! A connection to a program that speaks HTTP/1.1, as bare as it comes: what `forward` sends requests by, and hyper's connections (`upstream`) are made of.

use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;

use crate::early::Early;
use crate::limits::Limits;
use crate::replay::Replay;
use crate::stall::WriteBound;

/// What they all are.
pub(crate) type Wire = WriteBound<Early<TcpStream>>;

/// Over which no request is under way, or one of whoever has it.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) wire: Wire,
    /// Where its program listens.
    port: u16,
}

impl Plain {
    /// One that has just been made.
    pub(crate) fn new(stream: TcpStream, port: u16, limits: &Limits) -> Self {
        // Small requests leave at once; without it nothing breaks, so a failure is no reason to stop.
        _ = stream.set_nodelay(true);
        Self { wire: WriteBound::new(Early::new(stream), limits), port }
    }

    /// The bare half of a connection that was hyper's.
    pub(crate) const fn of(wire: Wire, port: u16) -> Self {
        Self { wire, port }
    }

    /// Where its program listens.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The same for hyper.
    pub(crate) fn for_hyper(self) -> Replay<Wire> {
        Replay::fresh(self.wire)
    }

    /// Whether the next request can be sent: nothing has come that nobody asked for, and no end.
    pub(crate) fn is_usable(&mut self) -> bool {
        let mut space = [0];
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut self.wire).poll_read(&mut cx, &mut ReadBuf::new(&mut space)).is_pending()
    }
}

/// A connection that was kept, as who used it last has left it.
pub(crate) enum Kept<U> {
    /// Bare.
    Plain(Plain),
    /// hyper's.
    Hypers(U),
}

impl<U: crate::pool::Reusable> crate::pool::Reusable for Kept<U> {
    fn is_usable(&mut self) -> bool {
        match self {
            Self::Plain(plain) => plain.is_usable(),
            Self::Hypers(upstream) => upstream.is_usable(),
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Plain(plain) => plain.port(),
            Self::Hypers(upstream) => upstream.port(),
        }
    }
}
