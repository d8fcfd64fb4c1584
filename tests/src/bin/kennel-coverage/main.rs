//! Finds the rules that nobody needs, for `tests/coverage.sh`: what the policy allows is compared with what was asked of
//! SELinux while the scenarios ran on a host whose policy allows nothing and refuses nothing. Slots are taken together.
//! A right (one permission of one type on another) that was never asked for must have a reason in `tests/coverage.keep`.
//! To which ioctls a right to ioctl is narrowed is not looked at.
//!
//! `kennel-coverage policy SLOTS` writes such a host's addition to the policy to standard output.
//! `kennel-coverage page KEEP CONSOLE…` writes the page `docs/unused-rules.md`, and fails when a right has neither a use nor
//! a reason, or a reason no right.

mod keep;
mod page;
mod rights;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;

use keep::Keep;
use kennel_model::SlotId;
use kennel_policy::{access, render};
use rights::Rights;

/// Slots in the policy whose rules are looked at: they are alike.
const SLOTS: u16 = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["policy", slots] => policy(slots),
        ["page", keep, consoles @ ..] => page(keep, consoles),
        _ => Err("usage: kennel-coverage policy SLOTS | page KEEP CONSOLE…".to_owned()),
    };
    match done {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Takes every right away again, and lets everybody do everything: so each right is told when it is first asked for.
fn policy(slots: &str) -> Result<String, String> {
    let slots: u16 = slots.parse().map_err(|_| format!("{slots} is no number of slots"))?;
    let mut text = "(deny any_type any_type everything)\n".to_owned();
    for source in allowed()?.sources() {
        let Some(end) = source.strip_prefix(rights::ANY_SLOT) else {
            let _ = writeln!(text, "(typepermissive {source})");
            continue;
        };
        for slot in SlotId::pool(slots) {
            let _ = writeln!(text, "(typepermissive tenant{slot}{end})");
        }
    }
    Ok(text)
}

fn page(keep_file: &str, consoles: &[&str]) -> Result<String, String> {
    let keep = Keep::parse(&read(keep_file)?).map_err(|e| format!("{keep_file}: {e}"))?;
    let mut used = Rights::default();
    for console in consoles {
        used.add_console(&read(console)?);
    }
    if used.count() == 0 {
        return Err("no console has a line of SELinux's: was the coverage image booted?".to_owned());
    }
    let allowed = allowed()?;
    let unused = allowed.without(&used);
    let page = page::Page { allowed: &allowed, unused: &unused, keep: &keep };
    let faults: BTreeSet<String> = page.faults().collect();
    if faults.is_empty() {
        return Ok(page.text());
    }
    let faults: Vec<String> = faults.into_iter().collect();
    Err(format!("{} faults in {keep_file}:\n  {}", faults.len(), faults.join("\n  ")))
}

fn allowed() -> Result<Rights, String> {
    let rendered = render(SLOTS, &[]).map_err(|e| e.to_string())?;
    Ok(Rights::of(&access(&rendered).map_err(|e| e.to_string())?))
}

fn read(path: &str) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|e| format!("cannot read {path}: {e}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = include_str!("../../../coverage.keep");

    #[test]
    fn every_reason_is_for_a_right_that_there_is() {
        let keep = Keep::parse(KEPT).unwrap();
        let allowed = allowed().unwrap();
        let idle: Vec<&str> = keep.idle(&allowed).collect();
        assert!(idle.is_empty(), "tests/coverage.keep names what the policy has no rule for: {idle:?}");
    }

    #[test]
    fn the_policy_takes_all_away_and_refuses_nobody() {
        let policy = policy("2").unwrap();
        assert!(policy.starts_with("(deny any_type any_type everything)\n"));
        for source in ["init_t", "unlabeled_t", "tenant0000_t", "tenant0001_install_t"] {
            assert!(policy.contains(&format!("(typepermissive {source})\n")), "{source}");
        }
    }
}
