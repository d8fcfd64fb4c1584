//! `kennel egress`: what a tenant may connect to, with counters; rules come and go one at a time.

use kennel_model::egress::{Action, BadDestination, Destination, InvalidEgress, Rule};
use kennel_model::{TenantName, api, denial};

use super::denials::line;
use super::{Context, tenant_path};
use crate::args::{Egress, EgressAct};
use crate::client::Documents;
use crate::exit::{Exit, Explain, Failure};
use crate::ui::table;

pub(super) async fn egress(context: &Context, args: &Egress) -> Result<(), Failure> {
    let example = |act: &str| format!("for example: kennel egress {} {act}", args.name);
    match (args.act, &args.what, args.watch) {
        (EgressAct::Ls, None, true) => watch(context, &args.name).await,
        (EgressAct::Ls, None, false) => ls(context, &args.name).await,
        (EgressAct::Ls, Some(_), _) => Err(Failure::usage("`ls` takes nothing more", example("ls"))),
        (_, _, true) => Err(Failure::usage("--watch goes with no other act", example("--watch"))),
        (EgressAct::Rm, Some(number), _) if args.protocol.is_none() => match number.parse() {
            Ok(number) => rm(context, &args.name, number).await,
            Err(_) => Err(Failure::usage(
                format!("{number:?} is not the number of a rule"),
                format!("`kennel egress {}` shows the numbers", args.name),
            )),
        },
        (EgressAct::Rm, ..) => Err(Failure::usage("`rm` takes the number of a rule", example("rm 1"))),
        (EgressAct::Allow, Some(to), _) => add(context, args, Action::Allow, to).await,
        (EgressAct::Deny, Some(to), _) => add(context, args, Action::Deny, to).await,
        (EgressAct::Allow, None, _) => {
            Err(Failure::usage("`allow` takes a destination", example("allow 10.0.5.7:5432")))
        }
        (EgressAct::Deny, None, _) => {
            Err(Failure::usage("`deny` takes a destination", example("deny 203.0.113.0/24")))
        }
    }
}

impl Explain for BadDestination {
    fn hint(&self) -> Option<String> {
        Some(self.hint())
    }

    fn code(&self) -> String {
        "invalid-rule".to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

impl Explain for InvalidEgress {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn code(&self) -> String {
        "invalid-rule".to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// What can be told wrong here is told here; the host knows the rest.
async fn add(context: &Context, args: &Egress, action: Action, to: &str) -> Result<(), Failure> {
    let to: Destination = match args.protocol {
        Some(protocol) => format!("{to}/{protocol}").parse()?,
        None => to.parse()?,
    };
    let rule = Rule::new(action, to)?;
    let body = api::NewEgressRule { action, to: rule.to().to_string() };
    let path = format!("{}/egress", tenant_path(&args.name));
    let change: api::EgressChange = context.client()?.post(&path, &body).await?;
    said(context, &args.name, &change, "is in force")
}

async fn rm(context: &Context, name: &TenantName, number: u8) -> Result<(), Failure> {
    let path = format!("{}/egress/{number}", tenant_path(name));
    let change: api::EgressChange = context.client()?.remove(&path).await?;
    said(context, name, &change, "is gone")
}

fn said(context: &Context, name: &TenantName, change: &api::EgressChange, what: &str) -> Result<(), Failure> {
    context.ui.result(change, |change| {
        let rule = &change.rule;
        format!("{name}: rule {} {what}: {} {}\n", rule.number, word(rule.action), rule.to)
    })?;
    if change.stopped {
        context.ui.note(&format!("{name} was stopped: its next request starts it, with its new ports"));
    } else {
        context.ui.note(&format!("connections that are open stay open; `kennel tenant stop {name}` ends them"));
    }
    Ok(())
}

const fn word(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Deny => "deny",
    }
}

async fn ls(context: &Context, name: &TenantName) -> Result<(), Failure> {
    let report: api::EgressReport = context.client()?.get(&format!("{}/egress", tenant_path(name))).await?;
    Ok(context.ui.result(&report, words)?)
}

fn words(report: &api::EgressReport) -> String {
    let traffic = |t: api::Traffic| [t.packets.to_string(), t.bytes.to_string()];
    let row = |number: String, action: &str, to: &str, t: api::Traffic| {
        let [packets, bytes] = traffic(t);
        [number, action.to_owned(), to.to_owned(), packets, bytes]
    };
    let mut rows: Vec<[String; 5]> = Vec::new();
    for counted in &report.rules {
        let rule = &counted.rule;
        rows.push(row(rule.number.to_string(), word(rule.action), &rule.to, counted.traffic));
    }
    let default = "name servers; public addresses, TCP 80 and 443";
    rows.push(row("-".into(), "allow", default, report.accepted_by_default));
    rows.push(row("-".into(), "deny", "everything else", report.refused_by_default));
    table(["RULE", "ACTION", "TO", "PACKETS", "BYTES"], &rows)
        + "\ncounted are packets that would open a connection, since the list was loaded\n"
}

/// Until Ctrl-C. There is no telling how long nothing is refused.
async fn watch(context: &Context, name: &TenantName) -> Result<(), Failure> {
    let mut client = context.client()?;
    let path = format!("{}/denials?lines=0&follow=true", tenant_path(name));
    let mut documents = Documents::new(client.name().clone(), client.stream(&path).await?);
    loop {
        let next = tokio::select! {
            next = documents.next::<api::Denial>(None) => next?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(refused) = next else { return Ok(()) };
        if !matches!(refused.act, denial::Act::Packet(_)) {
            continue;
        }
        let text = if context.ui.json() { format!("{}\n", serde_json::json!(refused)) } else { line(&refused) };
        context.ui.raw(text.as_bytes())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_table_that_ends_with_the_default() {
        let traffic = |packets| api::Traffic { packets, bytes: packets * 60 };
        let rule = api::EgressRule { number: 2, action: Action::Deny, to: "203.0.113.0/24".into() };
        let report = api::EgressReport {
            rules: vec![api::EgressCount { rule, traffic: traffic(3) }],
            accepted_by_default: traffic(70),
            refused_by_default: traffic(1),
        };
        let text = words(&report);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["2", "deny", "203.0.113.0/24", "3", "180"]);
        assert_eq!(lines[3], ["-", "deny", "everything", "else", "1", "60"]);
    }
}
