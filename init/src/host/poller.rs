//! epoll: what init listens to, each source under a name of its own instead of a number.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::task::Place;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use crate::step::{Failed, Step};

/// Events taken at a time.
const BATCH: usize = 64;

/// Something that can wake init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Signals: a child's end, Ctrl-Alt-Del.
    Signals,
    /// A power button, by its place in the list.
    Button(u16),
    /// A service's channel, by its place in the table.
    Channel(u16),
    /// A service's report of its start.
    ServiceReport(u16),
    /// A tenant program's report of its start.
    SlotReport(SlotId),
    /// `kennel-unpack`'s report of its start.
    JobReport(SlotId),
    /// A task's report of its start.
    TaskReport(Place),
    /// The events of a slot's cgroup that is not empty yet.
    Cgroup(SlotId),
    /// The events of a slot's cgroup that is to freeze.
    Freezer(SlotId),
    /// Processes wait for memory.
    Memory,
}

impl Source {
    fn encode(self) -> u64 {
        let (kind, index) = match self {
            Self::Signals => (0, 0),
            Self::Button(n) => (1, n),
            Self::Channel(n) => (2, n),
            Self::ServiceReport(n) => (3, n),
            Self::SlotReport(slot) => (4, slot.index()),
            Self::JobReport(slot) => (5, slot.index()),
            Self::Cgroup(slot) => (6, slot.index()),
            Self::Freezer(slot) => (7, slot.index()),
            Self::Memory => (8, 0),
            Self::TaskReport(place) => (9, place.index()),
        };
        (kind << 16) | u64::from(index)
    }

    fn decode(code: u64) -> Option<Self> {
        let index = (code & 0xffff) as u16;
        let slot = SlotId::new(index);
        Some(match code >> 16 {
            0 => Self::Signals,
            1 => Self::Button(index),
            2 => Self::Channel(index),
            3 => Self::ServiceReport(index),
            4 => Self::SlotReport(slot.ok()?),
            5 => Self::JobReport(slot.ok()?),
            6 => Self::Cgroup(slot.ok()?),
            7 => Self::Freezer(slot.ok()?),
            8 => Self::Memory,
            9 => Self::TaskReport(Place::of_index(index)?),
            _ => return None,
        })
    }
}

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Where.
    pub source: Source,
    /// There is room to write again.
    pub writable: bool,
    /// There is something to read, or the other side has gone.
    pub readable: bool,
}

/// The one epoll of this process.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    /// # Errors
    /// The system's.
    pub fn new() -> Result<Self, Failed> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC).step(|| "make an epoll".to_owned())? })
    }

    /// Listens to a source until it is forgotten.
    ///
    /// # Errors
    /// The system's.
    pub fn add(&self, fd: impl AsFd, source: Source) -> Result<(), Failed> {
        let flags = if matches!(source, Source::Cgroup(_) | Source::Freezer(_) | Source::Memory) {
            EventFlags::PRI
        } else {
            EventFlags::IN
        };
        epoll::add(&self.epoll, fd, EventData::new_u64(source.encode()), flags)
            .step(|| format!("listen to {source:?}"))
    }

    /// Says whether room to write is of interest.
    ///
    /// # Errors
    /// The system's.
    pub fn want_room(&self, fd: impl AsFd, source: Source, wanted: bool) -> Result<(), Failed> {
        let flags = if wanted { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        epoll::modify(&self.epoll, fd, EventData::new_u64(source.encode()), flags)
            .step(|| format!("listen to {source:?}"))
    }

    /// Listens to it no more. To be called before it is closed: a child that is about to exec may hold a copy, and a
    /// closed descriptor with a copy would go on having events.
    pub fn forget(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits for something to happen, at most this long.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&self, limit: Option<Duration>) -> Result<Vec<Ready>, Failed> {
        let limit = limit.map(|d| Timespec {
            tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: d.subsec_nanos().into(),
        });
        let mut events = Vec::with_capacity(BATCH);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(Failed::new("wait for events", e)),
        }
        let ready = |event: &epoll::Event| {
            let flags = event.flags;
            Some(Ready {
                source: Source::decode(event.data.u64())?,
                writable: flags.contains(EventFlags::OUT),
                readable: flags
                    .intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR | EventFlags::PRI),
            })
        };
        Ok(events.iter().filter_map(ready).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_survives_its_number() {
        let slot = SlotId::new(4095).unwrap();
        for source in [
            Source::Signals,
            Source::Button(3),
            Source::Channel(2),
            Source::ServiceReport(1),
            Source::SlotReport(slot),
            Source::JobReport(slot),
            Source::Cgroup(slot),
            Source::Freezer(slot),
            Source::Memory,
            Source::TaskReport(Place::all(slot).last().unwrap()),
        ] {
            assert_eq!(Source::decode(source.encode()), Some(source));
        }
        assert_eq!(Source::decode(10 << 16), None);
        assert_eq!(Source::decode((4 << 16) | 5000), None);
    }

    #[test]
    fn a_pipe_wakes_until_it_is_forgotten() {
        let poller = Poller::new().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        poller.add(&reader, Source::Button(0)).unwrap();
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap(), []);
        rustix::io::write(&writer, b"x").unwrap();
        let woken = Ready { source: Source::Button(0), writable: false, readable: true };
        assert_eq!(poller.wait(None).unwrap(), [woken]);
        poller.forget(&reader);
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap(), []);
    }
}
