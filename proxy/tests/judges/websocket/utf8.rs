//! Bytes that are UTF-8 and bytes that are not, in the groups of the suite's sections 6.5 to 6.23, which are those of Markus Kuhn's "UTF-8 decoder
//! capability and stress test".

use super::cases::KOSME;

/// Each with whether it is text.
type Group = Vec<(bool, Vec<u8>)>;

fn text(all: &[&[u8]]) -> Group {
    all.iter().map(|bytes| (true, bytes.to_vec())).collect()
}

fn none(all: &[&[u8]]) -> Group {
    all.iter().map(|bytes| (false, bytes.to_vec())).collect()
}

pub(super) fn sequences() -> Vec<Group> {
    // Each cut before its last byte.
    let cut: [&[u8]; 10] = [
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ];
    let continuations: Vec<u8> = (0x80..0xbf).collect();
    let alone = |(first, end): (u8, u8)| (false, (first..end).flat_map(|byte| [byte, b' ']).collect());
    let starts = [(0xc0, 0xdf), (0xe0, 0xef), (0xf0, 0xf7), (0xf8, 0xfb), (0xfc, 0xfd)];
    vec![
        text(&[
            b"hello\x24world",
            b"hello\xc2\xa2world",
            b"hello\xe2\x82\xacworld",
            b"hello\xf0\xa4\xad\xa2world",
            KOSME,
        ]),
        // All that such a text begins with.
        (1..=KOSME.len()).map(|n| (std::str::from_utf8(&KOSME[..n]).is_ok(), KOSME[..n].to_vec())).collect(),
        // The first of each length, the last, and what is beside a bound.
        text(&[b"\0", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
        none(&[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
        text(&[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
        none(&[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
        [
            text(&[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"]),
            none(&[b"\xf4\x90\x80\x80"]),
        ]
        .concat(),
        // Continuations of nothing.
        none(&[
            b"\x80",
            b"\xbf",
            b"\x80\xbf",
            b"\x80\xbf\x80",
            b"\x80\xbf\x80\xbf",
            b"\x80\xbf\x80\xbf\x80",
            b"\x80\xbf\x80\xbf\x80\xbf",
            &continuations,
        ]),
        starts.into_iter().map(alone).collect(),
        none(&cut),
        none(&[&cut.concat()]),
        none(&[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
        // Longer than need be: a slash, the last that would fit a shorter form, zero.
        none(&[
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf8\x80\x80\x80\xaf",
            b"\xfc\x80\x80\x80\x80\xaf",
        ]),
        none(&[
            b"\xc1\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xf8\x87\xbf\xbf\xbf",
            b"\xfc\x83\xbf\xbf\xbf\xbf",
        ]),
        none(&[
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xf8\x80\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80\x80",
        ]),
        // Surrogates, alone and in pairs.
        none(&[
            b"\xed\xa0\x80",
            b"\xed\xad\xbf",
            b"\xed\xae\x80",
            b"\xed\xaf\xbf",
            b"\xed\xb0\x80",
            b"\xed\xbe\x80",
            b"\xed\xbf\xbf",
        ]),
        none(&[
            b"\xed\xa0\x80\xed\xb0\x80",
            b"\xed\xa0\x80\xed\xbf\xbf",
            b"\xed\xad\xbf\xed\xb0\x80",
            b"\xed\xad\xbf\xed\xbf\xbf",
            b"\xed\xae\x80\xed\xb0\x80",
            b"\xed\xae\x80\xed\xbf\xbf",
            b"\xed\xaf\xbf\xed\xb0\x80",
            b"\xed\xaf\xbf\xed\xbf\xbf",
        ]),
        // No characters, and text all the same: the last two of each plane.
        (0..=16_u32)
            .flat_map(|plane| [plane << 16 | 0xfffe, plane << 16 | 0xffff])
            .map(|point| (true, char::from_u32(point).unwrap().to_string().into_bytes()))
            .collect(),
        ('\u{fff9}'..='\u{ffff}').map(|special| (true, special.to_string().into_bytes())).collect(),
    ]
}
