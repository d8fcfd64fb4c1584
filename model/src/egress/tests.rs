//! What can be written, what a list can hold, and what is refused with which reason.

use proptest::prelude::*;

use super::*;

fn to(text: &str) -> Destination {
    text.parse().unwrap()
}

fn allow(text: &str) -> Result<Rule, InvalidEgress> {
    Rule::new(Action::Allow, to(text))
}

fn list(rules: &[&str]) -> Result<Egress, InvalidEgress> {
    Egress::new(rules.iter().map(|text| allow(text).unwrap()).collect())
}

#[test]
fn destinations_are_written_as_people_do() {
    for (given, shown) in [
        ("10.0.5.7:5432", "10.0.5.7/32:5432/tcp"),
        ("10.0.5.7/32:5432", "10.0.5.7/32:5432/tcp"),
        ("10.0.5.7:53/udp", "10.0.5.7/32:53/udp"),
        ("10.0.0.0/8:5000-5010", "10.0.0.0/8:5000-5010/tcp"),
        ("[2001:db8::/32]:443", "[2001:db8::/32]:443/tcp"),
        ("[2001:db8::1]:443/udp", "[2001:db8::1/128]:443/udp"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("[2001:db8::]", "2001:db8::/128"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.0/24/udp", "203.0.113.0/24/udp"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ] {
        assert_eq!(to(given).to_string(), shown);
        assert_eq!(to(shown), to(given));
    }
}

#[test]
fn what_is_no_destination_is_told_how_one_is_written() {
    for (given, message, hint) in [
        ("db.example.com:5432", "\"db.example.com\" is a name", "what a name stands for changes"),
        ("localhost", "is a name", "use an address"),
        ("10.0.5:80", "\"10.0.5\" is not an address", "10.0.5.7:5432"),
        ("", "\"\" is not an address", "10.0.5.7:5432"),
        ("10.0.0.1/24", "bits beyond its prefix", "did you mean 10.0.0.0/24?"),
        ("2001:db8::1/32", "bits beyond its prefix", "did you mean 2001:db8::/32?"),
        ("10.0.0.0/33", "\"33\" is not the length of a prefix: use 0 to 32", "203.0.113.0/24"),
        ("10.0.0.0/+8", "\"+8\" is not the length of a prefix", "203.0.113.0/24"),
        ("10.0.0.1:0", "\"0\" is neither a port nor a range", "from 1 to 65535"),
        ("10.0.0.1:9-8", "\"9-8\"", "5000-5010"),
        ("10.0.0.1:http", "\"http\"", "5000-5010"),
        ("10.0.0.1:65536", "\"65536\"", "from 1 to 65535"),
        ("[2001:db8::1:443", "without its ']'", "[2001:db8::/32]:443"),
        ("[2001:db8::1]443", "\"443\" is neither", "from 1 to 65535"),
    ] {
        let error = given.parse::<Destination>().unwrap_err();
        assert!(error.to_string().contains(message), "{given}: {error}");
        assert!(error.hint().contains(hint), "{given}: {}", error.hint());
    }
}

#[test]
fn nobody_is_allowed_this_host_the_metadata_service_or_a_link() {
    for given in [
        "127.0.0.1:5432",
        "0.0.0.0:80",
        "169.254.169.254:80",
        "169.254.0.0/16:80",
        "224.0.0.251:5353/udp",
        "255.255.255.255:9/udp",
        "[::1]:5432",
        "[::ffff:10.0.0.1]:80",
        "[64:ff9b::a9fe:a9fe]:80",
        "[2002:a9fe:a9fe::]:80",
        "[2002:7f00:1::]:80",
        "[fd00:ec2::254]:80",
        "[fe80::1]:80",
        "[ff02::1]:80",
    ] {
        let error = allow(given).unwrap_err();
        assert!(matches!(error, InvalidEgress::Never(..)), "{given}: {error}");
        assert!(Rule::new(Action::Deny, to(given)).is_ok(), "{given}");
    }
    for given in ["10.0.2.2:8080", "192.168.0.0/16:5432", "[fd00::1]:443", "0.0.0.0/0:25", "[::/0]:25"] {
        assert!(allow(given).is_ok(), "{given}");
    }
}

#[test]
fn a_wide_rule_leaves_out_what_nobody_is_allowed() {
    let exceptions = |text: &str| allow(text).unwrap().exceptions().map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(exceptions("0.0.0.0/0:80"), ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"]);
    assert_eq!(exceptions("160.0.0.0/4:80"), ["169.254.0.0/16"]);
    assert_eq!(exceptions("[fd00::/8]:80"), ["fd00:ec2::/32"]);
    assert!(exceptions("10.0.0.0/8:80").is_empty());
    assert_eq!(Rule::new(Action::Deny, to("0.0.0.0/0")).unwrap().exceptions().count(), 0);
}

#[test]
fn an_allow_names_its_port() {
    let error = allow("10.0.5.7").unwrap_err();
    assert_eq!(error.to_string(), "10.0.5.7/32 names no port");
    assert_eq!(error.hint().unwrap(), "say which port, for example 10.0.5.7/32:443/tcp");
}

#[test]
fn ports_of_slots_and_of_the_api_stay_the_hosts() {
    for (given, refused) in [
        ("10.0.0.1:19999", false),
        ("10.0.0.1:20000", true),
        ("10.0.0.1:27999", true),
        ("10.0.0.1:28000", false),
        ("10.0.0.1:1-20000", true),
        ("10.0.0.1:20000/udp", false),
        ("10.0.0.1:8443", true),
        ("10.0.0.1:8000-9000", true),
        ("10.0.0.1:8443/udp", false),
    ] {
        let checked = list(&[given]).unwrap().check(1000);
        assert_eq!(checked.is_err(), refused, "{given}: {checked:?}");
        assert!(checked.err().is_none_or(|e| e.hint().is_some()), "{given}");
    }
    assert!(list(&["10.0.0.1:20100"]).unwrap().check(10).is_ok());
}

#[test]
fn a_list_has_each_rule_once_and_not_too_many() {
    let many: Vec<String> = (0..=MAX_RULES).map(|n| format!("10.0.0.{n}:80")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(list(&many[1..]).is_ok());
    assert_eq!(list(&many), Err(InvalidEgress::TooMany));
    assert!(matches!(list(&["10.0.0.1:80", "10.0.0.1/32:80/tcp"]), Err(InvalidEgress::Twice(_))));
}

#[test]
fn landlock_gets_the_ports_or_none_when_they_are_too_many() {
    let slot = SlotId::new(1).unwrap();
    let rules = Egress::new(vec![
        allow("10.0.0.1:5432").unwrap(),
        allow("10.0.0.1:6000-6001").unwrap(),
        allow("10.0.0.1:123/udp").unwrap(),
        Rule::new(Action::Deny, to("10.0.0.1:7000")).unwrap(),
    ]);
    let ports = landlock_ports(slot, &rules.unwrap().connect_ports()).unwrap();
    let own = 20_008..=20_015;
    assert_eq!(ports, own.chain([53, 80, 443, 5432, 6000, 6001]).collect());
    assert_eq!(landlock_ports(slot, &list(&["10.0.0.1:10000-19999"]).unwrap().connect_ports()), None);
}

#[test]
fn name_servers_are_never_this_host() {
    for (address, may) in [
        ("10.0.2.3", true),
        ("169.254.169.253", true),
        ("2001:4860:4860::8888", true),
        ("127.0.0.53", false),
        ("0.0.0.0", false),
        ("::1", false),
        ("::ffff:127.0.0.1", false),
        ("224.0.0.1", false),
        ("169.254.169.254", false),
        ("fe80::1", false),
    ] {
        assert_eq!(may_be_name_server(address.parse().unwrap()), may, "{address}");
    }
}

#[test]
fn a_message_cannot_carry_what_a_person_cannot_write() {
    let decode = |json: &str| serde_json::from_str::<Egress>(json);
    let rule = |to: &str| format!(r#"[{{"action":"allow","to":{to}}}]"#);
    assert!(decode(&rule(r#"[["10.0.0.1",32],"tcp",[80,80]]"#)).is_ok());
    for bad in [
        r#"[["10.0.0.1",24],"tcp",[80,80]]"#,
        r#"[["10.0.0.0",40],"tcp",[80,80]]"#,
        r#"[["169.254.169.254",32],"tcp",[80,80]]"#,
        r#"[["10.0.0.1",32],"tcp",[81,80]]"#,
        r#"[["10.0.0.1",32],null,[80,80]]"#,
        r#"[["10.0.0.1",32],"tcp",null]"#,
    ] {
        assert!(decode(&rule(bad)).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn whatever_is_taken_reads_back_as_itself(text in "[0-9a-f.:/\\[\\]-]{0,40}(/tcp|/udp)?") {
        if let Ok(to) = text.parse::<Destination>() {
            prop_assert_eq!(to.to_string().parse::<Destination>().unwrap(), to);
        }
    }

    #[test]
    fn networks_contain_what_arithmetic_says(a in any::<u32>(), p in 0u8..=32, b in any::<u32>(), q in 0u8..=32) {
        let (one, other) = (Network::v4(a.into(), p), Network::v4(b.into(), q));
        let same = |bits: u8| bits == 0 || (a ^ b) >> (32 - u32::from(bits)) == 0;
        prop_assert_eq!(one.contains(other), q >= p && same(p));
    }
}
