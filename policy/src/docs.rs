//! The pages that are made of the policy: docs/isolation.md of the table of forbidden acts and the proof's intermediaries,
//! docs/access.md of the report. The first also has the totals of benches/peers.sh, policy/peers.md. A test fails when a page
//! is not what it would be now, so that a change of the policy is seen in words by whoever reviews it. `cargo run -p kennel-policy --example docs` writes them.

use std::fmt::Write as _;

use kennel_model::proof::Layers;

use crate::isolation::{Mode, Row, Table};
use crate::proof::Intermediary;
use crate::report::Report;

const BY_HAND: &str = "<!-- From here on written by hand; the generator keeps it. -->";

const HEAD: &str = "# What is forbidden, twice

Every act below is refused by UNIX means (users, namespaces, modes, Landlock, seccomp, cgroups, the packet filter) and, independently, by SELinux. The program
`kennel-villain` tries each as a tenant: with both layers on, with the UNIX layer alone (its domain is permissive), and with SELinux alone (as root, with every
capability, in the host's root and namespaces, without Landlock, seccomp and packet filter). The columns say what it must see then. *held* is a limit that
held; an asterisk leads to the argument why a layer cannot refuse the act by itself. Acts in **bold** are harmless: `kennel prove` tries them on a live host.

What is outside of the host for the villain to reach for, such as the metadata service, is in a proof image at the other end of a wire (veth), in a network of its
own where somebody answers: its packets leave the host's network with the labels that they would have anywhere, and none leaves the machine.

What a tenant's developer may try, who uploads an archive, is no act of a program and no row here: `tests/src/scenarios/archives.rs` uploads absolute names, `..`, links
out of the release, devices, boundless files and their like to a booted host, which refuses each by name.

This page is made of `policy/isolation.toml` and `policy/intermediaries.toml` by `cargo run -p kennel-policy --example docs`.
";

const PROVED: &str = "
## Where slots may meet

At every build the policy is proved: over all its rules, as compiled, and for all pairs of slots, no rule has one slot's type as its source and another's as
its target, no label joins types of two slots, and information does not get from one slot to another in any number of steps. Followed are all read-like
and write-like permissions of all classes (`policy/src/proof/flow.rs`): files, folders, pipes, devices, sockets, packets, keys, shared memory, descriptors, signals and
the start of processes; ports, in that who connects and who is bound exchange; and processes, in that their files in /proc show them. A permission that
is not known counts as both. Not followed is what passes without a rule, such as load, room on a disk, and time.

Left out are these, through which slots could meet and do not, or are meant to:

";

const JUDGED: &str = "
## The same villain elsewhere

How many of these acts succeed for the same program under other tools as they come, in one VM, and here; what is compared and how to read it stands in
[peers](peers.md), each act in [peers-acts](peers-acts.md).

```sh
make proof                                     # the column `kennel`: both layers
cargo build --release -p kennel-villain
sudo benches/peers.sh \"$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release/kennel-villain\" out/proof.json out/peers
```

";
/// The totals of the comparison, as benches/peers.sh leaves them.
const PEERS: &str = include_str!("../peers.md");

/// docs/isolation.md. What `old` has by hand at its end is kept.
pub fn isolation_page(table: &Table, intermediaries: &[Intermediary], old: &str) -> String {
    let mut page = HEAD.to_owned();
    let _ = writeln!(page, "\n{} acts.", table.rows.len());
    for object in table.objects() {
        let rows: Vec<&Row> = table.rows.iter().filter(|row| row.object == object).collect();
        let _ = writeln!(page, "\n## {}\n", capitalized(object));
        page.push_str("| act | UNIX means | SELinux means | both | UNIX alone | SELinux alone |\n|---|---|---|---|---|---|\n");
        rows.iter().for_each(|row| page.push_str(&line(row)));
        rows.iter().for_each(|row| page.push_str(&arguments(row)));
    }
    page.push_str(PROVED);
    for Intermediary { of_type, class, why } in intermediaries {
        let _ = writeln!(page, "- `{of_type}`, {class}: {why}");
    }
    page.push_str(JUDGED);
    page.push_str(PEERS);
    let by_hand = old.split_once(BY_HAND).map_or("\n", |(_, by_hand)| by_hand);
    format!("{page}\n{BY_HAND}{by_hand}")
}

fn line(row: &Row) -> String {
    let name = if row.harmless { format!("**`{}`**", row.id) } else { format!("`{}`", row.id) };
    let [both, dac, mac] =
        [Layers::Both, Layers::DacOnly, Layers::MacOnly].map(|layers| match row.mode(layers) {
            Mode::Expect(list) => list.join(", "),
            Mode::Argued(_) => "*".to_owned(),
        });
    let [sentence, by_dac, by_mac] = [&row.sentence, &row.dac, &row.mac].map(|text| text.replace('|', "\\|"));
    format!("| {name}<br>{sentence} | {by_dac} | {by_mac} | {both} | {dac} | {mac} |\n")
}

fn arguments(row: &Row) -> String {
    let argued = |(layers, words)| match row.mode(layers) {
        Mode::Argued(why) => format!("\n\\* `{}`, {words} alone: {why}\n", row.id),
        Mode::Expect(_) => String::new(),
    };
    [(Layers::DacOnly, "UNIX"), (Layers::MacOnly, "SELinux")].map(argued).concat()
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// docs/access.md.
pub fn access_page(report: &Report) -> String {
    let mut page = "# Who may do what\n\nWhat the SELinux policy's rules add up to, worked out from the rules themselves; what is not listed is refused. One slot stands for \
        all. This page is\nmade by `cargo run -p kennel-policy --example docs`, and a test compares: a change of the policy shows here.\n"
        .to_owned();
    for domain in &report.domains {
        let _ = writeln!(page, "\n## `{}`: {}\n", domain.domain, domain.words);
        for act in &domain.acts {
            let _ = writeln!(page, "- {}: {}", act.verb, act.objects.join(", "));
        }
    }
    page
}
