//! What is checked after every scenario, and small assertions that say what they saw.

use serde_json::Value;

use crate::vm::Vm;

/// Fails on a SELinux denial on the console since `seen` bytes that none of the patterns explains. A pattern is
/// words that all occur in the line.
pub fn no_denials(vm: &Vm, seen: usize, expected: &[&str]) -> Result<(), String> {
    if std::env::var_os("KENNEL_TEST_CONSOLES").is_some() {
        return Ok(());
    }
    let console = vm.console();
    let denials = console.get(seen..).unwrap_or_default().lines().filter(|line| line.contains("avc:  denied"));
    let explained = |line: &str| expected.iter().any(|p| p.split(' ').all(|word| line.contains(word)));
    let unexpected: Vec<&str> = denials.filter(|line| !explained(line)).take(10).collect();
    if unexpected.is_empty() {
        return Ok(());
    }
    Err(format!("unexpected denials:\n  {}", unexpected.join("\n  ")))
}

/// Fails unless both are the same, saying what was compared.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what} is {got:?}, not {expected:?}")) }
}

/// Fails unless it holds.
pub fn holds(what: &str, it: bool) -> Result<(), String> {
    if it { Ok(()) } else { Err(format!("this does not hold: {what}")) }
}

/// Fails unless the text has this in it.
pub fn contains(what: &str, text: &str, part: &str) -> Result<(), String> {
    if text.contains(part) { Ok(()) } else { Err(format!("{what} does not say {part:?}: {text}")) }
}

/// Fails unless the probe was refused with one of these errors.
pub fn refused(probe: &str, answer: &Value, errors: &[&str]) -> Result<(), String> {
    let errno = answer["errno"].as_str().unwrap_or_default();
    if answer["ok"] == Value::Bool(false) && errors.contains(&errno) {
        return Ok(());
    }
    Err(format!("probe {probe} answered {answer}, not a refusal by {}", errors.join(" or ")))
}
