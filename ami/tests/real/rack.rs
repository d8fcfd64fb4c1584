//! The machines behind the fake: each instance is a QEMU that `kennel run` starts, as an EC2 instance before a metadata
//! service of its own, reached over loopback and cut off from everything else. A volume is a file.

use crate::fake::account::Snapshot;
use crate::fake::compute::Instance;
use crate::fake::machines::Machines;
use crate::imds::Emulator;
use crate::qmp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A QEMU that is told to end does.
const END: Duration = Duration::from_secs(20);

/// All machines.
pub(crate) struct Rack {
    kennel: PathBuf,
    qemu: PathBuf,
    folder: PathBuf,
    /// The public halves of key pairs, by their names.
    keys: BTreeMap<String, String>,
    machines: BTreeMap<String, Machine>,
}

struct Machine {
    /// `kennel run`, which ends with its QEMU.
    run: Child,
    /// What `kennel run` keeps of it.
    state: PathBuf,
    /// What `kennel run` printed.
    said: PathBuf,
    /// The console as it was when it was last asked for: EC2's is late.
    console: Vec<u8>,
}

impl Rack {
    /// An empty one in a folder, with the `kennel` program and key pairs.
    pub(crate) fn new(folder: PathBuf, kennel: PathBuf, keys: BTreeMap<String, String>) -> Self {
        let path = std::env::var_os("PATH").unwrap();
        let mut programs = std::env::split_paths(&path).map(|folder| folder.join("qemu-system-x86_64"));
        let qemu = programs.find(|program| program.is_file()).expect("QEMU: `make deps` installs it");
        let wrapper = folder.join("bin/qemu-system-x86_64");
        fs::create_dir_all(wrapper.parent().unwrap()).unwrap();
        fs::write(&wrapper, include_str!("qemu.sh")).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        Self { kennel, qemu, folder, keys, machines: BTreeMap::new() }
    }

    fn state(&self, id: &str) -> PathBuf {
        self.folder.join("state/kennel/hosts").join(id)
    }

    fn volume(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.raw"))
    }

    /// The image's disk, which is never written to and may be shared.
    fn root(&self, instance: &Instance, snapshot: &Snapshot) -> PathBuf {
        let path = self.volume(&instance.image);
        if !path.exists() {
            snapshot.write(&File::create(&path).unwrap()).unwrap();
        }
        path
    }

    /// Puts a volume where `kennel run` looks for the disk for data; one that is new is all zeros.
    fn lay(&self, state: &Path, volume: &str, gib: u64) {
        let path = self.volume(volume);
        if !path.exists() {
            File::create(&path).unwrap().set_len(gib << 30).unwrap();
        }
        fs::create_dir_all(state).unwrap();
        fs::set_permissions(state, fs::Permissions::from_mode(0o700)).unwrap();
        let _ = fs::remove_file(state.join("data.raw"));
        std::os::unix::fs::symlink(path, state.join("data.raw")).unwrap();
    }

    /// The metadata service of an instance.
    fn metadata(&self, id: &str, instance: &Instance) -> Emulator {
        let emulator = Emulator::start().unwrap();
        emulator.set("meta-data/instance-id", id);
        emulator.set("meta-data/instance-type", &instance.kind);
        emulator.set("meta-data/placement/availability-zone", &instance.zone);
        emulator.set("user-data", STANDARD.decode(&instance.user_data).unwrap());
        if instance.metadata.tags == "enabled" {
            let names: Vec<&str> = instance.tags.keys().map(String::as_str).collect();
            emulator.set("meta-data/tags/instance", names.join("\n"));
            for (name, value) in &instance.tags {
                emulator.set(&format!("meta-data/tags/instance/{name}"), value);
            }
        }
        if let Some(key) = &instance.key {
            emulator.set("meta-data/public-keys/0/openssh-key", &self.keys[key]);
        }
        emulator
    }

    fn begin(&self, id: &str, image: &Path, emulator: &Emulator, data: bool) -> Machine {
        let said = self.folder.join(format!("{id}.said"));
        let out = File::create(&said).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::split_paths(&path);
        let path = std::env::join_paths(std::iter::once(self.folder.join("bin")).chain(path)).unwrap();
        let mut command = Command::new(&self.kennel);
        command.args([
            "--json",
            "run",
            "--name",
            id,
            "--port",
            "0",
            "--https-port",
            "0",
            "--api-port",
            "0",
            "--isolated",
        ]);
        command.args(["--disks", "nvme", "--timeout", "900", "--imds", &emulator.address().to_string()]);
        command.arg("--image").arg(image);
        command.env("PATH", path).env("RACK_QEMU", &self.qemu);
        command.env("RACK_DATA", if data { "there" } else { "none" });
        command.env("HOME", &self.folder).env("XDG_STATE_HOME", self.folder.join("state"));
        command.env("XDG_CONFIG_HOME", self.folder.join("config"));
        let errors = File::create(self.folder.join(format!("{id}.errors"))).unwrap();
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        Machine { run: command.spawn().unwrap(), state: self.state(id), said, console: Vec::new() }
    }
}

impl Machine {
    fn ended(&mut self) -> bool {
        self.run.try_wait().unwrap().is_some()
    }

    fn order(&self, orders: &[(&str, Value)]) {
        if let Err(error) = qmp::order(&self.state.join("qmp"), orders) {
            eprintln!("{}: {error}", self.state.display());
        }
    }

    /// What `kennel run` told when the host was ready, if it is.
    fn ready(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(&self.said).ok()?).ok()
    }
}

impl Machines for Rack {
    fn switch_on(&mut self, id: &str, instance: &Instance, root: &Snapshot, data: Option<(&str, u64)>) {
        if let Some(machine) = self.machines.get_mut(id)
            && !machine.ended()
        {
            return machine.order(&[("system_reset", json!({}))]);
        }
        let image = self.root(instance, root);
        if let Some((volume, gib)) = data {
            self.lay(&self.state(id), volume, gib);
        }
        let machine = self.begin(id, &image, &self.metadata(id, instance), data.is_some());
        self.machines.insert(id.to_owned(), machine);
    }

    fn press(&mut self, id: &str) {
        if let Some(machine) = self.machines.get_mut(id)
            && !machine.ended()
        {
            machine.order(&[("system_powerdown", json!({}))]);
        }
    }

    fn is_off(&mut self, id: &str) -> bool {
        self.machines.get_mut(id).is_none_or(Machine::ended)
    }

    fn plug(&mut self, id: &str, volume: &str) {
        let file = json!({ "driver": "file", "filename": self.volume(volume) });
        // EC2's serial numbers are the volumes' ids without the hyphen.
        let serial = volume.replace('-', "");
        self.machines[id].order(&[
            ("blockdev-add", json!({ "driver": "raw", "node-name": serial, "discard": "unmap", "file": file })),
            (
                "device_add",
                json!({ "driver": "nvme", "id": "data", "drive": serial, "serial": serial, "bus": "later" }),
            ),
        ]);
    }

    fn console(&mut self, id: &str) -> Vec<u8> {
        let Some(machine) = self.machines.get_mut(id) else { return Vec::new() };
        let now = fs::read(machine.state.join("console.log")).unwrap_or_default();
        std::mem::replace(&mut machine.console, now)
    }

    fn port(&mut self, id: &str, port: u16) -> Option<u16> {
        let ready = self.machines.get(id)?.ready()?;
        let name = if port == 80 { "web_port" } else { "api_port" };
        u16::try_from(ready[name].as_u64()?).ok()
    }

    fn delete(&mut self, volume: &str) {
        let _ = fs::remove_file(self.volume(volume));
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        for machine in self.machines.values_mut().filter_map(|machine| (!machine.ended()).then_some(machine)) {
            machine.order(&[("quit", json!({}))]);
            let until = Instant::now() + END;
            while !machine.ended() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = machine.run.kill();
            let _ = machine.run.wait();
        }
    }
}
