//! For `benches/egress.sh`: rulesets to load, and packets to send through them.
//!
//! - `rules FOLDER SLOTS RULES`: writes the sealed rules, an update that gives every slot so many rules, and what would be
//!   the plain way for both: one chain a slot, found by one rule for each slot.
//! - `send ADDRESS COUNT`: sends datagrams and prints the nanoseconds that each took.

use std::error::Error;
use std::fmt::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Instant;

use kennel_iptables::{Change, Updates, render};
use kennel_model::SlotId;
use kennel_model::egress::{Action, Egress, Rule};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["rules", folder, slots, rules] => write_rules(Path::new(folder), slots.parse()?, rules.parse()?),
        ["send", address, count] => send(address, count.parse()?),
        _ => Err("usage: egress rules FOLDER SLOTS RULES | egress send ADDRESS COUNT".into()),
    }
}

/// Half denials, half of either family; the last one allows what `send` sends.
fn list(slot: SlotId, rules: u16) -> Result<Egress> {
    let n = slot.index();
    let text = |k: u16| match k {
        k if k + 1 == rules => (Action::Allow, "10.9.0.2:9/udp".to_owned()),
        k if k % 4 == 0 => (Action::Deny, format!("10.{}.{k}.0/24", n % 256)),
        k if k % 4 == 1 => (Action::Deny, format!("2001:db8:{n:x}:{k:x}::/64")),
        k if k % 4 == 2 => (Action::Allow, format!("10.{}.{k}.7:5432", n % 256)),
        k => (Action::Allow, format!("[2001:db8:{n:x}:{k:x}::7]:5432")),
    };
    let rule = |(action, to): (Action, String)| Ok(Rule::new(action, to.parse()?)?);
    Ok(Egress::new((0..rules).map(|k| rule(text(k))).collect::<Result<_>>()?)?)
}

fn write_rules(folder: &Path, slots: u16, rules: u16) -> Result<()> {
    let sealed = render(slots)?;
    let lists: Vec<(SlotId, Egress)> =
        SlotId::pool(slots).map(|slot| Ok((slot, list(slot, rules)?))).collect::<Result<_>>()?;
    let change =
        Change { lists: lists.iter().map(|(slot, list)| (*slot, list)).collect(), ..Change::default() };
    let updates = Updates::new()?;
    let began = Instant::now();
    let update = updates.render(&change)?;
    println!("rendered {slots} lists in {:.0} ms", began.elapsed().as_secs_f64() * 1000.0);
    // The packets' labels need a kernel with SELinux.
    let filter = |text: &str| text.split_inclusive("COMMIT\n").next().unwrap_or_default().to_owned();
    for (family, sealed, update) in [("4", &sealed.v4, &update.v4), ("6", &sealed.v6, &update.v6)] {
        std::fs::write(folder.join(format!("sealed{family}")), filter(sealed))?;
        std::fs::write(folder.join(format!("update{family}")), update)?;
        std::fs::write(folder.join(format!("plain{family}")), plain(slots, update)?)?;
    }
    Ok(())
}

/// The same chains, but `OUTPUT` has one rule for each slot.
fn plain(slots: u16, update: &str) -> Result<String> {
    let mut text =
        String::from("*filter\n:OUTPUT ACCEPT [0:0]\n:egress - [0:0]\n:allowed - [0:0]\n:refuse - [0:0]\n");
    let (chains, rules): (Vec<&str>, Vec<&str>) = update
        .lines()
        .filter(|line| line.starts_with(":slot") || line.starts_with("-A slot"))
        .partition(|line| line.starts_with(':'));
    for line in chains {
        writeln!(text, "{line}")?;
    }
    text.push_str("-A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n");
    for slot in SlotId::pool(slots) {
        writeln!(text, "-A OUTPUT -m owner --uid-owner {} -g slot{slot}", slot.uid())?;
    }
    for line in rules {
        writeln!(text, "{line}")?;
    }
    text.push_str("-A allowed -j ACCEPT\n-A refuse -j DROP\nCOMMIT\n");
    Ok(text)
}

fn send(address: &str, count: u32) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(address)?;
    let began = Instant::now();
    for _ in 0..count {
        socket.send(b"x")?;
    }
    println!("{:.0}", began.elapsed().as_secs_f64() * 1e9 / f64::from(count));
    Ok(())
}
