//! What is behind the fake's instances. As a rule nothing but a console and a certificate of the fake's own (`host`); a test
//! may put machines there, which then are switched on and off, get volumes, tell their console and are connected to. How
//! long what is begun takes is then theirs to say.

use super::account::{Account, Snapshot};
use super::compute::Instance;
use std::net::Ipv4Addr;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

/// Machines, by the ids of their instances.
pub(crate) trait Machines: Send {
    /// Switches one on, with the disk that a snapshot makes, and with a volume of so many GiB for data if there is one. One
    /// that runs already is started again.
    fn switch_on(&mut self, id: &str, instance: &Instance, root: &Snapshot, data: Option<(&str, u64)>);
    /// Presses its power button.
    fn press(&mut self, id: &str);
    /// Whether it is off.
    fn is_off(&mut self, id: &str) -> bool;
    /// Gives one that runs another volume.
    fn plug(&mut self, id: &str, volume: &str);
    /// All that it has written on its console, as far as that is known here.
    fn console(&mut self, id: &str) -> Vec<u8>;
    /// The port of 127.0.0.1 that leads to one of its own, if it answers there.
    fn port(&mut self, id: &str, port: u16) -> Option<u16>;
    /// A volume is deleted.
    fn delete(&mut self, volume: &str);
}

impl Account {
    /// Switches on the machine of an instance, if there are machines.
    pub(crate) fn switch_on(&mut self, region: &str, id: &str) {
        let Some(mut machines) = self.machines.take() else { return };
        let there = self.region(region);
        let (snapshots, compute) = (&there.snapshots, &there.compute);
        if let Some(instance) = compute.instances.get(id) {
            let root = compute.at(id).find_map(|(_, volume, _)| snapshots.get(volume.snapshot.as_ref()?));
            let data = instance.boot.data.as_deref();
            let data = data.and_then(|data| Some((data, compute.volumes.get(data)?.gib)));
            machines.switch_on(id, instance, root.expect("an image's snapshot"), data);
        }
        self.machines = Some(machines);
    }

    /// Whether the machine of an instance has still to go off.
    pub(crate) fn is_on(&mut self, id: &str) -> bool {
        self.machines.as_mut().is_some_and(|machines| !machines.is_off(id))
    }

    /// The port of 127.0.0.1 at which the machine behind a public address answers a peer who connects to one of its ports.
    pub(crate) fn leads_to(&mut self, ip: &str, port: u16, peer: Ipv4Addr) -> Option<u16> {
        let (region, id) = self.region_of(ip)?;
        let compute = &self.region(&region).compute;
        let admitted = compute.admits(compute.instances.get(&id)?, i64::from(port), peer);
        self.machines.as_mut().filter(|_| admitted)?.port(&id, port)
    }
}

/// Joins a connection with a port of 127.0.0.1, until one of both ends.
pub(crate) async fn join(mut stream: TcpStream, port: u16) {
    if let Ok(mut machine) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        let _ = copy_bidirectional(&mut stream, &mut machine).await;
    }
}
