//! `kennel egress` against the stand-in for a host.

use kennel_model::denial::{Act, Packet};
use kennel_model::{TenantName, api};

use crate::support::{at_home, error, result};

#[test]
fn rules_are_listed_added_and_removed() {
    let (home, host) = at_home();
    for args in [&["egress", "blog"][..], &["egress", "blog", "ls"]] {
        let shown = String::from_utf8(home.kennel(args).output().unwrap().stdout).unwrap();
        assert!(shown.contains("203.0.113.0/24") && shown.contains("everything else"), "{shown}");
    }
    let report = result(&home.kennel(&["egress", "blog", "--json"]).output().unwrap());
    assert_eq!(report["rules"][0]["traffic"]["packets"], 3);
    for (args, to) in [
        (&["10.0.5.7:5432"][..], "10.0.5.7/32:5432/tcp"),
        (&["[2001:db8::/32]:443"], "[2001:db8::/32]:443/tcp"),
        (&["10.0.5.7:5000-5010", "udp"], "10.0.5.7/32:5000-5010/udp"),
    ] {
        let added = home.kennel(&["egress", "blog", "allow"]).args(args).arg("--json").output().unwrap();
        assert_eq!(result(&added)["rule"]["to"], to);
    }
    let added = home.kennel(&["egress", "blog", "deny", "203.0.113.0/24"]).output().unwrap();
    assert!(String::from_utf8(added.stdout).unwrap().contains("rule 2 is in force: deny 203.0.113.0/24"));
    assert!(String::from_utf8(added.stderr).unwrap().contains("blog was stopped"));
    result(&home.kennel(&["egress", "blog", "rm", "1", "--json"]).output().unwrap());
    assert_eq!(host.requests().last().unwrap(), "DELETE /v1/tenants/blog/egress/1");
}

#[test]
fn what_makes_no_sense_is_told_before_anything_is_sent() {
    let (home, host) = at_home();
    for (args, message, hint) in [
        (&["allow", "db.example.com:5432"][..], "is a name", "changes"),
        (&["allow", "10.0.5.7"], "names no port", "10.0.5.7/32:443/tcp"),
        (&["allow", "169.254.169.254:80"], "can never be allowed", ""),
        (&["deny", "10.0.0.1/8"], "bits beyond", "10.0.0.0/8"),
        (&["allow"], "takes a destination", "kennel egress blog allow"),
        (&["rm", "x"], "not the number", "kennel egress blog"),
        (&["rm"], "takes the number", "rm 1"),
        (&["ls", "x"], "takes nothing more", "ls"),
    ] {
        let output = home.kennel(&["egress", "blog"]).args(args).arg("--json").output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        let error = error(&output);
        assert!(error["message"].as_str().unwrap().contains(message), "{args:?}: {error}");
        assert!(error["hint"].as_str().unwrap_or_default().contains(hint), "{args:?}: {error}");
    }
    assert!(host.requests().is_empty());
}

#[test]
fn watching_shows_refused_packets_and_nothing_else() {
    let (home, host) = at_home();
    let output = home.kennel(&["egress", "blog", "--watch"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("blog tried to connect") && !text.contains("other things"), "{text}");
    assert_eq!(host.requests().last().unwrap(), "GET /v1/tenants/blog/denials?lines=0&follow=true");
    let output = home.kennel(&["egress", "blog", "-w", "--json"]).output().unwrap();
    assert_eq!(result(&output)["sentence"], "blog tried to connect");
}

/// A refused packet and another denied act, a line each.
pub(crate) fn denials() -> String {
    let of = |act: Act, sentence: &str| api::Denial {
        tenant: Some(TenantName::new("blog").unwrap()),
        sentence: sentence.into(),
        refused_by: None,
        program: "node".into(),
        act,
        count: 1,
        first_at_s: 1,
        last_at_s: 1,
    };
    let packet = Packet { protocol: "tcp".into(), to: [10, 0, 2, 2].into(), port: Some(5432) };
    let all = [of(Act::Others, "other things"), of(Act::Packet(packet), "blog tried to connect")];
    all.iter().map(|denial| serde_json::to_string(denial).unwrap() + "\n").collect()
}
