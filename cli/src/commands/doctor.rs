//! `kennel host doctor` and `kennel host repair`: how a host's registry is, and the way back to a copy of it.

use std::time::Duration;

use kennel_model::doctor::{Doctor, Repair, Repaired, Snapshot};
use tokio::time::{Instant, sleep};

use super::Context;
use crate::args::{ByteSize, RepairArgs};
use crate::exit::Failure;
use crate::ui::{ago, fields, table};

/// How long control may take to start again.
const RESTART: Duration = Duration::from_secs(30);

pub(super) async fn doctor(context: &Context) -> Result<(), Failure> {
    let doctor: Doctor = context.client()?.get("/v1/host/doctor").await?;
    Ok(context.ui.result(&doctor, words)?)
}

pub(super) async fn repair(context: &Context, args: &RepairArgs) -> Result<(), Failure> {
    let mut client = context.client()?;
    let doctor: Doctor = client.get("/v1/host/doctor").await?;
    let snapshot = match &args.snapshot {
        Some(name) => name.clone(),
        None => doctor.snapshots.first().map(|newest| newest.name.clone()).ok_or_else(|| {
            Failure::usage(
                "the host has no snapshot that is whole",
                "its data volume's backups may have a registry",
            )
        })?,
    };
    let of = doctor.snapshots.iter().find(|known| known.name == snapshot);
    let taken = of.map_or_else(|| "unknown here".to_owned(), |known| ago(known.taken_at_s));
    let question =
        format!("put {snapshot} ({taken}) in the registry's place? Whatever changed since then is forgotten");
    if !args.yes && context.ui.confirm(&question)? != Some(true) {
        return Err(Failure::usage("nothing is changed", "`--yes` does not ask"));
    }
    let repaired: Repaired = client.post("/v1/host/repair", &Repair { snapshot }).await?;
    let begun = Instant::now();
    // Control starts again; until then it does not answer, or is the one before.
    while begun.elapsed() < RESTART {
        sleep(Duration::from_millis(500)).await;
        let Ok(mut client) = context.client() else { break };
        if client.get::<Doctor>("/v1/host/doctor").await.is_ok_and(|now| now.failsafe.is_none()) {
            break;
        }
    }
    Ok(context.ui.result(&repaired, |repaired| {
        let Repaired { snapshot, aside } = repaired;
        let aside = aside.as_ref().map(|name| format!("  what was there is kept on the host as {name}\n"));
        format!(
            "the registry is {} again, with {} tenants\n{}",
            snapshot.name,
            snapshot.tenants,
            aside.unwrap_or_default()
        )
    })?)
}

fn words(doctor: &Doctor) -> String {
    let mut rows = vec![];
    match &doctor.failsafe {
        None => rows.push(("registry", format!("whole, {}", ByteSize(doctor.registry_bytes)))),
        Some(failsafe) => {
            rows.push(("FAILSAFE", failsafe.why.clone()));
            let stands = match &failsafe.snapshot {
                Some(name) => format!("{name} stands in for it; nothing can be changed"),
                None => "nothing stands in for it: no snapshot is whole".to_owned(),
            };
            rows.push(("", stands));
            rows.push(("repair", advice(doctor)));
        }
    }
    rows.push(("data", format!("{} free", ByteSize(doctor.data_available_bytes))));
    rows.extend(doctor.aside.iter().map(|name| ("put aside", name.clone())));
    let mut text = fields(&rows);
    if doctor.snapshots.is_empty() {
        return text + "no snapshots of the registry yet\n";
    }
    let line = |s: &Snapshot| {
        [
            s.name.clone(),
            ago(s.taken_at_s),
            s.tenants.to_string(),
            ByteSize(s.bytes).to_string(),
            s.version.to_string(),
        ]
    };
    let lines: Vec<_> = doctor.snapshots.iter().map(line).collect();
    text.push('\n');
    text + &table(["SNAPSHOT", "TAKEN", "TENANTS", "SIZE", "SCHEMA"], &lines)
}

fn advice(doctor: &Doctor) -> String {
    match doctor.snapshots.first() {
        _ if doctor.data_available_bytes < doctor.registry_bytes => {
            "the disk is full: remove a tenant's files, or give the host a larger volume, and restart it"
                .to_owned()
        }
        Some(newest) => {
            format!("`kennel host repair` goes back to {}, taken {}", newest.name, ago(newest.taken_at_s))
        }
        None => "boot the image that wrote it, or restore the data volume from a backup".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::doctor::Failsafe;

    #[test]
    fn what_is_wrong_comes_with_what_to_do() {
        let snapshot =
            Snapshot { name: "snapshot-7.sqlite".into(), taken_at_s: 7, bytes: 4096, version: 14, tenants: 3 };
        let whole = Doctor {
            failsafe: None,
            snapshots: vec![snapshot],
            aside: vec![],
            registry_bytes: 4096,
            data_available_bytes: 1 << 30,
        };
        let text = words(&whole);
        assert!(text.starts_with("registry  whole, 4K\n") && text.contains("snapshot-7.sqlite"), "{text}");
        let failsafe =
            Failsafe { why: "the registry is damaged: x".into(), snapshot: Some("snapshot-7.sqlite".into()) };
        let broken = Doctor { failsafe: Some(failsafe), ..whole.clone() };
        let text = words(&broken);
        assert!(text.contains("FAILSAFE  the registry is damaged: x\n"), "{text}");
        assert!(
            text.contains("snapshot-7.sqlite stands in for it")
                && text.contains("`kennel host repair` goes back")
        );
        assert!(advice(&Doctor { data_available_bytes: 1, ..broken.clone() }).starts_with("the disk is full"));
        assert!(advice(&Doctor { snapshots: vec![], ..broken }).contains("the image that wrote it"));
        assert!(words(&Doctor { snapshots: vec![], ..whole }).ends_with("no snapshots of the registry yet\n"));
    }
}
