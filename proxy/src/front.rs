//! What stands before the host, such as a load balancer, says who visitors are: once for each connection by the PROXY
//! protocol, version 2 (HAProxy's `doc/proxy-protocol.txt`), or for each request in `X-Forwarded-For` and `X-Forwarded-Proto`. Who is
//! asked is in the host's user-data; what strangers say of themselves is not looked at.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use kennel_model::routes::Front;
use ppp::v2::{Addresses, Command, Header};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::headers::{X_FORWARDED_FOR, X_FORWARDED_PROTO};

/// Signature, version, family, and the length of what follows.
const FIXED_BYTES: usize = 16;
/// Of what follows: addresses, and then what a load balancer knows besides, such as a client's certificate.
const MOST_BYTES: usize = 4 << 10;

/// Reads the header, and not a byte more. None where it speaks of no visitor: the load balancer looks whether we are there.
///
/// # Errors
/// The connection's, and `InvalidData` where it begins with anything else.
pub(crate) async fn announced(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let wrong = || io::Error::from(io::ErrorKind::InvalidData);
    let mut header = vec![0; FIXED_BYTES];
    stream.read_exact(&mut header).await?;
    let more = usize::from(u16::from_be_bytes([header[FIXED_BYTES - 2], header[FIXED_BYTES - 1]]));
    if !header.starts_with(ppp::v2::PROTOCOL_PREFIX) || more > MOST_BYTES {
        return Err(wrong());
    }
    header.resize(FIXED_BYTES + more, 0);
    stream.read_exact(&mut header[FIXED_BYTES..]).await?;
    let header = Header::try_from(&header[..]).map_err(|_| wrong())?;
    Ok(match (header.command, header.addresses) {
        (Command::Proxy, Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
        (Command::Proxy, Addresses::IPv6(addresses)) => Some(addresses.source_address.into()),
        _ => None,
    })
}

/// Whom a request is from that somebody trusted has passed on, and whether he came with TLS. The last of the list who is not
/// trusted himself: what stands before that, he may have written.
pub(crate) fn named(front: &Front, fields: &HeaderMap) -> (Option<IpAddr>, bool) {
    let mut visitor = None;
    for named in from_the_end(fields, &X_FORWARDED_FOR) {
        let Some(address) = address(named) else { break };
        visitor = Some(address);
        if !front.trusts(address) {
            break;
        }
    }
    let has_tls =
        from_the_end(fields, &X_FORWARDED_PROTO).next().is_some_and(|p| p.eq_ignore_ascii_case("https"));
    (visitor, has_tls)
}

fn from_the_end<'f>(fields: &'f HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'f str> {
    let values: Vec<&HeaderValue> = fields.get_all(name).iter().collect();
    values.into_iter().rev().flat_map(|value| value.to_str().unwrap_or_default().rsplit(',').map(str::trim))
}

/// Some write the port beside it.
fn address(text: &str) -> Option<IpAddr> {
    let alone = text.parse().ok();
    alone.or_else(|| text.parse::<SocketAddr>().ok().map(|both| both.ip())).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(list: &[&str]) -> String {
        let front = Front { trusted: vec!["10.0.0.0/8".parse().unwrap()], proxy_protocol: false };
        let mut fields = HeaderMap::new();
        for value in list {
            fields.append(X_FORWARDED_FOR, value.parse().unwrap());
        }
        named(&front, &fields).0.map(|address| address.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_last_who_is_not_trusted_is_the_visitor() {
        assert_eq!(visitor(&[]), "");
        assert_eq!(visitor(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(visitor(&["198.51.100.9, 192.0.2.1, 10.0.0.7"]), "192.0.2.1", "the first may be invented");
        assert_eq!(visitor(&["198.51.100.9", "192.0.2.1", "10.0.0.7"]), "192.0.2.1");
        assert_eq!(visitor(&["10.0.0.8, 10.0.0.7"]), "10.0.0.8");
        assert_eq!(visitor(&["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(visitor(&["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(visitor(&["::ffff:192.0.2.1"]), "192.0.2.1");
        assert_eq!(visitor(&["192.0.2.1, unknown, 10.0.0.7"]), "10.0.0.7");
        assert_eq!(visitor(&["192.0.2.1, "]), "");
    }
}
