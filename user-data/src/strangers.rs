//! What people hand to a host by mistake: scripts, other programs' documents, user-data that was encoded twice, and private
//! keys. A parser would say something true of each that helps nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fault::Fault;

const HINT: &str = "this host runs no scripts and no cloud-init: give it TOML with [operator] and [host]";

/// How documents begin that are no TOML, and what they are.
const BEGINNINGS: [(&str, &str); 8] = [
    ("#!", "it is a script"),
    ("#cloud-config", "it is for cloud-init"),
    ("#include", "it is for cloud-init"),
    ("#cloud-boothook", "it is for cloud-init"),
    ("## template:", "it is for cloud-init"),
    ("Content-Type:", "it is for cloud-init"),
    ("MIME-Version:", "it is for cloud-init"),
    ("{", "it is JSON"),
];

/// Says so when the bytes are plainly something else, before anybody asks whether they are text.
pub(crate) fn in_bytes(bytes: &[u8]) -> Option<Fault> {
    bytes.starts_with(&[0x1f, 0x8b]).then(|| Fault::of_all("it is compressed (gzip)", "give the text itself"))
}

/// The same of text.
pub(crate) fn in_text(text: &str) -> Option<Fault> {
    if let Some(line) = text.lines().position(|line| line.contains("PRIVATE KEY-----")) {
        let hint = "give the line of the .pub file, and make another key: this one is no secret any more, since everybody \
                    who may read the instance's attributes sees it";
        return Some(Fault { line: Some(line + 1), ..Fault::of_all("it holds a private key", hint) });
    }
    let start = text.trim_start();
    if let Some((_, what)) = BEGINNINGS.iter().find(|(beginning, _)| start.starts_with(beginning)) {
        return Some(Fault { line: Some(1), ..Fault::of_all(*what, HINT) });
    }
    let lines: String = text.split_whitespace().collect();
    let inner = STANDARD.decode(lines).ok().and_then(|bytes| String::from_utf8(bytes).ok())?;
    let hint = "give the text itself; aws ec2 run-instances --user-data file://FILE encodes it by itself";
    inner.contains('[').then(|| Fault::of_all("it was encoded in base64 once too often", hint))
}
