//! QEMU's control socket: as much of the QMP protocol as pressing the power button takes.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// QEMU answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events may come between an order and its answer, but not without end.
const MAX_LINES: usize = 100;

/// Presses the machine's power button; the guest is asked, not forced.
pub(super) fn press_power_button(socket: &Path) -> io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    // QEMU greets first; it takes orders only after this one.
    let mut greeting = String::new();
    reader.read_line(&mut greeting)?;
    order(&mut reader, "qmp_capabilities")?;
    order(&mut reader, "system_powerdown")
}

fn order(stream: &mut BufReader<UnixStream>, name: &str) -> io::Result<()> {
    let line = format!("{}\n", serde_json::json!({ "execute": name }));
    stream.get_mut().write_all(line.as_bytes())?;
    for _ in 0..MAX_LINES {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let answer: serde_json::Value = serde_json::from_str(&line)?;
        if answer.get("return").is_some() {
            return Ok(());
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
    fn a_socket_that_nobody_serves_is_an_error() {
        assert!(press_power_button(Path::new("/nonexistent/qmp")).is_err());
    }
}
