//! What a path of a request means in a site of PHP: a script, a file, or the front controller, which is what everything else
//! is. All of it lies below the folder of the front controller, links followed; sources are run, and never shown.

use std::io;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

/// Names in place of a folder, the best first.
const INDEXES: [&str; 2] = ["index.php", "index.html"];
/// The one name that may begin with a dot, at the top of the site.
const WELL_KNOWN: &str = ".well-known";
/// Where Composer puts packages, and by what that is known: `public/vendor` may be what a site shows.
const PACKAGES: (&str, &str) = ("vendor", "vendor/autoload.php");
/// Files at the top that say what a program is made of: they are no part of the site, even if that is the whole release.
const NOT_SHOWN: [&str; 9] = [
    "composer.json",
    "composer.lock",
    "package.json",
    "package-lock.json",
    "Procfile",
    "kennel.toml",
    "Makefile",
    "Dockerfile",
    "phpunit.xml",
];
/// Endings of what is a program's, and of what it keeps.
const ENDINGS: [&str; 22] = [
    "inc", "phtml", "phar", "phps", "module", "install", "theme", "twig", "tpl", "ini", "conf", "cfg", "yml",
    "yaml", "neon", "sql", "sqlite", "sqlite3", "db", "log", "lock", "sh",
];
/// Endings of copies that editors and people leave.
const COPIES: [&str; 6] = ["bak", "old", "orig", "save", "swp", "dist"];

/// A site.
#[derive(Debug, Clone)]
pub struct Site {
    /// The folder that visitors see, without links in its path.
    root: PathBuf,
    /// The name of the front controller in it.
    front: String,
    /// Packages lie in it, which are no part of it.
    packages: bool,
}

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A script is to be run.
    Script(Script),
    /// A file is to be sent.
    File(PathBuf),
    /// A folder that has an index: its name ends with a slash.
    Folder,
    /// Nothing that visitors may have.
    Nothing,
    /// No path.
    Malformed,
}

/// A script, and how it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its file.
    pub file: PathBuf,
    /// Its path on the site.
    pub name: String,
    /// What follows that in the request's path; empty where nothing does.
    pub info: String,
}

impl Site {
    /// The site of a front controller.
    ///
    /// # Errors
    /// It is not there, or is no script.
    pub fn of(front: &Path) -> io::Result<Self> {
        let invalid = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
        let name = front.file_name().and_then(|name| name.to_str()).filter(|name| is_script(name));
        let name = name.ok_or_else(|| invalid("a front controller is a file that ends with .php"))?;
        let above = front.parent().filter(|above| *above != Path::new("")).unwrap_or(Path::new("."));
        let root = above.canonicalize()?;
        let packages = root.join(PACKAGES.1).exists();
        let site = Self { root, front: name.to_owned(), packages };
        match site.within(&site.root.join(name)) {
            Some(file) if file.is_file() => Ok(site),
            _ => Err(invalid("it is no file below its folder")),
        }
    }

    /// The folder that visitors see.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the path of a request means, as it was sent: without what follows a question mark.
    pub fn find(&self, path: &str) -> Place {
        let Some(names) = names(path) else { return Place::Malformed };
        if self.is_hidden(&names) {
            return Place::Nothing;
        }
        let slash = path.ends_with('/');
        let mut at = self.root.clone();
        for (index, name) in names.iter().enumerate() {
            at.push(name);
            // An empty name names nothing: what it is, the front controller may know.
            let Some(found) = (!name.is_empty()).then(|| self.within(&at)).flatten() else {
                return self.front();
            };
            let last = index + 1 == names.len();
            match found.is_file() {
                true if is_script(name) => {
                    // What a link has for a name does not make a script of it.
                    return match is_script(&found.to_string_lossy()) {
                        true => script(found, &names[..=index], &names[index + 1..], slash),
                        false => Place::Nothing,
                    };
                }
                true if !last || slash => return self.front(),
                true if is_shown(&names, name) && is_shown(&names, &found.to_string_lossy()) => {
                    return Place::File(found);
                }
                true => return Place::Nothing,
                false if !found.is_dir() => return self.front(),
                false => {}
            }
        }
        self.index(&at, &names, slash)
    }

    /// What is there in place of a folder.
    fn index(&self, folder: &Path, names: &[String], slash: bool) -> Place {
        for index in INDEXES {
            let Some(found) = self.within(&folder.join(index)).filter(|found| found.is_file()) else {
                continue;
            };
            return match (slash || names.is_empty(), is_script(index)) {
                (false, _) => Place::Folder,
                (true, true) if !is_script(&found.to_string_lossy()) => Place::Nothing,
                (true, true) => script(found, &[names, &[index.to_owned()]].concat(), &[], false),
                (true, false) => Place::File(found),
            };
        }
        self.front()
    }

    /// Everything that is not there is the front controller's.
    fn front(&self) -> Place {
        Place::Script(Script {
            file: self.root.join(&self.front),
            name: format!("/{}", self.front),
            info: String::new(),
        })
    }

    /// Whether one of the names is nobody's to see, whatever is there.
    fn is_hidden(&self, names: &[String]) -> bool {
        let dotted = |(at, name): (usize, &String)| name.starts_with('.') && !(at == 0 && name == WELL_KNOWN);
        let first = names.first().map_or("", String::as_str);
        names.iter().enumerate().any(dotted)
            || NOT_SHOWN.iter().any(|hidden| hidden.eq_ignore_ascii_case(first))
            || (self.packages && first == PACKAGES.0)
    }

    /// What is at a path, links followed, if it is below the folder that visitors see.
    fn within(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok().filter(|found| found.starts_with(&self.root))
    }
}

fn script(file: PathBuf, name: &[String], info: &[String], slash: bool) -> Place {
    let joined = |names: &[String]| names.iter().map(|name| format!("/{name}")).collect::<String>();
    let slash = if slash { "/" } else { "" };
    Place::Script(Script { file, name: joined(name), info: joined(info) + slash })
}

/// The names of a path, percent signs decoded once; the last slash ends the path and names nothing. None of what would mean
/// something else to whoever decodes it again or takes it for a path of the file system.
fn names(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(vec![]);
    }
    path.split('/').map(name).collect()
}

fn name(encoded: &str) -> Option<String> {
    let name = percent_decode_str(encoded).decode_utf8().ok()?;
    let odd = |c: char| c.is_control() || c == '/' || c == '\\';
    (name != "." && name != ".." && name.len() <= 255 && !name.chars().any(odd)).then(|| name.into_owned())
}

fn is_script(name: &str) -> bool {
    name.ends_with(".php")
}

/// Whether a file of this name is one for visitors: no source, however it is called, and none of a program's own.
fn is_shown(names: &[String], name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let well_known = names.first().is_some_and(|first| first == WELL_KNOWN);
    let source = name.contains(".php") || name.ends_with('~') || COPIES.contains(&ending);
    !source && !name.starts_with('.') && (well_known || !ENDINGS.contains(&ending))
}

#[cfg(test)]
mod tests;
