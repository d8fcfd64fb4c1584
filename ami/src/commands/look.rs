//! `ls` and `show`.

use serde_json::json;

use super::connect;
use crate::args::{Target, Where};
use crate::aws::Ami;
use crate::exit::Failure;
use crate::manage;
use crate::names;
use crate::ui::Ui;

pub(super) async fn ls(ui: Ui, place: &Where) -> Result<(), Failure> {
    let mut images = connect(place).await.images(None).await?;
    images.sort_by(|one, other| other.created.cmp(&one.created));
    if images.is_empty() {
        ui.note(&format!("nothing is published in {}", place.region));
    }
    let lines: String = images.iter().map(line).collect();
    let head = if images.is_empty() {
        ""
    } else {
        "AMI                    VERSION       DIGEST        CREATED               STATE\n"
    };
    ui.result(&json!({ "region": place.region, "images": images }), &format!("{head}{lines}"))
}

fn line(ami: &Ami) -> String {
    let tag = |key| ami.tags.get(key).map_or("", String::as_str);
    let digest: String = tag(names::DIGEST).chars().take(12).collect();
    let created: String = ami.created.chars().take(19).collect();
    let mut state = ami.state.clone();
    for (word, is) in
        [("public", ami.public), ("encrypted", ami.encrypted), ("deprecated", ami.deprecated.is_some())]
    {
        if is {
            state += ", ";
            state += word;
        }
    }
    format!("{:<22} {:<13} {digest:<13} {created:<21} {state}\n", ami.id, tag(names::VERSION))
}

pub(super) async fn show(ui: Ui, target: &Target) -> Result<(), Failure> {
    let aws = connect(&target.place).await;
    let ami = manage::ours(&aws, &target.ami).await?;
    let grants = aws.grants(&ami.id).await?;
    let snapshot = match &ami.snapshot {
        Some(id) => aws.snapshot(id).await?,
        None => None,
    };
    let mut lines = format!("{}\n  name         {}\n  state        {}\n", ami.id, ami.name, ami.state);
    let mut line = |name: &str, value: &str| lines += &format!("  {name:<12} {value}\n");
    line("description", &ami.description);
    line("created", &ami.created);
    line("boot", &format!("{}, TPM {}, IMDS {}", ami.boot_mode, ami.tpm, ami.imds));
    if let Some(from) = &ami.deprecated {
        line("deprecated", from);
    }
    if let Some(snapshot) = &snapshot {
        let encrypted = if snapshot.encrypted { ", encrypted" } else { "" };
        line("snapshot", &format!("{}, {} GiB{encrypted}", snapshot.id, snapshot.gib));
    }
    line("launched by", &if grants.is_empty() { "this account".to_owned() } else { super::names(&grants) });
    ami.tags.iter().for_each(|(key, value)| line("tag", &format!("{key} = {value}")));
    ui.result(&json!({ "image": ami, "snapshot": snapshot, "grants": grants }), &lines)
}
