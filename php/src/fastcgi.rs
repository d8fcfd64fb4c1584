//! FastCGI as one request to a responder needs it: what is sent is written, what comes back is read, each record bounded by the
//! protocol's own length of 64 KiB. One connection is one request. What the texts in it mean is `script`'s business.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const VERSION: u8 = 1;
/// The one request of a connection.
const REQUEST: u16 = 1;
/// A request to a responder, after whose answer the connection is closed.
const BEGIN: [u8; 8] = [0, 1, 0, 0, 0, 0, 0, 0];
/// Most that PHP takes in one record, of what the protocol allows.
const MAX_CONTENT: usize = 32 << 10;
/// Longest name or value.
const MAX_TEXT: usize = 60 << 10;

const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// What a request is described with.
#[derive(Debug, Default)]
pub struct Params {
    /// Whole records; no pair is in two of them, since PHP would not put it together.
    records: Vec<BytesMut>,
}

/// A name or a value is longer than one record can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a header of the request is too long")]
pub struct TooLong;

/// A piece of what comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Of the answer.
    Out(Bytes),
    /// Of what is to be told whoever looks after the program.
    Err(Bytes),
    /// All has come.
    End,
}

impl Params {
    /// Adds one.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<(), TooLong> {
        if name.len() + value.len() > MAX_TEXT {
            return Err(TooLong);
        }
        let needed = name.len() + value.len() + 8;
        let fits = |record: &BytesMut| record.len() + needed <= MAX_CONTENT;
        if !self.records.last().is_some_and(fits) {
            self.records.push(BytesMut::new());
        }
        let Some(record) = self.records.last_mut() else { return Err(TooLong) };
        for length in [name.len(), value.len()] {
            match u8::try_from(length).ok().filter(|short| *short < 0x80) {
                Some(short) => record.put_u8(short),
                None => record.put_u32(0x8000_0000 | u32::try_from(length).map_err(|_| TooLong)?),
            }
        }
        record.put_slice(name.as_bytes());
        record.put_slice(value);
        Ok(())
    }
}

/// Begins a request.
///
/// # Errors
/// The connection's.
pub async fn begin(to: &mut (impl AsyncWrite + Unpin), params: &Params) -> io::Result<()> {
    record(to, BEGIN_REQUEST, &BEGIN).await?;
    for params in &params.records {
        record(to, PARAMS, params).await?;
    }
    record(to, PARAMS, &[]).await
}

/// Sends a piece of the request's body.
///
/// # Errors
/// The connection's.
pub async fn send(to: &mut (impl AsyncWrite + Unpin), body: &[u8]) -> io::Result<()> {
    for piece in body.chunks(MAX_CONTENT) {
        record(to, STDIN, piece).await?;
    }
    Ok(())
}

/// The body has ended.
///
/// # Errors
/// The connection's.
pub async fn sent(to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    record(to, STDIN, &[]).await
}

async fn record(to: &mut (impl AsyncWrite + Unpin), kind: u8, content: &[u8]) -> io::Result<()> {
    let length = u16::try_from(content.len()).map_err(io::Error::other)?;
    let mut whole = BytesMut::with_capacity(8 + content.len());
    whole.put_slice(&[VERSION, kind]);
    whole.put_u16(REQUEST);
    whole.put_u16(length);
    whole.put_u16(0);
    whole.put_slice(content);
    to.write_all(&whole).await
}

/// The next piece of what comes back. Not to be dropped before it is there.
///
/// # Errors
/// The connection's, and what is not FastCGI.
pub async fn next(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Piece> {
    loop {
        let mut head = [0; 8];
        from.read_exact(&mut head).await?;
        let [version, kind, id_high, id_low, length_high, length_low, padding, _] = head;
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        if version != VERSION || u16::from_be_bytes([id_high, id_low]) != REQUEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not an answer of FastCGI"));
        }
        let mut content = vec![0; length + usize::from(padding)];
        from.read_exact(&mut content).await?;
        content.truncate(length);
        match kind {
            END_REQUEST => return ended(&content),
            // The end of one of the streams; that of the request follows.
            _ if content.is_empty() => {}
            STDOUT => return Ok(Piece::Out(content.into())),
            STDERR => return Ok(Piece::Err(content.into())),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "an unknown record of FastCGI")),
        }
    }
}

fn ended(content: &[u8]) -> io::Result<Piece> {
    match content {
        [_, _, _, _, 0, ..] => Ok(Piece::End),
        _ => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "PHP does not take the request")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_request_is_these_bytes() {
        let mut params = Params::default();
        params.add("A", b"bc").unwrap();
        params.add("LONG", &[b'x'; 130]).unwrap();
        let mut sent_all = Vec::new();
        block(async {
            begin(&mut sent_all, &params).await.unwrap();
            send(&mut sent_all, b"body").await.unwrap();
            sent(&mut sent_all).await.unwrap();
        });
        let mut expected = vec![1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        expected.extend([1, 4, 0, 1, 0, 144, 0, 0, 1, 2, b'A', b'b', b'c', 4, 0x80, 0, 0, 130]);
        expected.extend(b"LONG");
        expected.extend([b'x'; 130]);
        expected.extend([1, 4, 0, 1, 0, 0, 0, 0]);
        expected.extend(b"\x01\x05\0\x01\0\x04\0\0body\x01\x05\0\x01\0\0\0\0");
        assert_eq!(sent_all, expected);
    }

    #[test]
    fn pairs_are_never_in_two_records_and_are_bounded() {
        let mut params = Params::default();
        for _ in 0..5 {
            params.add("NAME", &[b'x'; 10_000]).unwrap();
        }
        params.add("LONGEST", &vec![b'x'; MAX_TEXT - 7]).unwrap();
        let sizes: Vec<usize> = params.records.iter().map(BytesMut::len).collect();
        assert_eq!(sizes, [30_027, 20_018, MAX_TEXT + 5]);
        assert_eq!(params.add("LONGEST", &vec![b'x'; MAX_TEXT]), Err(TooLong));
    }

    #[test]
    fn long_bodies_are_cut() {
        let mut out = Vec::new();
        block(send(&mut out, &vec![7; MAX_CONTENT + 1])).unwrap();
        assert_eq!(out.len(), MAX_CONTENT + 1 + 16);
    }

    #[test]
    fn what_comes_back_is_told_apart() {
        let mut bytes: &[u8] =
            b"\x01\x07\0\x01\0\x02\x01\0oh\0\x01\x06\0\x01\0\x03\0\0abc\x01\x06\0\x01\0\0\0\0\
            \x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";
        block(async {
            assert_eq!(next(&mut bytes).await.unwrap(), Piece::Err("oh".into()));
            assert_eq!(next(&mut bytes).await.unwrap(), Piece::Out("abc".into()));
            assert_eq!(next(&mut bytes).await.unwrap(), Piece::End);
        });
        for odd in [
            &b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\x01\0\0\0"[..],
            b"\x01\x03\0\x01\0\0\0\0",
            b"\x02\x06\0\x01\0\x01\0\0a",
            b"\x01\x06\0\x02\0\x01\0\0a",
            b"\x01\x0b\0\x01\0\x01\0\0a",
            b"\x01\x06\0\x01\0\x05\0\0a",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"",
        ] {
            let mut bytes = odd;
            assert!(block(next(&mut bytes)).is_err(), "{odd:?}");
        }
    }
}
