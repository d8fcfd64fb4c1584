//! Memory that connections of one worker lend each other: a request has some while it is under way, a connection that waits has none. So a thousand that wait
//! hold what a few hold that do not, and no heap is spread out by what each gives back later.

use std::cell::RefCell;

/// Of each piece.
pub(super) const BYTES: usize = 16 << 10;
/// Pieces that are kept for the next.
const MOST: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty piece with room for so many bytes at least.
pub(super) fn take(room: usize) -> Vec<u8> {
    match room {
        0..=BYTES => SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(BYTES)),
        _ => Vec::with_capacity(room),
    }
}

/// Gives a piece back, whatever is in it.
pub(super) fn give(mut piece: Vec<u8>) {
    if piece.capacity() == BYTES {
        piece.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < MOST {
                spare.push(piece);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again() {
        let mut piece = take(10);
        piece.push(1);
        let at = piece.as_ptr();
        give(piece);
        let again = take(BYTES);
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (at, 0, BYTES));
        assert!(take(BYTES + 1).capacity() > BYTES);
        give(Vec::with_capacity(BYTES + 1));
        for _ in 0..=MOST {
            give(Vec::with_capacity(BYTES));
        }
        assert_eq!(SPARE.with_borrow(Vec::len), MOST);
    }
}
