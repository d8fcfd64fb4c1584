//! Files that only say where another one is: Git LFS leaves them where it has not been set up.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::Plan;
use super::plan::Kind;

/// What each of them begins with, and more than any has.
const BEGIN: &[u8] = b"version https://git-lfs.github.com/spec/";
const MOST: u64 = 1024;

/// Those that are to be sent.
///
/// # Errors
/// A file that cannot be read.
pub fn pointers(plan: &Plan) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in plan.entries() {
        match entry.kind {
            Kind::File { size, .. } if size > BEGIN.len() as u64 && size < MOST => {}
            _ => continue,
        }
        let mut begin = Vec::new();
        File::open(plan.folder().join(&entry.path))?.take(BEGIN.len() as u64).read_to_end(&mut begin)?;
        if begin == BEGIN {
            found.push(entry.path.clone());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_known_by_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
        for (name, text) in
            [("a.bin", pointer), ("about", &pointer[..20]), ("notes", &format!("{pointer:2000}"))]
        {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        assert_eq!(pointers(&Plan::of(dir.path()).unwrap()).unwrap(), [PathBuf::from("a.bin")]);
    }
}
