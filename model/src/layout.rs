//! The host's fixed layout: folders, UIDs and ports that more than one process must agree on.
//! What is derived from a slot's number lives in `slot`; what a person may choose lives in `kennel.toml`.

/// Mount point of the data volume.
pub const DATA_DIR: &str = "/data";
/// Control's own folder: registry, API key and certificate. `control:control 0700`.
pub const CONTROL_DIR: &str = "/data/control";
/// One folder per slot in use, by its four digits. `root:root 0711`.
pub const SLOTS_DIR: &str = "/data/slots";
/// Runtime images on the verified root: `<name>.erofs`, each mounted once on `RUNTIME_MOUNTS/<name>`.
pub const RUNTIME_IMAGES: &str = "/usr/lib/kennel/runtimes";
/// Where the runtimes are mounted on the host; every slot's root is a bind mount of one of them.
pub const RUNTIME_MOUNTS: &str = "/run/runtimes";
/// The compiled SELinux policy on the verified root.
pub const POLICY_FILE: &str = "/usr/lib/kennel/policy.33";
/// The sealed table of services (see [`crate::services`]).
pub const SERVICES_FILE: &str = "/usr/lib/kennel/services.json";
/// Sealed facts of the image, as JSON: [`ImageFacts`].
pub const FACTS_FILE: &str = "/usr/lib/kennel/image.json";
/// Sealed rules for `iptables-restore`; `ip6tables-restore` takes the second.
pub const IPTABLES_RULES: &str = "/usr/lib/kennel/iptables.rules";
/// Sealed rules for `ip6tables-restore`.
pub const IP6TABLES_RULES: &str = "/usr/lib/kennel/ip6tables.rules";
/// The program that tries what is forbidden, for `kennel prove`. Nobody on the host may execute it.
pub const VILLAIN: &str = "/usr/sbin/kennel-villain";
/// Kernel modules in the order they are to be loaded, one absolute path a line. In the initramfs the modules
/// for the root; on the root those for everything after.
pub const MODULES_LIST: &str = "/usr/lib/kennel/modules.list";
/// Those to be loaded as well where there is a disk to swap to; on the root only.
pub const SWAP_MODULES_LIST: &str = "/usr/lib/kennel/modules-swap.list";
/// Written by init from the DHCP lease, mounted read-only over each slot's `/etc/resolv.conf`.
pub const RESOLV_CONF: &str = "/run/resolv.conf";
/// Label of the ext4 file system on the data volume.
pub const DATA_LABEL: &str = "kennel-data";
/// Serial number of a disk that is meant for swap.
pub const SWAP_SERIAL: &str = "kennel-swap";
/// What the kernel calls a host that nobody has named.
pub const DEFAULT_NAME: &str = "kennel";
/// GPT name of the partition with the EROFS root; the dm-verity tree follows it in the same partition.
pub const ROOT_PARTITION: &str = "kennel-root-a";
/// The fw_cfg item (QEMU) whose bytes are the host's user-data.
pub const FW_CFG_USER_DATA: &str = "opt/org.kennel/user-data";

/// Folders inside a slot's folder, and their mount points inside the slot's root.
pub mod slot_dirs {
    /// Releases by number, and `.incoming-N` while one is being unpacked. `slot:slot 0750`.
    pub const RELEASES: &str = "releases";
    /// Persistent data, `/data` inside. `slot:slot 0700`.
    pub const DATA: &str = "data";
    /// What is to become its data, while it is unpacked; after that what was its data, until it is removed. `slot:slot 0700`.
    pub const NEW_DATA: &str = "data.new";
    /// Where a release is made complete that needs packages: [`BUILD_APP`] and [`BUILD_CACHE`]. `slot:slot 0700`.
    pub const BUILD: &str = "build";
    /// In that, `/app` of what fetches them.
    pub const BUILD_APP: &str = "app";
    /// And what that keeps for the next time, its `/data`.
    pub const BUILD_CACHE: &str = "cache";
    /// What programs print into ([`crate::printed::LogFile`]): they hold their file open for append, control reads and truncates
    /// it; what it has read it keeps in its own folder, as this one is not its to write in.
    /// Folder `root:control 0750`, files `root:control 0660`.
    pub const LOG: &str = "log";
}

/// UID and GID of `kennel-proxy`.
pub const PROXY_UID: u32 = 901;
/// UID and GID of `kennel-control`.
pub const CONTROL_UID: u32 = 902;
/// UID and GID of `kennel-dhcp`.
pub const DHCP_UID: u32 = 903;
/// UID and GID of `kennel-audit`.
pub const AUDIT_UID: u32 = 904;
/// UID and GID of `kennel-imds`.
pub const IMDS_UID: u32 = 905;
/// UID and GID of `kennel-tpm`.
pub const TPM_UID: u32 = 906;
/// UID and GID of `chronyd`.
pub const CHRONYD_UID: u32 = 907;
/// UID and GID of `kennel-acme`.
pub const ACME_UID: u32 = 908;

/// TCP port of the proxy, all addresses.
pub const HTTP_PORT: u16 = 80;
/// TCP port of the proxy for TLS, all addresses.
pub const HTTPS_PORT: u16 = 443;
/// TCP port of the operator's HTTPS API, all addresses.
pub const API_PORT: u16 = 8443;

/// What the image says of itself, sealed on the verified root at [`FACTS_FILE`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFacts {
    /// Version of Kennel that built the image.
    pub version: String,
    /// Slots in the pool.
    pub slots: u16,
    /// Runtimes carried, with how each starts a release.
    pub runtimes: Vec<RuntimeFacts>,
    /// A proof image: some of its slots have one of their two layers taken away (see [`crate::proof`]). Never for tenants.
    #[serde(default)]
    pub proof: bool,
}

/// One runtime of the image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeFacts {
    /// Its name, such as `node-24`.
    pub name: crate::RuntimeName,
    /// Version of what it carries, such as `24.11.1`; empty for `static`.
    pub version: String,
    /// The command that runs a release when the tenant names none: `["/usr/bin/node", "server.js"]`.
    pub default_command: Vec<String>,
    /// Its programs make code at run time, as a JavaScript engine does.
    #[serde(default)]
    pub jit: bool,
    /// Variables that its programs find, unless the tenant sets them.
    #[serde(default)]
    pub env: std::collections::BTreeMap<crate::EnvName, String>,
    /// How what a release needs and does not bring is fetched, where the runtime can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
}

/// What makes a release complete that says which packages it needs, and came without them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// As people know it: `npm ci`.
    pub name: String,
    /// One of these files is at the release's top.
    pub when: Vec<String>,
    /// And none of these folders, which hold packages.
    pub unless: Vec<String>,
    /// What is run in the release's folder, which it may write to: a program of the runtime's, and nothing that came with packages.
    pub command: Vec<String>,
}
