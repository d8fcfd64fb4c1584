//! QEMU's control socket, as far as plugging a disk in takes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// QEMU answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plugs the data disk of a machine in that was started without, as an NVMe disk as EC2's are.
///
/// # Errors
/// What QEMU said.
pub(crate) fn plug_data_in(socket: &Path) -> Result<(), String> {
    let fault = |e: std::io::Error| format!("QEMU's control socket: {e}");
    let stream = UnixStream::connect(socket).map_err(fault)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(fault)?;
    let mut lines = BufReader::new(stream.try_clone().map_err(fault)?).lines();
    let disk =
        json!({ "driver": "nvme", "id": "data-disk", "drive": "data", "bus": "late", "serial": "kennel-late" });
    for order in
        [json!({ "execute": "qmp_capabilities" }), json!({ "execute": "device_add", "arguments": disk })]
    {
        writeln!(&stream, "{order}").map_err(fault)?;
        // Its greeting and events come between.
        loop {
            let line = lines.next().ok_or("QEMU's control socket was closed")?.map_err(fault)?;
            let answer: Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
            if let Some(error) = answer.get("error") {
                return Err(format!("QEMU refuses {order}: {error}"));
            }
            if answer.get("return").is_some() {
                break;
            }
        }
    }
    Ok(())
}
