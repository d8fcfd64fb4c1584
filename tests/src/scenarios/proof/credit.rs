//! Who refused: SELinux says so in the kernel's log, with the domain, the class and the permission; the packet filter says
//! so with the sender's user. Both come to the console a moment after the act.

use std::time::{Duration, Instant};

use kennel_model::proof::Layers;

use crate::vm::Vm;

/// For the kernel to print what it has to say.
const MOMENT: Duration = Duration::from_secs(2);

/// What the console says of this villain since `seen` bytes, in a word or two each; empty when it says nothing.
pub(super) fn of(vm: &Vm, seen: usize, layers: Layers, result: &str) -> String {
    let Ok(slot) = layers.slot() else { return String::new() };
    let domain = format!(":tenant{slot}_t");
    let user = format!("UID={} ", slot.uid());
    let end = Instant::now() + MOMENT;
    loop {
        let console = vm.console();
        let mut words: Vec<String> = Vec::new();
        for line in console.get(seen..).unwrap_or_default().lines() {
            let word = selinux(line, &domain).or_else(|| packet_filter(line, &user));
            words.extend(word.filter(|word| !words.contains(word)));
        }
        let waits = layers == Layers::MacOnly && result != "done";
        if !words.is_empty() || !waits || Instant::now() >= end {
            return words.join(", ");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// `avc:  denied  { read } for … scontext=… tclass=file permissive=0` becomes `SELinux: read file`. What a permissive domain
/// only reports refused nothing.
fn selinux(line: &str, domain: &str) -> Option<String> {
    let (_, denied) = line.split_once("avc:  denied  {")?;
    let (permissions, rest) = denied.split_once('}')?;
    let field = |name| rest.split(' ').find_map(|word| word.trim_end().strip_prefix(name));
    let (context, class) = (field("scontext=")?, field("tclass=")?);
    if !context.contains(domain) || field("permissive=")? != "0" {
        return None;
    }
    let target = field("tcontext=").and_then(|context| context.split(':').nth(2)).unwrap_or_default();
    Some(format!("SELinux: {} {class} {target}", permissions.trim()))
}

fn packet_filter(line: &str, user: &str) -> Option<String> {
    let (_, refused) = line.split_once("kennel-refused: ")?;
    let field = |name| refused.split(' ').find_map(|word| word.strip_prefix(name)).unwrap_or_default();
    let line_has_user = format!("{refused} ").contains(user);
    line_has_user.then(|| format!("packet filter: {} {}:{}", field("PROTO="), field("DST="), field("DPT=")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: &str = "[   12.3] audit: type=1400 audit(1.0:2): avc:  denied  { read } for  pid=7 comm=\"server\" \
        name=\"secret\" dev=\"vdb\" ino=9 scontext=system_u:system_r:tenant0002_t \
        tcontext=system_u:object_r:tenant0005_data_t tclass=file permissive=0";

    #[test]
    fn a_denial_is_credited_to_selinux_only_where_it_refused() {
        let credit = selinux(DENIED, ":tenant0002_t");
        assert_eq!(credit.as_deref(), Some("SELinux: read file tenant0005_data_t"));
        assert_eq!(selinux(DENIED, ":tenant0001_t"), None);
        assert_eq!(selinux(&DENIED.replace("permissive=0", "permissive=1"), ":tenant0002_t"), None);
    }

    #[test]
    fn a_refused_packet_is_credited_to_its_sender() {
        let line = "kennel-refused: IN= OUT=lo SRC=127.0.0.1 DST=127.0.0.1 PROTO=TCP SPT=5 DPT=80 UID=100000 GID=100000 ";
        assert_eq!(packet_filter(line, "UID=100000 ").as_deref(), Some("packet filter: TCP 127.0.0.1:80"));
        assert_eq!(packet_filter(line, "UID=10000 "), None);
    }
}
