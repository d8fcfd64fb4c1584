//! One record of `/dev/kmsg`: `priority,sequence,microseconds,flags[,…];text`, and after the first line what concerns
//! devices. The kernel writes control characters and backslashes of the text as `\xNN`, so that a text is one line.

/// What is of interest of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Counts all records since the start; a gap means that some were overwritten unread.
    pub sequence: u64,
    /// The text, when the kernel itself said it. What programs write to `/dev/kmsg` is none of the kernel's.
    pub text: Option<&'a str>,
}

/// Priorities below are the kernel's own facility.
const USER_FACILITY: u32 = 8;

/// Takes a record apart; nothing when it has another form.
pub fn parse(bytes: &[u8]) -> Option<Record<'_>> {
    let line = bytes.split(|b| *b == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (head, text) = line.split_once(';')?;
    let mut numbers = head.split(',');
    let priority: u32 = numbers.next()?.parse().ok()?;
    let sequence = numbers.next()?.parse().ok()?;
    numbers.next()?.parse::<u64>().ok()?;
    Some(Record { sequence, text: (priority < USER_FACILITY).then_some(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_apart() {
        let text = b"5,1042,7334321,-;audit: type=1400 avc: x;y\n SUBSYSTEM=net\n";
        assert_eq!(parse(text), Some(Record { sequence: 1042, text: Some("audit: type=1400 avc: x;y") }));
        let caller = b"7,3,9,-,caller=T12;kennel-refused: IN=\n";
        assert_eq!(parse(caller).unwrap().text, Some("kennel-refused: IN="));
    }

    #[test]
    fn what_a_program_wrote_is_not_the_kernels() {
        assert_eq!(parse(b"13,7,9,-;audit: type=1400\n"), Some(Record { sequence: 7, text: None }));
    }

    #[test]
    fn other_forms_are_nothing() {
        for bytes in
            [&b""[..], b"\n", b"5,1,2,-", b"x,1,2,-;a", b"5,x,2,-;a", b"5,1,x,-;a", b"5;a", b"5,1,2,-;\xff\n"]
        {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }
}
