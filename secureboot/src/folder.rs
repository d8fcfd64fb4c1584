//! The folder in which a person keeps the keys: which files it holds, and making it. Nothing is ever overwritten.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::aws::uefi_data;
use crate::error::Error;
use crate::keys::{Certificate, KeyPair, Role};
use crate::signer::KeySigner;
use crate::variables::Enrolment;

/// Name of the file with what EC2's RegisterImage takes.
const UEFI_DATA: &str = "uefi-data.b64";

/// A folder with PK, KEK and db.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFolder(PathBuf);

struct Item {
    name: String,
    secret: bool,
    bytes: Vec<u8>,
}

impl KeyFolder {
    /// The folder of this path, whatever is in it.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes three new keys, and the folder if it is missing.
    ///
    /// # Errors
    /// One of the files is there already, or cannot be written; then none is left of those that were written.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let folder = Self::at(path);
        folder.refuse_to_overwrite()?;
        let items = folder.items()?;
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).map_err(Error::file("make", path))?;
        let mut written = Vec::new();
        for item in &items {
            let path = path.join(&item.name);
            if let Err(cause) = write(&path, item) {
                // Half a set of keys would only be in the way of the next try.
                written.iter().for_each(|path| drop(fs::remove_file(path)));
                return Err(Error::file("create", path)(cause));
            }
            written.push(path);
        }
        Ok(folder)
    }

    /// The private key.
    pub fn key(&self, role: Role) -> PathBuf {
        self.0.join(format!("{}.key", role.name()))
    }

    /// Its certificate.
    pub fn certificate(&self, role: Role) -> PathBuf {
        self.0.join(format!("{}.pem", role.name()))
    }

    /// The firmware's variable with the certificate, signed by the key above.
    pub fn variable(&self, role: Role) -> PathBuf {
        self.0.join(format!("{}.auth", role.name()))
    }

    /// What EC2's RegisterImage takes as `UefiData`.
    pub fn uefi_data(&self) -> PathBuf {
        self.0.join(UEFI_DATA)
    }

    /// What a machine is told that shall boot only what db signs; needs no private key.
    ///
    /// # Errors
    /// One of the certificates is missing or none.
    pub fn enrolment(&self) -> Result<Enrolment, Error> {
        let load = |role| Certificate::load(&self.certificate(role));
        let [platform, exchange, database] =
            [load(Role::Platform)?, load(Role::Exchange)?, load(Role::Database)?];
        Ok(Enrolment::new([&platform, &exchange, &database]))
    }

    /// Looked at before seconds are spent on keys; [`write`] makes sure.
    fn refuse_to_overwrite(&self) -> Result<(), Error> {
        let per_role = |role| [self.key(role), self.certificate(role), self.variable(role)];
        let mut paths = Role::ALL.into_iter().flat_map(per_role).chain([self.uefi_data()]);
        match paths.find(|path| path.symlink_metadata().is_ok()) {
            Some(path) => Err(Error::file("create", path)(io::ErrorKind::AlreadyExists.into())),
            None => Ok(()),
        }
    }

    fn items(&self) -> Result<Vec<Item>, Error> {
        let [platform, exchange, database] = [
            KeyPair::generate(Role::Platform)?,
            KeyPair::generate(Role::Exchange)?,
            KeyPair::generate(Role::Database)?,
        ];
        let pairs = [&platform, &exchange, &database];
        let enrolment = Enrolment::new(pairs.map(|pair| &pair.certificate));
        let mut items = Vec::new();
        let mut add = |path: PathBuf, secret, bytes: Vec<u8>| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            items.push(Item { name, secret, bytes });
        };
        // PK may replace itself and KEK, KEK may replace db.
        let signers = [&platform, &platform, &exchange].map(KeySigner::from);
        for ((pair, signer), variable) in pairs.iter().zip(&signers).zip(&enrolment.variables) {
            let role = variable.role;
            add(self.key(role), true, pair.private_pem()?.into_bytes());
            add(self.certificate(role), false, pair.certificate.to_pem()?.into_bytes());
            add(self.variable(role), false, variable.signed(enrolment.time, signer)?);
        }
        add(self.uefi_data(), false, uefi_data(&enrolment)?.into_bytes());
        Ok(items)
    }
}

fn write(path: &Path, item: &Item) -> io::Result<()> {
    let mode = if item.secret { 0o600 } else { 0o644 };
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(&item.bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::signer::Signer;

    #[test]
    fn a_new_folder_has_all_that_is_needed_and_is_never_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/keys");
        let folder = KeyFolder::create(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        for role in Role::ALL {
            assert_eq!(mode(&folder.key(role)), 0o600);
            KeySigner::load(&folder.key(role), &folder.certificate(role)).unwrap().sign(&[1; 32]).unwrap();
        }
        let mixed = KeySigner::load(&folder.key(Role::Platform), &folder.certificate(Role::Database));
        assert!(mixed.is_err_and(|error| error.to_string().contains("PK.key signs does not verify")));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 10);
        let told = uefi_data(&folder.enrolment().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(folder.uefi_data()).unwrap(), told);

        let before = fs::read(folder.key(Role::Platform)).unwrap();
        let error = KeyFolder::create(&path).unwrap_err();
        assert!(error.hint().unwrap().contains("never overwritten"), "{error}");
        fs::remove_file(folder.key(Role::Exchange)).unwrap();
        assert!(KeyFolder::create(&path).is_err(), "some of them are there");
        assert_eq!(fs::read(folder.key(Role::Platform)).unwrap(), before);
    }
}
