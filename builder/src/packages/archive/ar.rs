//! The outermost layer of a `.deb`: the `ar` format, as far as Debian uses it (deb(5)).

use std::io::{self, Read};

use super::Fault;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// The first member whose name begins with `prefix`, as its name and a reader of its bytes.
pub(super) fn find<R: Read>(mut archive: R, prefix: &str) -> Result<(String, io::Take<R>), Fault> {
    let mut magic = [0; MAGIC.len()];
    let read = read_up_to(&mut archive, &mut magic)?;
    if &magic[..read] != MAGIC {
        return Err(Fault::Malformed("not a Debian package".into()));
    }
    loop {
        let mut header = [0; HEADER];
        match read_up_to(&mut archive, &mut header)? {
            0 => return Err(Fault::Malformed(format!("there is no {prefix} in it"))),
            HEADER => {}
            _ => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
        let (name, size) =
            parse(&header).ok_or_else(|| Fault::Malformed("a member's header is broken".into()))?;
        if name.starts_with(prefix) {
            return Ok((name.to_owned(), archive.take(size)));
        }
        // Members begin at even offsets.
        let padded = size + size % 2;
        if io::copy(&mut archive.by_ref().take(padded), &mut io::sink())? != padded {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Name and size of a member. `ar` pads with spaces; some writers end the name with a slash.
fn parse(header: &[u8; HEADER]) -> Option<(&str, u64)> {
    let name = std::str::from_utf8(&header[..16]).ok()?.trim_end().trim_end_matches('/');
    let size = std::str::from_utf8(&header[48..58]).ok()?.trim_end().parse().ok()?;
    (header[58..] == *b"`\n").then_some((name, size))
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
