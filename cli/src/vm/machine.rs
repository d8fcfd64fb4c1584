//! The machine as QEMU's arguments. Nothing is started here.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kennel_model::cloud::EC2_VENDOR;
use kennel_model::layout;

use super::accel::Accel;
use super::firmware::Firmware;
use crate::args::{ByteSize, DiskBus};

/// QEMU gives out only what is in the guest's own network, so the metadata service's address must be; the others are not
/// link-local, or they would be the cloud's to the guest.
const CLOUD_NETWORK: &str = "net=169.252.0.0/14,host=169.252.0.2,dns=169.252.0.3,dhcpstart=169.252.0.15";

/// Everything about the machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Shown in process lists; also how a process is recognised as this host's.
    pub name: String,
    /// How its processor is provided.
    pub accel: Accel,
    /// Its memory.
    pub memory: ByteSize,
    /// Its processors.
    pub cpus: u8,
    /// The firmware's code.
    pub firmware: Firmware,
    /// This machine's copy of the firmware's variables.
    pub vars: PathBuf,
    /// The disk image; never written to.
    pub image: PathBuf,
    /// The data disk.
    pub data: PathBuf,
    /// The disk to swap to, if it has one.
    pub swap: Option<PathBuf>,
    /// How its disks are attached.
    pub disks: DiskBus,
    /// The data disk is to be plugged in later.
    pub late_data: bool,
    /// The host's user-data.
    pub user_data: PathBuf,
    /// It is an EC2 instance, with this metadata service; its user-data is there.
    pub imds: Option<Imds>,
    /// A server of this computer's, and where the guest finds it in its own network.
    pub beside: Option<(SocketAddr, Imds)>,
    /// Gets what the guest writes to its console.
    pub console: PathBuf,
    /// Control socket.
    pub qmp: PathBuf,
    /// Gets the process id.
    pub pid: PathBuf,
    /// Gets QEMU's own messages once it is in the background.
    pub log: PathBuf,
    /// It has a TPM, behind this socket.
    pub tpm: Option<PathBuf>,
    /// Port on 127.0.0.1 that leads to the proxy; 0 lets QEMU take a free one.
    pub web_port: u16,
    /// Port on 127.0.0.1 that leads to the proxy's TLS; 0 as above.
    pub https_port: u16,
    /// Port on 127.0.0.1 that leads to the API; 0 as above.
    pub api_port: u16,
    /// What its clock says at first, in UTC; this computer's where it is not said.
    pub clock: Option<String>,
    /// No packet of the guest's goes further than QEMU.
    pub isolated: bool,
    /// The Unix socket that its network interface leads to instead.
    pub cable: Option<PathBuf>,
    /// The firmware keeps its variables from the guest, as Secure Boot needs it.
    pub secure: bool,
}

/// A metadata service on this computer's loopback.
#[derive(Debug, Clone)]
pub struct Imds {
    /// Where it is.
    pub address: SocketAddr,
    /// The program that joins QEMU with it: `kennel` itself.
    pub kennel: PathBuf,
}

impl Machine {
    /// QEMU's arguments. It puts itself into the background once everything is set up, so that what keeps it from
    /// starting is known by its exit code, and neither Ctrl-C nor a closed terminal reaches it.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: OsString| args.extend([name.into(), value]);
        option("-name", self.name.clone().into());
        if self.secure {
            // Only code in system management mode can write to the variables.
            option("-machine", "q35,smm=on".into());
            option("-global", "driver=cfi.pflash01,property=secure,value=on".into());
        } else {
            option("-machine", "q35".into());
        }
        option("-accel", self.accel.argument().into());
        option("-cpu", self.accel.cpu().into());
        option("-m", format!("{}K", self.memory.0.div_ceil(1024)).into());
        option("-smp", self.cpus.to_string().into());
        option("-drive", pflash(0, &self.firmware.code, true));
        option("-drive", pflash(1, &self.vars, false));
        option("-drive", drive("image", &self.image, ",readonly=on"));
        option("-device", self.disk("image", ",bootindex=0").into());
        option("-drive", drive("data", &self.data, ",cache=writeback,discard=unmap"));
        if self.late_data {
            option("-device", "pcie-root-port,id=late,chassis=1".into());
        } else {
            option("-device", self.disk("data", "").into());
        }
        if let Some(swap) = &self.swap {
            option("-drive", drive("swap", swap, ",cache=writeback,discard=unmap"));
            option("-device", self.disk("swap", "").into());
        }
        option("-netdev", self.network());
        // Without its boot ROM the firmware does not try to boot from the network.
        option("-device", "virtio-net-pci,netdev=net,romfile=".into());
        option("-device", "virtio-rng-pci".into());
        option("-chardev", with_path("file,id=console,append=on,path=", &self.console, ""));
        option("-serial", "chardev:console".into());
        option("-qmp", with_path("unix:", &self.qmp, ",server=on,wait=off"));
        match self.imds {
            None => option(
                "-fw_cfg",
                with_path(&format!("name={},file=", layout::FW_CFG_USER_DATA), &self.user_data, ""),
            ),
            Some(_) => option("-smbios", format!("type=1,manufacturer={EC2_VENDOR}").into()),
        }
        if let Some(socket) = &self.tpm {
            option("-chardev", with_path("socket,id=tpm,path=", socket, ""));
            option("-tpmdev", "emulator,id=tpm,chardev=tpm".into());
            option("-device", "tpm-crb,tpmdev=tpm".into());
        }
        if let Some(clock) = &self.clock {
            option("-rtc", format!("base={clock}").into());
        }
        option("-display", "none".into());
        option("-pidfile", self.pid.clone().into());
        option("-D", self.log.clone().into());
        args.extend(["-nodefaults", "-no-user-config", "-daemonize"].map(Into::into));
        args
    }

    fn disk(&self, id: &str, more: &str) -> String {
        match self.disks {
            DiskBus::Virtio => format!("virtio-blk-pci,serial=kennel-{id},drive={id}{more}"),
            DiskBus::Nvme => format!("nvme,serial=kennel-{id},drive={id}{more}"),
        }
    }

    fn network(&self) -> OsString {
        if let Some(socket) = &self.cable {
            return with_path("stream,id=net,server=off,addr.type=unix,addr.path=", socket, "");
        }
        let forward = |here: u16, there: u16| format!("hostfwd=tcp:127.0.0.1:{here}-:{there}");
        let web = forward(self.web_port, layout::HTTP_PORT);
        let https = forward(self.https_port, layout::HTTPS_PORT);
        let api = forward(self.api_port, layout::API_PORT);
        let restrict = if self.isolated { ",restrict=on" } else { "" };
        let plain = format!("user,id=net{restrict},{web},{https},{api}");
        if let Some((at, server)) = &self.beside {
            let before = format!("{plain},guestfwd=tcp:{at}-cmd:'");
            return with_path(&before, &server.kennel, &format!("' relay {}", server.address));
        }
        match &self.imds {
            None => plain.into(),
            Some(imds) => {
                let before = format!("{plain},{CLOUD_NETWORK},guestfwd=tcp:169.254.169.254:80-cmd:'");
                with_path(&before, &imds.kennel, &format!("' relay {}", imds.address))
            }
        }
    }
}

/// A raw disk for `-drive`, to be plugged in by its id.
pub(super) fn drive(id: &str, path: &Path, more: &str) -> OsString {
    with_path(&format!("if=none,id={id},format=raw,file="), path, more)
}

fn pflash(unit: u8, path: &Path, readonly: bool) -> OsString {
    let more = if readonly { ",readonly=on" } else { "" };
    with_path(&format!("if=pflash,unit={unit},format=raw,file="), path, more)
}

/// A comma in a path is doubled in QEMU's options.
fn with_path(before: &str, path: &Path, after: &str) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut bytes = before.as_bytes().to_vec();
    for &byte in path.as_os_str().as_bytes() {
        bytes.push(byte);
        if byte == b',' {
            bytes.push(b',');
        }
    }
    bytes.extend(OsStr::new(after).as_bytes());
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            name: "kennel-local".into(),
            accel: Accel::Tcg,
            memory: ByteSize(1 << 30),
            cpus: 2,
            firmware: Firmware { code: "/fw/code".into(), vars: "/fw/vars".into() },
            vars: "/s/vars".into(),
            image: "/o,ut/kennel.raw".into(),
            data: "/s/data.raw".into(),
            swap: None,
            disks: DiskBus::Virtio,
            user_data: "/s/user-data".into(),
            imds: None,
            beside: None,
            console: "/s/console.log".into(),
            qmp: "/s/qmp".into(),
            pid: "/s/pid".into(),
            log: "/s/qemu.log".into(),
            tpm: None,
            web_port: 8080,
            https_port: 4443,
            api_port: 8443,
            late_data: false,
            clock: None,
            isolated: false,
            cable: None,
            secure: false,
        }
    }

    fn values<'a>(args: &'a [OsString], name: &str) -> Vec<&'a str> {
        args.windows(2).filter(|w| w[0] == name).map(|w| w[1].to_str().unwrap()).collect()
    }

    #[test]
    fn the_image_is_read_only_and_the_data_disk_is_not() {
        let args = machine().arguments();
        let drives = values(&args, "-drive");
        assert!(drives.contains(&"if=pflash,unit=0,format=raw,file=/fw/code,readonly=on"));
        assert!(drives.contains(&"if=pflash,unit=1,format=raw,file=/s/vars"));
        assert!(drives.contains(&"if=none,id=image,format=raw,file=/o,,ut/kennel.raw,readonly=on"));
        let data = drives.iter().find(|d| d.contains("id=data")).unwrap();
        assert!(data.contains("file=/s/data.raw,") && !data.contains("readonly"));
    }

    #[test]
    fn a_disk_to_swap_to_is_known_by_its_serial_number() {
        for (disks, kind) in [(DiskBus::Virtio, "virtio-blk-pci"), (DiskBus::Nvme, "nvme")] {
            let args = Machine { swap: Some("/s/swap.raw".into()), disks, ..machine() }.arguments();
            let device = format!("{kind},serial={},drive=swap", layout::SWAP_SERIAL);
            assert!(values(&args, "-device").contains(&device.as_str()), "{args:?}");
            assert!(
                values(&args, "-drive").iter().any(|d| d.contains("id=swap,") && d.contains("/s/swap.raw"))
            );
        }
        assert!(!values(&machine().arguments(), "-drive").iter().any(|d| d.contains("id=swap")));
    }

    #[test]
    fn ports_are_reachable_from_this_computer_only() {
        let args = machine().arguments();
        let net = values(&args, "-netdev")[0];
        let forwards = ["8080-:80", "4443-:443", "8443-:8443"].map(|f| format!(",hostfwd=tcp:127.0.0.1:{f}"));
        assert_eq!(net, format!("user,id=net{}", forwards.concat()));
    }

    #[test]
    fn an_isolated_machine_is_reached_and_reaches_nobody() {
        let args = Machine { isolated: true, ..machine() }.arguments();
        let net = values(&args, "-netdev")[0];
        assert!(net.starts_with("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:8080-:80,"), "{net}");
    }

    #[test]
    fn a_cable_is_the_only_way_out() {
        let args = Machine { cable: Some("/s/ca,ble".into()), ..machine() }.arguments();
        assert_eq!(values(&args, "-netdev"), ["stream,id=net,server=off,addr.type=unix,addr.path=/s/ca,,ble"]);
    }

    #[test]
    fn an_instance_has_its_metadata_service_in_its_own_network_and_no_other_user_data() {
        let imds = Imds { address: ([127, 0, 0, 1], 8169).into(), kennel: "/o,ut/ken nel".into() };
        let args = Machine { imds: Some(imds), isolated: true, disks: DiskBus::Nvme, ..machine() }.arguments();
        let net = values(&args, "-netdev")[0];
        let service = "guestfwd=tcp:169.254.169.254:80-cmd:'/o,,ut/ken nel' relay 127.0.0.1:8169";
        assert!(net.starts_with("user,id=net,restrict=on,") && net.ends_with(service), "{net}");
        assert_eq!(values(&args, "-smbios"), ["type=1,manufacturer=Amazon EC2"]);
        assert!(values(&args, "-fw_cfg").is_empty());
        assert!(values(&args, "-device").contains(&"nvme,serial=kennel-image,drive=image,bootindex=0"));
    }

    #[test]
    fn with_secure_boot_the_guest_cannot_write_the_firmwares_variables() {
        let args = Machine { secure: true, ..machine() }.arguments();
        assert_eq!(values(&args, "-machine"), ["q35,smm=on"]);
        assert_eq!(values(&args, "-global"), ["driver=cfi.pflash01,property=secure,value=on"]);
        assert!(values(&machine().arguments(), "-global").is_empty());
    }

    #[test]
    fn a_tpm_is_behind_its_socket() {
        let args = Machine { tpm: Some("/s,/tpm".into()), ..machine() }.arguments();
        assert!(values(&args, "-chardev").contains(&"socket,id=tpm,path=/s,,/tpm"));
        assert_eq!(values(&args, "-tpmdev"), ["emulator,id=tpm,chardev=tpm"]);
        assert!(values(&args, "-device").contains(&"tpm-crb,tpmdev=tpm"));
        assert!(values(&machine().arguments(), "-tpmdev").is_empty());
    }

    #[test]
    fn the_accelerator_is_the_one_chosen() {
        let mut m = machine();
        assert_eq!(values(&m.arguments(), "-accel"), ["tcg,thread=single"]);
        m.accel = Accel::Kvm;
        assert_eq!(values(&m.arguments(), "-accel"), ["kvm"]);
        assert_eq!(values(&m.arguments(), "-m"), ["1048576K"]);
        assert_eq!(values(&m.arguments(), "-fw_cfg"), ["name=opt/org.kennel/user-data,file=/s/user-data"]);
    }
}
