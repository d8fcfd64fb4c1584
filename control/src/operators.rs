//! Who may sign in: whom the user-data names that the machine was started with, and on a cloud whom its own user-data and
//! its key pair name. The cloud's come when the metadata service answers, which may be long after the API does; until then
//! nobody else is let in, and the console says why.

use std::fs::File;
use std::sync::Arc;

use kennel_model::cloud::{Instance, Report};
use tokio::sync::watch;

use crate::auth::Auth;
use crate::say;
use crate::user_data::{Operators, UserDataError, parse_key};

/// What can be done about a key pair of another kind.
const KEY_HINT: &str =
    "hint: launch with a key pair of the type ed25519, or name an ssh-ed25519 key in the user-data";

/// Keeps [`Auth`] up to date.
pub(crate) struct Doorkeeper {
    auth: Arc<Auth>,
    user_data: File,
    cloud: watch::Receiver<Option<Report>>,
    /// What was said last.
    said: Option<Found>,
}

/// What all sources say together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    operators: Operators,
    /// What is wrong, and with which source.
    complaints: Vec<String>,
}

impl Doorkeeper {
    /// Of this door.
    pub(crate) const fn new(auth: Arc<Auth>, user_data: File, cloud: watch::Receiver<Option<Report>>) -> Self {
        Self { auth, user_data, cloud, said: None }
    }

    /// Looks once.
    pub(crate) fn look(&mut self) {
        let found = find(Operators::read(&self.user_data), self.cloud.borrow_and_update().as_ref());
        if self.said.as_ref() == Some(&found) {
            return;
        }
        self.auth.admit(found.operators.clone());
        found.say();
        self.said = Some(found);
    }

    /// Looks whenever the cloud says something new.
    pub(crate) async fn keep(mut self) {
        while self.cloud.changed().await.is_ok() {
            self.look();
        }
    }
}

impl Found {
    fn say(&self) {
        if self.operators.is_empty() {
            return say!("nobody can sign in: {}", self.complaints.join("; "));
        }
        for complaint in &self.complaints {
            say!("{complaint}");
        }
        say!("operator keys that may sign in: {}", self.operators.len());
    }
}

fn find(handed: Result<Operators, UserDataError>, cloud: Option<&Report>) -> Found {
    let mut found = Found::default();
    match (handed, cloud) {
        (Ok(operators), _) => found.operators.join(operators),
        // On a cloud it is the cloud that has it.
        (Err(UserDataError::Empty), Some(_)) => {}
        (Err(cause), _) => found.complaints.push(cause.to_string()),
    }
    match cloud.map(|report| (&report.instance, &report.trouble)) {
        None => {}
        Some((Some(instance), _)) => found.add(instance),
        Some((None, trouble)) => found.complaints.extend(trouble.clone()),
    }
    found
}

impl Found {
    fn add(&mut self, instance: &Instance) {
        match Operators::from_bytes(&instance.user_data) {
            Ok(operators) => self.operators.join(operators),
            // A key pair alone is enough.
            Err(UserDataError::Empty) if instance.public_key.is_some() => {}
            Err(cause) => self.complaints.push(cause.to_string()),
        }
        match instance.public_key.as_deref().map(parse_key) {
            None => {}
            Some(Ok(key)) => self.operators.join([key]),
            Some(Err(cause)) => self.complaints.push(format!("the instance's key pair: {cause}; {KEY_HINT}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEPGo02wNjd8wWRqyeMFFJJ1XYpOjsfyFHuMNmTGGHI8 ada";
    const EVE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEPGo12wNjd8wWRqyeMFFJJ1XYpOjsfyFHuMNmTGGHI8 eve";

    fn data(key: &str) -> String {
        format!("[operator]\nssh_keys = [\"{key}\"]\n")
    }

    fn cloud(user_data: &str, public_key: Option<&str>) -> Report {
        let public_key = public_key.map(str::to_owned);
        let instance = Instance { user_data: user_data.into(), public_key, ..Instance::default() };
        Report { instance: Some(instance), ..Report::default() }
    }

    fn found(handed: &str, cloud: Option<&Report>) -> (usize, String) {
        let found = find(Operators::parse(handed), cloud);
        (found.operators.len(), found.complaints.join("; "))
    }

    #[test]
    fn every_source_counts_and_a_key_counts_once() {
        assert_eq!(found(&data(ADA), None), (1, String::new()));
        assert_eq!(found(&data(ADA), Some(&cloud(&data(EVE), None))), (2, String::new()));
        assert_eq!(found("", Some(&cloud(&data(EVE), Some(ADA)))), (2, String::new()));
        assert_eq!(found("", Some(&cloud(&data(EVE), Some(EVE)))), (1, String::new()));
        assert_eq!(found("", Some(&cloud("", Some(ADA)))), (1, String::new()));
    }

    #[test]
    fn what_is_wrong_is_said_and_the_rest_counts() {
        let (count, said) = found("", Some(&cloud("[operator", Some(ADA))));
        assert_eq!(count, 1);
        assert!(said.starts_with("user-data, line 1"), "{said}");
        let (count, said) = found("", Some(&cloud(&data(ADA), Some("ssh-rsa AAAAB3Nz mine"))));
        assert_eq!(count, 1);
        assert!(said.contains("\"ssh-rsa\" keys are not accepted") && said.contains("hint: "), "{said}");
        assert_eq!(found("", Some(&cloud("", None))), (0, "no user-data was given".to_owned()));
        assert_eq!(found("", None), (0, "no user-data was given".to_owned()));
    }

    #[test]
    fn a_service_that_does_not_answer_lets_nobody_else_in() {
        let silent = Report { trouble: Some("nobody answers".to_owned()), ..Report::default() };
        assert_eq!(found("", Some(&silent)), (0, "nobody answers".to_owned()));
        assert_eq!(found(&data(ADA), Some(&silent)).0, 1);
    }
}
