//! `Date` for answers that have none (RFC 9110, 6.6.1), written once a second.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
const BYTES: usize = 29;

thread_local! {
    static LAST: RefCell<(u64, [u8; BYTES])> = const { RefCell::new((0, [0; BYTES])) };
}

/// Appends the time now.
pub(super) fn append(out: &mut Vec<u8>) {
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    LAST.with_borrow_mut(|(of, text)| {
        if *of != second {
            let now = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            if now.len() == BYTES {
                text.copy_from_slice(now.as_bytes());
                *of = second;
            }
        }
        out.extend_from_slice(text);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_time_now() {
        let mut out = Vec::new();
        for _ in 0..2 {
            out.clear();
            append(&mut out);
            let read = httpdate::parse_http_date(std::str::from_utf8(&out).unwrap()).unwrap();
            assert!(read.elapsed().unwrap() < Duration::from_secs(60));
        }
    }
}
