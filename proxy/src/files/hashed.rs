//! Which names have a hash of what is in the file, as build tools give them: what is under such a name never changes, so that browsers
//! need not ask for it again. A name that only looks like it would keep an old file for a year; so in doubt it is none.

/// Whether a file's name has a hash in it: of at least two parts, separated by `.`, `-` or `_`, before the extension, the last is one. HTML never has.
pub(super) fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    // `app.3f9a1c2b.js.map` is the map of `app.3f9a1c2b.js`, `app.3f9a1c2b.min.css` a smaller one.
    let stem = ["js", "mjs", "cjs", "css", "min", "module", "bundle", "chunk"]
        .into_iter()
        .find_map(|inner| stem.strip_suffix(inner)?.strip_suffix('.'))
        .unwrap_or(stem);
    if extension.is_empty() || ["html", "htm", "xhtml"].iter().any(|html| extension.eq_ignore_ascii_case(html))
    {
        return false;
    }
    // A hash of 64 characters may have the separators in it, so that it is looked for at its length.
    let tail = stem.rsplit(['.', '-', '_']).next().unwrap_or(stem);
    let after_a_name = |hash: &str| stem.len() > hash.len() + 1;
    (after_a_name(tail) && (is_hex(tail) || is_base32(tail) || is_base64(tail)))
        || last(stem, 8).is_some_and(|(before, hash)| {
            before.len() > 1 && before.ends_with(['-', '.']) && hash.contains(['-', '_']) && is_base64(hash)
        })
}

fn last(text: &str, n: usize) -> Option<(&str, &str)> {
    text.len().checked_sub(n).and_then(|at| text.split_at_checked(at))
}

fn has(text: &str, is: impl Fn(u8) -> bool) -> bool {
    text.bytes().any(is)
}

/// webpack, Parcel, Rails and others: hexadecimal, with letters and digits, of one of the lengths in use. A date has no letters.
fn is_hex(text: &str) -> bool {
    let hex = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    (matches!(text.len(), 8..=12 | 16 | 20 | 24 | 32 | 40 | 64))
        && text.bytes().all(hex)
        && has(text, |c| c.is_ascii_digit())
        && has(text, |c| c.is_ascii_lowercase())
}

/// esbuild: eight of base32, upper case. Between letters, unlike the number of a picture (`IMG23456`).
fn is_base32(text: &str) -> bool {
    text.len() == 8
        && text.bytes().all(|c| matches!(c, b'A'..=b'Z' | b'2'..=b'7'))
        && letter_after_digit(text)
        && has(text, |c| c.is_ascii_uppercase())
}

/// Rollup and Vite: eight of base64 for addresses, of both cases and with a digit or a sign; not words written together (`Photo2Go`).
fn is_base64(text: &str) -> bool {
    let upper = |c: u8| c.is_ascii_uppercase();
    let lower = |c: u8| c.is_ascii_lowercase();
    text.len() == 8
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
        && has(text, upper)
        && has(text, lower)
        && has(text, |c| c.is_ascii_digit() || c == b'_' || c == b'-')
        && !is_words(text)
}

/// Each capital begins a word of small letters, and what is left is digits behind words and signs between them.
fn is_words(text: &str) -> bool {
    let bytes = text.as_bytes();
    let capitals_begin = bytes
        .iter()
        .enumerate()
        .all(|(at, c)| !c.is_ascii_uppercase() || bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase));
    capitals_begin && !has_digit_before_small(bytes)
}

fn has_digit_before_small(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair[0].is_ascii_digit() && pair[1].is_ascii_lowercase())
}

fn letter_after_digit(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| pair[0].is_ascii_digit() && pair[1].is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_build_tools_are_known() {
        for name in [
            "app.3f9a1c2b.js",
            "assets/index-BxY3abcd.js",
            "index-B_x-3abc.js",
            "chunk-5DZXGZ3Q.js",
            "main.8d3f2b7a6c5e4f1a2b3c.js",
            "app.3f9a1c2b.js.map",
            "app.3f9a1c2b.min.css",
            "logo-908c63bf.svg",
            "application-6a2f0d1c9e8b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4b3a2f.css",
            "_next/static/chunks/117-2ad1b6c3f0e9d8a7.js",
            "font_1a2b3c4d5e.woff2",
        ] {
            assert!(is_hashed(name), "{name}");
        }
    }

    #[test]
    fn names_of_people_are_not() {
        for name in [
            "index.html",
            "index-BxY3abcd.html",
            "app.js",
            "3f9a1c2b.js",
            "-3f9a1c2b.js",
            "jquery-3.7.1.min.js",
            "bootstrap.bundle.min.js",
            "font-awesome4.css",
            "report-20240102.pdf",
            "photo-2024-01-02.jpg",
            "holiday-DSC00012.jpg",
            "holiday-IMG23456.jpg",
            "scan-12345678.png",
            "summer-Photo2Go.png",
            "my-Chapter2.pdf",
            "the-deadbeef.txt",
            "a-facade.css",
            "menu-Overview.png",
            "release-v1.2.10.zip",
            "icon-192x192.png",
            "icon-1024x1024.png",
            "README",
            "x.3f9a1c2b",
            "user-guide_final_v2.pdf",
            "windows-x86_64.exe",
            "kernel-amd64efi.bin",
            "track-MixTape1.mp3",
            "some-LongName-here.txt",
        ] {
            assert!(!is_hashed(name), "{name}");
        }
    }
}
