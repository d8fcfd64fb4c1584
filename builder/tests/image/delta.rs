//! What of an image is another when one program has changed: that, and little more, is what publishing the next version
//! sends. `benches/delta.sh` measures the same with changed sources.

use std::fs;

use super::{MIB, built, guests};

/// What is sent or not as one.
const UPLOAD: usize = 512 << 10;
/// Of the bytes written: what one changed line may cost.
const MOST: f64 = 0.1;

/// A folder of programs in which one was linked anew after a change: addresses in all parts of it are others, and it has
/// grown a little.
fn with_a_change_in(changed: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(guests()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !name.starts_with("kennel-") || name.contains('.') {
            continue;
        }
        let mut program = fs::read(entry.path()).unwrap();
        if name == changed {
            program.iter_mut().skip(4096).step_by(1 << 14).for_each(|byte| *byte = !*byte);
            program.extend((0..2000u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()));
        }
        fs::write(folder.path().join(name), program).unwrap();
    }
    folder
}

fn blocks_that_differ(changed: &str) -> usize {
    let programs = with_a_change_in(changed);
    let (_folder, other) = super::build(programs.path());
    let [one, two] = [&built().image, &other.image].map(|path| fs::read(path).unwrap());
    assert_eq!(one.len(), two.len(), "the disk has another size");
    one.chunks(UPLOAD).zip(two.chunks(UPLOAD)).filter(|(one, two)| one != two).count()
}

#[test]
#[ignore = "needs Kennel's programs and the packages: see the head of image.rs"]
fn a_change_of_one_program_changes_a_tenth_of_the_image_at_most() {
    // The largest, and the one that is in the boot program too.
    for program in ["kennel-control", "kennel-init"] {
        let blocks = blocks_that_differ(program);
        let written = built().written_bytes;
        let part = (blocks * UPLOAD) as f64 / written as f64;
        println!("{program}: {blocks} blocks, {:.1} % of {} MiB written", part * 100.0, written / MIB);
        assert!(part <= MOST, "{program}: {blocks} blocks differ, {:.1} % of the bytes written", part * 100.0);
    }
}
