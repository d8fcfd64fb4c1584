//! Who may do what: refuses by IAM action. Policies are read as far as `Allow`, `Action` and its wildcards go; resources
//! and conditions are not judged, which is said where the tests tell what they prove.

use super::answer::Refusal;
use super::request::{Request, Service};
use super::{OWNER, STRANGER};
use serde_json::Value;
use std::collections::BTreeSet;

/// What is allowed.
#[derive(Default)]
pub(crate) struct Iam {
    denied: BTreeSet<String>,
    /// Patterns of what is allowed; everything, if there is no policy.
    allowed: Option<BTreeSet<String>>,
}

/// A text or a list of texts, as IAM writes most of its fields.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// The actions, or patterns of them, that a policy allows.
pub(crate) fn allowed_by(policy: &str) -> BTreeSet<String> {
    let policy: Value = serde_json::from_str(policy).expect("a policy is a JSON document");
    assert_eq!(policy["Version"], "2012-10-17", "the version of the policy language");
    let statements = match &policy["Statement"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    let mut allowed = BTreeSet::new();
    for statement in statements {
        assert_eq!(statement["Effect"], "Allow", "a policy of this project only allows");
        assert!(!texts(&statement["Resource"]).is_empty(), "a statement names its resources: {statement}");
        allowed.extend(texts(&statement["Action"]));
    }
    allowed
}

/// Whether a text fits a pattern with `*` and `?` in it.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) if fits(&pattern[1..], text) => true,
        (Some('*'), Some(first)) => fits(pattern, &text[first.len_utf8()..]),
        (Some('?'), Some(first)) => fits(&pattern[1..], &text[first.len_utf8()..]),
        (Some(one), Some(other)) if one == other => fits(&pattern[one.len_utf8()..], &text[other.len_utf8()..]),
        _ => false,
    }
}

impl Iam {
    /// Refuses an action from now on.
    pub(crate) fn deny(&mut self, action: &str) {
        self.denied.insert(action.to_owned());
    }

    /// Refuses everything that none of these policies allows.
    pub(crate) fn enforce(&mut self, policies: &[String]) {
        self.allowed = Some(policies.iter().flat_map(|policy| allowed_by(policy)).collect());
    }

    fn allows(&self, action: &str) -> bool {
        let listed = self.allowed.as_ref().is_none_or(|all| all.iter().any(|pattern| fits(pattern, action)));
        listed && !self.denied.contains(action)
    }

    /// Refuses a request of which some needed action is not allowed. EC2 encodes what is missing, so that its message
    /// names no action; the others name it.
    pub(crate) fn judge(&self, request: &Request) -> Result<(), Refusal> {
        let needs = request.needs();
        let Some(missing) = needs.iter().find(|action| !self.allows(action)) else { return Ok(()) };
        let who = format!("User: arn:aws:iam::{OWNER}:user/publisher is not authorized to perform: {missing}");
        Err(match request.service {
            Service::Ec2 => {
                let message = format!(
                    "You are not authorized to perform this operation. Encoded authorization failure message: {STRANGER}x7"
                );
                Refusal::new(403, "UnauthorizedOperation", message)
            }
            Service::Ebs => {
                let reason = Some("UNAUTHORIZED_ACCOUNT");
                Refusal {
                    reason,
                    ..Refusal::new(403, "AccessDeniedException", format!("{who} on the snapshot"))
                }
            }
            Service::Ssm | Service::Sts => {
                Refusal::new(400, "AccessDeniedException", format!("{who} on the resource"))
            }
        })
    }
}
