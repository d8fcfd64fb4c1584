//! The ordinary `kennel-init` has no code to leave a layer away, whatever else is compiled beside it.

#[test]
fn it_has_nothing_of_the_proof_flavour() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_kennel-init")).unwrap();
    let says = |words: &[u8]| program.windows(words.len()).any(|window| window == words);
    assert!(!says(b"PROOF IMAGE"));
    // The test can see words at all.
    assert!(says(b"SELinux enforces; init is in init_t"));
}
