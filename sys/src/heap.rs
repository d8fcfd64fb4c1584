//! What the C library's heap keeps of memory that the program has given back.

/// Gives all pages that hold nothing back to the kernel, wherever in the heap they are; by itself the C library gives back
/// those at its end only. Takes a look at every free piece: for now and then, not for every `drop`.
pub fn trim() {
    // SAFETY: malloc_trim(3) takes no pointer, may be called at any time from any thread, and changes nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}
