//! Ethernet, IPv4 and UDP around a DHCP message, for the time before there is an address. Nothing but port 67 to
//! port 68 gets through; what the message says is `message`'s business.

use std::net::Ipv4Addr;

/// A hardware address.
pub type Mac = [u8; 6];

/// The UDP port of servers.
pub const SERVER_PORT: u16 = 67;
/// The UDP port of clients.
pub const CLIENT_PORT: u16 = 68;
/// The longest frame that is looked at; the client asks for messages that fit a standard frame.
pub const MAX_FRAME: usize = 1600;

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const UDP: usize = 8;
const BROADCAST: Mac = [0xff; 6];

/// A whole frame from `mac` to everybody that carries `payload`.
pub fn broadcast(mac: Mac, source: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let udp = udp(source, payload);
    let mut frame = Vec::with_capacity(ETHERNET + IPV4 + udp.len());
    frame.extend_from_slice(&BROADCAST);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&[0x08, 0x00]);
    let mut ip = [0; IPV4];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((IPV4 + udp.len()) as u16).to_be_bytes());
    ip[8] = 64;
    ip[9] = 17;
    ip[12..16].copy_from_slice(&source.octets());
    ip[16..20].copy_from_slice(&Ipv4Addr::BROADCAST.octets());
    let sum = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend_from_slice(&ip);
    frame.extend_from_slice(&udp);
    frame
}

fn udp(source: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let length = ((UDP + payload.len()) as u16).to_be_bytes();
    let mut udp = Vec::with_capacity(UDP + payload.len());
    udp.extend_from_slice(&CLIENT_PORT.to_be_bytes());
    udp.extend_from_slice(&SERVER_PORT.to_be_bytes());
    udp.extend_from_slice(&length);
    udp.extend_from_slice(&[0, 0]);
    udp.extend_from_slice(payload);
    let pseudo = [&source.octets()[..], &Ipv4Addr::BROADCAST.octets(), &[0, 17], &length].concat();
    let sum = match checksum(&[&pseudo, &udp]) {
        0 => 0xffff, // Zero would say that there is none.
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    udp
}

/// The DHCP message in a frame, when it is one from a server to `mac` or to everybody.
pub fn payload(frame: &[u8], mac: Mac) -> Option<&[u8]> {
    let (ethernet, rest) = frame.split_at_checked(ETHERNET)?;
    if (ethernet[..6] != mac && ethernet[..6] != BROADCAST) || ethernet[12..] != [0x08, 0x00] {
        return None;
    }
    let header = usize::from(rest.first()? & 0x0f) * 4;
    let ip = rest.get(..header)?;
    if rest[0] >> 4 != 4 || header < IPV4 || ip[9] != 17 || checksum(&[ip]) != 0 {
        return None;
    }
    // No fragments: neither an offset nor more to come.
    if u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff != 0 {
        return None;
    }
    // What follows the packet in the frame is padding.
    let udp = rest.get(header..usize::from(u16::from_be_bytes([ip[2], ip[3]])))?;
    let (head, payload) = udp.split_at_checked(UDP)?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    if word(0) != SERVER_PORT || word(2) != CLIENT_PORT {
        return None;
    }
    // The UDP checksum is not looked at: on a virtual network it is often left to hardware that is not there.
    payload.get(..usize::from(word(4)).checked_sub(UDP)?)
}

/// The Internet checksum over `parts`, each of which has an even length but the last.
pub(crate) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    /// Our own frame, turned round: as a server would send it.
    fn reply(payload: &[u8]) -> Vec<u8> {
        let mut frame = broadcast(MAC, Ipv4Addr::UNSPECIFIED, payload);
        frame.swap(34 + 1, 36 + 1);
        frame
    }

    #[test]
    fn a_message_survives_the_trip() {
        assert_eq!(payload(&reply(b"hello"), MAC), Some(&b"hello"[..]));
        let mut padded = reply(b"hello");
        padded.resize(60, 0);
        assert_eq!(payload(&padded, MAC), Some(&b"hello"[..]));
    }

    #[test]
    fn both_checksums_are_right() {
        let frame = broadcast(MAC, Ipv4Addr::new(10, 0, 0, 1), b"odd");
        assert_eq!(checksum(&[&frame[14..34]]), 0);
        let pseudo = [&frame[26..34], &[0, 17, 0, 11][..]].concat();
        assert_eq!(checksum(&[&pseudo, &frame[34..]]), 0);
    }

    #[test]
    fn what_is_not_for_us_is_passed_over() {
        let other = |at: usize, value: u8| {
            let mut frame = reply(b"hello");
            frame[at] = value;
            payload(&frame, MAC).is_none()
        };
        assert!(other(0, 0), "another host's frame");
        assert!(other(12, 0x86), "another protocol");
        assert!(other(14, 0x65), "another version");
        assert!(other(14, 0x44), "a short header");
        assert!(other(20, 0x20), "a fragment");
        assert!(other(23, 6), "TCP");
        assert!(other(35, 53), "another port");
        assert!(other(39, 200), "longer than the packet");
        assert!(other(39, 3), "shorter than its header");
        assert!(payload(&broadcast(MAC, Ipv4Addr::UNSPECIFIED, b"own"), MAC).is_none(), "our own");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = payload(&frame, MAC);
        }

        #[test]
        fn a_damaged_frame_never_panics(at in 0usize..60, value: u8, cut in 0usize..60) {
            let mut frame = reply(b"some message");
            let at = at % frame.len();
            frame[at] = value;
            frame.truncate(cut);
            let _ = payload(&frame, MAC);
        }
    }
}
