//! What a proof image adds to the policy: the openings that let one layer be seen without the other. No other image has
//! them, and the `neverallow`s hold for them all the same.

use crate::Extra;

/// The addition, for [`crate::render`].
pub fn proof_image() -> Extra {
    let cil = include_str!("../cil/proof.cil").to_owned();
    Extra { name: "proof".to_owned(), cil, ..Extra::default() }
}

#[cfg(test)]
mod tests {
    use kennel_model::SlotId;
    use kennel_model::proof::{BARE_NEIGHBOUR, Layers};

    use super::*;

    #[test]
    fn just_the_slots_without_selinux_are_permissive() {
        let cil = proof_image().cil;
        for slot in SlotId::pool(16) {
            let permissive = cil.contains(&format!("(typepermissive tenant{slot}_t)"));
            assert_eq!(permissive, Layers::of(slot).permissive(), "slot {slot}");
        }
        assert!(Layers::of(SlotId::new(BARE_NEIGHBOUR).unwrap()).permissive());
    }
}
