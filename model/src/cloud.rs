//! What the cloud says of the host: what `kennel-imds` asks of the metadata service, tells init, and init passes on to
//! control. A report is always whole, so that whoever missed one needs only the next. The bytes come from outside of the
//! host; what they may be at most is said here, what they mean is control's to find out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What EC2's firmware calls the machine's maker (`/sys/class/dmi/id/sys_vendor`).
pub const EC2_VENDOR: &str = "Amazon EC2";
/// So long a host on EC2 waits for a data volume that is not attached when it boots: one that outlived its last instance is
/// attached once the next one runs, by a person or by `kennel host replace`.
pub const VOLUME_WAIT: Duration = Duration::from_secs(300);
/// EC2 takes no longer user-data.
pub const MAX_USER_DATA: usize = 16 << 10;
/// Longest single fact: a tag's value has at most 256 characters.
pub const MAX_FACT: usize = 1 << 10;
/// Longest public key: one of RSA with 16 Kibit fits.
pub const MAX_KEY: usize = 4 << 10;
/// An instance has no more tags.
pub const MAX_TAGS: usize = 50;
/// Bytes of all tags together; a report must fit in one message.
pub const MAX_TAG_BYTES: usize = 16 << 10;
/// Notices of one kind of event, and there are few of them.
pub const MAX_NOTICES: usize = 16;
/// Longest text of a notice or a trouble.
pub const MAX_TEXT: usize = 300;

/// What is known now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The machine, once the service has told everything of it.
    pub instance: Option<Instance>,
    /// Why the service cannot be asked at present; empty while it answers.
    pub trouble: Option<String>,
    /// What the cloud is going to do to the machine.
    pub notices: Vec<Notice>,
}

/// One machine of the cloud's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Such as `i-0123456789abcdef0`.
    pub id: String,
    /// Such as `t3.small`.
    pub kind: String,
    /// Such as `eu-west-1`.
    pub region: String,
    /// Such as `eu-west-1a`.
    pub zone: String,
    /// Its name in the private network, as far as it has one.
    pub host_name: Option<String>,
    /// The public half of the key pair it was started with, as one line of OpenSSH's.
    pub public_key: Option<String>,
    /// Its user-data, as it was given; empty when none was.
    pub user_data: Vec<u8>,
    /// Its tags, as far as the service may tell them.
    pub tags: Vec<(String, String)>,
    /// What its identity document says, if there is one.
    pub identity: Option<Identity>,
}

/// The instance identity document, as far as it is shown. Its signature is not checked: nothing may trust it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The account that the machine belongs to, 12 digits.
    pub account: String,
    /// The AMI.
    pub image: String,
    /// Such as `x86_64`.
    pub architecture: String,
    /// When the machine was launched, as the document writes it.
    pub pending: String,
}

impl Identity {
    fn texts(&self) -> [&String; 4] {
        [&self.account, &self.image, &self.architecture, &self.pending]
    }
}

/// Something that the cloud announces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// A spot instance is taken away.
    Interruption {
        /// `terminate`, `stop` or `hibernate`.
        action: String,
        /// When, as the service writes it.
        at: String,
    },
    /// This spot instance is more likely than others to be taken away.
    Rebalance {
        /// Since when, as the service writes it.
        since: String,
    },
    /// Maintenance is scheduled.
    Maintenance {
        /// Such as `system-reboot`.
        code: String,
        /// What it is, in the service's words.
        description: String,
        /// Not before this time, as the service writes it.
        from: String,
    },
}

impl Notice {
    /// As a sentence for operators.
    pub fn sentence(&self) -> String {
        match self {
            Self::Interruption { action, at } => {
                format!("EC2 takes this spot instance away: {action} at {at}; the host drains 25 s before")
            }
            Self::Rebalance { since } => format!(
                "EC2 recommends since {since} to replace this spot instance, which may be taken away soon"
            ),
            Self::Maintenance { code, description, from } => {
                format!("EC2 has scheduled {code}, not before {from}: {description}")
            }
        }
    }

    fn texts(&self) -> Vec<&str> {
        match self {
            Self::Interruption { action, at } => vec![action, at],
            Self::Rebalance { since } => vec![since],
            Self::Maintenance { code, description, from } => vec![code, description, from],
        }
    }
}

impl Report {
    /// The one meaning of a report that makes sense: it is within its bounds and each of its texts is one line. User-data
    /// alone may be any bytes.
    ///
    /// # Errors
    /// What is wrong, as a clause.
    pub fn validate(&self) -> Result<(), &'static str> {
        if self.notices.len() > MAX_NOTICES {
            return Err("it has too many notices");
        }
        let mut texts = self.notices.iter().flat_map(Notice::texts).chain(self.trouble.as_deref());
        if !texts.all(|text| is_line(text, MAX_TEXT)) {
            return Err("a notice or a trouble is no line of text");
        }
        self.instance.as_ref().map_or(Ok(()), Instance::validate)
    }
}

impl Instance {
    fn validate(&self) -> Result<(), &'static str> {
        let facts = [&self.id, &self.kind, &self.region, &self.zone];
        let facts = facts.into_iter().chain(&self.host_name);
        let facts = facts.chain(self.identity.iter().flat_map(Identity::texts));
        let mut tags = self.tags.iter().flat_map(|(name, value)| [name, value]);
        match () {
            () if self.user_data.len() > MAX_USER_DATA => Err("its user-data is too long"),
            () if !facts.into_iter().all(|fact| is_line(fact, MAX_FACT)) => Err("a fact is no line of text"),
            () if !self.public_key.as_deref().is_none_or(|key| is_line(key, MAX_KEY)) => {
                Err("its public key is no line of text")
            }
            () if self.tags.len() > MAX_TAGS => Err("it has too many tags"),
            () if self.tags.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
                > MAX_TAG_BYTES =>
            {
                Err("its tags are too long")
            }
            () if !tags.all(|text| is_line(text, MAX_FACT)) => Err("a tag is no line of text"),
            () => Ok(()),
        }
    }
}

/// Whether this is one printable line of at most so many bytes.
pub fn is_line(text: &str, max: usize) -> bool {
    text.len() <= max && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg::{ToControl, decode, encode};

    fn largest() -> Report {
        let fact = || "x".repeat(MAX_FACT);
        let half = MAX_TAG_BYTES / 2 / MAX_TAGS;
        let text = || "x".repeat(MAX_TEXT);
        Report {
            instance: Some(Instance {
                id: fact(),
                kind: fact(),
                region: fact(),
                zone: fact(),
                host_name: Some(fact()),
                public_key: Some("x".repeat(MAX_KEY)),
                user_data: vec![0; MAX_USER_DATA],
                tags: vec![("k".repeat(half), "v".repeat(half)); MAX_TAGS],
                identity: Some(Identity {
                    account: fact(),
                    image: fact(),
                    architecture: fact(),
                    pending: fact(),
                }),
            }),
            trouble: Some(text()),
            notices: vec![Notice::Maintenance { code: text(), description: text(), from: text() }; MAX_NOTICES],
        }
    }

    #[test]
    fn the_largest_report_fits_in_a_message() {
        let report = largest();
        assert_eq!(report.validate(), Ok(()));
        let message = ToControl::Cloud(Box::new(report));
        assert_eq!(decode::<ToControl>(&encode(&message).unwrap()).unwrap(), message);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let refused = |change: fn(&mut Report)| {
            let mut report = largest();
            change(&mut report);
            report.validate().is_err()
        };
        fn of(report: &mut Report) -> &mut Instance {
            report.instance.get_or_insert_with(Instance::default)
        }
        assert!(refused(|r| of(r).user_data.push(0)));
        assert!(refused(|r| of(r).id.push('x')));
        assert!(refused(|r| of(r).id = "i-1\ninit: forged".into()));
        assert!(refused(|r| of(r).public_key = Some("ssh-ed25519 A\rB".into())));
        assert!(refused(|r| of(r).identity.get_or_insert_default().image = "ami-1\u{1b}[2J".into()));
        assert!(refused(|r| of(r).tags.push((String::new(), String::new()))));
        assert!(refused(|r| of(r).tags[0].1.push_str(&"v".repeat(200))));
        assert!(refused(|r| of(r).tags[0].0 = "\u{1b}[2J".into()));
        assert!(refused(|r| r.trouble = Some("x".repeat(MAX_TEXT + 1))));
        assert!(refused(|r| r.notices = vec![r.notices[0].clone(); MAX_NOTICES + 1]));
    }
}
