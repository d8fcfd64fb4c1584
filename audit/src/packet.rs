//! What the packet filter says, by the kernel's log of packets: `IN= OUT=eth0 SRC=… DST=… PROTO=TCP SPT=… DPT=80 … UID=…`.

use kennel_model::SlotId;
use kennel_model::denial::{Act, Actor, Denial, Packet};
use kennel_model::slot::FIRST_UID;

use crate::fields::Fields;

/// The mark that the rules put before a line.
pub(crate) const PREFIX: &str = "kennel-refused: ";

/// The denial that a text after the mark tells of; nothing when the packet was nobody's.
pub(crate) fn parse(text: &str) -> Option<Denial> {
    let fields = Fields(text);
    let packet = Packet {
        protocol: protocol(fields.get("PROTO")?)?,
        to: fields.parse("DST")?,
        port: fields.parse("DPT"),
    };
    Some(Denial { actor: actor(fields.parse("UID")?), program: String::new(), act: Act::Packet(packet) })
}

/// The kernel writes `TCP`, `ICMPv6` or a number.
fn protocol(name: &str) -> Option<String> {
    let plain = matches!(name.len(), 1..=16) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    plain.then(|| name.to_ascii_lowercase())
}

fn actor(uid: u32) -> Actor {
    let number = uid.checked_sub(FIRST_UID).and_then(|n| u16::try_from(n).ok());
    match number.and_then(|n| SlotId::new(n).ok()) {
        Some(slot) => Actor::Tenant(slot),
        None => Actor::Host(format!("uid {uid}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "IN= OUT=eth0 SRC=10.0.2.15 DST=169.254.169.254 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=14 DF \
        PROTO=TCP SPT=53122 DPT=80 WINDOW=64240 RES=0x00 SYN URGP=0 UID=100003 GID=100003 ";

    #[test]
    fn a_connection_that_was_refused() {
        let denial = parse(TCP).unwrap();
        assert_eq!(denial.actor, Actor::Tenant(SlotId::new(3).unwrap()));
        let packet = Packet { protocol: "tcp".into(), to: "169.254.169.254".parse().unwrap(), port: Some(80) };
        assert_eq!(denial.act, Act::Packet(packet));
    }

    #[test]
    fn packets_of_ipv6_and_of_our_own_users() {
        let denial = parse(
            "IN= OUT=eth0 SRC=fe80:0000:0000:0000:5054:00ff:fe12:3456 DST=ff02:0000:0000:0000:0000:0000:0000:0016 \
             LEN=76 TC=0 HOPLIMIT=1 FLOWLBL=0 PROTO=ICMPv6 TYPE=143 CODE=0 UID=901 GID=901",
        )
        .unwrap();
        assert_eq!(denial.actor, Actor::Host("uid 901".into()));
        let packet = Packet { protocol: "icmpv6".into(), to: "ff02::16".parse().unwrap(), port: None };
        assert_eq!(denial.act, Act::Packet(packet));
    }

    #[test]
    fn what_is_nobodys_or_broken_is_none() {
        for text in ["", "IN= OUT=lo", &TCP.replace("UID=100003 ", ""), &TCP.replace("169.254.169.254", "here")]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&TCP.replace("PROTO=TCP", "PROTO=T\u{e9}")), None);
    }
}
