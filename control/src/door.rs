//! Who may sign in, what the host is called, whom it asks for the time and what stands before it: what the user-data says that the machine was started with, and on a cloud
//! the cloud's own user-data, its key pair and its name for the machine. The cloud's come when the metadata service answers,
//! which may be long after the API does; until then nobody else is let in, and the console says why.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use kennel_model::NodeName;
use kennel_model::clock::EC2_SERVER;
use kennel_model::cloud::{Instance, Report};
use kennel_model::msg::ControlRequest;
use kennel_model::routes::Front;
use kennel_user_data::{Faults, MAX_BYTES, UserData, parse_key};

use crate::auth::Auth;
use crate::control::{Control, QUICK};
use crate::operators::Operators;
use crate::say;

/// What can be done about a key pair of another kind.
const PAIR_HINT: &str =
    "hint: launch with a key pair of the type ed25519, or name an ssh-ed25519 key in the user-data";
/// More faults of one document are not said on the console.
const MAX_SAID: usize = 10;

/// Keeps [`Auth`] up to date, the name on the door, and the clock above it.
pub(crate) struct Doorkeeper {
    auth: Arc<Auth>,
    user_data: File,
    control: Arc<Control>,
    /// What was said last.
    said: Option<Found>,
}

/// What all sources say together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    operators: Operators,
    /// What the host is to be called.
    name: Option<NodeName>,
    /// Whom it is to ask for the time.
    time_servers: Vec<SocketAddr>,
    /// What visitors come through.
    front: Front,
    /// What is wrong, and with which source.
    complaints: Vec<String>,
}

impl Doorkeeper {
    /// Of this door.
    pub(crate) const fn new(auth: Arc<Auth>, user_data: File, control: Arc<Control>) -> Self {
        Self { auth, user_data, control, said: None }
    }

    /// Looks once.
    pub(crate) async fn look(&mut self) {
        let report = self.control.init.cloud().borrow().clone();
        let found = find(handed(&self.user_data), report.as_ref());
        if self.said.as_ref() == Some(&found) {
            return;
        }
        self.auth.admit(found.operators.clone());
        found.say();
        if let Some(name) = found.name.clone()
            && let Err(cause) = self.control.init.act(ControlRequest::Name(name), QUICK).await
        {
            say!("the host keeps its name: {cause}");
        }
        let servers = ControlRequest::TimeServers(found.time_servers.clone());
        if let Err(cause) = self.control.init.act(servers, QUICK).await {
            say!("the clock is kept by nobody else than before: {cause}");
        }
        if let Err(cause) = self.control.stand_behind(found.front.clone()).await {
            say!("the proxy trusts nobody else than before: {cause}");
        }
        self.said = Some(found);
    }

    /// Looks whenever the cloud says something new.
    pub(crate) async fn keep(mut self) {
        let mut cloud = self.control.init.cloud();
        cloud.mark_changed();
        while cloud.changed().await.is_ok() {
            self.look().await;
        }
    }
}

/// Reads the memfd that init hands out. Always from its start: the descriptor's position is shared with the control that
/// ran before this one. One byte more than is allowed is enough to see that it is too long.
fn handed(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; MAX_BYTES + 1];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn find(handed: io::Result<Vec<u8>>, cloud: Option<&Report>) -> Found {
    let mut found = Found::default();
    match handed {
        Ok(bytes) => found.take(&bytes),
        Err(cause) => found.complaints.push(format!("user-data cannot be read: {cause}")),
    }
    match cloud.map(|report| (&report.instance, &report.trouble)) {
        None => {}
        Some((Some(instance), _)) => found.add(instance),
        Some((None, trouble)) => found.complaints.extend(trouble.clone()),
    }
    if cloud.is_some() && found.time_servers.is_empty() {
        found.time_servers.push(EC2_SERVER);
    }
    if found.operators.is_empty() && found.complaints.is_empty() {
        found.complaints.push(nobody(cloud.is_some()));
    }
    found
}

/// Why nobody can sign in, when nothing is wrong.
fn nobody(on_a_cloud: bool) -> String {
    let or = if on_a_cloud { ", or launch with a key pair of the type ed25519" } else { "" };
    format!("no operator is named; hint: user-data with [operator] ssh_keys = [\"ssh-ed25519 …\"]{or}")
}

impl Found {
    /// One document. The first that names the host has named it, and so with whom it asks for the time.
    fn take(&mut self, user_data: &[u8]) {
        match UserData::from_bytes(user_data) {
            Ok(data) => {
                self.name = self.name.take().or_else(|| data.host_name.clone());
                self.operators.join(data.ssh_keys);
                if self.time_servers.is_empty() {
                    self.time_servers = data.time_servers;
                }
                if self.front.trusted.is_empty() {
                    self.front = data.front;
                }
            }
            Err(faults) => self.complain(&faults),
        }
    }

    fn complain(&mut self, faults: &Faults) {
        self.complaints.extend(faults.all().iter().take(MAX_SAID).map(ToString::to_string));
        if faults.all().len() > MAX_SAID {
            let more = faults.all().len() - MAX_SAID;
            self.complaints
                .push(format!("user-data has {more} more faults; hint: kennel user-data check FILE"));
        }
    }

    fn add(&mut self, instance: &Instance) {
        self.take(&instance.user_data);
        self.name = self.name.take().or_else(|| cloud_name(instance));
        match instance.public_key.as_deref().map(parse_key) {
            None => {}
            Some(Ok(key)) => self.operators.join([key]),
            Some(Err(cause)) => self.complaints.push(format!("the instance's key pair: {cause}; {PAIR_HINT}")),
        }
    }

    fn say(&self) {
        for complaint in &self.complaints {
            match self.operators.is_empty() {
                true => say!("nobody can sign in: {complaint}"),
                false => say!("{complaint}"),
            }
        }
        if !self.operators.is_empty() {
            say!("operator keys that may sign in: {}", self.operators.len());
        }
    }
}

/// The machine's name in the private network; its first label where the whole is longer than the kernel takes.
fn cloud_name(instance: &Instance) -> Option<NodeName> {
    let name = instance.host_name.as_deref()?.to_ascii_lowercase();
    let first = name.split('.').next().unwrap_or_default().to_owned();
    NodeName::new(name).or_else(|_| NodeName::new(first)).ok()
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

    fn find(handed: &str, cloud: Option<&Report>) -> Found {
        super::find(Ok(handed.into()), cloud)
    }

    fn found(handed: &str, cloud: Option<&Report>) -> (usize, String) {
        let found = find(handed, cloud);
        (found.operators.len(), found.complaints.join("; "))
    }

    #[test]
    fn every_source_counts_and_a_key_counts_once() {
        assert_eq!(found(&data(ADA), None), (1, String::new()));
        assert_eq!(found(&data(ADA), Some(&cloud(&data(EVE), None))), (2, String::new()));
        assert_eq!(found("", Some(&cloud(&data(EVE), Some(ADA)))), (2, String::new()));
        assert_eq!(found("", Some(&cloud(&data(EVE), Some(EVE)))), (1, String::new()));
        assert_eq!(found("", Some(&cloud("", Some(ADA)))), (1, String::new()));
        assert_eq!(found("", Some(&cloud("[operator]\n", Some(ADA)))), (1, String::new()));
    }

    #[test]
    fn what_is_wrong_is_said_and_the_rest_counts() {
        let (count, said) = found("", Some(&cloud("[operator", Some(ADA))));
        assert_eq!(count, 1);
        assert!(said.starts_with("user-data, line 1"), "{said}");
        let (count, said) = found("", Some(&cloud(&data(ADA), Some("ssh-rsa AAAAB3Nz mine"))));
        assert_eq!(count, 1);
        assert!(said.contains("\"ssh-rsa\" keys are not accepted") && said.contains("hint: "), "{said}");
    }

    #[test]
    fn a_host_that_nobody_may_enter_says_what_to_do() {
        let (count, said) = found("", None);
        assert!(
            count == 0 && said.starts_with("no operator is named; hint: user-data with [operator]"),
            "{said}"
        );
        assert!(!said.contains("key pair"), "{said}");
        let (count, said) = found("[host]\nname = \"edge1\"", Some(&cloud("", None)));
        assert!(count == 0 && said.ends_with("launch with a key pair of the type ed25519"), "{said}");
    }

    #[test]
    fn faults_are_said_as_the_check_says_them_and_not_without_end() {
        let document = "[host]\nnam = \"edge1\"\n";
        let Err(faults) = UserData::from_bytes(document.as_bytes()) else { panic!("it is wrong") };
        assert_eq!(find(document, None).complaints, [faults.to_string()]);
        let many: String = (0..MAX_SAID + 3).map(|n| format!("x{n} = 1\n")).collect();
        let complaints = find(&many, None).complaints;
        assert_eq!(complaints.len(), MAX_SAID + 1);
        assert!(complaints[MAX_SAID].starts_with("user-data has 3 more faults"), "{complaints:?}");
    }

    #[test]
    fn a_service_that_does_not_answer_lets_nobody_else_in() {
        let silent = Report { trouble: Some("nobody answers".to_owned()), ..Report::default() };
        assert_eq!(found("", Some(&silent)), (0, "nobody answers".to_owned()));
        assert_eq!(found(&data(ADA), Some(&silent)).0, 1);
    }

    #[test]
    fn the_first_to_name_the_host_names_it() {
        let mut report = cloud("[host]\nname = \"edge2\"", Some(ADA));
        let name = |handed: &str, cloud: Option<&Report>| find(handed, cloud).name.map(String::from);
        assert_eq!(name("[host]\nname = \"edge1\"", Some(&report)).as_deref(), Some("edge1"));
        assert_eq!(name("", Some(&report)).as_deref(), Some("edge2"));
        assert_eq!(name("", None), None);
        for (private, kept) in [
            ("ip-10-0-0-7.eu-west-1.compute.internal", "ip-10-0-0-7.eu-west-1.compute.internal"),
            (
                "IP-10-0-0-7.a-domain-of-a-vpc-that-is-longer-than-any-kernel-would-take.example.org",
                "ip-10-0-0-7",
            ),
        ] {
            report.instance = report.instance.map(|i| Instance {
                host_name: Some(private.into()),
                user_data: data(EVE).into(),
                ..i
            });
            assert_eq!(name("", Some(&report)).as_deref(), Some(kept));
        }
    }

    #[test]
    fn the_descriptor_is_read_from_its_start_each_time_and_no_further_than_needed() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, data(ADA).as_bytes()).unwrap();
        assert_eq!(handed(&file).unwrap(), data(ADA).as_bytes());
        assert_eq!(handed(&file).unwrap(), data(ADA).as_bytes());
        file.set_len(1 << 30).unwrap();
        let complaints = super::find(handed(&file), None).complaints;
        assert!(complaints[0].starts_with("user-data: it is longer than 16384 bytes"), "{complaints:?}");
    }
}
