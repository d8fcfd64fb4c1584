//! The byte code of a runtime's library: compiled when the image is built, by the runtime's own interpreter. A slot's root is read-only,
//! so that otherwise every start of a program would compile what it imports. What tenants bring themselves is not compiled here.

use std::fs;
use std::path::{Path, PathBuf};

use super::BuildError;
use super::cache::Cache;
use super::content::Content;
use super::tools;
use super::tree::{Node, Tree};
use crate::digest::Sha256;
use crate::spec::Bytecode;

/// What the interpreter is told; the folders follow. The code is bound to its source by the source's digest, which nothing compares at
/// run time: a time would be another in each build, and both lie on the verified root. Isolated (`-I`), for nothing of this
/// computer to count. `-B`, or what the compiler itself imports would be written with times before its turn comes, and be taken
/// for done.
const ARGUMENTS: [&str; 7] = ["-I", "-B", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"];
/// Where the tree is while it is compiled, and what of it is kept, in the folder of the cache.
const TREE: &str = "tree";
const CODE: &str = "code";
/// Changes when the same tree would give other code.
const RECIPE: u32 = 1;

/// Compiles what the tree has of those folders, or finds it in the cache, and adds the code. `kind` is the cache's, `set` for messages.
///
/// # Errors
/// When the interpreter is not there or fails, or the cache cannot be written.
pub(super) fn add(
    tree: &mut Tree,
    wanted: &Bytecode,
    kind: &str,
    set: &str,
    cache: &Cache,
) -> Result<(), BuildError> {
    let missing = |path: &str| BuildError::NotBrought { set: set.to_owned(), path: path.to_owned() };
    if tree.content(&wanted.program).is_none() {
        return Err(missing(&wanted.program));
    }
    let recipe = format!("{RECIPE} {ARGUMENTS:?} {wanted:?} {}", tree.digest());
    let made = cache.entry(kind, &Sha256::of(recipe.as_bytes()), |folder| compile(tree, wanted, folder))?;
    let mut code = Vec::new();
    find(&made.join(CODE), &mut code).map_err(BuildError::io(&made))?;
    let is_compiled =
        |folder: &&String| code.iter().any(|file| file.starts_with(made.join(CODE).join(inside(folder))));
    if let Some(folder) = wanted.folders.iter().find(|folder| !is_compiled(folder)) {
        return Err(missing(&format!("{folder}/__pycache__")));
    }
    for file in code {
        let content = Content::file(&file).map_err(BuildError::io(&file))?;
        let inside = file.strip_prefix(made.join(CODE)).unwrap_or(&file);
        let path = format!("/{}", inside.display());
        let added = tree.add(&path, Node::file(0o644, content));
        added.map_err(|cause| BuildError::Tree { tree: set.to_owned(), cause })?;
    }
    Ok(())
}

/// Leaves the code, and nothing else, in the folder.
fn compile(tree: &Tree, wanted: &Bytecode, folder: &Path) -> Result<(), BuildError> {
    let root = folder.join(TREE);
    fs::create_dir(&root).map_err(BuildError::io(&root))?;
    tools::write_out(tree, &root)?;
    let mut command = tools::command_in(&root, inside(&wanted.program));
    // The sources are named as they will be found, and not where they are now.
    command.args(ARGUMENTS).arg("-s").arg(&root).args(["-p", "/"]);
    command.args(wanted.folders.iter().map(|folder| root.join(inside(folder))));
    tools::run(&wanted.program, command, folder, |_| Ok(()))?;
    let all = folder.join(CODE);
    fs::create_dir(&all).map_err(BuildError::io(&all))?;
    let mut code = Vec::new();
    find(&root, &mut code).map_err(BuildError::io(&root))?;
    for file in code {
        let kept = all.join(file.strip_prefix(&root).unwrap_or(&file));
        let above = kept.parent().unwrap_or(folder);
        let moved = fs::create_dir_all(above).and_then(|()| fs::rename(&file, &kept));
        moved.map_err(BuildError::io(&kept))?;
    }
    fs::remove_dir_all(&root).map_err(BuildError::io(&root))
}

fn inside(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// All byte code below a folder, links not followed.
fn find(folder: &Path, code: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            find(&entry.path(), code)?;
        } else if kind.is_file() && entry.path().extension().is_some_and(|ending| ending == "pyc") {
            code.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands for an interpreter: a loader that puts code beside each source, and says where it is.
    const LOADER: &str =
        "#!/bin/sh\nfor last; do :; done\nmkdir $last/__pycache__\necho \"$@\" > $last/__pycache__/a.pyc\n";

    fn tree(loader: &str) -> Tree {
        let mut tree = Tree::default();
        tree.add_bytes("/usr/lib64/ld-linux-x86-64.so.2", 0o755, loader).unwrap();
        tree.add_bytes("/usr/bin/python", 0o755, "x").unwrap();
        tree.add_bytes("/usr/lib/python/a.py", 0o644, "pass").unwrap();
        tree
    }

    fn wanted() -> Bytecode {
        Bytecode { program: "/usr/bin/python".into(), folders: vec!["/usr/lib/python".into()] }
    }

    #[test]
    fn code_is_made_once_and_lies_beside_its_source() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let code = || {
            let mut tree = tree(LOADER);
            add(&mut tree, &wanted(), "bytecode-python", "runtime/python", &cache).unwrap();
            let path = "/usr/lib/python/__pycache__/a.pyc";
            assert_eq!(tree.get(path).unwrap().mode, 0o644);
            String::from_utf8(tree.content(path).unwrap().read().unwrap()).unwrap()
        };
        let first = code();
        assert!(first.contains("/tree/usr/bin/python -I -B -m compileall -q"), "{first}");
        // The folder was another one, had it been made twice.
        assert_eq!(first, code());
        let kept: Vec<_> = fs::read_dir(folder.path().join("bytecode-python")).unwrap().collect();
        let kept = kept[0].as_ref().unwrap().path();
        assert!(kept.join(CODE).is_dir() && !kept.join(TREE).exists(), "the code alone is kept");
    }

    #[test]
    fn an_interpreter_that_is_missing_or_fails_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let refused = |mut tree: Tree| add(&mut tree, &wanted(), "b", "runtime/python", &cache).unwrap_err();
        let error = refused(tree("#!/bin/sh\necho no such module; exit 3\n")).to_string();
        assert!(error.contains("/usr/bin/python") && error.contains("no such module"), "{error}");
        let mut without = tree(LOADER);
        without.remove("/usr/bin/python");
        assert!(matches!(refused(without), BuildError::NotBrought { path, .. } if path == "/usr/bin/python"));
        assert!(
            matches!(refused(tree("#!/bin/sh\n")), BuildError::NotBrought { path, .. } if path.ends_with("__pycache__"))
        );
    }
}
