//! What the host's root must not hold: shells, interpreters, compilers, scripts, and files that change who one is.
//! Names are judged without version (`python3.13` is `python`), contents by their first bytes. What may do what is
//! the policy's business; this is about there being nothing to run in the first place.

use std::fmt;
use std::io;

use super::BuildError;
use super::tree::{Kind, Node, Tree};

const SHELLS: [&str; 16] = [
    "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "rbash", "rksh", "sash", "sh", "tcsh",
    "toybox", "yash", "zsh",
];
const INTERPRETERS: [&str; 29] = [
    "awk", "bc", "bun", "dc", "deno", "ed", "emacs", "expect", "gawk", "gdb", "guile", "java", "jq", "lua",
    "luajit", "m4", "make", "mawk", "node", "nodejs", "perl", "php", "python", "qjs", "ruby", "sed", "tclsh",
    "vi", "vim",
];
const COMPILERS: [&str; 15] = [
    "as",
    "c++",
    "cc",
    "clang",
    "clang++",
    "cpp",
    "g++",
    "gcc",
    "gfortran",
    "go",
    "ld",
    "lld",
    "rustc",
    "tcc",
    "x86_64-linux-gnu-gcc",
];
/// Programs that can become any other by an argument.
const LAUNCHERS: [&str; 10] =
    ["chroot", "doas", "env", "find", "gdbserver", "nsenter", "strace", "su", "sudo", "xargs"];

/// One thing that must not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub what: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.what)
    }
}

/// Everything in the tree that a host's root must not hold.
///
/// # Errors
/// When a file cannot be read.
pub fn lint(tree: &Tree) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (path, node) in tree.iter() {
        let mut found = |what| findings.push(Finding { path: path.to_owned(), what });
        mode_faults(node).for_each(&mut found);
        // A link by the name of a shell is as good as the shell, unless it points to nowhere, which it should not either.
        let program = match &node.kind {
            Kind::Folder => false,
            Kind::Symlink(_) => in_path(path),
            Kind::File(content) => {
                let runs = node.mode & 0o111 != 0;
                if runs && content.head(2)? == b"#!" {
                    found("script");
                }
                runs
            }
        };
        if let Some(what) = kind_of(path).filter(|_| program) {
            found(what);
        }
    }
    Ok(findings)
}

/// Everything in the tree that a runtime must not hold: interpreters are what it is for, privileges are not.
pub fn lint_runtime(tree: &Tree) -> Vec<Finding> {
    let finding = |path: &str, what| Finding { path: path.to_owned(), what };
    tree.iter().flat_map(|(path, node)| mode_faults(node).map(move |what| finding(path, what))).collect()
}

/// Makes findings in a tree an error.
pub(super) fn check(name: &str, findings: Vec<Finding>) -> Result<(), BuildError> {
    if findings.is_empty() { Ok(()) } else { Err(BuildError::Lint { tree: name.to_owned(), findings }) }
}

fn mode_faults(node: &Node) -> impl Iterator<Item = &'static str> {
    let privileged = node.mode & 0o6000 != 0 && node.kind != Kind::Folder;
    let sticky = node.mode & 0o1000 != 0;
    let open = node.mode & 0o002 != 0 && !sticky && !matches!(node.kind, Kind::Symlink(_));
    let faults = [(privileged, "setuid or setgid"), (open, "writable by everybody")];
    faults.into_iter().filter_map(|(holds, what)| holds.then_some(what))
}

fn in_path(path: &str) -> bool {
    path.starts_with("/usr/bin/") || path.starts_with("/usr/sbin/") || path.starts_with("/usr/libexec/")
}

/// What a program of this name is, if it must not be there.
fn kind_of(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let is = |names: &[&str]| names.contains(&name) || names.contains(&bare);
    [
        (&SHELLS[..], "shell"),
        (&INTERPRETERS, "interpreter"),
        (&COMPILERS, "compiler"),
        (&LAUNCHERS, "launcher of other programs"),
    ]
    .into_iter()
    .find_map(|(names, what)| is(names).then_some(what))
}

#[cfg(test)]
mod tests {
    use super::super::content::Content;
    use super::super::tree::Node;
    use super::*;

    #[test]
    fn every_forbidden_thing_is_listed_and_nothing_else() {
        let mut tree = Tree::default();
        let mut file = |path: &str, mode, text: &str| tree.add_bytes(path, mode, text).unwrap();
        file("/usr/bin/bash", 0o755, "\x7fELF");
        file("/usr/bin/python3.13", 0o755, "\x7fELF");
        file("/opt/gcc-14", 0o755, "\x7fELF");
        file("/usr/sbin/e2scrub", 0o755, "#!/bin/sh");
        file("/usr/bin/passwd", 0o4755, "\x7fELF");
        file("/etc/open", 0o666, "");
        // Fine: data, a program, a name that only resembles one.
        file("/usr/share/vim", 0o644, "");
        file("/usr/sbin/kennel-init", 0o755, "\x7fELF");
        file("/usr/sbin/mke2fs", 0o755, "\x7fELF");
        tree.add("/usr/bin/sh", Node::symlink("kennel-init")).unwrap();
        tree.add("/usr/lib/node", Node::symlink("elsewhere")).unwrap();
        tree.add("/tmp", Node::folder(0o1777)).unwrap();
        tree.add("/usr/lib/x.so", Node::file(0o644, Content::bytes(*b"#!"))).unwrap();
        let found: Vec<_> = lint(&tree).unwrap().iter().map(Finding::to_string).collect();
        let expect = [
            "/etc/open (writable by everybody)",
            "/opt/gcc-14 (compiler)",
            "/usr/bin/bash (shell)",
            "/usr/bin/passwd (setuid or setgid)",
            "/usr/bin/python3.13 (interpreter)",
            "/usr/bin/sh (shell)",
            "/usr/sbin/e2scrub (script)",
        ];
        assert_eq!(found, expect);
        let found: Vec<_> = lint_runtime(&tree).iter().map(Finding::to_string).collect();
        assert_eq!(found, [expect[0], expect[3]]);
    }
}
