//! Arguments of the commands for a host on this computer: `run` and `stop`; and of `relay`, which QEMU runs for them.

use std::net::SocketAddr;
use std::path::PathBuf;

use kennel_model::HostName;

use super::ByteSize;

/// `kennel run`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel run                                    # in the foreground, Ctrl-C shuts it down
  kennel run --detach
  kennel run --detach --name second --port 8081 --https-port 4444 --api-port 8444
  kennel run --secure-boot keys                 # the firmware boots only what the key db has signed
  kennel run --tpm                              # with a TPM that tells what has booted: kennel host attest
  kennel run --swap-disk 2G                     # with a disk that memory goes to when compressed memory is full

The data disk of each name is kept from one run to the next.")]
pub struct Run {
    /// Come back when the host is ready, and leave it running
    #[arg(long, short)]
    pub detach: bool,
    /// Name of the host; each has a data disk of its own
    #[arg(long, default_value = "local")]
    pub name: HostName,
    /// Disk image to boot [default: the newest kennel-*.raw in the folder --out]
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Where `kennel build` left the image
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    pub out: PathBuf,
    /// Memory of the machine
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    pub memory: ByteSize,
    /// Processors of the machine
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub cpus: u8,
    /// Port on 127.0.0.1 where tenants' pages are served; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Port on 127.0.0.1 where they are served with TLS; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 4443)]
    pub https_port: u16,
    /// Port on 127.0.0.1 of the operator's API; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    pub api_port: u16,
    /// Size of a new data disk, whose file grows as it fills [default: 4G]
    #[arg(long, value_name = "SIZE")]
    pub data_size: Option<ByteSize>,
    /// Give the machine a disk of this size that it swaps to, encrypted, when compressed memory is full; its file grows as
    /// it fills and is kept from one run to the next
    #[arg(long, value_name = "SIZE")]
    pub swap_disk: Option<ByteSize>,
    /// Let the machine reach nothing outside of itself; its pages and its API are reached as ever
    #[arg(long)]
    pub isolated: bool,
    /// Pretend to be an EC2 instance whose metadata service is at this address of this computer's loopback: user-data
    /// and keys come from there
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = on_loopback)]
    pub imds: Option<SocketAddr>,
    /// For tests: a server that the machine finds at the first address, which is in its own network (10.0.2.0/24), and that
    /// is at the second, on this computer's loopback
    #[arg(long, value_name = "ADDRESS:PORT=ADDRESS:PORT", value_parser = beside, hide = true,
        conflicts_with_all = ["imds", "cable"])]
    pub beside: Option<(SocketAddr, SocketAddr)>,
    /// For tests: the machine's one network interface is a cable to this Unix socket, where QEMU brings each frame behind
    /// its length (`-netdev stream`), and whoever listens there also listens on --port and --api-port
    #[arg(long, value_name = "SOCKET", hide = true, conflicts_with = "isolated")]
    pub cable: Option<PathBuf>,
    /// Address of a server of NTP, with its port where it is not 123, that the host sets its clock by; may be repeated.
    /// This computer's own loopback is 10.0.2.2 there
    #[arg(long = "time-server", value_name = "ADDRESS[:PORT]", value_parser = kennel_model::clock::parse_server,
        conflicts_with_all = ["imds", "isolated"])]
    pub time_servers: Vec<SocketAddr>,
    /// What the machine's clock says at the start, such as 2027-01-21T09:00:00 (UTC) [default: the time]
    #[arg(long, value_name = "TIME", value_parser = clock, hide = true)]
    pub clock: Option<String>,
    /// How the machine's disks are attached; EC2's are NVMe
    #[arg(long, value_enum, default_value_t = DiskBus::Virtio)]
    pub disks: DiskBus,
    /// Boot without the data disk, which can be plugged in later, as QEMU's drive `data` at the bus `late`
    #[arg(long, hide = true)]
    pub late_data: bool,
    /// Start with an empty data disk: every tenant of this host is lost
    #[arg(long)]
    pub fresh: bool,
    /// Boot with Secure Boot on and the keys of this folder, which `kennel keys new` made; needs no private key
    #[arg(long, value_name = "FOLDER")]
    pub secure_boot: Option<PathBuf>,
    /// Give the machine a TPM 2.0 (swtpm), which `kennel host attest` asks; what it keeps stays from one run to the next
    #[arg(long)]
    pub tpm: bool,
    /// How the processor is provided; `auto` takes KVM when a trial boot shows that it works
    #[arg(long, value_enum, default_value_t = AccelChoice::Auto)]
    pub accel: AccelChoice,
    /// Seconds that the boot may take
    #[arg(long, value_name = "SECONDS", default_value_t = 240)]
    pub timeout: u64,
}

impl Run {
    /// Size of a new data disk when none is asked for.
    pub const DATA_SIZE: ByteSize = ByteSize(4 << 30);
}

/// A time as QEMU's `-rtc` has it; nothing in it ends the option.
fn clock(text: &str) -> Result<String, String> {
    let fits = text.len() == 19 && text.bytes().all(|b| b.is_ascii_digit() || b"-:T".contains(&b));
    if fits { Ok(text.to_owned()) } else { Err("not a time such as 2027-01-21T09:00:00".to_owned()) }
}

/// Where the guest finds a server, and where it is.
fn beside(text: &str) -> Result<(SocketAddr, SocketAddr), String> {
    let (at, to) = text.split_once('=').ok_or("it is ADDRESS:PORT=ADDRESS:PORT")?;
    Ok((at.parse().map_err(|e| format!("{at}: {e}"))?, on_loopback(to)?))
}

/// An address of this computer that only this computer reaches.
fn on_loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "not an address and a port, such as 127.0.0.1:8169")?;
    if address.ip().is_loopback() { Ok(address) } else { Err("not on this computer's loopback".to_owned()) }
}

/// How the machine's disks are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DiskBus {
    /// The quickest in emulation.
    Virtio,
    /// As on EC2.
    Nvme,
}

/// How the machine's processor is provided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AccelChoice {
    /// KVM when a trial boot shows that it works, emulation otherwise.
    Auto,
    /// The processor's own virtualisation.
    Kvm,
    /// Emulation: works everywhere, slower.
    Tcg,
}

/// `kennel stop`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  kennel stop\n  kennel stop --name second --force")]
pub struct Stop {
    /// Name of the host
    #[arg(long, default_value = "local")]
    pub name: HostName,
    /// Pull the plug if it does not shut down in time
    #[arg(long)]
    pub force: bool,
    /// Seconds that a clean shutdown may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
}

/// `kennel relay`: one connection, from standard input and output to an address and back. QEMU starts it for each
/// connection to the metadata service; people have no use for it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  kennel relay 127.0.0.1:8169")]
pub struct Relay {
    /// Where to connect
    #[arg(value_name = "ADDRESS:PORT", value_parser = on_loopback)]
    pub to: SocketAddr,
}
