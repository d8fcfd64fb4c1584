//! From bytes to [`UserData`]. TOML's own parser finds the keys and their places; what each may be is asked here, by the
//! table in `shape`, so that every fault is found at once and none repeats a value.

use std::ops::Range;

use kennel_model::egress::{BadDestination, Network};
use kennel_model::routes::MAX_TRUSTED;
use kennel_model::{NodeName, clock};
use ssh_key::PublicKey;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::{Fault, Faults};
use crate::shape::{Key, Kind, SECTIONS, instead_of};
use crate::{MAX_BYTES, UserData, key, strangers};

/// How much is shown of a name that is not known.
const SHOWN: usize = 40;

pub(crate) fn read(bytes: &[u8]) -> Result<UserData, Faults> {
    let text = text(bytes)?;
    if text.trim().is_empty() {
        return Ok(UserData::default());
    }
    if let Some(fault) = strangers::in_text(text) {
        return Err(fault.into());
    }
    let document = DeTable::parse(text).map_err(|error| not_toml(text, &error))?;
    let mut reader = Reader { text, data: UserData::default(), faults: Vec::new() };
    reader.document(document.get_ref());
    reader.agrees();
    match Faults::new(reader.faults) {
        Some(faults) => Err(faults),
        None => Ok(reader.data),
    }
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.len() > MAX_BYTES {
        let what = format!("it is longer than {MAX_BYTES} bytes");
        return Err(Fault::of_all(what, "leave out what is not needed on the host; comments count as well"));
    }
    if let Some(fault) = strangers::in_bytes(bytes) {
        return Err(fault);
    }
    std::str::from_utf8(bytes).map_err(|error| Fault {
        line: Some(line_at(bytes, error.valid_up_to())),
        ..Fault::of_all("it is not text", "write TOML in UTF-8")
    })
}

/// The parser's words are about TOML's grammar and show nothing of the text.
fn not_toml(text: &str, error: &toml::de::Error) -> Fault {
    let at = error.span().map_or(0, |span| span.start);
    let what = format!("it is not TOML: {}", error.message().replace('\n', ", "));
    let hint = "correct the line; it has to be like name = \"edge1\" or ssh_keys = [\"ssh-ed25519 …\"]";
    Fault { line: Some(line_at(text.as_bytes(), at)), ..Fault::of_all(what, hint) }
}

fn line_at(bytes: &[u8], at: usize) -> usize {
    bytes[..at.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// A value in the document, under a known key.
struct Found<'a> {
    /// Such as `operator.ssh_keys`.
    key: String,
    value: &'a Spanned<DeValue<'a>>,
}

struct Reader<'a> {
    text: &'a str,
    data: UserData,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, at: &Range<usize>, key: &str, what: impl Into<String>, hint: impl Into<String>) {
        let line = Some(line_at(self.text.as_bytes(), at.start));
        self.faults.push(Fault { line, key: Some(key.to_owned()), what: what.into(), hint: hint.into() });
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let Some(section) = SECTIONS.iter().find(|section| section.name == name.get_ref()) else {
                let known = SECTIONS.iter().map(|section| section.name);
                let hint = instead_of(name.get_ref(), known);
                self.fault(&name.span(), &shown(name.get_ref()), "no such key", hint);
                continue;
            };
            match value.get_ref() {
                DeValue::Table(table) => self.section(section.name, section.keys, table),
                other => {
                    let what = format!("a table is wanted, and this is {}", kind_of(other));
                    self.fault(&name.span(), section.name, what, format!("write [{}] on a line", section.name));
                }
            }
        }
    }

    /// Of who is not named nothing is expected.
    fn agrees(&mut self) {
        if self.data.front.proxy_protocol && self.data.front.trusted.is_empty() && self.faults.is_empty() {
            let hint = "name in proxy.trusted the networks of those who speak it";
            self.faults.push(Fault {
                key: Some("proxy.proxy_protocol".to_owned()),
                ..Fault::of_all("nobody is trusted to say who a visitor is", hint)
            });
        }
    }

    fn section(&mut self, section: &str, keys: &[Key], table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{section}.{}", shown(name.get_ref()));
            match keys.iter().find(|key| key.name == name.get_ref()) {
                None => {
                    let hint = instead_of(name.get_ref(), keys.iter().map(|key| key.name));
                    self.fault(&name.span(), &key, "no such key", hint);
                }
                Some(Key { kind: Kind::NodeName, .. }) => self.node_name(&Found { key, value }),
                Some(Key { kind: Kind::SshKeys, .. }) => self.ssh_keys(&Found { key, value }),
                Some(Key { kind: Kind::TimeServers, .. }) => self.time_servers(&Found { key, value }),
                Some(Key { kind: Kind::Trusted, .. }) => self.trusted(&Found { key, value }),
                Some(Key { kind: Kind::ProxyProtocol, .. }) => self.proxy_protocol(&Found { key, value }),
            }
        }
    }

    fn node_name(&mut self, found: &Found<'_>) {
        let Some(name) = found.value.get_ref().as_str() else {
            return self.wrong_kind(found, "a text", "write name = \"edge1\"");
        };
        match NodeName::new(name) {
            Ok(name) => self.data.host_name = Some(name),
            Err(refused) => {
                self.fault(&found.value.span(), &found.key, "it cannot be a host's name", refused.rule);
            }
        }
    }

    fn ssh_keys(&mut self, found: &Found<'_>) {
        let Some(lines) = found.value.get_ref().as_array() else {
            return self.wrong_kind(found, "a list of texts", "write ssh_keys = [\"ssh-ed25519 …\"]");
        };
        for (number, line) in (1..).zip(lines.iter()) {
            match line.get_ref().as_str().map_or_else(|| Err("not a text".to_owned()), key::parse_key) {
                Ok(key) => self.operator(key),
                Err(what) => {
                    self.fault(&line.span(), &found.key, format!("key {number}: {what}"), key::HINT);
                }
            }
        }
    }

    /// The same key twice is one operator.
    fn operator(&mut self, key: PublicKey) {
        if !self.data.ssh_keys.iter().any(|known| known.key_data() == key.key_data()) {
            self.data.ssh_keys.push(key);
        }
    }

    /// The same server twice is one. chronyd asks each address once, so another port of it would never be asked.
    fn time_servers(&mut self, found: &Found<'_>) {
        let Some(list) = found.value.get_ref().as_array() else {
            return self.wrong_kind(found, "a list of texts", "write servers = [\"192.0.2.1\"]");
        };
        for (number, server_text) in (1..).zip(list.iter()) {
            let read = |text| clock::parse_server(text).map_err(|e| e.to_string());
            match server_text.get_ref().as_str().map_or_else(|| Err("not a text".to_owned()), read) {
                Ok(server) if self.data.time_servers.contains(&server) => {}
                Ok(server) if self.data.time_servers.iter().any(|known| known.ip() == server.ip()) => {
                    let what = format!("server {number}: its address is that of another one");
                    self.fault(&server_text.span(), &found.key, what, "each address is asked at one port only");
                }
                Ok(server) => self.data.time_servers.push(server),
                Err(what) => {
                    let hint = "write an address, such as 192.0.2.1, 192.0.2.1:123 or [2001:db8::1]:123";
                    self.fault(&server_text.span(), &found.key, format!("server {number}: {what}"), hint);
                }
            }
        }
        if self.data.time_servers.len() > clock::MAX_SERVERS {
            let hint = format!("{} or 4 are plenty", clock::ENOUGH_TO_VOTE);
            self.fault(&found.value.span(), &found.key, format!("more than {}", clock::MAX_SERVERS), hint);
        }
    }

    fn trusted(&mut self, found: &Found<'_>) {
        let Some(list) = found.value.get_ref().as_array() else {
            return self.wrong_kind(found, "a list of texts", "write trusted = [\"10.0.0.0/16\"]");
        };
        for (number, network_text) in (1..).zip(list.iter()) {
            let read =
                |text: &str| text.parse::<Network>().map_err(|e| (without_value(&e).to_owned(), hint_of(&e)));
            let not_text = || Err(("not a text".to_owned(), NETWORK_HINT.to_owned()));
            match network_text.get_ref().as_str().map_or_else(not_text, read) {
                Ok(network) if self.data.front.trusted.contains(&network) => {}
                Ok(network) => self.data.front.trusted.push(network),
                Err((what, hint)) => {
                    self.fault(&network_text.span(), &found.key, format!("network {number}: {what}"), hint);
                }
            }
        }
        if self.data.front.trusted.len() > MAX_TRUSTED {
            let what = format!("more than {MAX_TRUSTED}");
            self.fault(&found.value.span(), &found.key, what, "name the networks that they are in");
        }
    }

    fn proxy_protocol(&mut self, found: &Found<'_>) {
        match found.value.get_ref().as_bool() {
            Some(speaks) => self.data.front.proxy_protocol = speaks,
            None => self.wrong_kind(found, "true or false", "write proxy_protocol = true"),
        }
    }

    fn wrong_kind(&mut self, found: &Found<'_>, wanted: &str, hint: &str) {
        let what = format!("{wanted} is wanted, and this is {}", kind_of(found.value.get_ref()));
        self.fault(&found.value.span(), &found.key, what, hint);
    }
}

const NETWORK_HINT: &str = "write a network or an address, such as 10.0.0.0/16 or 2001:db8::/32";

/// What is wrong with a network; the error's own words show it.
const fn without_value(error: &BadDestination) -> &'static str {
    match error {
        BadDestination::Name(_) => "a name, not an address",
        BadDestination::Prefix(..) => "no address of the family has such a prefix",
        BadDestination::HostBits { .. } => "it has bits beyond its prefix",
        _ => "not an address",
    }
}

fn hint_of(error: &BadDestination) -> String {
    match error {
        BadDestination::Name(_) => "names are not looked up; ".to_owned() + NETWORK_HINT,
        _ => NETWORK_HINT.to_owned(),
    }
}

/// A name that is not known, short and in one line.
fn shown(name: &str) -> String {
    name.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

const fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
