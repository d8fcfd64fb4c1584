//! Which blocks are sent: all that have content, or, on top of a parent, all that differ from it.

use crate::image::{BLOCK, BlockMap, Digest};

/// A block that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Which.
    pub index: u32,
    /// Its digest.
    pub digest: Digest,
    /// It is a hole in the image and must become zeros again, since the parent has something there.
    pub blank: bool,
}

/// The blocks to send, in their order.
pub(super) fn plan(image: &BlockMap, parent: Option<&BlockMap>) -> Vec<Block> {
    let Some(parent) = parent else {
        return image.iter().map(|(index, digest)| Block { index, digest, blank: false }).collect();
    };
    let changed = image.iter().filter(|&(index, digest)| parent.get(index) != Some(digest));
    let mut blocks: Vec<_> = changed.map(|(index, digest)| Block { index, digest, blank: false }).collect();
    let zeros = Digest::of(&vec![0; BLOCK]);
    let emptied = parent.iter().filter(|&(index, digest)| image.get(index).is_none() && digest != zeros);
    blocks.extend(emptied.map(|(index, _)| Block { index, digest: zeros, blank: true }));
    blocks.sort_unstable_by_key(|block| block.index);
    blocks
}

/// The checksum over these blocks that seals a snapshot.
pub(super) fn seal(blocks: &[Block]) -> Digest {
    Digest::over(blocks.iter().map(|block| block.digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(blocks: &[(u32, &[u8])]) -> BlockMap {
        blocks.iter().map(|&(index, content)| (index, Digest::of(content))).collect()
    }

    #[test]
    fn without_a_parent_everything_is_sent() {
        let blocks = plan(&map(&[(0, b"a"), (5, b"b")]), None);
        assert_eq!(blocks.iter().map(|block| block.index).collect::<Vec<_>>(), [0, 5]);
        assert!(blocks.iter().all(|block| !block.blank));
    }

    #[test]
    fn with_a_parent_only_what_differs_is_sent() {
        let zeros = vec![0; BLOCK];
        let parent = map(&[(0, b"same"), (1, b"old"), (3, b"gone"), (4, &zeros)]);
        let image = map(&[(0, b"same"), (1, b"new"), (2, b"more")]);
        let blocks = plan(&image, Some(&parent));
        let sent: Vec<_> = blocks.iter().map(|block| (block.index, block.blank)).collect();
        assert_eq!(
            sent,
            [(1, false), (2, false), (3, true)],
            "what the parent has and the image has not is blanked"
        );
        assert_eq!(blocks[2].digest, Digest::of(&zeros));
    }

    #[test]
    fn the_seal_depends_on_the_order() {
        let blocks = plan(&map(&[(0, b"a"), (5, b"b")]), None);
        let other = plan(&map(&[(0, b"b"), (5, b"a")]), None);
        assert_ne!(seal(&blocks), seal(&other));
    }
}
