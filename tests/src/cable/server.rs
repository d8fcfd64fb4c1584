//! A DHCPv6 server, and a judge of whoever asks it: each message of the host's is held against RFC 8415, 16 and 18.2, and
//! what it may not be is remembered as a fault.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, Message, MessageType, OptionCode, Status, StatusCode,
};
use dhcproto::{Decodable, Encodable};

use super::frames::{Frame, UDP, from_router};
use super::{HOST, State};

pub(super) const SERVER_PORT: u16 = 547;
const CLIENT_PORT: u16 = 546;
const SERVERS: ([u8; 6], Ipv6Addr) = ([0x33, 0x33, 0, 1, 0, 2], Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2));
/// The server's name for itself.
const DUID: &[u8] = &[0, 2, 0, 0, 0x7e, 0xd9, 1];
/// Emulated clocks are no exact ones.
const SLACK: Duration = Duration::from_secs(2);
/// False answers at a time: more than the client reads at once, and no more than a socket's buffer holds (the true answer comes
/// last, and a slow machine reads nothing before all have come).
const FLOOD: usize = 80;

/// What the server does.
#[derive(Debug, Clone)]
pub struct Serves {
    /// It answers.
    pub answers: bool,
    /// It has no address to give.
    pub is_empty: bool,
    /// Before each answer come false ones: to other questions and clients, of other servers, with addresses that no host has.
    pub hostile: bool,
    /// T1, T2 and the life of an address, in seconds.
    pub times_s: [u32; 3],
    /// A name server that comes with it.
    pub name_server: Ipv6Addr,
    /// The question before, when it was first asked, and when the address was last given, with which times.
    last: Option<(MessageType, [u8; 3], u16)>,
    given: Option<(Instant, [u32; 3])>,
}

impl Default for Serves {
    fn default() -> Self {
        Self {
            answers: true,
            is_empty: false,
            hostile: false,
            times_s: [600, 900, 1800],
            name_server: Ipv6Addr::new(0x2600, 0xdb8, 0x53, 0, 0, 0, 0, 2),
            last: None,
            given: None,
        }
    }
}

impl State {
    /// A message to the server: judged, and answered by frames.
    pub(super) fn question(&mut self, frame: &Frame<'_>) -> Vec<Vec<u8>> {
        let Some(question) = frame.payload.get(8..).and_then(|bytes| Message::from_bytes(bytes).ok()) else {
            self.faults.push("a message of DHCPv6 that cannot be read".to_owned());
            return Vec::new();
        };
        let kind = question.msg_type();
        if self.serves.is_new(&question) {
            self.asked.push(format!("{kind:?}"));
        }
        let outside = envelope(frame).err();
        let inside = contents(&question, frame.from).err();
        let when = self.serves.moment(&question).err();
        self.faults
            .extend([outside, inside, when].into_iter().flatten().map(|fault| format!("{kind:?}: {fault}")));
        if !self.serves.answers {
            return Vec::new();
        }
        let to = (frame.from, frame.source);
        let mut answers = if self.serves.hostile { false_answers(&question) } else { Vec::new() };
        answers.push(self.serves.answer(&question));
        answers.iter().filter_map(|answer| datagram(to, answer)).collect()
    }
}

/// Who sends to whom.
fn envelope(frame: &Frame<'_>) -> Result<(), String> {
    match frame {
        f if (f.to, f.destination) != SERVERS => Err(format!("sent to {}, not to all servers", f.destination)),
        f if !f.source.is_unicast_link_local() => {
            Err(format!("sent from {}, which is not link-local", f.source))
        }
        f if f.source_port() != CLIENT_PORT => Err(format!("sent from port {}", f.source_port())),
        f if !f.is_whole() => Err("its checksum is wrong".to_owned()),
        _ => Ok(()),
    }
}

/// What the message has and has not, by its kind.
fn contents(question: &Message, mac: [u8; 6]) -> Result<(), String> {
    let options = question.opts();
    let count = |code| options.iter().filter(|option| OptionCode::from(*option) == code).count();
    for code in [OptionCode::ClientId, OptionCode::ElapsedTime, OptionCode::IANA] {
        if count(code) != 1 {
            return Err(format!("it has {} options {code:?}", count(code)));
        }
    }
    if options.get(OptionCode::ClientId) != Some(&DhcpOption::ClientId([&[0, 3, 0, 1][..], &mac].concat())) {
        return Err("its name is not its hardware address".to_owned());
    }
    let kind = question.msg_type();
    let names_server = matches!(kind, MessageType::Request | MessageType::Renew | MessageType::Decline);
    let named = options.get(OptionCode::ServerId);
    if named != names_server.then(|| DhcpOption::ServerId(DUID.to_vec())).as_ref() {
        return Err(format!("it names the server {named:?}"));
    }
    let wants = match options.get(OptionCode::ORO) {
        Some(DhcpOption::ORO(oro)) => oro.opts.contains(&OptionCode::SolMaxRt),
        _ => false,
    };
    if wants == (kind == MessageType::Decline) {
        return Err("it does not ask for SOL_MAX_RT where it must".to_owned());
    }
    addresses(question)
}

/// The set of addresses: times are the server's to say, and the one that is meant is the one that was given.
fn addresses(question: &Message) -> Result<(), String> {
    let Some(DhcpOption::IANA(ia)) = question.opts().get(OptionCode::IANA) else {
        return Err("its set of addresses is none".to_owned());
    };
    if (ia.t1, ia.t2) != (0, 0) {
        return Err(format!("T1 and T2 are {} and {}", ia.t1, ia.t2));
    }
    let named: Vec<_> = ia.opts.iter().collect();
    let expected =
        DhcpOption::IAAddr(IAAddr { addr: HOST, preferred_life: 0, valid_life: 0, opts: DhcpOptions::new() });
    match (question.msg_type(), &named[..]) {
        (MessageType::Solicit, []) => Ok(()),
        (MessageType::Solicit, _) => Err("it names an address".to_owned()),
        (_, [one]) if **one == expected => Ok(()),
        _ => Err(format!("it names {named:?}")),
    }
}

impl Serves {
    /// Whether it is no repetition of the question before.
    fn is_new(&self, question: &Message) -> bool {
        self.last.is_none_or(|(_, before, _)| before != question.xid())
    }

    /// When it comes: a new question is new, the same again is the same but for its age, and nobody renews too early.
    fn moment(&mut self, question: &Message) -> Result<(), String> {
        let (kind, xid) = (question.msg_type(), question.xid());
        let Some(DhcpOption::ElapsedTime(elapsed)) = question.opts().get(OptionCode::ElapsedTime).cloned()
        else {
            return Ok(());
        };
        let is_new = self.is_new(question);
        match self.last.replace((kind, xid, elapsed)) {
            _ if is_new && elapsed != 0 => Err(format!("it is {elapsed} old when it is first asked")),
            // A repetition says that the answer did not arrive: its time is not the lease's.
            _ if is_new => self.early(kind),
            Some((_, _, age)) if elapsed <= age => Err("it does not grow older".to_owned()),
            Some((other, ..)) if other != kind => Err(format!("it has the number of {other:?}")),
            _ => Ok(()),
        }
    }

    fn early(&self, kind: MessageType) -> Result<(), String> {
        let which = match kind {
            MessageType::Renew => 0,
            MessageType::Rebind => 1,
            _ => return Ok(()),
        };
        let Some((given, times_s)) = self.given else { return Err("no address was given".to_owned()) };
        let due = Duration::from_secs(times_s[which].into()).saturating_sub(SLACK);
        match given.elapsed() {
            age if age >= due => Ok(()),
            age => Err(format!("too early, {age:?} after the address was given for {times_s:?}")),
        }
    }

    fn answer(&mut self, question: &Message) -> Message {
        let kind = match question.msg_type() {
            MessageType::Solicit => MessageType::Advertise,
            _ => MessageType::Reply,
        };
        let [t1, t2, life] = self.times_s;
        let within = match question.msg_type() {
            _ if self.is_empty => status(Status::NoAddrsAvail),
            MessageType::Decline => status(Status::Success),
            _ => address(HOST, life),
        };
        if kind == MessageType::Reply && !self.is_empty {
            self.given = Some((Instant::now(), self.times_s));
        }
        let mut answer = reply(question, kind, (t1, t2), within);
        answer.opts_mut().insert(DhcpOption::DomainNameServers(vec![self.name_server]));
        answer
    }
}

fn status(status: Status) -> DhcpOption {
    DhcpOption::StatusCode(StatusCode { status, msg: String::new() })
}

fn address(addr: Ipv6Addr, life: u32) -> DhcpOption {
    DhcpOption::IAAddr(IAAddr { addr, preferred_life: life, valid_life: life, opts: DhcpOptions::new() })
}

fn reply(question: &Message, kind: MessageType, (t1, t2): (u32, u32), within: DhcpOption) -> Message {
    let mut answer = Message::new_with_id(kind, question.xid());
    let options = answer.opts_mut();
    if let Some(id) = question.opts().get(OptionCode::ClientId) {
        options.insert(id.clone());
    }
    options.insert(DhcpOption::ServerId(DUID.to_vec()));
    let id = match question.opts().get(OptionCode::IANA) {
        Some(DhcpOption::IANA(ia)) => ia.id,
        _ => 0,
    };
    options.insert(DhcpOption::IANA(IANA { id, t1, t2, opts: [within].into_iter().collect() }));
    answer
}

/// Answers that look like those to this question, and each of which is not to be believed for one reason.
fn false_answers(question: &Message) -> Vec<Message> {
    let kind = match question.msg_type() {
        MessageType::Solicit => MessageType::Advertise,
        _ => MessageType::Reply,
    };
    let good = |addr: &str| reply(question, kind, (600, 900), address(addr.parse().unwrap_or(HOST), 1800));
    let changed = |change: &dyn Fn(&mut Message)| {
        let mut answer = good("2600:db8:666::66");
        change(&mut answer);
        answer
    };
    let put = |answer: &mut Message, option: DhcpOption| {
        answer.opts_mut().remove(OptionCode::from(&option));
        answer.opts_mut().insert(option);
    };
    let mut all: Vec<Message> =
        ["fe80::66", "ff02::66", "::1", "::ffff:10.0.0.1", "fd00:ec2::254"].map(good).into();
    all.push(changed(&|m| put(m, DhcpOption::ClientId(vec![0, 3, 0, 1, 6, 6, 6, 6, 6, 6]))));
    all.push(changed(&|m| drop(m.opts_mut().remove(OptionCode::ClientId))));
    all.push(changed(&|m| drop(m.opts_mut().remove(OptionCode::ServerId))));
    // Of another server: an offer could be taken; whatever else it says is not for it to say.
    if kind == MessageType::Reply && question.msg_type() != MessageType::Rebind {
        all.push(changed(&|m| put(m, DhcpOption::ServerId(vec![0, 3, 0, 1, 6]))));
    }
    let [a, b, c] = question.xid();
    let other = |n: usize| {
        changed(&|m| {
            m.set_xid([a ^ 0x80, b ^ (n >> 8) as u8, c ^ n as u8]);
        })
    };
    all.extend((0..FLOOD).map(other));
    all
}

fn datagram(to: ([u8; 6], Ipv6Addr), message: &Message) -> Option<Vec<u8>> {
    let bytes = message.to_vec().ok()?;
    let mut udp = [SERVER_PORT.to_be_bytes(), CLIENT_PORT.to_be_bytes()].concat();
    udp.extend(((8 + bytes.len()) as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(bytes);
    Some(from_router(to, 64, UDP, &udp, 6))
}
