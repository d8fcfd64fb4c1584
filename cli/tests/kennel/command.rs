//! The command line as a person or a script meets it: exit codes, errors, JSON, completions, man pages. No host is
//! needed for any of it.

use crate::support::{Home, error, result};

#[test]
fn bad_usage_is_64_in_words_and_in_json() {
    let home = Home::new();
    for args in [
        &["frobnicate"][..],
        &[],
        &["deploy"],
        &["deploy", "Bad_Name", "."],
        &["deploy", "blog", ".", "--command", "node a.js && node b.js"],
        &["tenant", "add", "blog", "--runtime", "node-24", "--domain", "Not A Host"],
        &["run", "--memory", "lots"],
        &["host", "add", "x", "http://insecure:1"],
        &["logs", "blog", "-n", "many"],
    ] {
        let output = home.kennel(args).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
    let output = home.kennel(&["--json", "deploy", "Bad_Name", "."]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let error = error(&output);
    assert_eq!(error["code"], "usage");
    assert!(error["message"].as_str().unwrap().contains("Bad_Name"), "{error}");
}

#[test]
fn help_tells_the_exit_codes_and_is_no_error() {
    let output = Home::new().kennel(&["--help"]).output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for code in ["  0   ", "  1   ", "  2   ", "  64  "] {
        assert!(help.contains(code), "{help}");
    }
}

#[test]
fn completions_for_every_shell_know_the_commands() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = home.kennel(&["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("deploy"), "{shell}");
        let document = result(&home.kennel(&["completions", shell, "--json"]).output().unwrap());
        assert_eq!(document["script"].as_str().unwrap(), script);
    }
}

#[test]
fn man_pages_are_written_for_every_command() {
    let home = Home::new();
    assert!(home.kennel(&["man", "pages"]).output().unwrap().status.success());
    for page in ["kennel.1", "kennel-deploy.1", "kennel-tenant-add.1"] {
        let text = std::fs::read_to_string(home.path("pages").join(page)).unwrap();
        assert!(text.contains("Example") || page == "kennel.1", "{page}");
    }
}

#[test]
fn without_a_host_there_is_a_hint() {
    let home = Home::new();
    let output = home.kennel(&["tenant", "ls"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: no host is known here\nhint: "), "{text}");
    assert!(text.contains("kennel run"), "{text}");
    let output = home.kennel(&["tenant", "ls", "--json", "--host", "berlin"]).output().unwrap();
    assert_eq!(error(&output)["code"], "no-such-host");
}

#[test]
fn colours_only_when_asked_for_and_never_in_pipes() {
    let home = Home::new();
    let stderr = |args: &[&str]| String::from_utf8(home.kennel(args).output().unwrap().stderr).unwrap();
    assert!(!stderr(&["tenant", "ls"]).contains('\x1b'));
    assert!(stderr(&["tenant", "ls", "--color", "always"]).contains('\x1b'));
}

#[test]
fn stopping_what_does_not_run_is_no_failure() {
    let home = Home::new();
    let document = result(&home.kennel(&["stop", "--json"]).output().unwrap());
    assert_eq!(document["stopped"], "was-not-running");
}

#[test]
fn run_without_an_image_or_on_a_taken_port_says_what_to_do() {
    let home = Home::new();
    let output = home.kennel(&["run", "--detach", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(error(&output)["code"], "no-image");
    assert!(error(&output)["hint"].as_str().unwrap().contains("kennel build"));
    assert!(home.path(".config/kennel/id_ed25519").exists(), "the operator's key is made");
}

#[test]
fn a_damaged_host_file_is_named_and_not_overwritten() {
    let home = Home::new();
    let file = home.file(".config/kennel/hosts.toml", "[hosts.local]\nurl = 5\n");
    let output = home.kennel(&["host", "rm", "local"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("hosts.toml") && text.contains("line 2"), "{text}");
    assert!(std::fs::read_to_string(file).unwrap().contains("url = 5"));
}

#[test]
fn the_program_is_static() {
    let bytes = std::fs::read(env!("CARGO_BIN_EXE_kennel")).unwrap();
    // Program headers of a 64-bit little-endian ELF file; PT_INTERP is 3: a loader for shared libraries.
    let number = |at: usize, size: usize| {
        bytes[at..at + size].iter().rev().fold(0usize, |n, b| (n << 8) | usize::from(*b))
    };
    let (first, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    assert!(count > 0);
    assert!((0..count).all(|i| number(first + i * size, 4) != 3), "it has a program interpreter");
}
