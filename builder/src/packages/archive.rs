//! What is inside a `.deb` or an npm tarball, one entry after the other and never with a path that leads out of the
//! tree. Maintainer scripts are not even read. Where entries go is the caller's business.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use tar::EntryType;

mod ar;

/// One thing in an archive.
pub struct Entry<'a> {
    /// Where it goes, relative to the tree's root: no leading `/` or `./`, no `..`. Empty for the root itself.
    pub path: PathBuf,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What it is.
    pub kind: Kind,
    /// Its bytes, for files; empty for the rest.
    pub data: &'a mut dyn Read,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of this many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link with this target, as written.
    Symlink(PathBuf),
    /// Another name of a file that came earlier; relative to the tree's root, checked like [`Entry::path`].
    Hardlink(PathBuf),
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read or is cut short.
    #[error("{path}: {cause}", path = path.display())]
    Io {
        /// The archive.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It is not what it claims to be, or holds something that no package may hold.
    #[error("{path}: {what}", path = path.display())]
    Malformed {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// A fault before it is known which archive it is in.
enum Fault {
    Io(io::Error),
    Malformed(String),
}

impl From<io::Error> for Fault {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

impl Fault {
    fn within(self, path: &Path) -> ArchiveError {
        let path = path.to_owned();
        match self {
            Self::Io(cause) => ArchiveError::Io { path, cause },
            Self::Malformed(what) => ArchiveError::Malformed { path, what },
        }
    }
}

/// Shows every entry of a `.deb`'s data to `visit`, in order.
///
/// # Errors
/// When the archive is refused, or what `visit` returns.
pub fn read_deb<E: From<ArchiveError>>(
    path: &Path,
    visit: impl FnMut(&mut Entry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let data = File::open(path).map_err(Fault::from).and_then(|file| deb_data(BufReader::new(file)));
    read_tar(data.map_err(|fault| fault.within(path))?, path, 0, visit)
}

/// Shows every entry of an npm tarball to `visit`, in order, without its leading `package/`.
///
/// # Errors
/// When the archive is refused, or what `visit` returns.
pub fn read_npm<E: From<ArchiveError>>(
    path: &Path,
    visit: impl FnMut(&mut Entry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let file = File::open(path).map_err(|cause| Fault::Io(cause).within(path))?;
    read_tar(Box::new(flate2::read::GzDecoder::new(BufReader::new(file))), path, 1, visit)
}

/// The decompressed `data.tar` of a `.deb`.
fn deb_data<'a>(deb: impl Read + 'a) -> Result<Box<dyn Read + 'a>, Fault> {
    let (name, member) = ar::find(deb, "data.tar")?;
    Ok(match name.as_str() {
        "data.tar" => Box::new(member),
        "data.tar.xz" => Box::new(liblzma::read::XzDecoder::new(member)),
        "data.tar.gz" => Box::new(flate2::read::GzDecoder::new(member)),
        "data.tar.zst" => Box::new(zstd(member)?),
        other => return Err(Fault::Malformed(format!("{other} is compressed in a way that is not known"))),
    })
}

fn zstd(member: impl Read) -> Result<impl Read, Fault> {
    ruzstd::decoding::StreamingDecoder::new(member).map_err(|error| Fault::Malformed(error.to_string()))
}

fn read_tar<E: From<ArchiveError>>(
    data: Box<dyn Read + '_>,
    path: &Path,
    strip: usize,
    mut visit: impl FnMut(&mut Entry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let io = |cause| Fault::Io(cause).within(path);
    let mut archive = tar::Archive::new(data);
    for entry in archive.entries().map_err(io)? {
        let mut tar_entry = entry.map_err(io)?;
        let mut entry = convert(&mut tar_entry, strip).map_err(|fault| fault.within(path))?;
        visit(&mut entry)?;
    }
    Ok(())
}

fn convert<'a, R: Read>(entry: &'a mut tar::Entry<'_, R>, strip: usize) -> Result<Entry<'a>, Fault> {
    let written = entry.path()?.into_owned();
    let link = entry.link_name()?.map(|link| link.into_owned()).unwrap_or_default();
    let header = entry.header();
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => Kind::File(entry.size()),
        EntryType::Directory => Kind::Folder,
        EntryType::Symlink => Kind::Symlink(link),
        EntryType::Link => Kind::Hardlink(inside(&link, strip)?),
        _ => return Err(Fault::Malformed(format!("{} is a device or something stranger", written.display()))),
    };
    let (old, mode) = (header.as_old(), header.mode()? & 0o7777);
    let (uid, gid) = (owner(&old.uid, || header.uid())?, owner(&old.gid, || header.gid())?);
    Ok(Entry { path: inside(&written, strip)?, mode, uid, gid, kind, data: entry })
}

/// A user or group. What npm packs leaves the field empty: root, then.
fn owner(field: &[u8], value: impl FnOnce() -> io::Result<u64>) -> Result<u32, Fault> {
    if field.iter().all(|&byte| byte == 0) {
        return Ok(0);
    }
    let value = value()?;
    u32::try_from(value).map_err(|_| Fault::Malformed(format!("owner {value} is too large")))
}

/// The path without `./` and without its first `strip` parts; refused if it could lead out of the tree.
fn inside(path: &Path, strip: usize) -> Result<PathBuf, Fault> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::CurDir => {}
            _ => return Err(Fault::Malformed(format!("path {:?} leads out of the tree", path.display()))),
        }
    }
    Ok(parts.into_iter().skip(strip).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    type Seen = Vec<(String, u32, Kind, String)>;

    /// A tar with a folder, a file, a symlink and a hard link; `evil` renames the file.
    fn tar(prefix: &str, evil: Option<&str>) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |name: &str, kind, mode, link: &str, data: &[u8]| {
            let mut header = tar::Header::new_gnu();
            let name = format!("{prefix}{name}");
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_uid(0);
            header.set_gid(42);
            header.set_size(data.len() as u64);
            header.set_cksum();
            tar.append(&header, data).unwrap();
        };
        add("usr/", EntryType::Directory, 0o755, "", b"");
        add(evil.unwrap_or("usr/a"), EntryType::Regular, 0o4755, "", b"hello");
        add("usr/l", EntryType::Symlink, 0o777, "../../etc/x", b"");
        add("usr/h", EntryType::Link, 0o755, &format!("{prefix}usr/a"), b"");
        tar.into_inner().unwrap()
    }

    fn deb(name: &str, data: &[u8]) -> tempfile::NamedTempFile {
        let mut bytes = b"!<arch>\n".to_vec();
        for (name, data) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", b"odd"), (name, data)] {
            writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", data.len()).unwrap();
            bytes.extend(data);
            bytes.extend(&b"\n"[..data.len() % 2]);
        }
        file(&bytes)
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn note(seen: &mut Seen) -> impl FnMut(&mut Entry<'_>) -> Result<(), ArchiveError> + '_ {
        |entry| {
            assert_eq!((entry.uid, entry.gid), (0, 42));
            let mut text = String::new();
            entry.data.read_to_string(&mut text).unwrap();
            seen.push((entry.path.display().to_string(), entry.mode, entry.kind.clone(), text));
            Ok(())
        }
    }

    fn expected() -> Seen {
        vec![
            ("usr".into(), 0o755, Kind::Folder, String::new()),
            ("usr/a".into(), 0o4755, Kind::File(5), "hello".into()),
            ("usr/l".into(), 0o777, Kind::Symlink("../../etc/x".into()), String::new()),
            ("usr/h".into(), 0o755, Kind::Hardlink("usr/a".into()), String::new()),
        ]
    }

    fn gz(data: &[u8]) -> Vec<u8> {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(data).unwrap();
        gz.finish().unwrap()
    }

    #[test]
    fn a_deb_shows_its_data_however_it_is_compressed() {
        let plain = tar("./", None);
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&plain).unwrap();
        let zst = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
        let debs = [
            deb("data.tar.xz", &xz.finish().unwrap()),
            deb("data.tar.zst", &zst),
            deb("data.tar.gz/", &gz(&plain)),
            deb("data.tar", &plain),
        ];
        for deb in debs {
            let mut seen = Seen::new();
            read_deb(deb.path(), note(&mut seen)).unwrap();
            assert_eq!(seen, expected());
        }
    }

    #[test]
    fn an_npm_tarball_loses_its_first_folder() {
        let mut seen = Seen::new();
        read_npm(file(&gz(&tar("package/", None))).path(), note(&mut seen)).unwrap();
        assert_eq!(seen, expected());
    }

    #[test]
    fn paths_out_of_the_tree_and_foreign_files_are_refused() {
        let refused = |file: tempfile::NamedTempFile| {
            let error = read_deb(file.path(), |_| Ok::<_, ArchiveError>(())).unwrap_err().to_string();
            error.replace(&file.path().display().to_string(), "F")
        };
        let evil = |path| refused(deb("data.tar", &tar("", Some(path))));
        assert_eq!(evil("usr/../../x"), "F: path \"usr/../../x\" leads out of the tree");
        assert_eq!(evil("/etc/x"), "F: path \"/etc/x\" leads out of the tree");
        assert_eq!(refused(file(b"PK")), "F: not a Debian package");
        assert_eq!(refused(deb("other", b"")), "F: there is no data.tar in it");
        assert_eq!(
            refused(deb("data.tar.rar", b"")),
            "F: data.tar.rar is compressed in a way that is not known"
        );
    }
}
