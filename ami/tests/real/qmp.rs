//! QEMU's control socket, as far as the rack needs it.

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// QEMU answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Gives QEMU orders, one after the other.
pub(crate) fn order(socket: &Path, orders: &[(&str, Value)]) -> io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream);
    // It greets first.
    lines.read_line(&mut String::new())?;
    give(&mut lines, "qmp_capabilities", &json!({}))?;
    orders.iter().try_for_each(|(name, arguments)| give(&mut lines, name, arguments))
}

fn give(lines: &mut BufReader<UnixStream>, name: &str, arguments: &Value) -> io::Result<()> {
    let line = json!({ "execute": name, "arguments": arguments });
    lines.get_mut().write_all(format!("{line}\n").as_bytes())?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let answer: Value = serde_json::from_str(&line)?;
        // What else comes are events.
        if let Some(error) = answer.get("error") {
            return Err(io::Error::other(format!("{name}: {error}")));
        } else if answer.get("return").is_some() {
            return Ok(());
        }
    }
}
