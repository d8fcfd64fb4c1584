//! The loop: reads the log as it grows, counts, and sends a batch when there is something to say and init has taken the
//! last one. Neither side waits for the other: while init does not answer, counts grow here and nothing else does.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use kennel_model::denial::ToAudit;
use kennel_sys::channel::{Channel, ChannelError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::line::{Line, read};
use crate::record;
use crate::tally::Tally;

/// Time between two batches: what happens within it is counted together.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest record; the kernel refuses to give one to a shorter buffer.
const MAX_RECORD: usize = 8192;
/// Records read before the channel gets its turn.
const RECORDS_AT_A_TIME: usize = 256;

/// Why watching ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// Init closed the channel.
    #[error("init is gone")]
    Gone,
    /// The channel's.
    #[error("the channel to init: {0}")]
    Channel(#[from] ChannelError),
    /// The log's.
    #[error("the kernel's log: {0}")]
    Log(#[from] Errno),
}

/// The log, the way to init, and what is between them.
#[derive(Debug)]
pub struct Watch {
    init: Channel,
    log: OwnedFd,
    tally: Tally,
    /// The next record's number, once one was seen.
    expected: Option<u64>,
    /// Init has not taken the last batch yet.
    waiting: bool,
    /// Not before this is the next batch sent.
    next: Instant,
}

impl Watch {
    /// Takes over both.
    ///
    /// # Errors
    /// When they cannot be made non-blocking.
    pub fn new(init: Channel, log: OwnedFd) -> Result<Self, Ended> {
        init.set_nonblocking()?;
        fcntl_setfl(&log, fcntl_getfl(&log)? | OFlags::NONBLOCK)?;
        let (tally, next) = (Tally::default(), Instant::now());
        Ok(Self { init, log, tally, expected: None, waiting: false, next })
    }

    /// Works until init is gone.
    ///
    /// # Errors
    /// Always; why it ended.
    pub fn run(mut self) -> Result<std::convert::Infallible, Ended> {
        loop {
            let more = self.read_log()?;
            self.listen()?;
            self.send()?;
            if !more {
                self.wait()?;
            }
        }
    }

    /// Counts what is new in the log; answers whether there may be more.
    fn read_log(&mut self) -> Result<bool, Ended> {
        let mut buffer = [0; MAX_RECORD];
        for _ in 0..RECORDS_AT_A_TIME {
            match rustix::io::read(&self.log, &mut buffer) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(false),
                Ok(length) => self.take(buffer.get(..length).unwrap_or_default()),
                // Overwritten before it was read: the next read goes on with the oldest that is left. A record that is
                // too long is skipped by the kernel in the same way.
                Err(Errno::PIPE | Errno::INVAL | Errno::INTR) => {}
                Err(cause) => return Err(cause.into()),
            }
        }
        Ok(true)
    }

    fn take(&mut self, bytes: &[u8]) {
        let Some(record) = record::parse(bytes) else { return };
        let missed = self.expected.map_or(0, |expected| record.sequence.saturating_sub(expected));
        self.tally.lose(missed);
        self.expected = record.sequence.checked_add(1);
        match record.text.map(read) {
            Some(Line::Denied(denial)) => self.tally.add(denial),
            Some(Line::Suppressed(count)) => self.tally.lose(count),
            Some(Line::Other) | None => {}
        }
    }

    /// Hears whether init has taken the last batch.
    fn listen(&mut self) -> Result<(), Ended> {
        loop {
            match self.init.recv::<ToAudit>() {
                Ok(Some((ToAudit::Taken, _))) => self.waiting = false,
                Ok(None) => return Err(Ended::Gone),
                Err(ChannelError::WouldBlock) => return Ok(()),
                Err(cause) => return Err(cause.into()),
            }
        }
    }

    fn send(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        if self.waiting || now < self.next || self.tally.is_empty() {
            return Ok(());
        }
        self.init.send(&self.tally.take(), &[])?;
        (self.waiting, self.next) = (true, now + PAUSE);
        Ok(())
    }

    /// Sleeps until there is something to read, or it is time to send.
    fn wait(&self) -> Result<(), Ended> {
        let due = !self.waiting && !self.tally.is_empty();
        let limit = due.then(|| self.next.saturating_duration_since(Instant::now()));
        let limit = limit.map(|d| Timespec {
            tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: d.subsec_nanos().into(),
        });
        let mut ready = [
            PollFd::from_borrowed_fd(self.log.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.init.as_fd(), PollFlags::IN),
        ];
        match poll(&mut ready, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(cause) => Err(cause.into()),
        }
    }
}
