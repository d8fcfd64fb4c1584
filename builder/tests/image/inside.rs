//! Looks into an EROFS image with a reader that is not ours and shares nothing with mkfs.erofs.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use erofs_rs::backend::SliceImage;
use erofs_rs::sync::EroFS;
use kennel_policy::FileType;

pub(crate) struct Image<'a>(EroFS<SliceImage<'a>>);

pub(crate) struct Node {
    pub(crate) path: String,
    pub(crate) file_type: FileType,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) label: Option<String>,
}

impl<'a> Image<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Self {
        Self(EroFS::new(SliceImage::new(bytes)).unwrap())
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.open(path).unwrap_or_else(|error| panic!("{path}: {error}")).read_to_end(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn nodes(&self) -> Vec<Node> {
        let root = self.0.get_inode(self.0.super_block().root_inode_id()).unwrap();
        let mut nodes = vec![self.node("/".into(), root)];
        for entry in self.0.walk_dir("/").unwrap() {
            let entry = entry.unwrap();
            let path = entry.dir_entry.path().to_str().unwrap().to_owned();
            nodes.push(self.node(path, entry.inode));
        }
        nodes
    }

    fn node(&self, path: String, inode: erofs_rs::types::Inode) -> Node {
        let xattrs = self.0.xattrs_inode(inode).unwrap();
        let label = xattrs.get(&b"security.selinux"[..]);
        let file_type = match () {
            () if inode.is_dir() => FileType::Directory,
            () if inode.is_symlink() => FileType::Symlink,
            () => FileType::Regular,
        };
        // A link's own mode means nothing.
        let mode = if inode.is_symlink() { 0 } else { inode.permissions().mode() & 0o7777 };
        let label = label.map(|label| String::from_utf8(label.clone()).unwrap());
        Node { path, file_type, mode, uid: inode.uid(), gid: inode.gid(), label }
    }
}
