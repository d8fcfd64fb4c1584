//! The host's services as one sealed table: who runs as which UID in which domain, and what each is handed.
//! The builder writes it to `layout::SERVICES_FILE` on the verified root; init starts exactly what it says.
//! (After Hubris's `app.toml`: one manifest says what each may reach.)

use serde::{Deserialize, Serialize};

use crate::{cloud, layout, tpm};

/// One program that init starts and supervises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Name in messages.
    pub name: String,
    /// Absolute path on the verified root.
    pub exec: String,
    /// Arguments after the name.
    #[serde(default)]
    pub args: Vec<String>,
    /// UID, and GID of the same number.
    pub uid: u32,
    /// SELinux domain, without user and role: `proxy_t`.
    pub domain: String,
    /// What it finds from descriptor 3 on, in this order.
    #[serde(default)]
    pub handed: Vec<Handed>,
    /// Capabilities it keeps, by name (`CAP_NET_RAW`); everything else is dropped from every set.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Its share of processor and disk beside the other services' (`cpu.weight`; 100, the kernel's own default, when
    /// nothing is said).
    #[serde(default = "usual_weight")]
    pub weight: u16,
    /// When it is started again.
    pub restart: Restart,
    /// Left out where there is no such device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_with: Option<String>,
    /// Left out but on machines of this maker, as the firmware says: what the cloud's own services are asked by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_on: Option<String>,
}

const fn usual_weight() -> u16 {
    100
}

/// How many listening sockets of one port are handed to a service at most. Each is a worker, and a processor in the machine beyond
/// these is the tenants' programs'.
pub const MAX_LISTENERS: usize = 8;

/// A descriptor that a service is born with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handed {
    /// Its end of the message channel to init; which messages it may send follows from the service's name.
    Channel,
    /// A listening TCP socket on this port, IPv4 and IPv6, made by init before any service starts and kept by it.
    Listener(u16),
    /// As many of them as the machine has processors, at most [`MAX_LISTENERS`]: whoever accepts by one of them is one of that
    /// many, among whom the kernel shares out who comes (`SO_REUSEPORT`, socket(7)).
    Listeners(u16),
    /// A read-only memfd with the host's user-data, empty when there is none.
    UserData,
    /// The kernel's log, opened by init for reading. One open file for ever, so that a service that is started again goes
    /// on where it was.
    KernelLog,
    /// The TPM ([`crate::tpm::DEVICE`]), opened by init anew for each start: the kernel keeps the keys and sessions of one
    /// opener from those of another, and forgets them when he is gone.
    Tpm,
    /// The end at which records of requests go in ([`crate::access`]). A pair of sockets that init makes before any service
    /// starts, and of which it keeps both ends: either service may be started again, and what was sent is still read.
    RecordsIn,
    /// The end at which they come out.
    RecordsOut,
    /// Control's end of the way to `kennel-acme` ([`crate::acme`]): a pair of sockets as that for records, for talk both ways.
    AcmeAsk,
    /// The other end.
    AcmeAnswer,
}

/// What init does when a service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Start it again, with back-off; stop trying (and say so) when it crashes too often.
    Always,
    /// It runs once.
    Never,
    /// It is started when control asks for it, and ends by itself.
    Asked,
}

/// The one who speaks with certificate authorities.
pub const ACME: &str = "acme";
/// The one who sets the clock.
pub const CHRONYD: &str = "chronyd";

/// The services of every Kennel host.
pub fn standard() -> Vec<Service> {
    let service = |name: &str, uid, handed: Vec<Handed>| Service {
        name: name.to_owned(),
        exec: format!("/usr/sbin/kennel-{name}"),
        args: Vec::new(),
        uid,
        domain: format!("{name}_t"),
        handed,
        capabilities: Vec::new(),
        weight: usual_weight(),
        restart: Restart::Always,
        only_with: None,
        only_on: None,
    };
    vec![
        Service {
            // Ports 68 and 546 are privileged, and SO_BINDTODEVICE and packet sockets need NET_RAW.
            capabilities: vec!["CAP_NET_BIND_SERVICE".into(), "CAP_NET_RAW".into()],
            ..service("dhcp", layout::DHCP_UID, vec![Handed::Channel])
        },
        service("audit", layout::AUDIT_UID, vec![Handed::Channel, Handed::KernelLog]),
        Service {
            only_on: Some(cloud::EC2_VENDOR.to_owned()),
            ..service("imds", layout::IMDS_UID, vec![Handed::Channel])
        },
        Service {
            only_with: Some(tpm::DEVICE.to_owned()),
            ..service("tpm", layout::TPM_UID, vec![Handed::Channel, Handed::Tpm])
        },
        Service {
            // What it is to do, control tells it past init, which reads nothing that came from so far away.
            restart: Restart::Asked,
            ..service(ACME, layout::ACME_UID, vec![Handed::AcmeAnswer])
        },
        Service {
            // Debian's. It sets the clock, and init adds whom it asks. No port to be asked at, neither by NTP nor with
            // commands, and no file of its own; what is worse than a warning goes to the console. It steps the clock in
            // its first three corrections, if that is more than a second, and slews it otherwise. The kernel is told that the
            // clock is right (`rtcsync`), and then keeps the machine's own by it.
            exec: "/usr/sbin/chronyd".to_owned(),
            args: [
                "-U",
                "-d",
                "-L",
                "1",
                "-u",
                "chronyd",
                "port 0",
                "cmdport 0",
                "bindcmdaddress /",
                "pidfile /",
                "makestep 1 3",
                "rtcsync",
            ]
            .map(str::to_owned)
            .into(),
            capabilities: vec!["CAP_SYS_TIME".into()],
            ..service(CHRONYD, layout::CHRONYD_UID, vec![])
        },
        Service {
            // Every request waits for it; what control does, cutting long logs among it, can wait.
            weight: 1000,
            ..service(
                "proxy",
                layout::PROXY_UID,
                vec![
                    Handed::Channel,
                    Handed::RecordsIn,
                    Handed::Listeners(layout::HTTP_PORT),
                    Handed::Listeners(layout::HTTPS_PORT),
                ],
            )
        },
        service(
            "control",
            layout::CONTROL_UID,
            vec![
                Handed::Channel,
                Handed::Listener(layout::API_PORT),
                Handed::UserData,
                Handed::RecordsOut,
                Handed::AcmeAsk,
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_keep_capabilities_and_nobody_is_root() {
        for service in standard() {
            assert_ne!(service.uid, 0);
            let keeps = ["dhcp", CHRONYD].contains(&service.name.as_str());
            assert_eq!(service.capabilities.is_empty(), !keeps, "{}", service.name);
        }
    }

    #[test]
    fn the_table_survives_json() {
        let json = serde_json::to_string(&standard()).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Service>>(&json).unwrap(), standard());
    }
}
