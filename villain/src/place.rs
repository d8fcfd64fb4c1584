//! Where a probe runs and what it reaches for. Its own slot follows from its port; the neighbour's number, PID and so on
//! are told to it, since from inside a slot they cannot be seen. Inside a slot's root the neighbour's paths lead nowhere;
//! in a slot that a proof image leaves in the host's root they are real.

use std::path::{Path, PathBuf};

use kennel_model::SlotId;
use kennel_model::layout::SLOTS_DIR;
use kennel_model::slot::{FIRST_PORT, PORTS_PER_SLOT};

/// The program's name in every villain's release.
pub(crate) const PROGRAM: &str = "server";
/// A file of every villain's release, to read and to change.
pub(crate) const NOTE: &str = "note.txt";
/// Another, to remove.
pub(crate) const SPARE: &str = "spare.txt";
/// What every neighbour has in its data folder.
pub(crate) const SECRET: &str = "secret";
/// What may be removed there.
pub(crate) const VICTIM: &str = "victim";
/// The UNIX socket there.
pub(crate) const DOOR: &str = "door";

/// No process has this PID: the kernel's largest is 4194304.
const NOBODY: i32 = 4_194_305;

/// Where a probe runs and what it reaches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its own slot.
    pub own: SlotId,
    /// The slot that it reaches for.
    pub neighbour: SlotId,
    /// The number of the neighbour's release.
    pub release: u32,
    /// The PID of the neighbour's program, as the host counts.
    pub pid: i32,
    /// The PID of a service of the host.
    pub service: i32,
    /// A descriptor of the neighbour's program, for a file of its /tmp.
    pub descriptor: i32,
    /// A key of the neighbour's in the kernel.
    pub key: i32,
    /// The host's public address.
    pub address: String,
}

/// What was told about the neighbour is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPlace(pub String);

impl std::fmt::Display for BadPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadPlace {}

impl Place {
    /// A place whose own slot has this port as its first (the value of `PORT`); the neighbour is the next slot until told.
    ///
    /// # Errors
    /// The port is no slot's first.
    pub fn at(port: u16) -> Result<Self, BadPlace> {
        let bad = || BadPlace(format!("port {port} is not the first of a slot's"));
        let offset =
            port.checked_sub(FIRST_PORT).filter(|offset| offset % PORTS_PER_SLOT == 0).ok_or_else(bad)?;
        let own = SlotId::new(offset / PORTS_PER_SLOT).map_err(|_| bad())?;
        let neighbour = SlotId::new(own.index() + 1).or(SlotId::new(0)).map_err(|_| bad())?;
        let (pid, service, descriptor, key) = (NOBODY, NOBODY, 0, 0);
        Ok(Self { own, neighbour, release: 1, pid, service, descriptor, key, address: "10.0.2.15".to_owned() })
    }

    /// Takes what is told, as `name=value`.
    ///
    /// # Errors
    /// An unknown name, or a value that is none.
    pub fn tell(&mut self, pair: &str) -> Result<(), BadPlace> {
        let bad = || BadPlace(format!("{pair:?} is not known here"));
        let (name, value) = pair.split_once('=').ok_or_else(bad)?;
        let number = || value.parse::<i32>().map_err(|_| bad());
        match name {
            "neighbour" => {
                let index = value.parse().map_err(|_| bad())?;
                self.neighbour = SlotId::new(index).map_err(|_| bad())?;
            }
            "release" => self.release = value.parse().map_err(|_| bad())?,
            "pid" => self.pid = number()?,
            "service" => self.service = number()?,
            "descriptor" => self.descriptor = number()?,
            "key" => self.key = number()?,
            "address" => self.address = value.to_owned(),
            _ => return Err(bad()),
        }
        Ok(())
    }

    /// The same, to be told to another process.
    pub fn pairs(&self) -> Vec<String> {
        vec![
            format!("neighbour={}", self.neighbour.index()),
            format!("release={}", self.release),
            format!("pid={}", self.pid),
            format!("service={}", self.service),
            format!("descriptor={}", self.descriptor),
            format!("key={}", self.key),
            format!("address={}", self.address),
        ]
    }

    /// Whether this process is in the host's root: only there has its working folder, its release, the host's name.
    fn on_host() -> bool {
        std::env::current_dir().is_ok_and(|folder| folder.starts_with(SLOTS_DIR))
    }

    /// A file of its own release.
    pub(crate) fn own_release(&self, file: &str) -> PathBuf {
        std::env::current_dir().unwrap_or_else(|_| "/app".into()).join(file)
    }

    /// A file of its own data.
    pub(crate) fn own_data(&self, file: &str) -> PathBuf {
        if Self::on_host() {
            Path::new(&self.own.dir()).join("data").join(file)
        } else {
            Path::new("/data").join(file)
        }
    }

    /// A file of its own /tmp, which it has none of in the host's root.
    pub(crate) fn own_tmp(&self, file: &str) -> PathBuf {
        if Self::on_host() { self.own_data(file) } else { Path::new("/tmp").join(file) }
    }

    /// A file of its own slot, by the host's path.
    pub(crate) fn own_on_host(&self, file: &str) -> PathBuf {
        Path::new(&self.own.dir()).join(file)
    }

    /// A file of the neighbour's release.
    pub(crate) fn release_of(&self, file: &str) -> PathBuf {
        Path::new(&self.neighbour.dir()).join("releases").join(self.release.to_string()).join(file)
    }

    /// A file of the neighbour's data.
    pub(crate) fn data_of(&self, file: &str) -> PathBuf {
        Path::new(&self.neighbour.dir()).join("data").join(file)
    }

    /// What the neighbour's program prints into: the first of its places that has such a file, if they can be seen.
    pub(crate) fn log_of(&self) -> PathBuf {
        let folder = Path::new(&self.neighbour.dir()).join("log");
        let places = (0..8).map(|place| folder.join(format!("{place}-{}", self.release)));
        places.clone().find(|file| file.exists()).unwrap_or_else(|| folder.join(format!("0-{}", self.release)))
    }

    /// A file of the neighbour's program in /proc.
    pub(crate) fn proc_of(&self, file: &str) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string()).join(file)
    }
}

/// The abstract socket of a slot's villain, by what it is for.
pub(crate) fn abstract_name(slot: SlotId, purpose: &str) -> String {
    format!("kennel-neighbour-{slot}-{purpose}")
}

/// The key of a slot's System V objects.
pub(crate) fn ipc_key(slot: SlotId) -> i64 {
    0x6b65_0000 + i64::from(slot.index())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_follows_from_the_port() {
        let place = Place::at(20_016).unwrap();
        assert_eq!((place.own.index(), place.neighbour.index()), (2, 3));
        assert!(Place::at(20_017).is_err());
        assert!(Place::at(80).is_err());
    }

    #[test]
    fn what_is_told_can_be_told_on() {
        let mut place = Place::at(20_000).unwrap();
        for pair in
            ["neighbour=5", "release=3", "pid=77", "service=8", "descriptor=9", "key=10", "address=192.0.2.1"]
        {
            place.tell(pair).unwrap();
        }
        let mut other = Place::at(20_000).unwrap();
        place.pairs().iter().for_each(|pair| other.tell(pair).unwrap());
        assert_eq!(place, other);
        assert_eq!(place.data_of("x"), Path::new("/data/slots/0005/data/x"));
        assert!(place.tell("colour=blue").is_err());
        assert!(place.tell("neighbour=9999").is_err());
    }
}
