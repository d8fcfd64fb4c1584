//! SELinux labels that init gives at run time to what no image carries: device nodes, the folders of memory file
//! systems, the data volume. The rules about them are under `policy/cil`; a test there checks that each type exists.
//! Labels of slots follow from their number, see [`crate::slot`].

/// The context of an object of this type.
pub fn object(object_type: &str) -> String {
    format!("system_u:object_r:{object_type}")
}

/// The context of a process in this domain.
pub fn process(domain: &str) -> String {
    format!("system_u:system_r:{domain}")
}

/// Nodes in `/dev` with their types. They exist before the policy is loaded, so init labels them first of all; every
/// other node stays `device_t`, which init alone may open.
pub const DEVICES: [(&str, &str); 9] = [
    ("console", CONSOLE),
    ("ttyS0", CONSOLE),
    ("kmsg", KERNEL_LOG),
    ("null", PUBLIC_DEVICE),
    ("zero", PUBLIC_DEVICE),
    ("full", PUBLIC_DEVICE),
    ("random", PUBLIC_DEVICE),
    ("urandom", PUBLIC_DEVICE),
    ("tpmrm0", TPM),
];

/// What a slot finds in its `/dev`: nodes that anyone may use.
pub const PUBLIC_DEVICE: &str = "public_device_t";
/// The console: services write to it through an inherited descriptor.
pub const CONSOLE: &str = "console_device_t";
/// The kernel's log: init opens it, `kennel-audit` reads it through an inherited descriptor.
pub const KERNEL_LOG: &str = "kernel_log_device_t";
/// The TPM: init opens it, `kennel-tpm` speaks with it through an inherited descriptor.
pub const TPM: &str = "tpm_device_t";
/// The data volume's block device: given before `mke2fs` or `e2fsck` is started, which may use no other.
pub const DATA_DISK: &str = "data_disk_t";
/// What is swapped to: the zram device, the disk behind it, and that disk as dm-crypt shows it.
pub const SWAP_DISK: &str = "swap_disk_t";
/// `/run` and what init makes in it.
pub const RUN: &str = "run_t";
/// [`crate::layout::RESOLV_CONF`], which every slot sees; a file that init makes by this name in `/run` gets it by itself.
pub const RESOLV: &str = "resolv_t";
/// The root of a slot's `/dev` and everything in it that is not a device: folders, and links such as `fd`.
pub const SLOT_DEV: &str = "slot_dev_t";
/// [`crate::layout::DATA_DIR`] itself, [`crate::layout::SLOTS_DIR`] and the slots' own folders.
pub const DATA: &str = "data_t";
/// [`crate::layout::CONTROL_DIR`] and everything in it.
pub const CONTROL_DATA: &str = "control_data_t";
