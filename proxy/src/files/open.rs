//! Opens files below a folder that init has opened, and nothing else, whatever lies there: no link is followed, none leads out, and only what is a
//! regular file is opened at all. What the kernel checks here the proxy's user, Landlock and SELinux check again.

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::Errno;

/// How often a lookup is tried again when something in the file system was renamed meanwhile.
const TRIES: u32 = 16;
/// No way out of the folder, and no link on the way, whoever made it.
const BELOW: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// What a name leads to.
#[derive(Debug)]
pub(super) enum Found {
    /// A file, open for reading.
    File(File, Stat),
    /// A folder.
    Folder,
    /// Nothing that is answered.
    Nothing,
}

/// Looks a name up. May wait for the disk.
///
/// # Errors
/// The system's, where it does not follow that there is nothing.
pub(super) fn find(folder: BorrowedFd<'_>, path: &str) -> Result<Found, Errno> {
    // First only the place: to open a device or a pipe can have consequences.
    let place = match open(folder, path, OFlags::PATH | OFlags::CLOEXEC, BELOW) {
        Ok(place) => place,
        Err(errno) => return nothing(errno),
    };
    let seen = fstat(&place)?;
    match FileType::from_raw_mode(seen.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Ok(Found::Folder),
        _ => return Ok(Found::Nothing),
    }
    // Should it be exchanged before this: what could be waited for is not, and what is opened is looked at again.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match open(folder, path, flags, BELOW) {
        Ok(file) => file,
        Err(errno) => return nothing(errno),
    };
    let stat = fstat(&file)?;
    let same = (stat.st_dev, stat.st_ino) == (seen.st_dev, seen.st_ino);
    if same && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        return Ok(Found::File(file.into(), stat));
    }
    Ok(Found::Nothing)
}

/// Whether it is known without looking at the disk that there is nothing by this name.
pub(super) fn is_known_missing(folder: BorrowedFd<'_>, path: &str) -> bool {
    let found =
        openat2(folder, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), BELOW | ResolveFlags::CACHED);
    matches!(found, Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG))
}

fn open(folder: BorrowedFd<'_>, path: &str, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    for _ in 1..TRIES {
        match openat2(folder, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    openat2(folder, path, flags, Mode::empty(), resolve)
}

/// What cannot be reached is not there.
fn nothing(errno: Errno) -> Result<Found, Errno> {
    match errno {
        Errno::NOENT
        | Errno::NOTDIR
        | Errno::LOOP
        | Errno::XDEV
        | Errno::NAMETOOLONG
        | Errno::INVAL
        | Errno::ACCESS
        | Errno::PERM
        | Errno::NXIO
        | Errno::NODEV
        | Errno::ISDIR => Ok(Found::Nothing),
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, mkfifoat, open as open_folder};
    use std::fs;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    struct Site {
        dir: tempfile::TempDir,
        folder: OwnedFd,
    }

    /// A folder `public` with a secret beside it.
    fn site() -> Site {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("public/sub")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        fs::write(dir.path().join("public/page"), "page").unwrap();
        fs::write(dir.path().join("public/sub/deep"), "deep").unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open_folder(dir.path().join("public"), flags, Mode::empty()).unwrap();
        Site { dir, folder }
    }

    impl Site {
        fn find(&self, path: &str) -> Found {
            find(self.folder.as_fd(), path).unwrap()
        }

        fn text(&self, path: &str) -> Option<String> {
            match self.find(path) {
                Found::File(mut file, _) => {
                    let mut text = String::new();
                    file.read_to_string(&mut text).unwrap();
                    Some(text)
                }
                _ => None,
            }
        }

        fn public(&self, name: &str) -> std::path::PathBuf {
            self.dir.path().join("public").join(name)
        }
    }

    #[test]
    fn files_and_folders_are_found() {
        let site = site();
        assert_eq!(site.text("page").as_deref(), Some("page"));
        assert_eq!(site.text("sub/deep").as_deref(), Some("deep"));
        assert!(matches!(site.find("sub"), Found::Folder));
        for missing in ["none", "sub/none", "page/x", &"a".repeat(300), &"a/".repeat(3000)] {
            assert!(matches!(site.find(missing), Found::Nothing), "{missing}");
        }
        assert!(
            is_known_missing(site.folder.as_fd(), "none") && !is_known_missing(site.folder.as_fd(), "page")
        );
    }

    #[test]
    fn no_name_leaves_the_folder() {
        let site = site();
        let absolute = site.dir.path().join("secret");
        for path in
            ["../secret", "sub/../../secret", "..", "/etc/passwd", absolute.to_str().unwrap(), "/proc/self/exe"]
        {
            assert!(site.text(path).is_none(), "{path}");
        }
    }

    #[test]
    fn links_are_not_followed() {
        let site = site();
        for (name, to) in [
            ("out", "../secret"),
            ("in", "page"),
            ("abs", "/etc/passwd"),
            ("proc", "/proc/self/fd/0"),
            ("self", "self"),
        ] {
            symlink(to, site.public(name)).unwrap();
            assert!(matches!(site.find(name), Found::Nothing), "{name}");
        }
        symlink("..", site.public("up")).unwrap();
        symlink("sub", site.public("folder")).unwrap();
        for path in ["up/secret", "up/public/page", "folder/deep", "folder"] {
            assert!(matches!(site.find(path), Found::Nothing), "{path}");
        }
    }

    #[test]
    fn only_regular_files_are_opened() {
        let site = site();
        mkfifoat(CWD, site.public("pipe"), Mode::from_raw_mode(0o644)).unwrap();
        let _listener = UnixListener::bind(site.public("socket")).unwrap();
        // Would wait for ever for somebody who writes.
        for name in ["pipe", "socket"] {
            assert!(matches!(site.find(name), Found::Nothing), "{name}");
        }
        fs::set_permissions(site.public("page"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        if !rustix::process::geteuid().is_root() {
            assert!(matches!(site.find("page"), Found::Nothing));
        }
    }

    /// Other names are exchanged all the time for links, pipes and folders with a link in them; what is found is the page or nothing.
    #[test]
    fn a_race_of_renames_is_lost() {
        let site = site();
        let stop = AtomicBool::new(false);
        symlink("../secret", site.public("link")).unwrap();
        mkfifoat(CWD, site.public("pipe"), Mode::from_raw_mode(0o644)).unwrap();
        fs::write(site.public("target"), "page").unwrap();
        fs::create_dir(site.public("way")).unwrap();
        fs::write(site.public("way/secret"), "page").unwrap();
        symlink("..", site.public("elsewhere")).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let exchange = |a: &str, b: &str| {
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(CWD, site.public(a), CWD, site.public(b), flags).unwrap();
                };
                while !stop.load(Ordering::Relaxed) {
                    exchange("target", "link");
                    exchange("link", "pipe");
                    exchange("way", "elsewhere");
                }
            });
            let until = Instant::now() + Duration::from_millis(300);
            let mut rounds = 0;
            while Instant::now() < until || rounds < 2000 {
                rounds += 1;
                for path in ["target", "way/secret"] {
                    // Renamed too often meanwhile is an error, and as good as nothing.
                    if let Ok(Found::File(mut file, stat)) = find(site.folder.as_fd(), path) {
                        assert_eq!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile);
                        let mut text = String::new();
                        file.read_to_string(&mut text).unwrap();
                        assert_eq!(text, "page");
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn an_open_file_outlives_its_release() {
        let site = site();
        let Found::File(mut file, _) = site.find("page") else { panic!("not found") };
        fs::remove_dir_all(site.dir.path().join("public")).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "page");
        assert!(matches!(site.find("page"), Found::Nothing));
    }
}
