//! A reader that gives up when its other side sends nothing for too long: no upload may hold a slot for ever.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// Reads from a descriptor with a bound on the silence before each byte.
#[derive(Debug)]
pub struct StallGuard<'a> {
    input: BorrowedFd<'a>,
    patience: Duration,
}

impl<'a> StallGuard<'a> {
    /// Waits for at most `patience` before each read.
    pub fn new(input: BorrowedFd<'a>, patience: Duration) -> Self {
        Self { input, patience }
    }

    fn wait(&self) -> io::Result<()> {
        let deadline = Instant::now() + self.patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut fds = [PollFd::from_borrowed_fd(self.input, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => {
                    let text = format!("nothing came for {} s", self.patience.as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl Read for StallGuard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait()?;
        Ok(rustix::io::read(self.input.as_fd(), buffer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_ends_the_read() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut guard = StallGuard::new(read.as_fd(), Duration::from_millis(1));
        assert_eq!(guard.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        rustix::io::write(&write, b"ab").unwrap();
        assert_eq!(guard.read(&mut [0; 8]).unwrap(), 2);
        drop(write);
        assert_eq!(guard.read(&mut [0; 8]).unwrap(), 0);
    }
}
