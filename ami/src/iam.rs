//! IAM policies, made from the table of calls: each allows exactly the calls that a part of this program makes, on our own
//! snapshots and AMIs wherever IAM can tell them from others'.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::aws::table::{CALLS, ENCRYPTION, On, Right};
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
    let keys = if roles.contains(&ENCRYPTION.0) { ENCRYPTION.1 } else { &[] };
    rows.chain(keys)
}

fn statement(on: On, actions: &BTreeSet<&str>) -> Value {
    const SNAPSHOTS: &str = "arn:aws:ec2:*::snapshot/*";
    const IMAGES: &str = "arn:aws:ec2:*::image/*";
    const KEYS: &str = "arn:aws:kms:REGION:ACCOUNT:key/KEY";
    let ours = json!({ "Null": { format!("aws:ResourceTag/{}", names::DIGEST): "false" } });
    let new = json!({ "Null": { format!("aws:RequestTag/{}", names::DIGEST): "false" } });
    let (resources, condition) = match on {
        On::Everything => (json!("*"), None),
        On::OurSnapshots => (json!(SNAPSHOTS), Some(ours)),
        On::NewSnapshots => (json!(SNAPSHOTS), Some(new)),
        On::OurImages => (json!(IMAGES), Some(ours)),
        On::NewImages => (json!(IMAGES), Some(new)),
        On::ImagesAndSnapshots => (json!([IMAGES, SNAPSHOTS]), None),
        On::OurTags => (
            json!([IMAGES, SNAPSHOTS]),
            Some(json!({ "ForAllValues:StringLike": { "aws:TagKeys": ["Name", "kennel:*"] } })),
        ),
        On::Parameters => (json!("arn:aws:ssm:*:*:parameter/kennel/*"), None),
        On::Keys => (json!(KEYS), None),
        On::KeysByService => (json!(KEYS), Some(json!({ "Bool": { "kms:GrantIsForAWSResource": "true" } }))),
    };
    let mut statement = json!({
        "Sid": format!("{on:?}"), "Effect": "Allow", "Action": actions, "Resource": resources,
    });
    if let Some(condition) = condition {
        statement["Condition"] = condition;
    }
    statement
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
            let removes =
                actions(&[*role]).iter().any(|action| action.contains("Delete") || action.contains("Dereg"));
            assert_eq!(removes, *role == Role::Remove, "{role:?}");
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
