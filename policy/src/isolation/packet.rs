//! A packet that a row says the packet filter refuses, in one line: `tcp 169.254.169.254:80`, `udp [fe80::1]:53`,
//! `icmp 10.0.0.1`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::Deserialize;

/// What a program would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Packet {
    /// What it carries.
    pub protocol: Protocol,
    /// Destination.
    pub to: IpAddr,
    /// Destination port; 0 where the protocol has none.
    pub port: u16,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `tcp`
    Tcp,
    /// `udp`
    Udp,
    /// `sctp`
    Sctp,
    /// `icmp`
    Icmp,
    /// `ipv6-icmp`
    Icmpv6,
}

/// A line that is no packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no packet: write `tcp 192.0.2.1:80`, `udp [2001:db8::1]:53` or `icmp 192.0.2.1`")]
pub struct BadPacket(String);

impl Protocol {
    const ALL: [Self; 5] = [Self::Tcp, Self::Udp, Self::Sctp, Self::Icmp, Self::Icmpv6];

    /// As iptables names it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Icmp => "icmp",
            Self::Icmpv6 => "ipv6-icmp",
        }
    }

    const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Sctp)
    }
}

impl FromStr for Packet {
    type Err = BadPacket;

    fn from_str(line: &str) -> Result<Self, BadPacket> {
        let bad = || BadPacket(line.to_owned());
        let (word, to) = line.split_once(' ').ok_or_else(bad)?;
        let protocol = Protocol::ALL.into_iter().find(|known| known.word() == word).ok_or_else(bad)?;
        if protocol.has_ports() {
            let to: SocketAddr = to.parse().map_err(|_| bad())?;
            return Ok(Self { protocol, to: to.ip(), port: to.port() });
        }
        let to: IpAddr = to.parse().map_err(|_| bad())?;
        let same_family = to.is_ipv4() == (protocol == Protocol::Icmp);
        if same_family { Ok(Self { protocol, to, port: 0 }) } else { Err(bad()) }
    }
}

impl TryFrom<String> for Packet {
    type Error = BadPacket;

    fn try_from(line: String) -> Result<Self, BadPacket> {
        line.parse()
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol.word();
        if self.protocol.has_ports() {
            write!(f, "{protocol} {}", SocketAddr::new(self.to, self.port))
        } else {
            write!(f, "{protocol} {}", self.to)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read_as_it_is_written() {
        for line in ["tcp 169.254.169.254:80", "udp [fe80::1]:53", "icmp 10.0.0.1", "ipv6-icmp fe80::1"] {
            assert_eq!(line.parse::<Packet>().unwrap().to_string(), line);
        }
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for line in ["tcp", "tcp 10.0.0.1", "udp fe80::1", "icmp fe80::1", "gre 10.0.0.1:1", "tcp name:80"] {
            assert!(line.parse::<Packet>().is_err(), "{line}");
        }
    }
}
