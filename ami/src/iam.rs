//! IAM policies, made from the table of calls: each allows exactly the calls that a part of this program makes, on our own
//! snapshots and AMIs wherever IAM can tell them from others'.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::aws::table::{CALLS, ENCRYPTION, On, PROFILE, Right};
use crate::names;

/// Parts of the program, as policies know them. `publish --share` needs the policies `publish` and `share`, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Role {
    /// `publish` without any of the options below
    Publish,
    /// `publish --copy-to`, `copy`
    Copy,
    /// `publish --share`, `publish --public`, `share`
    Share,
    /// `publish --ssm`, to parameters below /kennel/
    Ssm,
    /// `publish --encrypt`; write the keys' ARNs over the one in the policy
    Encrypt,
    /// `verify`
    Verify,
    /// `ls`, `show`
    Read,
    /// `deprecate`, `disable`
    Retire,
    /// `rm`, `gc`
    Remove,
    /// `launch`, without the two below
    Launch,
    /// `launch --ami /kennel/…`, `host replace --ami /kennel/…`
    LaunchSsm,
    /// `launch --instance-profile`, and `host replace` of such a host; write the roles' ARNs over the one in the policy
    Profile,
    /// `hosts`, `host console`, `host reboot`
    Hosts,
    /// `host replace`
    Replace,
    /// `host terminate`
    Terminate,
}

/// The policy for these parts together.
pub fn policy(roles: &[Role]) -> Value {
    let mut places: BTreeMap<On, BTreeSet<&str>> = BTreeMap::new();
    for right in rights(roles) {
        places.entry(right.on).or_default().insert(right.action);
    }
    let statements: Vec<_> = places.into_iter().map(|(on, actions)| statement(on, &actions)).collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// What these parts need.
fn rights(roles: &[Role]) -> impl Iterator<Item = &'static Right> {
    let wanted = |of: &[Role]| of.iter().any(|role| roles.contains(role));
    let rows = CALLS.iter().filter(move |row| wanted(row.roles)).flat_map(|row| row.rights);
    let others = [ENCRYPTION, PROFILE].into_iter().filter(|(role, _)| roles.contains(role));
    rows.chain(others.flat_map(|(_, rights)| rights))
}

fn statement(on: On, actions: &BTreeSet<&str>) -> Value {
    let (resources, condition) = place(on);
    let mut statement = json!({
        "Sid": format!("{on:?}"), "Effect": "Allow", "Action": actions, "Resource": resources,
    });
    if let Some(condition) = condition {
        statement["Condition"] = condition;
    }
    statement
}

/// Resources, and the condition on them.
fn place(on: On) -> (Value, Option<Value>) {
    const IMAGES: &str = "arn:aws:ec2:*::image/*";
    const SNAPSHOTS: &str = "arn:aws:ec2:*::snapshot/*";
    const KEYS: &str = "arn:aws:kms:REGION:ACCOUNT:key/KEY";
    // What belongs to an account, other than AMIs and snapshots.
    let of = |kind: &str| format!("arn:aws:ec2:*:*:{kind}/*");
    let all = |kinds: &[&str]| json!(kinds.iter().map(|kind| of(kind)).collect::<Vec<_>>());
    match on {
        On::Everything => (json!("*"), None),
        On::OurSnapshots => (json!(SNAPSHOTS), bears(names::DIGEST)),
        On::NewSnapshots => (json!(SNAPSHOTS), gets(names::DIGEST)),
        On::OurImages => (json!(IMAGES), bears(names::DIGEST)),
        On::NewImages => (json!(IMAGES), gets(names::DIGEST)),
        On::ImagesAndSnapshots => (json!([IMAGES, SNAPSHOTS]), None),
        On::OurTags => (json!([IMAGES, SNAPSHOTS]), Some(our_tags())),
        On::NewHosts => (all(&["instance", "volume", "network-interface"]), gets(names::HOST)),
        On::Ingredients => {
            let own = ["subnet", "security-group", "key-pair", "spot-instances-request"].map(of);
            let own = own.iter().map(String::as_str).chain([IMAGES, SNAPSHOTS]).collect::<Vec<_>>();
            (json!(own), None)
        }
        On::OurHosts => (json!(of("instance")), bears(names::HOST)),
        On::OurHostsAndVolumes => (all(&["instance", "volume"]), bears(names::HOST)),
        On::OurVolumes => (json!(of("volume")), bears(names::HOST)),
        On::NewGroups => (json!(of("security-group")), gets(names::HOST)),
        On::Networks => (json!(of("vpc")), None),
        On::OurGroups => (json!(of("security-group")), bears(names::HOST)),
        On::NewAddresses => (json!(of("elastic-ip")), gets(names::HOST)),
        On::OurAddresses => (json!(of("elastic-ip")), bears(names::HOST)),
        On::OurAddressesAndHosts => (all(&["elastic-ip", "instance", "network-interface"]), bears(names::HOST)),
        On::HostTags => {
            let kinds = ["elastic-ip", "instance", "network-interface", "security-group", "volume"];
            let mut condition = our_tags();
            // Only in the call that makes it: what is there already cannot be made ours.
            let makers = ["AllocateAddress", "CreateSecurityGroup", "RunInstances"];
            condition["StringEquals"] = json!({ "ec2:CreateAction": makers });
            (all(&kinds), Some(condition))
        }
        On::ProfileRoles => {
            let ec2 = json!({ "StringEquals": { "iam:PassedToService": "ec2.amazonaws.com" } });
            (json!("arn:aws:iam::ACCOUNT:role/ROLE"), Some(ec2))
        }
        On::Parameters => (json!("arn:aws:ssm:*:*:parameter/kennel/*"), None),
        On::Keys => (json!(KEYS), None),
        On::KeysByService => (json!(KEYS), Some(json!({ "Bool": { "kms:GrantIsForAWSResource": "true" } }))),
    }
}

/// It has this tag.
fn bears(tag: &str) -> Option<Value> {
    Some(json!({ "Null": { format!("aws:ResourceTag/{tag}"): "false" } }))
}

/// It gets this tag in the call that makes it.
fn gets(tag: &str) -> Option<Value> {
    Some(json!({ "Null": { format!("aws:RequestTag/{tag}"): "false" } }))
}

fn our_tags() -> Value {
    json!({ "ForAllValues:StringLike": { "aws:TagKeys": ["Name", "kennel:*"] } })
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn actions(roles: &[Role]) -> BTreeSet<String> {
        let policy = policy(roles);
        let statements = policy["Statement"].as_array().unwrap().clone();
        let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap().clone());
        actions.map(|action| action.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn publish_may_do_this_and_nothing_more() {
        let expected = [
            "ebs:CompleteSnapshot",
            "ebs:PutSnapshotBlock",
            "ebs:StartSnapshot",
            "ec2:CreateTags",
            "ec2:DescribeImages",
            "ec2:DescribeSnapshots",
            "ec2:RegisterImage",
        ];
        assert_eq!(actions(&[Role::Publish]), expected.map(str::to_owned).into());
    }

    #[test]
    fn nothing_but_removing_removes() {
        for role in Role::value_variants() {
            let word =
                |action: &String| ["Delete", "Dereg", "Release"].iter().any(|word| action.contains(word));
            let removes = actions(&[*role]).iter().any(word);
            assert_eq!(removes, [Role::Remove, Role::Terminate].contains(role), "{role:?}");
        }
    }

    #[test]
    fn whatever_changes_something_is_confined() {
        for role in Role::value_variants() {
            for statement in policy(&[*role])["Statement"].as_array().unwrap() {
                let only_reads = |action: &Value| action.as_str().unwrap().contains(":Describe");
                if statement["Resource"] == "*" {
                    assert!(statement["Action"].as_array().unwrap().iter().all(only_reads), "{statement}");
                }
            }
        }
    }

    #[test]
    fn policies_together_are_the_sum() {
        let sum: BTreeSet<_> = actions(&[Role::Publish]).union(&actions(&[Role::Share])).cloned().collect();
        assert_eq!(actions(&[Role::Publish, Role::Share]), sum);
    }
}
