//! Finds the addresses of an authority's name, by asking the host's name servers (RFC 1035) over UDP: each in its turn, IPv4
//! and IPv6 together. An answer that was cut off or does not belong to the question is none.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long one name server has for one answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Times that all are asked.
const ROUNDS: usize = 2;
/// More than any answer over UDP without extensions has (RFC 1035, 4.2.1).
const LONGEST: usize = 4096;

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DnsError {
    /// Nobody to ask.
    #[error("this host knows no name server")]
    NoServers,
    /// Not a name.
    #[error("{0:?} is not a host name")]
    BadName(String),
    /// The answer is that there is none.
    #[error("there is no address for {0}")]
    NoAddress(String),
    /// No answer.
    #[error("no name server answers: {0}")]
    Silent(String),
}

/// The addresses of a host, IPv4 before IPv6; one that is an address already is its own.
///
/// # Errors
/// [`DnsError`].
pub(crate) async fn resolve(servers: &[SocketAddr], host: &str) -> Result<Vec<IpAddr>, DnsError> {
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
        return Ok(vec![address]);
    }
    let mut last = DnsError::NoServers;
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        let both = tokio::join!(ask(*server, host, TYPE::A), ask(*server, host, TYPE::AAAA));
        match both {
            (Ok(v4), Ok(v6)) if v4.is_empty() && v6.is_empty() => {
                return Err(DnsError::NoAddress(host.to_owned()));
            }
            // One kind is enough: some name servers never answer for the other.
            (Ok(found), Ok(more)) => return Ok([found, more].concat()),
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => return Ok(found),
            (Err(error), _) | (_, Err(error)) => last = error,
        }
    }
    Err(last)
}

async fn ask(server: SocketAddr, host: &str, kind: TYPE) -> Result<Vec<IpAddr>, DnsError> {
    let silent = |cause: String| DnsError::Silent(format!("{server}: {cause}"));
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| silent(e.to_string()))?;
    let id = u16::from_ne_bytes(id);
    let question = question(id, host, kind)?;
    let asked = async {
        let socket = UdpSocket::from_std(connected(server)?)?;
        socket.send(&question).await?;
        let mut space = [0; LONGEST];
        loop {
            let length = socket.recv(&mut space).await?;
            if let Some(answer) = answer(id, host, kind, &space[..length]) {
                return Ok::<_, io::Error>(answer);
            }
        }
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => answer.map_err(silent),
        Ok(Err(cause)) => Err(silent(cause.to_string())),
        Err(_) => Err(silent(format!("nothing in {} s", PATIENCE.as_secs()))),
    }
}

/// A socket at a port of the kernel's choice, on which only this server is heard. It is never bound by name, which this
/// program may not do.
fn connected(server: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    connect(&socket, &server)?;
    Ok(socket.into())
}

fn question(id: u16, host: &str, kind: TYPE) -> Result<Vec<u8>, DnsError> {
    let bad = |_| DnsError::BadName(host.to_owned());
    let name = Name::new(host).map_err(bad)?;
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().map_err(bad)
}

/// The addresses in an answer to this question; none when it is not one, `Err` when the server cannot tell.
fn answer(id: u16, host: &str, kind: TYPE, bytes: &[u8]) -> Option<Result<Vec<IpAddr>, String>> {
    let packet = Packet::parse(bytes).ok()?;
    let asked = packet.questions.first()?;
    let is_answer = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && asked.qtype == QTYPE::TYPE(kind)
        && asked.qname.to_string().eq_ignore_ascii_case(host);
    if !is_answer {
        return None;
    }
    match packet.rcode() {
        RCODE::NoError if packet.has_flags(PacketFlag::TRUNCATION) => {
            Some(Err("its answer was cut off".into()))
        }
        // Aliases come with what they lead to, so names need not be followed here.
        RCODE::NoError => Some(Ok(packet.answers.iter().filter_map(|record| address(&record.rdata)).collect())),
        RCODE::NameError => Some(Ok(vec![])),
        other => Some(Err(format!("it says {other:?}"))),
    }
}

fn address(data: &RData<'_>) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
        RData::AAAA(a) => Some(Ipv6Addr::from(a.address).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, CNAME};

    fn reply(id: u16, host: &str, answers: Vec<ResourceRecord<'_>>) -> Vec<u8> {
        let mut packet = Packet::new_reply(id);
        let name = Name::new(host).unwrap().into_owned();
        packet.questions.push(Question::new(name, QTYPE::TYPE(TYPE::A), QCLASS::CLASS(CLASS::IN), false));
        packet.answers = answers;
        packet.build_bytes_vec().unwrap()
    }

    fn record<'a>(name: &'a str, data: RData<'a>) -> ResourceRecord<'a> {
        ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, 60, data)
    }

    #[test]
    fn only_an_answer_to_the_question_counts() {
        let four = || record("ca.example", RData::A(A { address: 0xc000_0201 }));
        let good = reply(7, "ca.example", vec![four()]);
        let found = |id, host, bytes: &[u8]| answer(id, host, TYPE::A, bytes);
        assert_eq!(found(7, "CA.example", &good), Some(Ok(vec!["192.0.2.1".parse().unwrap()])));
        assert_eq!(found(8, "ca.example", &good), None);
        assert_eq!(found(7, "other.example", &good), None);
        assert_eq!(answer(7, "ca.example", TYPE::AAAA, &good), None);
        assert_eq!(found(7, "ca.example", &question(7, "ca.example", TYPE::A).unwrap()), None);
        for cut in 0..good.len() {
            assert!(!matches!(found(7, "ca.example", &good[..cut]), Some(Ok(found)) if !found.is_empty()));
        }
        let alias = record("ca.example", RData::CNAME(CNAME(Name::new_unchecked("x.example"))));
        let through = reply(7, "ca.example", vec![alias, record("x.example", RData::A(A { address: 1 }))]);
        assert_eq!(found(7, "ca.example", &through), Some(Ok(vec!["0.0.0.1".parse().unwrap()])));
    }

    #[tokio::test]
    async fn the_next_is_asked_when_one_is_silent_and_an_address_needs_nobody() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let servers = [silent.local_addr().unwrap(), server.local_addr().unwrap()];
        tokio::spawn(async move {
            let mut space = [0; 512];
            loop {
                let (length, from) = server.recv_from(&mut space).await.unwrap();
                let asked = Packet::parse(&space[..length]).unwrap();
                let four = record("ca.example", RData::A(A { address: 0xc000_0202 }));
                // For IPv6 it says what it says for IPv4, which is no answer to that question.
                server.send_to(&reply(asked.id(), "ca.example", vec![four]), from).await.unwrap();
            }
        });
        let found = resolve(&servers, "ca.example").await.unwrap();
        assert_eq!(found, ["192.0.2.2".parse::<IpAddr>().unwrap()]);
        assert_eq!(resolve(&[], "[::1]").await.unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        assert!(matches!(resolve(&[], "ca.example").await, Err(DnsError::NoServers)));
    }
}
