//! Which file a path asks for: percent signs are decoded once, and what could name anything but a plain file below the folder
//! names nothing. The kernel refuses to leave the folder by itself (`open`); here is kept out what it would find within it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The only folder with a hidden name that is shown, at the top of a site (RFC 8615).
const WELL_KNOWN: &str = ".well-known";
/// The page of a folder.
pub(super) const INDEX: &str = "index.html";

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// From the folder on, without a slash at either end; empty for the folder itself.
    pub(super) path: String,
    /// It ended with a slash, so that the page of a folder is meant.
    pub(super) is_folder: bool,
}

impl Place {
    /// Of what stands below the rule's path: nothing, or from the slash on. `top` says that this is the top of the site.
    pub(super) fn of(below: &str, top: bool) -> Option<Self> {
        let Some(below) = below.strip_prefix('/') else {
            return below.is_empty().then(|| Self { path: String::new(), is_folder: false });
        };
        let (names, is_folder) = match below.strip_suffix('/') {
            Some(names) => (names, true),
            None => (below, below.is_empty()),
        };
        if names.is_empty() {
            // "//" is no folder in a folder.
            return below.is_empty().then(|| Self { path: String::new(), is_folder });
        }
        let mut path = String::with_capacity(names.len() + 1 + INDEX.len());
        for name in names.split('/') {
            let name = decoded(name).filter(|name| is_shown(name, top && path.is_empty()))?;
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&name);
        }
        Some(Self { path, is_folder })
    }

    /// The file that is answered, if this is one.
    pub(super) fn file(self) -> String {
        match self {
            Self { path, is_folder: false } => path,
            Self { path, .. } => index_of(path),
        }
    }
}

/// The page of a folder.
pub(super) fn index_of(mut folder: String) -> String {
    if !folder.is_empty() {
        folder.push('/');
    }
    folder.push_str(INDEX);
    folder
}

fn decoded(name: &str) -> Option<Cow<'_, str>> {
    if !name.contains('%') {
        return Some(Cow::Borrowed(name));
    }
    let is_hex = |text: &str| text.len() >= 2 && text.bytes().take(2).all(|c| c.is_ascii_hexdigit());
    // What is no encoding is not guessed at.
    if !name.split('%').skip(1).all(|rest| rest.is_char_boundary(2.min(rest.len())) && is_hex(rest)) {
        return None;
    }
    percent_decode_str(name).decode_utf8().ok()
}

/// Not empty, not hidden, which `.` and `..` are as well, and one name only.
fn is_shown(name: &str, first: bool) -> bool {
    let hidden = name.starts_with('.') && !(first && name == WELL_KNOWN);
    !name.is_empty()
        && !hidden
        && !is_source(name)
        && !name.contains('/')
        && !name.chars().any(char::is_control)
}

/// Whether it is a program of PHP, or a copy that somebody has left of one: who asks for it by its name is to have it run, and would
/// get it as text, passwords and all. `config.php`, `config.php.bak`, `config.php~`.
fn is_source(name: &str) -> bool {
    let is_php = |part: &str| part.trim_end_matches('~').eq_ignore_ascii_case("php");
    name.contains('.') && name.split('.').skip(1).any(is_php)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(below: &str) -> Option<String> {
        Place::of(below, true).map(Place::file)
    }

    #[test]
    fn paths_name_files_below_the_folder() {
        for (below, found) in [
            ("/", "index.html"),
            ("/a.js", "a.js"),
            ("/a/b.css", "a/b.css"),
            ("/docs/", "docs/index.html"),
            ("/a%20b/c%2Bd", "a b/c+d"),
            ("/%C3%A9t%C3%A9.html", "\u{e9}t\u{e9}.html"),
            // Decoded once.
            ("/100%25%32%65", "100%2e"),
            ("/.well-known/security.txt", ".well-known/security.txt"),
            ("/%2Ewell-known/x", ".well-known/x"),
            ("/a\\b", "a\\b"),
            ("/php", "php"),
            ("/a.phpx", "a.phpx"),
        ] {
            assert_eq!(file(below).as_deref(), Some(found), "{below}");
        }
        assert_eq!(Place::of("", false), Some(Place { path: String::new(), is_folder: false }));
    }

    #[test]
    fn what_could_lead_elsewhere_names_nothing() {
        for below in [
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/../a",
            "/a/../b",
            "/a/..",
            "/a/./b",
            "/%2e%2e/a",
            "/%2E./a",
            "/.%2e/a",
            "/a/%2e%2e",
            "/.env",
            "/.git/config",
            "/a/.htaccess",
            "/index.php",
            "/a/config.PHP",
            "/config.php.bak",
            "/config.php~",
            "/%69ndex%2Ephp",
            "/a.php/b",
            "/a/.well-known/x",
            "/%2Egit/config",
            "/a%2Fb",
            "/a%2fb",
            "/%2F",
            "/a%00",
            "/a%0a",
            "/a%7f",
            "/%",
            "/%4",
            "/%zz",
            "/a%2",
            "/%ff",
            "/%c0%ae%c0%ae/a",
            "x",
            "*",
        ] {
            assert_eq!(file(below), None, "{below}");
        }
        assert_eq!(Place::of("/.well-known/x", false), None, "not at the top of the site");
    }

    #[test]
    fn nothing_that_is_named_leaves_the_folder() {
        let parts = ["/", ".", "%2e", "%2f", "a", "%", "%25", "..", "\\", "%00", "%5c"];
        let n = parts.len();
        for code in 0..n.pow(4) {
            let below: String =
                std::iter::once("/").chain((0..4).map(|at| parts[code / n.pow(at) % n])).collect();
            if let Some(path) = file(&below) {
                assert!(!path.starts_with('/') && !path.contains('\0'), "{below}");
                assert!(path.split('/').all(|name| !name.is_empty() && name != "." && name != ".."), "{below}");
            }
        }
    }
}
