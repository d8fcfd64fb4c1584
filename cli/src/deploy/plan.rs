//! Looks through a folder: what is to be sent, in the order in which it is sent.

use std::fs::File;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};

use super::DeployError;
use crate::exit::FileError;

/// Names of what is left out, one pattern a line, as in a `.gitignore`. If the folder has one, no `.gitignore` counts.
const IGNORE_FILE: &str = ".kennelignore";
/// Seldom in a repository, and nothing runs without them: they come along, whole, where only a `.gitignore` leaves them out.
pub(super) const PACKAGES: [&str; 2] = ["node_modules", COMPOSER.0];
/// The second has many meanings: it is a folder of packages beside this file.
const COMPOSER: (&str, &str) = ("vendor", "composer.json");

/// What is to be sent.
#[derive(Debug)]
pub struct Plan {
    folder: PathBuf,
    entries: Vec<Entry>,
    bytes: u64,
    left_out: Vec<String>,
}

/// One thing in the folder.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the folder.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of thing that a release may hold.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder, perhaps an empty one.
    Folder,
    /// A file.
    File {
        /// Its size in bytes when the plan was made.
        size: u64,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link that stays within the folder.
    Link {
        /// As it is written.
        target: PathBuf,
    },
}

impl Plan {
    /// Looks through `folder`. Every file is opened once, so that one that cannot be read is known before anything is sent.
    ///
    /// # Errors
    /// [`DeployError`] names the first thing that cannot be sent.
    pub fn of(folder: &Path) -> Result<Self, DeployError> {
        Self::by(folder, !folder.join(IGNORE_FILE).exists())
    }

    /// The same of a folder whose files are all meant: of a commit, say. A `.gitignore` does not count.
    ///
    /// # Errors
    /// As of [`Plan::of`].
    pub fn of_tracked(folder: &Path) -> Result<Self, DeployError> {
        Self::by(folder, false)
    }

    fn by(folder: &Path, by_git: bool) -> Result<Self, DeployError> {
        if !folder.metadata().map_err(FileError::at("read", folder))?.is_dir() {
            return Err(DeployError::NotAFolder(folder.to_owned()));
        }
        let mut entries = Vec::new();
        // Rules of the folders above count in neither way.
        let mut walk = WalkBuilder::new(folder);
        walk.standard_filters(false).follow_links(false);
        if by_git {
            walk.git_ignore(true)
                .require_git(false)
                .filter_entry(|entry| !is_left(entry) && !is_packages(entry));
        } else {
            walk.add_custom_ignore_filename(IGNORE_FILE).filter_entry(|entry| !is_left(entry));
        }
        look_through(&walk, folder, &mut entries)?;
        if by_git {
            for packages in packages_in(folder, &entries) {
                let mut walk = WalkBuilder::new(folder.join(packages));
                walk.standard_filters(false).follow_links(false).filter_entry(|entry| !is_left(entry));
                look_through(&walk, folder, &mut entries)?;
            }
        }
        // By components, so that a folder comes right before what is in it.
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let bytes = entries.iter().map(|e| if let Kind::File { size, .. } = e.kind { size } else { 0 }).sum();
        if entries.is_empty() {
            return Err(DeployError::Empty(folder.to_owned()));
        }
        let left_out = if by_git { left_out(folder, &entries)? } else { vec![] };
        Ok(Self { folder: folder.to_owned(), entries, bytes, left_out })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is in it, sorted.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Names at the top that a `.gitignore` has left out.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Bytes of all files.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What no rule brings along.
fn is_left(entry: &DirEntry) -> bool {
    entry.file_name() == ".git"
}

/// A folder of packages below the one that is deployed.
fn is_packages(entry: &DirEntry) -> bool {
    let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
    entry.depth() > 0 && is_folder && is_packages_at(entry.path())
}

/// Whether a folder of this path is one of packages, by its name and by what lies beside it.
fn is_packages_at(path: &Path) -> bool {
    let named = |name: &str| path.file_name().is_some_and(|own| own == name);
    PACKAGES.into_iter().any(named) && (!named(COMPOSER.0) || path.with_file_name(COMPOSER.1).is_file())
}

/// All that a walk finds below the folder.
fn look_through(walk: &WalkBuilder, folder: &Path, entries: &mut Vec<Entry>) -> Result<(), DeployError> {
    for found in walk.build() {
        let found = found?;
        if let Some(fault) = found.error() {
            return Err(DeployError::Walk(fault.clone()));
        }
        let path = found.path();
        match path.strip_prefix(folder) {
            Ok(relative) if relative != Path::new("") => {
                entries.push(Entry { path: relative.to_owned(), kind: look_at(path, relative)? });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The folders of packages beside what comes along.
fn packages_in(folder: &Path, entries: &[Entry]) -> Vec<PathBuf> {
    let folders = entries.iter().filter(|entry| entry.kind == Kind::Folder).map(|entry| entry.path.as_path());
    let places = [Path::new("")].into_iter().chain(folders);
    let places = places.flat_map(|place| PACKAGES.map(|name| place.join(name)));
    let is_there =
        |place: &Path| place.symlink_metadata().is_ok_and(|meta| meta.is_dir()) && is_packages_at(place);
    places.filter(|place| is_there(&folder.join(place))).collect()
}

/// Names at the top of the folder of which nothing comes along.
fn left_out(folder: &Path, entries: &[Entry]) -> Result<Vec<String>, DeployError> {
    let at = |error| FileError::at("read", folder)(error);
    let mut names = Vec::new();
    for found in folder.read_dir().map_err(at)? {
        let name = found.map_err(at)?.file_name();
        if name != ".git" && !entries.iter().any(|entry| entry.path == Path::new(&name)) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn look_at(path: &Path, relative: &Path) -> Result<Kind, DeployError> {
    let meta = path.symlink_metadata().map_err(FileError::at("read", path))?;
    let kind = meta.file_type();
    if kind.is_dir() {
        return Ok(Kind::Folder);
    }
    if kind.is_symlink() {
        let target = path.read_link().map_err(FileError::at("read", path))?;
        return match stays_within(relative, &target) {
            true => Ok(Kind::Link { target }),
            false => Err(DeployError::LinkOutside { path: path.to_owned(), target }),
        };
    }
    if kind.is_file() {
        File::open(path).map_err(FileError::at("read", path))?;
        return Ok(Kind::File { size: meta.len(), executable: meta.permissions().mode() & 0o100 != 0 });
    }
    let kind = match kind {
        k if k.is_fifo() => "a named pipe",
        k if k.is_socket() => "a socket",
        _ => "a device",
    };
    Err(DeployError::Special { path: path.to_owned(), kind })
}

/// Whether a link at `path` with this target stays in the folder, by its words alone.
fn stays_within(path: &Path, target: &Path) -> bool {
    let mut depth = path.components().count().saturating_sub(1);
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.entries().iter().map(|e| e.path.to_str().unwrap()).collect()
    }

    #[test]
    fn everything_comes_along_in_order_but_git() {
        let dir = folder(&[
            ("server.js", "x"),
            (".env", "A=1"),
            (".git/config", ""),
            ("node_modules/a/index.js", "yy"),
            ("node_modules/a/.git/x", ""),
            (".gitignore", "node_modules"),
            ("a-b/f", ""),
            ("a/f", ""),
        ]);
        let plan = Plan::of(dir.path()).unwrap();
        let expected = [
            ".env",
            ".gitignore",
            "a",
            "a/f",
            "a-b",
            "a-b/f",
            "node_modules",
            "node_modules/a",
            "node_modules/a/index.js",
            "server.js",
        ];
        assert_eq!(names(&plan), expected);
        assert_eq!(plan.bytes(), 3 + 12 + 2 + 1);
    }

    #[test]
    fn gitignore_leaves_out_all_but_packages() {
        let dir = folder(&[
            (".gitignore", "node_modules\nvendor\n/dist\n.env\n*.log\n!keep.log\n"),
            (".env", "SECRET=1"),
            ("dist/server.js", ""),
            ("a.log", ""),
            ("go/vendor/x.go", ""),
            ("keep.log", ""),
            ("php/composer.json", "{}"),
            ("php/vendor/a/dist/x.php", ""),
            ("server.js", ""),
            ("node_modules/a/.gitignore", "lib"),
            ("node_modules/a/lib/dist/x.log", ""),
            ("node_modules/a/node_modules/b/i.js", ""),
            ("sub/.gitignore", "x"),
            ("sub/x", ""),
            ("sub/dist/y", ""),
            ("sub/node_modules/c/i.js", ""),
        ]);
        let plan = Plan::of(dir.path()).unwrap();
        let files = plan.entries().iter().filter(|e| e.kind != Kind::Folder);
        let files: Vec<_> = files.map(|e| e.path.to_str().unwrap()).collect();
        let expected = [
            ".gitignore",
            "keep.log",
            "node_modules/a/.gitignore",
            "node_modules/a/lib/dist/x.log",
            "node_modules/a/node_modules/b/i.js",
            "php/composer.json",
            "php/vendor/a/dist/x.php",
            "server.js",
            "sub/.gitignore",
            "sub/dist/y",
            "sub/node_modules/c/i.js",
        ];
        assert_eq!(files, expected);
        assert_eq!(plan.left_out(), [".env", "a.log", "dist"]);
        let mut paths: Vec<_> = plan.entries().iter().map(|e| e.path.clone()).collect();
        paths.dedup();
        assert_eq!(paths.len(), plan.entries().len(), "nothing comes twice");
    }

    #[test]
    fn with_a_kennelignore_no_gitignore_counts() {
        let dir = folder(&[
            (".gitignore", "dist"),
            (".kennelignore", "src\n.*ignore\n"),
            ("dist/a", ""),
            ("src/a", ""),
        ]);
        let plan = Plan::of(dir.path()).unwrap();
        assert_eq!((names(&plan), plan.left_out().len()), (vec!["dist", "dist/a"], 0));
    }

    #[test]
    fn kennelignore_leaves_out() {
        let dir = folder(&[
            (".kennelignore", "*.log\n/tmp/\n.kennelignore\n"),
            ("a.log", ""),
            ("tmp/x", ""),
            ("sub/tmp/x", ""),
            ("sub/b.log", ""),
        ]);
        assert_eq!(names(&Plan::of(dir.path()).unwrap()), ["sub", "sub/tmp", "sub/tmp/x"]);
    }

    #[test]
    fn of_what_is_tracked_only_a_kennelignore_leaves_out() {
        let dir = folder(&[(".gitignore", "*"), ("dist/a.js", ""), ("node_modules/b/i.js", ""), ("c.md", "")]);
        let files = |plan: &Plan| plan.entries().iter().filter(|e| e.kind != Kind::Folder).count();
        assert_eq!(files(&Plan::of_tracked(dir.path()).unwrap()), 4);
        std::fs::write(dir.path().join(IGNORE_FILE), "*.md\n.*ignore").unwrap();
        let plan = Plan::of_tracked(dir.path()).unwrap();
        assert_eq!((files(&plan), plan.left_out().len()), (2, 0));
    }

    #[test]
    fn rules_of_the_folders_above_do_not_count() {
        for file in [".kennelignore", ".gitignore"] {
            let dir = folder(&[(file, "*"), ("app/server.js", "")]);
            assert_eq!(names(&Plan::of(&dir.path().join("app")).unwrap()), ["server.js"]);
        }
    }

    #[test]
    fn links_are_kept_or_refused_by_name() {
        let dir = folder(&[("bin/tool", "")]);
        symlink("../bin/tool", dir.path().join("bin/again")).unwrap();
        let plan = Plan::of(dir.path()).unwrap();
        assert!(plan.entries().iter().any(|e| e.kind == Kind::Link { target: "../bin/tool".into() }));
        for target in ["/etc/passwd", "../../x", "tool/../../../x"] {
            let link = dir.path().join("bin/out");
            symlink(target, &link).unwrap();
            let error = Plan::of(dir.path()).unwrap_err();
            assert!(matches!(&error, DeployError::LinkOutside { path, .. } if *path == link), "{error}");
            std::fs::remove_file(link).unwrap();
        }
    }

    #[test]
    fn special_files_are_refused_by_name() {
        let dir = folder(&[("server.js", "")]);
        let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("sock")).unwrap();
        let error = Plan::of(dir.path()).unwrap_err().to_string();
        assert!(error.contains("/sock") && error.contains("a socket"), "{error}");
    }

    #[test]
    fn what_is_no_folder_or_empty_is_said() {
        let dir = folder(&[("file", "")]);
        assert!(matches!(Plan::of(&dir.path().join("file")), Err(DeployError::NotAFolder(_))));
        assert!(matches!(Plan::of(&dir.path().join("none")), Err(DeployError::File(_))));
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(Plan::of(empty.path()), Err(DeployError::Empty(_))));
    }
}
