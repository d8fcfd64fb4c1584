//! What the system call filters say when they end a process (audit's type 1326): `… uid=… subj=… comm="…" exe="…"
//! sig=31 arch=c000003e syscall=165 compat=0 ip=… code=0x80000000`.

use kennel_model::denial::{Act, Denial};

use crate::avc::{actor, type_of};
use crate::fields::Fields;

/// `AUDIT_ARCH_X86_64`.
const X86_64: &str = "c000003e";
/// `__X32_SYSCALL_BIT`.
const X32: u64 = 0x4000_0000;
/// SIGSYS.
const SIGNAL: &str = "31";

/// The denial that such a text tells of; nothing for calls that were let through.
pub(crate) fn parse(text: &str) -> Option<Denial> {
    let fields = Fields(text);
    if fields.get("sig")? != SIGNAL {
        return None;
    }
    let number: u64 = fields.parse("syscall")?;
    let act = Act::SystemCall {
        number: u32::try_from(number & !X32).unwrap_or(u32::MAX),
        foreign: fields.get("arch")? != X86_64 || number & X32 != 0,
    };
    let actor = actor(&type_of(fields.get("subj")?)?);
    Some(Denial { actor, program: fields.string("comm").unwrap_or_default(), act })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::SlotId;
    use kennel_model::denial::Actor;

    const KILLED: &str = "auid=4294967295 uid=100003 gid=100003 ses=4294967295 subj=system_u:system_r:tenant0003_t \
        pid=321 comm=\"server\" exe=\"/app/server\" sig=31 arch=c000003e syscall=165 compat=0 ip=0x401000 code=0x80000000";

    #[test]
    fn a_process_that_was_ended() {
        let denial = parse(KILLED).unwrap();
        assert_eq!(denial.actor, Actor::Tenant(SlotId::new(3).unwrap()));
        assert_eq!(denial.program, "server");
        assert_eq!(denial.act, Act::SystemCall { number: 165, foreign: false });
    }

    #[test]
    fn calls_by_other_ways_and_those_let_through() {
        let act = |from: &str, to: &str| parse(&KILLED.replace(from, to)).map(|d| d.act);
        let foreign = Some(Act::SystemCall { number: 165, foreign: true });
        assert_eq!(act("c000003e", "40000003"), foreign);
        assert_eq!(act("syscall=165", "syscall=1073741989"), foreign);
        assert_eq!(act("sig=31", "sig=0"), None);
        assert_eq!(act("subj=system_u:system_r:tenant0003_t", "subj=?"), None);
        assert_eq!(act("syscall=165", "syscall=-1"), None);
    }
}
