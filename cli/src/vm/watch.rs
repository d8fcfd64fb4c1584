//! Waiting for a boot to end: ready, failed, or too late. Fed with the lines of the console; waits for nothing itself.

use std::time::{Duration, Instant};

use crate::pin::Fingerprint;
use kennel_known::{Sign, sign};

/// After a failure is reported on the console, the host may still come up without what failed.
const AFTER_FAILURE: Duration = Duration::from_secs(20);

const REFUSED: &str =
    "the firmware refuses the boot program: no key that the machine has in db has signed it as it is";

/// How far the boot is.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not there yet.
    Booting,
    /// Ready, with this certificate, after so many seconds.
    Ready(Fingerprint, String),
    /// It will not become ready.
    Failed(String),
}

/// Watches a console for the end of the boot.
#[derive(Debug)]
pub struct Watch {
    end: Instant,
    patience: Duration,
    certificate: Option<Fingerprint>,
    seconds: Option<String>,
    failure: Option<(String, Instant)>,
    begun: bool,
}

impl Watch {
    /// A boot that may take so long.
    pub fn new(patience: Duration) -> Self {
        let end = Instant::now() + patience;
        Self { end, patience, certificate: None, seconds: None, failure: None, begun: false }
    }

    /// Takes a line of the console.
    pub fn line(&mut self, line: &str) {
        self.begun |= line.starts_with("init: ");
        match sign(line) {
            Some(Sign::Certificate(fingerprint)) => self.certificate = Some(fingerprint),
            Some(Sign::Ready(seconds)) => self.seconds = Some(seconds),
            Some(Sign::Failed(what)) => {
                self.failure.get_or_insert_with(|| (what, Instant::now() + AFTER_FAILURE));
            }
            // The kernel does nothing more: there is nothing to wait for.
            Some(Sign::Panic(what)) => self.failure = Some((format!("kernel panic: {what}"), Instant::now())),
            Some(Sign::Refused) => self.failure = Some((REFUSED.to_owned(), Instant::now())),
            None => {}
        }
    }

    /// How far it is now; `alive` tells whether its QEMU runs.
    pub fn progress(&self, alive: bool) -> Progress {
        let now = Instant::now();
        let failure = || self.failure.as_ref().map(|(what, _)| what.clone());
        match (&self.certificate, &self.seconds) {
            _ if !alive => Progress::Failed(failure().unwrap_or_else(|| "the machine ended".into())),
            (Some(certificate), Some(seconds)) => Progress::Ready(*certificate, seconds.clone()),
            _ if self.failure.as_ref().is_some_and(|(_, end)| now >= *end) => {
                Progress::Failed(failure().unwrap_or_default())
            }
            _ if now >= self.end => Progress::Failed(
                failure().unwrap_or_else(|| format!("it took longer than {} s", self.patience.as_secs())),
            ),
            _ => Progress::Booting,
        }
    }

    /// Whether the host's own init has said anything.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// What failed although the host came up.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_ref().map(|(what, _)| what.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";

    fn watch(lines: &[&str]) -> Watch {
        let mut watch = Watch::new(Duration::from_secs(600));
        lines.iter().for_each(|line| watch.line(line));
        watch
    }

    #[test]
    fn ready_takes_both_lines_in_any_order() {
        let certificate = format!("control: api certificate {PIN}");
        let ready = Progress::Ready(PIN.parse().unwrap(), "4.2".into());
        assert_eq!(watch(&[&certificate]).progress(true), Progress::Booting);
        assert_eq!(watch(&["init: ready in 4.2 s"]).progress(true), Progress::Booting);
        assert_eq!(watch(&["init: ready in 4.2 s", &certificate]).progress(true), ready);
        assert_eq!(watch(&[&certificate, "init: ready in 4.2 s"]).progress(true), ready);
    }

    #[test]
    fn a_boot_has_begun_when_init_speaks() {
        assert!(!watch(&[]).has_begun());
        assert!(!watch(&["BdsDxe: starting Boot0001", "[    0.0] Linux version 6.12"]).has_begun());
        assert!(watch(&["init: [   0.9] Kennel 0.1.0"]).has_begun());
    }

    #[test]
    fn a_machine_that_ended_is_not_waited_for() {
        assert_eq!(watch(&[]).progress(false), Progress::Failed("the machine ended".into()));
        let watch = watch(&["init: [ 1.0] FAILED root: no partition"]);
        assert_eq!(watch.progress(false), Progress::Failed("root: no partition".into()));
    }

    #[test]
    fn a_panic_ends_the_wait_and_a_failure_does_not_yet() {
        let panic = watch(&["Kernel panic - not syncing: dm-verity device corrupted"]).progress(true);
        assert_eq!(panic, Progress::Failed("kernel panic: dm-verity device corrupted".into()));
        let refused = watch(&["BdsDxe: failed to load Boot0001 \"disk\" from Pci(0x1,0x0): Access Denied"]);
        assert_eq!(refused.progress(true), Progress::Failed(REFUSED.into()));
        let failed = watch(&["init: [ 1.0] FAILED zram: no module"]);
        assert_eq!(failed.progress(true), Progress::Booting);
        assert_eq!(failed.failure(), Some("zram: no module"));
    }

    #[test]
    fn too_late_is_too_late() {
        let late = Watch::new(Duration::ZERO).progress(true);
        assert_eq!(late, Progress::Failed("it took longer than 0 s".into()));
    }
}
