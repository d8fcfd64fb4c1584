//! `docs/seccomp.md` says what the table of system calls says. `KENNEL_REWRITE=1 cargo test -p kennel-init --test
//! seccomp_page` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use kennel_init::child::seccomp::table::{Answer, Call, Group, Kind, Rule, Test, groups};
use rustix::io::Errno;

const HEAD: &str = "\
# System calls

Made from the table in `init/src/child/seccomp/table`; a test compares the two and tries every entry, and every number
that is not one, against the kernel (`init/tests/seccomp.rs`).

A program under these filters gets one of three answers. What is **allowed** goes on to the kernel's own checks, to
Landlock and to SELinux. What is **refused** comes back with an errno, because ordinary programs try it and do without.
Everything else **kills the program** (SIGSYS): the tenant's log then says `forbidden system call`. Calls by their numbers
of the 32-bit and the x32 ABI are among everything else.

A call marked ° was made by none of the programs that were traced for this page (`init/tests/seccomp_used.txt` says which).
It stays when it is another form of one that was: by descriptor instead of by path, with one argument more, or under the
name that another C library prefers. A program is not killed for its library's choice among equals.

";

#[test]
fn the_page_says_what_the_table_says() {
    let page = page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/seccomp.md");
    if std::env::var_os("KENNEL_REWRITE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        stands, page,
        "docs/seccomp.md is not the table's; hint: KENNEL_REWRITE=1 cargo test -p kennel-init --test seccomp_page"
    );
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    page += "| kind | whose | allowed | by argument | refused |\n|---|---|---|---|---|\n";
    for kind in Kind::ALL {
        let of = |wanted: fn(Answer) -> bool| {
            let groups = groups().filter(|g| g.kinds.contains(&kind) && wanted(g.answer));
            groups.flat_map(Group::numbers).collect::<BTreeSet<_>>().len()
        };
        let allowed = of(|a| matches!(a, Answer::Allowed));
        let checked = of(|a| matches!(a, Answer::Checked(_)));
        let refused = of(|a| matches!(a, Answer::Refused(_)));
        let _ = writeln!(page, "| {} | {} | {allowed} | {checked} | {refused} |", kind.name(), whose(kind));
    }
    for (title, wanted) in [
        ("Allowed", (|a| !matches!(a, Answer::Refused(_))) as fn(Answer) -> bool),
        ("Refused", |a| matches!(a, Answer::Refused(_))),
    ] {
        let _ = write!(page, "\n## {title}\n");
        groups().filter(|group| wanted(group.answer)).for_each(|group| write_group(&mut page, group));
    }
    page
}

const fn whose(kind: Kind) -> &'static str {
    match kind {
        Kind::Jit => "tenants of runtimes with `jit = true`: Node.js",
        Kind::Plain => "tenants of all other runtimes",
        Kind::Unpack => "`kennel-unpack`",
        Kind::Proxy => "`kennel-proxy`",
        Kind::Control => "`kennel-control`",
        Kind::Audit => "`kennel-audit`",
        Kind::Dhcp => "`kennel-dhcp`",
        Kind::Imds => "`kennel-imds`",
        Kind::Tpm => "`kennel-tpm`",
        Kind::Chronyd => "`chronyd`, Debian's program that sets the clock",
        Kind::Acme => "`kennel-acme`",
    }
}

fn write_group(page: &mut String, group: &Group) {
    let _ = write!(page, "\n### {}\n\n{}", group.title, group.reason);
    if let Answer::Refused(errno) = group.answer {
        let _ = write!(page, " Answer: `{}`.", name(errno));
    }
    if group.kinds == [Kind::Plain] {
        page.push_str(" For `plain` alone.");
    }
    page.push('\n');
    if !group.calls.is_empty() {
        let mark = |call: &Call| {
            if matches!(group.answer, Answer::Refused(_)) || is_used(call.name()) { "" } else { "°" }
        };
        let calls: Vec<_> = group.calls.iter().map(|c| format!("`{}`{}", c.name(), mark(c))).collect();
        let _ = write!(page, "\n{}\n", calls.join(" "));
    }
    if let Answer::Checked(rules) = group.answer {
        page.push('\n');
        rules.iter().for_each(|rule| write_rule(page, rule));
    }
}

/// Whether a program was seen to make the call.
fn is_used(name: &str) -> bool {
    include_str!("seccomp_used.txt").lines().any(|line| line == name)
}

fn write_rule(page: &mut String, rule: &Rule) {
    let given = rule.given.map(|(_, value)| format!("with `{}` ", value.name)).unwrap_or_default();
    let masked = if matches!(rule.test, Test::AnyOf(..)) && rule.given.is_none() { "type " } else { "" };
    let values: Vec<_> = rule.test.values().iter().map(|v| format!("`{}`", v.name)).collect();
    let _ = writeln!(
        page,
        "- {given}refused (`{}`) {}: {masked}{}",
        name(rule.errno),
        rule.words,
        values.join(" ")
    );
}

/// As C names it.
fn name(errno: Errno) -> &'static str {
    match errno {
        Errno::NOSYS => "ENOSYS",
        Errno::PERM => "EPERM",
        Errno::ACCESS => "EACCES",
        Errno::INVAL => "EINVAL",
        Errno::NOTTY => "ENOTTY",
        Errno::AFNOSUPPORT => "EAFNOSUPPORT",
        Errno::OPNOTSUPP => "EOPNOTSUPP",
        other => panic!("{other:?} has no name here"),
    }
}
