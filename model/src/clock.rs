//! The host's clock: which servers of NTP it may be told to ask, and what is known of it. The servers are addresses only:
//! names would take a resolver within reach of the one program that may set the clock, and are only as good as the name
//! server that answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// UDP port of NTP (RFC 5905).
pub const NTP_PORT: u16 = 123;
/// EC2's own server, which every instance reaches without a route to the Internet (Amazon Time Sync Service).
pub const EC2_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 123)), NTP_PORT);
/// Nobody gets better time from more.
pub const MAX_SERVERS: usize = 8;
/// So many servers can outvote one that lies.
pub const ENOUGH_TO_VOTE: usize = 3;

/// Why this is no server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// A name, or nothing at all.
    #[error("it is not an address; names are not looked up")]
    NotAnAddress,
    /// Nothing answers there, or this host itself does, or more than one.
    #[error("no server can have this address")]
    Nobodys,
    /// Port 0.
    #[error("port 0 is none")]
    Port,
}

/// Reads `192.0.2.1`, `192.0.2.1:123`, `2001:db8::1` or `[2001:db8::1]:123`.
///
/// # Errors
/// [`ServerError`].
pub fn parse_server(text: &str) -> Result<SocketAddr, ServerError> {
    let with_port = text.parse().ok();
    let alone = || Some(SocketAddr::new(text.parse().ok()?, NTP_PORT));
    let server = with_port.or_else(alone).ok_or(ServerError::NotAnAddress)?;
    check_server(server).map(|()| server)
}

/// Whether the host may be told to ask there.
///
/// # Errors
/// [`ServerError`].
pub fn check_server(server: SocketAddr) -> Result<(), ServerError> {
    let ip = server.ip().to_canonical();
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() && SocketAddr::new(ip.into(), server.port()) != EC2_SERVER,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 0 || ip.octets()[0] >= 224);
    match server {
        s if s.port() == 0 => Err(ServerError::Port),
        SocketAddr::V6(s) if s.ip().to_ipv4_mapped().is_some() => Err(ServerError::Nobodys),
        _ if link_local || broadcast || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() => {
            Err(ServerError::Nobodys)
        }
        _ => Ok(()),
    }
}

/// What is known of the clock now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Who is asked for the time; nobody where there is no cloud and the user-data names none.
    pub servers: Vec<SocketAddr>,
    /// Whether it follows them at present.
    pub synchronised: bool,
    /// Then it is off by no more than this, in microseconds, as the kernel counts it.
    pub max_error_us: u64,
    /// Seconds by which it was stepped last, since the host was started; 0 when it was not. It is slewed otherwise.
    pub stepped_s: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses_with_or_without_a_port() {
        for (text, server) in [
            ("192.0.2.1", "192.0.2.1:123"),
            ("10.0.2.2:11123", "10.0.2.2:11123"),
            ("2001:db8::1", "[2001:db8::1]:123"),
            ("[2001:db8::1]:4123", "[2001:db8::1]:4123"),
            ("169.254.169.123", "169.254.169.123:123"),
        ] {
            assert_eq!(parse_server(text), Ok(server.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_can_be_no_server_is_refused() {
        for text in ["", "ntp.example.org", "192.0.2.1 ", "192.0.2", "server 192.0.2.1", "192.0.2.1:70000"] {
            assert_eq!(parse_server(text), Err(ServerError::NotAnAddress), "{text}");
        }
        for text in [
            "127.0.0.1",
            "0.0.0.0",
            "224.0.1.1",
            "255.255.255.255",
            "169.254.169.254",
            "::1",
            "fe80::1",
            "ff02::101",
            "::ffff:192.0.2.1",
            "169.254.169.123:80",
        ] {
            assert_eq!(parse_server(text), Err(ServerError::Nobodys), "{text}");
        }
        assert_eq!(parse_server("192.0.2.1:0"), Err(ServerError::Port));
    }
}
