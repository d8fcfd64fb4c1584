//! The loop: asks for what the machine is until it is known, then now and then whether the cloud has plans with it; tells
//! init whenever something is new. Between two questions it sleeps on the channel, and ends when init has gone.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use kennel_model::cloud::{Instance, MAX_TEXT, Notice, Report};
use kennel_sys::channel::{Channel, ChannelError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::pace::Pace;
use crate::questions::{self, QuestionError};
use crate::token::Session;

/// A spot instance has two minutes from the notice on.
const SPOT: Duration = Duration::from_secs(5);
/// Maintenance is announced days ahead.
const MAINTENANCE: Duration = Duration::from_secs(60);

/// Why watching ended.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Init cannot be told.
    #[error("cannot tell init: {0}")]
    Init(#[from] ChannelError),
    /// Waiting failed.
    #[error("cannot wait: {0}")]
    Poll(#[source] Errno),
}

/// The service, the way to init, and what init was told.
pub struct Watch {
    init: Channel,
    session: Session,
    pace: Pace,
    /// What is known.
    instance: Option<Instance>,
    interruption: Option<Notice>,
    /// What is asked about once in a while: maintenance, and what EC2 recommends.
    seldom: Vec<Notice>,
    trouble: Option<String>,
    /// When that is asked about next.
    next_seldom: Instant,
    told: Option<Report>,
}

impl Watch {
    /// Takes over both.
    ///
    /// # Errors
    /// When the channel cannot be made non-blocking.
    pub fn new(init: Channel, session: Session) -> Result<Self, WatchError> {
        init.set_nonblocking()?;
        Ok(Self {
            init,
            session,
            pace: Pace::default(),
            instance: None,
            interruption: None,
            seldom: Vec::new(),
            trouble: None,
            next_seldom: Instant::now(),
            told: None,
        })
    }

    /// Asks until init closes its end.
    ///
    /// # Errors
    /// [`WatchError`]; that the service does not answer is none, it is asked again.
    pub fn run(mut self) -> Result<(), WatchError> {
        loop {
            let pause = self.round();
            self.tell()?;
            if self.init_has_gone(pause)? {
                return Ok(());
            }
        }
    }

    /// Asks for what is due; answers how long to wait then.
    fn round(&mut self) -> Duration {
        match self.ask() {
            Ok(()) => {
                self.pace.answered();
                if self.trouble.take().is_some() {
                    say("the metadata service answers again");
                }
                SPOT
            }
            Err(error) => {
                let pause = self.pace.failed();
                let text: String = error.to_string().chars().filter(|c| !c.is_control()).collect();
                let text = text[..text.floor_char_boundary(MAX_TEXT)].to_owned();
                if (self.pace.is_trouble() || error.is_an_answer()) && self.trouble.as_ref() != Some(&text) {
                    say(&format!("{text}; it is asked again and again"));
                    self.trouble = Some(text);
                }
                pause
            }
        }
    }

    fn ask(&mut self) -> Result<(), QuestionError> {
        if self.instance.is_none() {
            let mut instance = questions::instance(&mut self.session)?;
            match questions::identity(&mut self.session) {
                Ok(identity) => instance.identity = identity,
                // It is for people to read, and they can do without.
                Err(error @ QuestionError::Nonsense(_)) => say(&format!("{error}; it is not shown")),
                Err(error) => return Err(error),
            }
            say(&summary(&instance));
            self.instance = Some(instance);
        }
        self.interruption = questions::interruption(&mut self.session)?;
        let now = Instant::now();
        if now >= self.next_seldom {
            let maintenance = questions::maintenance(&mut self.session)?;
            let rebalance = questions::rebalance(&mut self.session)?;
            self.seldom = rebalance.into_iter().chain(maintenance).collect();
            self.next_seldom = now + MAINTENANCE;
        }
        Ok(())
    }

    /// Tells init what it does not know yet.
    fn tell(&mut self) -> Result<(), WatchError> {
        let notices: Vec<_> = self.interruption.iter().chain(&self.seldom).cloned().collect();
        let report = Report { instance: self.instance.clone(), trouble: self.trouble.clone(), notices };
        if self.told.as_ref() == Some(&report) || report == Report::default() {
            return Ok(());
        }
        let before = self.told.as_ref().map(|told| told.notices.as_slice()).unwrap_or_default();
        for notice in report.notices.iter().filter(|notice| !before.contains(notice)) {
            say(&notice.sentence());
        }
        match self.init.send(&report, &[]) {
            Ok(()) => self.told = Some(report),
            // Init is busy; the next round tells it.
            Err(ChannelError::WouldBlock) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Sleeps; answers early, and `true`, when init has gone.
    fn init_has_gone(&self, pause: Duration) -> Result<bool, WatchError> {
        let timeout = Timespec::try_from(pause).ok();
        let mut fds = [PollFd::from_borrowed_fd(self.init.as_fd(), PollFlags::empty())];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)),
            Err(cause) => Err(WatchError::Poll(cause)),
        }
    }
}

fn summary(instance: &Instance) -> String {
    let key = if instance.public_key.is_some() { "a key pair" } else { "no key pair" };
    let identity = if instance.identity.is_some() { "" } else { ", no identity document" };
    format!(
        "instance {}, {} in {}: {} bytes of user-data, {key}, {} tags{identity}",
        instance.id,
        instance.kind,
        instance.zone,
        instance.user_data.len(),
        instance.tags.len()
    )
}

/// Says one line on the console, in one call: standard error has no buffer, and the console is everybody's.
fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(format!("imds: {text}\n").as_bytes());
}
