//! Finds in a host's console what is waited for: the certificate's fingerprint, the end of the boot, and failures. The lines
//! are written by `init`; see its console.

use crate::pin::Fingerprint;

/// What a line means to whoever waits for the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// The API's certificate, announced by control.
    Certificate(Fingerprint),
    /// The boot has ended well, after so many seconds by init's clock.
    Ready(String),
    /// Something failed; the host may still come up without it.
    Failed(String),
    /// The kernel gave up.
    Panic(String),
    /// The firmware, with Secure Boot on, does not start the boot program.
    Refused,
}

/// What the line says, if it is one of those waited for. The kernel may have written before it on the same line.
pub fn sign(line: &str) -> Option<Sign> {
    let after = |mark: &str| line.find(mark).map(|at| &line[at + mark.len()..]);
    if let Some(rest) = after("control: api certificate ") {
        return rest.split_whitespace().next()?.parse().ok().map(Sign::Certificate);
    }
    if let Some(rest) = after("Kernel panic - not syncing: ") {
        return Some(Sign::Panic(rest.trim().to_owned()));
    }
    if line.contains("BdsDxe: failed to load ") && line.trim_end().ends_with(": Access Denied") {
        return Some(Sign::Refused);
    }
    let init = after("init: ")?;
    // Either may have the time in front: `init: [  1.234] FAILED what: why`.
    let said = match init.strip_prefix('[').and_then(|timed| timed.split_once("] ")) {
        Some((_, said)) => said,
        None => init,
    };
    if let Some(what) = said.strip_prefix("FAILED ") {
        return Some(Sign::Failed(what.trim().to_owned()));
    }
    let seconds = said.strip_prefix("ready in ")?.split_whitespace().next()?;
    Some(Sign::Ready(seconds.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";

    #[test]
    fn the_lines_that_matter() {
        let pin = PIN.parse().unwrap();
        for (line, expected) in [
            (format!("control: api certificate {PIN}"), Some(Sign::Certificate(pin))),
            (
                format!("[    9.1] virtio_net: hm control: api certificate {PIN}\r"),
                Some(Sign::Certificate(pin)),
            ),
            ("control: api certificate SHA256:cut".into(), None),
            ("init: ready in 4.2 s".into(), Some(Sign::Ready("4.2".into()))),
            ("init: [  4.200] ready in 4.2 s".into(), Some(Sign::Ready("4.2".into()))),
            ("init: [  1.000] mounted the root".into(), None),
            (
                "init: [  2.500] FAILED data volume: foreign content".into(),
                Some(Sign::Failed("data volume: foreign content".into())),
            ),
            ("init: FAILED policy: no such file".into(), Some(Sign::Failed("policy: no such file".into()))),
            (
                "[    3.0] Kernel panic - not syncing: dm-verity device corrupted".into(),
                Some(Sign::Panic("dm-verity device corrupted".into())),
            ),
            (
                "BdsDxe: failed to load Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x1,0x0): Access Denied"
                    .into(),
                Some(Sign::Refused),
            ),
            ("tenant says: FAILED and ready in 3 s".into(), None),
        ] {
            assert_eq!(sign(&line), expected, "{line}");
        }
    }
}
