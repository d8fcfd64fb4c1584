//! h2spec's section "hpack": field blocks that cannot be decoded (RFC 7541). 8 cases.

use super::Want::ConnectionError;
use super::frames::*;
use super::{Case, Server, case};

pub(super) fn cases(s: &Server) -> Vec<Case> {
    let wrong =
        |id, what, bytes: &[u8]| case(id, what, vec![s.get_and(bytes)], ConnectionError(&[COMPRESSION]));
    // A new name, `x-test`, by Huffman's code; behind it the value.
    let coded = |value: &[u8]| [b"\x00\x85\xf2\xb2\x4a\x84\xff", value].concat();
    let table = s.settings.get(&TABLE_SIZE).map_or(4096, |bytes| *bytes as usize);
    let too_large = [integer(0x20, 5, table + 1), s.get()].concat();
    vec![
        wrong("hpack/2.3.3/1", "an index that is in no table", b"\xc6"),
        wrong("hpack/2.3.3/2", "a name's index that is in no table", b"\x7f\x07\x00"),
        wrong("hpack/4.2/1", "a new size of the table behind fields", b"\x21"),
        wrong("hpack/5.2/1", "padding of more than 7 bits", &coded(b"\x84\x49\x50\x9f\xff")),
        wrong("hpack/5.2/2", "padding of zeros", &coded(b"\x83\x49\x50\x90")),
        wrong("hpack/5.2/3", "the end of a text within it", &coded(b"\x87\x49\x51\xff\xff\xff\xfa\x7f")),
        wrong("hpack/6.1/1", "index 0", b"\x80"),
        case(
            "hpack/6.3/1",
            "a table larger than allowed",
            vec![headers(1, WHOLE, &too_large)],
            ConnectionError(&[COMPRESSION]),
        ),
    ]
}
