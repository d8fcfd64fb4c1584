//! What a host in QEMU is given before it boots: its surroundings, its network, its clock, its firmware.

use std::path::{Path, PathBuf};

use super::Vm;
use crate::cable::Cable;
use crate::imds::Emulator;
use crate::ntp::Ntp;
use crate::pebble::Pebble;

/// An instance's surroundings.
pub(super) struct Cloud {
    emulator: Emulator,
    address: String,
    /// The key to sign in with.
    pub(super) identity: PathBuf,
}

impl Vm {
    /// From its next boot on it reaches nothing outside of itself.
    pub const fn isolate(&mut self) {
        self.isolated = true;
    }

    /// From its next boot on it is an EC2 instance with this metadata service, and its operator has this key. Nothing
    /// leaves it then.
    pub fn launch_on(&mut self, emulator: Emulator, identity: PathBuf) {
        let address = emulator.address().to_string();
        self.cloud = Some(Cloud { emulator, address, identity });
        self.isolate();
    }

    /// From its next boot on it finds a server at `at`, in its own network, that is at `port` of this machine's loopback.
    /// Nothing else is reached.
    pub fn beside(&mut self, at: &str, port: u16) {
        self.beside = Some(format!("{at}=127.0.0.1:{port}"));
        self.isolate();
    }

    /// Its authority, which ends with it.
    pub fn set_authority(&mut self, pebble: Pebble) {
        self.authority = Some(pebble);
    }

    /// That authority.
    ///
    /// # Errors
    /// There is none.
    pub fn authority(&self) -> Result<&Pebble, String> {
        self.authority.as_ref().ok_or("it has no authority".to_owned())
    }

    /// From its next boot on this is its only network.
    pub fn plug(&mut self, cable: Cable) {
        self.cable = Some(cable);
        self.isolated = false;
    }

    /// That network.
    pub const fn cable(&self) -> Option<&Cable> {
        self.cable.as_ref()
    }

    /// From its next boot on it asks these for the time, and its clock says at first what is said here.
    pub fn set_clock_by(&mut self, servers: &[Ntp], clock: &str) {
        let addresses = servers.iter().map(Ntp::for_guest).collect();
        self.time = Some((servers.to_vec(), addresses, clock.to_owned()));
    }

    /// The first of those that it asks for the time.
    ///
    /// # Errors
    /// There is none.
    pub fn time_server(&self) -> Result<&Ntp, String> {
        self.time
            .as_ref()
            .and_then(|(servers, ..)| servers.first())
            .ok_or("it asks nobody for the time".to_owned())
    }

    /// From its next boot on its data disk is not there until it is plugged in.
    pub const fn boot_without_data(&mut self) {
        self.late_data = true;
    }

    /// Its metadata service.
    pub fn emulator(&self) -> Option<&Emulator> {
        self.cloud.as_ref().map(|cloud| &cloud.emulator)
    }

    /// From its next boot on it has another image, and Secure Boot with the keys of this folder.
    pub fn secure(&mut self, image: &Path, keys: &Path) {
        self.change_image(image);
        self.keys = Some(keys.display().to_string());
    }

    /// From its next boot on it has another image.
    pub fn change_image(&mut self, image: &Path) {
        self.image = image.to_owned();
    }

    /// From its next boot on it has a TPM, or none.
    pub const fn give_tpm(&mut self, tpm: bool) {
        self.tpm = tpm;
    }

    /// From its next boot on it has so much memory.
    pub const fn give_memory(&mut self, size: &'static str) {
        self.memory = Some(size);
    }

    /// From its next boot on it has a disk of this size to swap to.
    pub const fn give_swap_disk(&mut self, size: &'static str) {
        self.swap_disk = Some(size);
    }

    /// What `kennel run` is told.
    pub(super) fn boot_arguments<'a>(&'a self, image: &'a str) -> Vec<&'a str> {
        let mut args = vec!["run", "--detach", "--image", image, "--timeout", "400"];
        match &self.cable {
            Some(cable) => args.extend(cable.arguments()),
            None => args.extend(["--port", "0", "--https-port", "0", "--api-port", "0"]),
        }
        args.extend(self.memory.iter().flat_map(|size| ["--memory", size]));
        args.extend(self.swap_disk.iter().flat_map(|size| ["--swap-disk", size]));
        args.extend(self.beside.iter().flat_map(|beside| ["--beside", beside]));
        args.extend(self.isolated.then_some("--isolated"));
        args.extend(self.tpm.then_some("--tpm"));
        args.extend(self.late_data.then_some("--late-data"));
        if let Some((_, servers, clock)) = &self.time {
            args.extend(servers.iter().flat_map(|server| ["--time-server", server]));
            args.extend(["--clock", clock]);
        }
        args.extend(self.cloud.iter().flat_map(|cloud| ["--imds", &cloud.address, "--disks", "nvme"]));
        args.extend(self.keys.iter().flat_map(|keys| ["--secure-boot", keys]));
        args
    }
}
