//! Destinations as people write them: `10.0.5.7:5432`, `[2001:db8::/32]:443`, `203.0.113.0/24`, `10.0.5.7:53/udp`. Only
//! addresses: what a name stands for changes, and a rule made of yesterday's answer would not say what it seems to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 or IPv6 network; bits beyond the prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(IpAddr, u8)", into = "(IpAddr, u8)")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One port or a range of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct Ports {
    first: u16,
    last: u16,
}

/// What a rule is about. Without ports it is every port and, when no protocol is named either, every protocol; with
/// ports there is a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Destination {
    network: Network,
    protocol: Option<Protocol>,
    ports: Option<Ports>,
}

type Unchecked = (Network, Option<Protocol>, Option<Ports>);

/// Why a text is no destination. The message names it; [`BadDestination::hint`] says how one is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDestination {
    /// It looks like a host name.
    #[error("{0:?} is a name, not an address")]
    Name(String),
    /// Neither.
    #[error("{0:?} is not an address")]
    Address(String),
    /// A prefix that no address of the family has.
    #[error("{0:?} is not the length of a prefix: use 0 to {1}")]
    Prefix(String, u8),
    /// Bits beyond the prefix.
    #[error("{given} has bits beyond its prefix")]
    HostBits {
        /// As it was given.
        given: String,
        /// What was meant.
        meant: Network,
    },
    /// Neither a port nor a range.
    #[error("{0:?} is neither a port nor a range of ports")]
    Ports(String),
    /// Brackets that do not close.
    #[error("{0:?} has a '[' without its ']'")]
    Brackets(String),
    /// Ports of no protocol.
    #[error("ports without a protocol")]
    NoProtocol,
}

impl BadDestination {
    /// How it is written.
    pub fn hint(&self) -> String {
        match self {
            Self::Name(_) => {
                "use an address or a network: what a name stands for changes, and the packet filter would \
                              go on with what it stood for today"
                    .into()
            }
            Self::HostBits { meant, .. } => format!("did you mean {meant}?"),
            Self::Ports(_) => "write 5432, or 5000-5010, from 1 to 65535".into(),
            Self::Address(_) | Self::Prefix(..) | Self::Brackets(_) | Self::NoProtocol => {
                "write 10.0.5.7:5432, 203.0.113.0/24, [2001:db8::/32]:443 or 10.0.5.7:53/udp".into()
            }
        }
    }
}

impl Network {
    /// An IPv4 network; for constants, so bits beyond the prefix are cut off.
    pub const fn v4(address: Ipv4Addr, prefix: u8) -> Self {
        let keep = (u32::MAX as u64) << (32 - prefix as u32);
        Self { address: IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & keep as u32)), prefix }
    }

    /// An IPv6 network; for constants, so bits beyond the prefix are cut off.
    pub const fn v6(address: Ipv6Addr, prefix: u8) -> Self {
        let keep = if prefix == 0 { 0 } else { u128::MAX << (128 - prefix as u32) };
        Self { address: IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & keep)), prefix }
    }

    /// # Errors
    /// [`BadDestination::Prefix`] and [`BadDestination::HostBits`].
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, BadDestination> {
        let longest = longest_prefix(address);
        if prefix > longest {
            return Err(BadDestination::Prefix(prefix.to_string(), longest));
        }
        let meant = match address {
            IpAddr::V4(address) => Self::v4(address, prefix),
            IpAddr::V6(address) => Self::v6(address, prefix),
        };
        if meant.address == address {
            Ok(meant)
        } else {
            Err(BadDestination::HostBits { given: format!("{address}/{prefix}"), meant })
        }
    }

    /// The network of this address alone.
    pub const fn of(address: IpAddr) -> Self {
        Self { address, prefix: longest_prefix(address) }
    }

    /// Its first address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// Whether it is of IPv4.
    pub const fn is_v4(self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether the other lies within it.
    pub fn contains(self, other: Self) -> bool {
        if other.prefix < self.prefix {
            return false;
        }
        match (self.address, other.address) {
            (IpAddr::V4(_), IpAddr::V4(address)) => Self::v4(address, self.prefix) == self,
            (IpAddr::V6(_), IpAddr::V6(address)) => Self::v6(address, self.prefix) == self,
            _ => false,
        }
    }
}

const fn longest_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl TryFrom<(IpAddr, u8)> for Network {
    type Error = BadDestination;
    fn try_from((address, prefix): (IpAddr, u8)) -> Result<Self, BadDestination> {
        Self::new(address, prefix)
    }
}

impl From<Network> for (IpAddr, u8) {
    fn from(network: Network) -> Self {
        (network.address, network.prefix)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Network {
    type Err = BadDestination;
    fn from_str(text: &str) -> Result<Self, BadDestination> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let parsed: IpAddr = address.parse().map_err(|_| not_an_address(address))?;
        let longest = longest_prefix(parsed);
        let prefix = match prefix {
            None => longest,
            Some(prefix) => number(prefix).ok_or_else(|| BadDestination::Prefix(cut(prefix), longest))?,
        };
        Self::new(parsed, prefix)
    }
}

/// Digits alone: what `parse` would also take, such as a sign, is not how a number is written here.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn not_an_address(text: &str) -> BadDestination {
    let name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.chars().all(name) && text.chars().any(char::is_alphabetic) {
        BadDestination::Name(cut(text))
    } else {
        BadDestination::Address(cut(text))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

impl Ports {
    /// None for port 0 and for a range that ends before it begins.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || last < first { None } else { Some(Self { first, last }) }
    }

    /// The first.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last, which is part of the range.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// How many.
    pub const fn count(self) -> usize {
        (self.last - self.first) as usize + 1
    }

    /// Each of them.
    pub fn each(&self) -> impl Iterator<Item = u16> + use<> {
        self.first..=self.last
    }

    /// Whether this port is among them.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether they have a port in common.
    pub const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl TryFrom<(u16, u16)> for Ports {
    type Error = BadDestination;
    fn try_from((first, last): (u16, u16)) -> Result<Self, BadDestination> {
        Self::new(first, last).ok_or_else(|| BadDestination::Ports(format!("{first}-{last}")))
    }
}

impl From<Ports> for (u16, u16) {
    fn from(ports: Ports) -> Self {
        (ports.first, ports.last)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for Ports {
    type Err = BadDestination;
    fn from_str(text: &str) -> Result<Self, BadDestination> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ports = number(first).zip(number(last)).and_then(|(first, last)| Self::new(first, last));
        ports.ok_or_else(|| BadDestination::Ports(cut(text)))
    }
}

impl Destination {
    /// # Errors
    /// [`BadDestination::NoProtocol`] for ports without one.
    pub fn new(
        network: Network,
        protocol: Option<Protocol>,
        ports: Option<Ports>,
    ) -> Result<Self, BadDestination> {
        if ports.is_some() && protocol.is_none() {
            return Err(BadDestination::NoProtocol);
        }
        Ok(Self { network, protocol, ports })
    }

    /// Where.
    pub const fn network(&self) -> Network {
        self.network
    }

    /// By which protocol; any when absent.
    pub const fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// To which ports; any when absent.
    pub const fn ports(&self) -> Option<Ports> {
        self.ports
    }

    /// The same with a port, as an example for a hint.
    pub fn with_example_port(&self) -> Self {
        let protocol = self.protocol.or(Some(Protocol::Tcp));
        Self { network: self.network, protocol, ports: Ports::new(443, 443) }
    }
}

impl TryFrom<Unchecked> for Destination {
    type Error = BadDestination;
    fn try_from((network, protocol, ports): Unchecked) -> Result<Self, BadDestination> {
        Self::new(network, protocol, ports)
    }
}

impl From<Destination> for Unchecked {
    fn from(to: Destination) -> Self {
        (to.network, to.protocol, to.ports)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ports {
            Some(ports) if self.network.is_v4() => write!(f, "{}:{ports}", self.network)?,
            Some(ports) => write!(f, "[{}]:{ports}", self.network)?,
            None => write!(f, "{}", self.network)?,
        }
        self.protocol.map_or(Ok(()), |protocol| write!(f, "/{protocol}"))
    }
}

impl FromStr for Destination {
    type Err = BadDestination;
    fn from_str(text: &str) -> Result<Self, BadDestination> {
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, "tcp")) => (rest, Some(Protocol::Tcp)),
            Some((rest, "udp")) => (rest, Some(Protocol::Udp)),
            _ => (text, None),
        };
        let (network, ports) = split(rest)?;
        let network = network.parse()?;
        let ports = ports.map(Ports::from_str).transpose()?;
        Self::new(network, protocol.or(ports.map(|_| Protocol::Tcp)), ports)
    }
}

/// The network and the ports. Without brackets, a text with more than one colon is an IPv6 network.
fn split(text: &str) -> Result<(&str, Option<&str>), BadDestination> {
    if let Some(inner) = text.strip_prefix('[') {
        let (network, after) = inner.split_once(']').ok_or_else(|| BadDestination::Brackets(cut(text)))?;
        return match after.strip_prefix(':') {
            Some(ports) => Ok((network, Some(ports))),
            None if after.is_empty() => Ok((network, None)),
            None => Err(BadDestination::Ports(cut(after))),
        };
    }
    match text.split_once(':') {
        Some((network, ports)) if !ports.contains(':') => Ok((network, Some(ports))),
        _ => Ok((text, None)),
    }
}
