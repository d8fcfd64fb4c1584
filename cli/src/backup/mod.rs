//! Backups on this computer: one archive that has a tenant's settings, its data and the release that served. How one is written, and
//! how one is read.

mod keep;
mod kept;

pub use keep::Keep;
pub use kept::{Kept, Part};

use crate::exit::{Exit, Explain, FileError};

/// Why a file is no backup that can be restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something else, or a part of one.
    #[error("{0} is no whole backup: {1}")]
    NotOne(String, String),
    /// A later `kennel` has made it.
    #[error("{0} is a backup of format {1}, and this `kennel` knows {2}")]
    Newer(String, u64, u32),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Explain for BackupError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotOne(..) => "`kennel backup NAME FILE` makes one".to_owned(),
            Self::Newer(..) => "use the `kennel` that made it, or a newer one".to_owned(),
            Self::File(_) => return None,
        })
    }

    fn code(&self) -> String {
        match self {
            Self::NotOne(..) => "no-backup",
            Self::Newer(..) => "newer-backup",
            Self::File(_) => "file",
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use kennel_model::Limits;
    use kennel_model::backup::{Backup, DATA, FORMAT, KeptRelease, RELEASE};

    use super::*;
    use crate::data::DataError;

    /// What a tenant of nothing in particular is.
    pub(crate) fn settings(with_release: bool) -> Backup {
        let release = KeptRelease {
            id: kennel_model::ReleaseId(7),
            runtime: "node-24".parse().unwrap(),
            command: vec![],
            source: None,
        };
        Backup {
            format: FORMAT,
            taken_at_s: 1,
            name: "blog".parse().unwrap(),
            runtime: "node-24".parse().unwrap(),
            command: vec![],
            limits: Limits::default(),
            domains: vec![],
            redirects: vec![],
            egress: vec![],
            env: [("KEY".parse().unwrap(), kennel_model::env::EnvValue::new("hunter2").unwrap())].into(),
            jobs: vec![],
            scale: [("worker".parse().unwrap(), 2)].into(),
            page: None,
            release: with_release.then_some(release),
        }
    }

    /// An archive with a file of this size.
    fn archive(bytes: usize) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes as u64);
        header.set_mode(0o640);
        tar.append_data(&mut header, "a", &*vec![7; bytes]).unwrap();
        tar.into_inner().unwrap()
    }

    fn put(keep: &mut Keep, name: &'static str, size: Option<u64>, archive: &[u8]) -> Result<u64, DataError> {
        let mut part = keep.part(name, size)?;
        archive.chunks(700).try_for_each(|piece| part.take(piece))?;
        part.finish()
    }

    fn made(to: &Path, data: &[u8], release: Option<&[u8]>) -> Result<u64, DataError> {
        let mut keep = Keep::of(to)?;
        keep.settings(&settings(release.is_some()))?;
        put(&mut keep, DATA, Some(data.len() as u64), data)?;
        if let Some(release) = release {
            put(&mut keep, RELEASE, None, release)?;
        }
        keep.finish()
    }

    fn bytes_of(part: Part) -> Vec<u8> {
        part.write(Vec::new()).unwrap()
    }

    #[test]
    fn what_is_kept_is_read_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (data, release) = (archive(5000), archive(1));
        for (name, release) in [("both.tar", Some(&*release)), ("data.tar", None)] {
            let to = dir.path().join(name);
            let bytes = made(&to, &data, release).unwrap();
            let meta = to.metadata().unwrap();
            assert_eq!((meta.len(), meta.permissions().mode() & 0o777), (bytes, 0o600), "secrets are in it");
            let kept = Kept::open(&to).unwrap();
            assert_eq!(*kept.settings(), settings(release.is_some()));
            assert_eq!(bytes_of(kept.data().unwrap()), data);
            assert_eq!(kept.release().unwrap().map(bytes_of).as_deref(), release);
        }
        // Anybody's tar shows what is in it.
        let mut archive = tar::Archive::new(std::fs::File::open(dir.path().join("both.tar")).unwrap());
        let names: Vec<_> =
            archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, ["kennel-backup.json", "data.tar", "release.tar"].map(Path::new));
    }

    #[test]
    fn what_is_not_whole_gets_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let (to, data) = (dir.path().join("x.tar"), archive(9));
        let cut = made(&to, &data[..data.len() - 512], None).unwrap_err();
        assert!(matches!(cut, DataError::Changed), "{cut}");
        let mut keep = Keep::of(&to).unwrap();
        let short = put(&mut keep, DATA, Some(data.len() as u64 + 512), &data).unwrap_err();
        assert!(matches!(short, DataError::Changed), "{short}");
        drop(keep);
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        assert!(matches!(Keep::of(dir.path()), Err(DataError::Folder(_))));
    }

    #[test]
    fn what_is_no_backup_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole.tar");
        made(&whole, &archive(3000), Some(&archive(3000))).unwrap();
        let bytes = std::fs::read(&whole).unwrap();
        let told = |bytes: &[u8]| {
            let path = dir.path().join("x");
            std::fs::write(&path, bytes).unwrap();
            let error = Kept::open(&path).map(drop).unwrap_err();
            (error.code(), error.to_string())
        };
        for cut in [0, 100, 512, 1024, bytes.len() / 2, bytes.len() - 2000, bytes.len() - 1024] {
            assert_eq!(told(&bytes[..cut]).0, "no-backup", "cut at {cut}");
        }
        assert!(told(&archive(9)).1.contains("it does not begin with kennel-backup.json"));
        let text = String::from_utf8_lossy(&bytes).replacen("\"format\":1", "\"format\":2", 1);
        assert_eq!(told(text.as_bytes()).0, "newer-backup");
        let text = String::from_utf8_lossy(&bytes).replacen("release.tar", "releasX.tar", 1);
        assert_eq!(told(text.as_bytes()).0, "no-backup");
        // Whatever is wrong with it, no value is quoted.
        let text = String::from_utf8_lossy(&bytes).replacen("\"hunter2\"", "{\"hunter\":2}", 1);
        assert!(!told(text.as_bytes()).1.contains("hunter"));
        assert!(matches!(Kept::open(&dir.path().join("absent")), Err(BackupError::File(_))));
    }
}
