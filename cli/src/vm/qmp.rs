//! QEMU's control socket: as much of the QMP protocol as pressing the power button and asking for
//! the forwarded ports takes.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// QEMU answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events may come between an order and its answer, but not without end.
const MAX_LINES: usize = 100;

/// A TCP port of this computer that leads to one of the machine's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) here: u16,
    pub(super) guest: u16,
}

/// Presses the machine's power button; the guest is asked, not forced.
pub(super) fn press_power_button(socket: &Path) -> io::Result<()> {
    order(&mut connect(socket)?, "system_powerdown", &json!({})).map(drop)
}

/// The forwarded ports that QEMU listens on. QMP has no words for them but the human monitor's table.
pub(super) fn forwards(socket: &Path) -> io::Result<Vec<Forward>> {
    let arguments = json!({ "command-line": "info usernet" });
    let table = order(&mut connect(socket)?, "human-monitor-command", &arguments)?;
    Ok(table.as_str().unwrap_or_default().lines().filter_map(forward).collect())
}

/// A row: `TCP[HOST_FORWARD]  11  127.0.0.1 33153  10.0.2.15  80  0  0`.
fn forward(row: &str) -> Option<Forward> {
    let mut columns = row.split_whitespace();
    if columns.next()? != "TCP[HOST_FORWARD]" {
        return None;
    }
    Some(Forward { here: columns.nth(2)?.parse().ok()?, guest: columns.nth(1)?.parse().ok()? })
}

fn connect(socket: &Path) -> io::Result<BufReader<UnixStream>> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    // QEMU greets first; it takes orders only after this one.
    let mut greeting = String::new();
    reader.read_line(&mut greeting)?;
    order(&mut reader, "qmp_capabilities", &json!({}))?;
    Ok(reader)
}

fn order(stream: &mut BufReader<UnixStream>, name: &str, arguments: &Value) -> io::Result<Value> {
    let line = format!("{}\n", json!({ "execute": name, "arguments": arguments }));
    stream.get_mut().write_all(line.as_bytes())?;
    for _ in 0..MAX_LINES {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut answer: Value = serde_json::from_str(&line)?;
        if let Some(result) = answer.get_mut("return") {
            return Ok(result.take());
        }
        if let Some(error) = answer.get("error") {
            return Err(io::Error::other(format!("{name}: {error}")));
        }
    }
    Err(io::Error::other(format!("{name}: no answer")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_button_is_pressed_after_the_greeting_and_events_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("qmp");
        let listener = UnixListener::bind(&socket).unwrap();
        let qemu = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let mut orders = Vec::new();
            writeln!(stream.get_mut(), "{{\"QMP\":{{}}}}").unwrap();
            for _ in 0..2 {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                orders.push(line);
                writeln!(stream.get_mut(), "{{\"event\":\"POWERDOWN\"}}\n{{\"return\":{{}}}}").unwrap();
            }
            orders
        });
        press_power_button(&socket).unwrap();
        let orders = qemu.join().unwrap();
        assert!(orders[0].contains("qmp_capabilities") && orders[1].contains("system_powerdown"), "{orders:?}");
    }

    #[test]
    fn forwarded_ports_are_read_off_the_table() {
        let row = "  TCP[HOST_FORWARD]  11       127.0.0.1 33153       10.0.2.15    80     0     0\r";
        assert_eq!(forward(row), Some(Forward { here: 33153, guest: 80 }));
        for other in [
            "",
            "Hub -1 (net):",
            "  TCP[ESTABLISHED]  20  127.0.0.1 33153  10.0.2.15  80  0  0",
            "TCP[HOST_FORWARD] 11",
        ] {
            assert_eq!(forward(other), None, "{other}");
        }
    }

    #[test]
    fn a_socket_that_nobody_serves_is_an_error() {
        assert!(press_power_button(Path::new("/nonexistent/qmp")).is_err());
    }
}
