//! Is the reading of the sources the policy that the kernel gets? setools takes the compiled binary apart; every rule
//! between two types must be in both, and none in one only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::Rules;
use crate::{compile, render};

/// One rule between two types: what kind, source, target, class, and the permission, ioctl or result.
type Fact = [String; 5];

const SLOTS: u16 = 3;

#[test]
fn the_binary_says_what_the_sources_are_read_to_say() {
    let rendered = render(SLOTS, &[]).unwrap();
    let secilc = std::env::var_os("KENNEL_SECILC").unwrap_or_else(|| "secilc".into());
    let compiled = compile(&rendered, Command::new(secilc)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.33");
    std::fs::write(&path, compiled.binary).unwrap();

    let ours = read(&Rules::read(&rendered).unwrap());
    let theirs = binary(&path);
    assert!(theirs.len() > 2000, "sesearch says little: {} rules", theirs.len());
    assert_eq!(ours.difference(&theirs).collect::<Vec<_>>(), Vec::<&Fact>::new(), "only in the sources");
    assert_eq!(theirs.difference(&ours).collect::<Vec<_>>(), Vec::<&Fact>::new(), "only in the binary");
}

/// The rules as we read them, with every set taken apart.
fn read(rules: &Rules<'_>) -> BTreeSet<Fact> {
    let mut facts = BTreeSet::new();
    let mut add = |kind: &str, source: &str, target: &str, class: &str, what: &str| {
        facts.insert([kind, source, target, class, what].map(str::to_owned));
    };
    let pairs = |source, target| {
        let of = move |source| if target == "self" { [source].into() } else { rules.types(target) };
        rules.types(source).into_iter().flat_map(move |s| of(s).into_iter().map(move |t| (s, t)))
    };
    for allow in &rules.allows {
        for (source, target) in pairs(allow.source, allow.target) {
            for (class, permissions) in allow.permissions.iter() {
                permissions.iter().for_each(|permission| add("allow", source, target, class, permission));
            }
        }
    }
    for ioctls in &rules.ioctls {
        for (source, target) in pairs(ioctls.source, ioctls.target) {
            ioctls.commands.iter().for_each(|command| add("allowxperm", source, target, ioctls.class, command));
        }
    }
    for labelling in &rules.labellings {
        for (source, target) in pairs(labelling.source, labelling.target) {
            add(labelling.statement, source, target, labelling.class, labelling.result);
        }
    }
    facts
}

/// The rules in the binary, by setools.
fn binary(policy: &Path) -> BTreeSet<Fact> {
    let sets = sets(&output("seinfo", &["-a", "-x"], policy));
    let types = |name: &str| sets.get(name).cloned().unwrap_or_else(|| vec![name.to_owned()]);
    let kinds = ["-A", "-T", "--type_change", "--type_member", "--role_trans", "--range_trans"];
    let mut facts = BTreeSet::new();
    for line in output("sesearch", &kinds, policy).lines() {
        let line = line.trim_end_matches(';').replace([':', '{', '}'], " ");
        let words: Vec<&str> = line.split_whitespace().collect();
        let (kind, source, target, class, what) = match words[..] {
            ["allowxperm", source, target, class, "ioctl", ref what @ ..] => {
                ("allowxperm", source, target, class, what)
            }
            // A transition by name has the name last.
            ["type_transition", source, target, class, ref what @ ..] => {
                ("typetransition", source, target, class, &what[..1])
            }
            ["allow", source, target, class, ref what @ ..] => ("allow", source, target, class, what),
            _ => panic!("sesearch says: {line}"),
        };
        for source in types(source) {
            for target in types(target) {
                let one = |what: String| [kind, &source, &target, class, &what].map(str::to_owned);
                facts.extend(what.iter().flat_map(|what| each(what)).map(one));
            }
        }
    }
    facts
}

/// What a word stands for: neighbouring ioctls are said as `0x8912-0x8913`.
fn each(word: &str) -> Vec<String> {
    let number = |word: &str| u16::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let range = word.split_once('-').and_then(|(first, last)| Some(number(first)?..=number(last)?));
    range.map_or_else(|| vec![word.to_owned()], |range| range.map(|n| format!("{n:#06x}")).collect())
}

fn output(tool: &str, options: &[&str], policy: &Path) -> String {
    let output = Command::new(tool).args(options).arg(policy).output();
    let output = output.unwrap_or_else(|error| panic!("{tool} (scripts/deps.sh installs it): {error}"));
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The attributes of the binary and their types.
fn sets(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()).skip(1) {
        match line.strip_prefix("attribute ") {
            Some(set) => set.trim_end_matches(';').clone_into(&mut name),
            None => sets.entry(name.clone()).or_default().push(line.to_owned()),
        }
    }
    sets
}
