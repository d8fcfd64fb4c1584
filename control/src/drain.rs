//! When the host empties itself because EC2 takes its machine away: shortly before the time that a spot interruption names,
//! and for some minutes after it. How a host is emptied is init's business; this says when, and puts what is written on the
//! disk. A host that is still there when those minutes have passed, or whose notice was taken back, serves again.
//!
//! The time is EC2's own, and so is compared with the clock of day; it is the only place where that is done.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kennel_model::cloud::{Notice, Report};
use kennel_model::msg::{Cause, ControlRequest};

use crate::control::Control;
use crate::error::{Error, Result};
use crate::say;

/// How long before the time: 8 s for requests in flight, then programs' own graces, and some for the disk.
const BEFORE_S: i64 = 25;
/// How long after it, when nothing has happened.
const AFTER_S: i64 = 300;
/// How often is looked, while there is a notice; clocks are stepped, and a notice is there for minutes only.
const LOOK: Duration = Duration::from_secs(1);
/// How long init may take: requests, programs, and what was killed.
const EMPTY: Duration = Duration::from_secs(60);

/// What is to be done about all notices together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// No interruption is announced, or its time has long passed.
    Serve,
    /// One is announced: look again soon.
    Wait,
    /// Take no more requests.
    Drain,
}

/// What these notices ask for at this time, in seconds since 1970.
fn wish(notices: &[Notice], now: i64) -> Wish {
    let times = notices.iter().filter_map(|notice| match notice {
        Notice::Interruption { at, .. } => seconds(at),
        Notice::Rebalance { .. } | Notice::Maintenance { .. } => None,
    });
    let of = |at: i64| match now {
        now if now < at - BEFORE_S => Wish::Wait,
        now if now < at + AFTER_S => Wish::Drain,
        _ => Wish::Serve,
    };
    let wishes: Vec<_> = times.map(of).collect();
    [Wish::Drain, Wish::Wait].into_iter().find(|wish| wishes.contains(wish)).unwrap_or(Wish::Serve)
}

/// Reads `2027-01-21T09:00:00Z`, as the metadata service writes a time; seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str, digits: usize| {
        (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<i64>().ok())?
    };
    let mut fields = date.split('-');
    let (year, month, day) =
        (number(fields.next()?, 4)?, number(fields.next()?, 2)?, number(fields.next()?, 2)?);
    let mut clock = time.split('.').next()?.split(':');
    let (hour, minute, second) =
        (number(clock.next()?, 2)?, number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    let whole = fields.next().is_none() && clock.next().is_none();
    let sensible = year >= 1970
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    // Days since 1970 in the Gregorian calendar, whose year is taken to begin in March: leap days end it.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469;
    (whole && sensible).then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl Control {
    /// Does what the cloud's notices ask for, as long as control runs. A control that starts does not know what the one
    /// before has done, so it begins by saying what it wants.
    pub(crate) async fn heed_notices(self: Arc<Self>) {
        let mut cloud = self.init.cloud();
        let mut drained = None;
        loop {
            let notices = cloud.borrow_and_update().as_ref().map(|r: &Report| r.notices.clone());
            let wish = wish(&notices.unwrap_or_default(), now());
            let wanted = wish == Wish::Drain;
            if drained != Some(wanted) {
                let was_empty = drained == Some(true);
                drained = self.drain(wanted).await.then_some(wanted);
                if was_empty && drained == Some(false) {
                    tokio::spawn(
                        Arc::clone(&self)
                            .start_always_on(|slot| ControlRequest::Start(slot, Cause::always_on())),
                    );
                }
            }
            if wish == Wish::Serve && drained.is_some() {
                if cloud.changed().await.is_err() {
                    return;
                }
            } else {
                // Whatever comes first: news of the cloud, or the time.
                let _ = tokio::time::timeout(LOOK, cloud.changed()).await;
            }
        }
    }

    /// Empties the host, or lets it serve; answers whether that was done.
    async fn drain(&self, wanted: bool) -> bool {
        if let Err(cause) = self.init.act(ControlRequest::Drain(wanted), EMPTY).await {
            say!("the host is not {}: {cause}", if wanted { "drained" } else { "served from" });
            return false;
        }
        if wanted {
            match self.settle().await {
                Ok(()) => say!("everything is on the disk; the machine may be taken away"),
                Err(cause) => say!("not everything is on the disk: {cause}"),
            }
        }
        true
    }

    /// Puts the registry into its one file, and whatever programs have written on the disk.
    async fn settle(&self) -> Result<()> {
        self.registry.with(|store| store.checkpoint()).await?;
        let folder = self.config.control_dir.clone();
        let sync = move || rustix::fs::syncfs(File::open(folder)?).map_err(std::io::Error::from);
        tokio::task::spawn_blocking(sync).await?.map_err(|e| Error::Io("data volume", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interruption(at: &str) -> Notice {
        Notice::Interruption { action: "terminate".into(), at: at.into() }
    }

    #[test]
    fn times_are_read_as_the_service_writes_them() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2017-09-18T08:22:00Z"), Some(1_505_722_920));
        assert_eq!(seconds("2024-02-29T23:59:59Z"), Some(1_709_251_199));
        assert_eq!(seconds("2024-03-01T00:00:00.250Z"), Some(1_709_251_200));
        assert_eq!(seconds("2100-03-01T00:00:00Z"), Some(4_107_542_400));
        for text in [
            "",
            "2017-09-18",
            "2017-09-18T08:22:00",
            "2017-13-18T08:22:00Z",
            "2017-9-18T08:22:00Z",
            "2017-09-18T08:22Z",
            "+017-09-18T08:22:00Z",
            "2017-09-18-01T08:22:00Z",
            "soonZ",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn the_host_empties_shortly_before_and_serves_again_long_after() {
        let notices = [interruption("1970-01-01T01:00:00Z")];
        for (now, expected) in [
            (0, Wish::Wait),
            (3574, Wish::Wait),
            (3575, Wish::Drain),
            (3600, Wish::Drain),
            (3899, Wish::Drain),
            (3900, Wish::Serve),
        ] {
            assert_eq!(wish(&notices, now), expected, "{now}");
        }
        assert_eq!(wish(&[], 3600), Wish::Serve);
    }

    #[test]
    fn maintenance_and_times_that_make_no_sense_stop_nobody() {
        let maintenance = Notice::Maintenance {
            code: "system-reboot".into(),
            description: String::new(),
            from: "1970-01-01T01:00:00Z".into(),
        };
        assert_eq!(wish(&[maintenance, interruption("soon")], 3600), Wish::Serve);
        let two = [interruption("1970-01-01T01:00:00Z"), interruption("1970-01-01T02:00:00Z")];
        assert_eq!(wish(&two, 3600), Wish::Drain);
        assert_eq!(wish(&two, 5000), Wish::Wait);
    }
}
