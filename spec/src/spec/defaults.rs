//! What `kennel.toml` need not say: defaults of the spec's sections, and how odd values are read.

use serde::de::{Deserialize, Deserializer, Error};

use super::{Debian, Image, Kernel};

/// Needed before the root file system is there. Virtual disks are modules in Debian's cloud kernel; NVMe is built in.
const EARLY_MODULES: [&str; 4] = ["virtio_blk", "dm-mod", "dm-verity", "erofs"];

/// Needed once the root is there: network cards of QEMU and EC2, compressed swap, user-data, the power button, quotas,
/// and all that the sealed iptables rules refer to (nothing can be loaded later).
const LATE_MODULES: [&str; 19] = [
    "virtio_net",
    "ena",
    "zram",
    "qemu_fw_cfg",
    "button",
    "evdev",
    "quota_v2",
    "nf_tables",
    "nft_compat",
    "nf_conntrack",
    "xt_owner",
    "xt_conntrack",
    "xt_tcpudp",
    "xt_multiport",
    "xt_addrtype",
    "nf_reject_ipv4",
    "nf_reject_ipv6",
    "ipt_REJECT",
    "ip6t_REJECT",
];

/// Needed to swap to a disk: AES is built in, its modes are not; the processor's instructions come before what would do
/// without them. Loaded only where there is such a disk.
const SWAP_MODULES: [&str; 3] = ["aesni-intel", "xts", "dm-crypt"];

/// Dependencies of Debian's kernel that make an initramfs or load modules: init does both itself.
const KERNEL_WITHOUT: [&str; 3] = ["initramfs-tools", "kmod", "linux-base"];

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

impl Default for Image {
    fn default() -> Self {
        Self { name: "kennel".into(), version: env!("CARGO_PKG_VERSION").into(), slots: 1000 }
    }
}

impl Default for Debian {
    fn default() -> Self {
        Self {
            suite: "trixie".into(),
            components: owned(&["main"]),
            mirror: "https://deb.debian.org/debian".into(),
            security_mirror: "https://deb.debian.org/debian-security".into(),
            keyring: None,
        }
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            package: "linux-image-cloud-amd64".into(),
            without: owned(&KERNEL_WITHOUT),
            arguments: Vec::new(),
            early_modules: owned(&EARLY_MODULES),
            late_modules: owned(&LATE_MODULES),
            swap_modules: owned(&SWAP_MODULES),
        }
    }
}

/// Permission bits as octal text, because TOML's bare `0755` is not a number.
pub(super) fn octal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(D::Error::custom(format!("mode {text:?} is not three or four octal digits up to \"0777\""))),
    }
}
