//! Which of the kernel's lines are about denied acts, and what they say.

use kennel_model::denial::Denial;

use crate::{avc, packet, seccomp};

/// What a line of the kernel's log means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// An act was denied.
    Denied(Denial),
    /// The kernel kept so many audit records to itself, as there were too many at once.
    Suppressed(u64),
    /// Something else.
    Other,
}

/// Reads one line, of whatever bytes.
pub fn read(text: &str) -> Line {
    denial(text).map(Line::Denied).or_else(|| suppressed(text)).unwrap_or(Line::Other)
}

fn denial(text: &str) -> Option<Denial> {
    if let Some(text) = text.strip_prefix(packet::PREFIX) {
        return packet::parse(text);
    }
    let (kind, text) = text.strip_prefix("audit: type=")?.split_once(" audit(")?;
    let (_, text) = text.split_once("): ")?;
    match kind {
        "1400" => avc::parse(text.strip_prefix("avc:")?),
        "1326" => seccomp::parse(text),
        _ => None,
    }
}

/// `printk_ratelimit` says how much it held back when the next record comes.
fn suppressed(text: &str) -> Option<Line> {
    let count = text.strip_prefix("kauditd_printk_skb: ")?.strip_suffix(" callbacks suppressed")?;
    Some(Line::Suppressed(count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AVC: &str = "audit: type=1400 audit(1763712000.123:45): avc:  denied  { read } for  pid=7 comm=\"node\" \
        name=\"x\" scontext=system_u:jit_r:tenant0001_t tcontext=system_u:object_r:proc_t tclass=file permissive=0";
    const PACKET: &str =
        "kennel-refused: IN= OUT=lo SRC=127.0.0.1 DST=127.0.0.1 LEN=60 PROTO=TCP SPT=1 DPT=2 UID=100001";
    const KILLED: &str = "audit: type=1326 audit(1763712000.123:45): auid=4294967295 uid=100001 \
        subj=system_u:jit_r:tenant0001_t pid=7 comm=\"node\" sig=31 arch=c000003e syscall=165 compat=0";

    #[test]
    fn lines_are_told_apart() {
        for line in [AVC, PACKET, KILLED] {
            assert!(matches!(read(line), Line::Denied(_)), "{line}");
        }
        assert_eq!(read("kauditd_printk_skb: 91 callbacks suppressed"), Line::Suppressed(91));
        for other in
            ["", "audit: type=1403 audit(1.1:1): auid=1 lsm=selinux res=1", "eth0: up", "x kennel-refused: "]
        {
            assert_eq!(read(other), Line::Other, "{other}");
        }
        assert_eq!(read("printk: 91 callbacks suppressed"), Line::Other);
    }

    /// A line with some of its bytes exchanged for others.
    fn damaged() -> impl Strategy<Value = String> {
        let line = prop_oneof![Just(AVC), Just(PACKET), Just(KILLED)];
        (line, proptest::collection::vec((any::<usize>(), any::<char>()), 0..12)).prop_map(|(line, changes)| {
            let mut text: Vec<char> = line.chars().collect();
            for (place, c) in changes {
                let place = place % text.len();
                text[place] = c;
            }
            text.into_iter().collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_line_panics_and_what_is_read_fits_its_bounds(line in prop_oneof![damaged(), "\\PC{0,400}"]) {
            if let Line::Denied(denial) = read(&line) {
                let message = kennel_model::msg::encode(&denial).unwrap();
                prop_assert!(message.len() < 2048, "{denial:?}");
            }
        }

        /// What the kernel does with a name that is not plain: hexadecimal. Whatever it is, only that field changes.
        #[test]
        fn a_hostile_name_is_only_a_name(name in proptest::collection::vec(any::<u8>(), 1..300)) {
            let hex: String = name.iter().map(|b| format!("{b:02X}")).collect();
            let line = AVC.replace("\"x\"", &hex).replace("\"node\"", &hex);
            let (Line::Denied(plain), Line::Denied(hostile)) = (read(AVC), read(&line)) else {
                return Err(TestCaseError::fail("not read"));
            };
            prop_assert_eq!(plain.actor, hostile.actor);
            prop_assert!(!hostile.program.chars().any(char::is_control));
        }

        #[test]
        fn no_record_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = crate::record::parse(&bytes);
        }
    }
}
