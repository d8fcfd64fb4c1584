//! How instances and volumes come and go: what a look at them moves on, what happens to the disks and addresses when an
//! instance is switched on, stopped or terminated, and what must never happen to tenants' data.

use super::account::Account;
use super::compute::{Attachment, Compute, Phase};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

/// So many seconds after its start a system gives up waiting for a disk for its data.
const PATIENCE: u64 = 300;

/// An address of loopback that nobody in this process had before: each stands for a public one.
pub(crate) fn fresh_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Other processes on this machine begin elsewhere; should two meet, the door of the second does not open.
    let begin = std::process::id().wrapping_mul(0x9e37) & 0x7f_ffff;
    let number = (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 0xfe_0000;
    Ipv4Addr::from(0x7f01_0000 + number).to_string()
}

impl Account {
    /// One look more at an instance.
    pub(crate) fn look_at(&mut self, region: &str, id: &str) {
        let on = self.is_on(id);
        let Some(instance) = self.region(region).compute.instances.get_mut(id) else { return };
        if instance.looks > 0 {
            instance.looks -= 1;
            return;
        }
        match instance.phase {
            Phase::Stopping | Phase::ShuttingDown if on => {}
            Phase::Pending if instance.doomed => self.end(region, id),
            Phase::Pending => self.power_on(region, id),
            Phase::Stopping => self.power_off(region, id),
            Phase::ShuttingDown => self.end(region, id),
            Phase::Running => self.boot_on(region, id),
            Phase::Stopped | Phase::Terminated => {}
        }
    }

    /// One look more at a system that starts: at the end it makes its certificate, where it has a disk for it.
    pub(crate) fn boot_on(&mut self, region: &str, id: &str) {
        let made = self.certificates;
        let compute = &mut self.region(region).compute;
        let Some(instance) = compute.instances.get_mut(id).filter(|it| it.phase == Phase::Running) else {
            return;
        };
        if instance.boot.looks > 0 {
            instance.boot.looks -= 1;
            return;
        }
        let Some(volume) = instance.boot.data.as_ref().and_then(|id| compute.volumes.get_mut(id)) else {
            return;
        };
        if volume.certificate.is_none() {
            volume.certificate = Some(made);
            self.certificates += 1;
        }
    }

    /// It runs, with the disks that it has now.
    pub(crate) fn power_on(&mut self, region: &str, id: &str) {
        let (looks, fresh) = (self.boot, fresh_address());
        let compute = &mut self.region(region).compute;
        let data = compute.data_of(id);
        let Some(instance) = compute.instances.get_mut(id) else { return };
        instance.phase = Phase::Running;
        instance.boot.looks = looks;
        instance.boot.data = data;
        instance.boot.count += 1;
        if instance.public && instance.address.is_none() {
            instance.address = Some(fresh.clone());
            self.doors.push(fresh);
        }
        self.switch_on(region, id);
    }

    fn power_off(&mut self, region: &str, id: &str) {
        let Some(instance) = self.region(region).compute.instances.get_mut(id) else { return };
        instance.phase = Phase::Stopped;
        instance.address = None;
        instance.boot.data = None;
    }

    /// It is gone, and of its disks those that were to go with it.
    fn end(&mut self, region: &str, id: &str) {
        let compute = &mut self.region(region).compute;
        let mut lost = Vec::new();
        compute.volumes.retain(|volume, it| {
            let goes = it.attachment.as_ref().is_some_and(|at| at.instance == id && at.delete_on_termination);
            if goes && it.precious {
                lost.push(volume.clone());
            }
            !goes
        });
        for volume in compute.volumes.values_mut() {
            volume.attachment.take_if(|at| at.instance == id);
        }
        for address in compute.addresses.values_mut() {
            address.at.take_if(|(_, at)| at == id);
        }
        if let Some(instance) = compute.instances.get_mut(id) {
            instance.phase = Phase::Terminated;
            instance.address = None;
            instance.boot.data = None;
        }
        for volume in lost {
            self.violate(format!("{volume} with tenants' data was deleted with {id}"));
        }
    }

    /// Moves attachments of a volume on by one look.
    pub(crate) fn look_at_volume(&mut self, region: &str, id: &str) {
        let Some(volume) = self.region(region).compute.volumes.get_mut(id) else { return };
        let Some(attachment) = &mut volume.attachment else { return };
        if attachment.looks > 0 {
            attachment.looks -= 1;
        } else if attachment.state == "attaching" {
            attachment.state = "attached";
            let (instance, since) = (attachment.instance.clone(), attachment.since);
            self.appears(region, &instance, id, since);
        } else if attachment.state == "detaching" {
            volume.attachment = None;
        }
    }

    /// A volume appears in a system that runs, and is taken for its data if it still waits for one.
    fn appears(&mut self, region: &str, id: &str, volume: &str, since: u64) {
        let looks = self.boot;
        let Some(instance) = self.region(region).compute.instances.get_mut(id) else { return };
        let on = instance.phase == Phase::Running;
        if on && instance.boot.data.is_none() && since <= instance.launched + PATIENCE {
            instance.boot.data = Some(volume.to_owned());
            instance.boot.looks = looks;
        }
        if let Some(machines) = self.machines.as_mut().filter(|_| on) {
            machines.plug(id, volume);
        }
    }

    /// From now on tenants' data are on the disk of an instance; returns the disk.
    pub(crate) fn treasure(&mut self, region: &str, instance: &str) -> String {
        let compute = &mut self.region(region).compute;
        let id = compute.data_of(instance).expect("a disk for data");
        compute.volumes.get_mut(&id).expect("the disk").precious = true;
        id
    }

    /// What must never happen has happened; the test fails when the fake ends.
    pub(crate) fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    /// Waits so to speak until everything that was begun has ended.
    pub(crate) fn settled(&mut self, region: &str) -> &mut Compute {
        for _ in 0..100 {
            let compute = &self.region(region).compute;
            let instances: Vec<String> = compute.instances.keys().cloned().collect();
            let volumes: Vec<String> = compute.volumes.keys().cloned().collect();
            instances.iter().for_each(|id| self.look_at(region, id));
            volumes.iter().for_each(|id| self.look_at_volume(region, id));
        }
        &mut self.region(region).compute
    }
}

/// A volume's place at an instance from now on.
pub(crate) fn attaching(instance: &str, device: &str, looks: u32, since: u64) -> Attachment {
    Attachment {
        instance: instance.to_owned(),
        device: device.to_owned(),
        // What is attached later stays when the instance goes.
        delete_on_termination: false,
        state: "attaching",
        looks,
        since,
    }
}
