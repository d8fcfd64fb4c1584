//! Shares of the processors (`cpu.weight`) that follow who runs just now; whoever uses less than his leaves the rest to the
//! others. The kernel knows shares only, and what one is worth depends on who else runs, so the weights of programs with a
//! reservation rise with the others'. And programs that are woken at the same time share what one of them would get: each
//! computes as much as it can, and who is awake already is not to wait for a crowd.

use kennel_model::{SlotId, SlotState};

use super::Host;
use crate::say;

/// The kernel's bound on a weight.
const MAX_WEIGHT: f64 = 10_000.0;
/// Control sells no more of the processors than this; what it would be cut to.
const MOST_RESERVED: f64 = kennel_model::launch::RESERVABLE_PERCENT as f64 / 100.0;
/// What is left of an error after so many: less than a ten-thousandth.
const STEPS: u32 = 40;

/// What a running program is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    weight: u16,
    /// Percent of one processor; 0 for none.
    reserved: u16,
}

/// The weight of each: its own, or as much more as makes its part of all weights what is reserved for it. As the greater
/// weight of one makes the part of the others smaller, the sum W is the one at which W = Σ max(own, part × W); from below it
/// is reached in few steps, since all parts together are no more than [`MOST_RESERVED`].
fn weights(claims: &[Claim], processors: u16) -> Vec<u16> {
    // Nearly always, and at each change of a program's state.
    if claims.iter().all(|claim| claim.reserved == 0) {
        return claims.iter().map(|claim| claim.weight).collect();
    }
    let whole = 100.0 * f64::from(processors.max(1));
    let all: f64 = claims.iter().map(|claim| f64::from(claim.reserved) / whole).sum();
    let part = |claim: &Claim| f64::from(claim.reserved) / whole * (MOST_RESERVED / all).min(1.0);
    let weight = |claim: &Claim, sum: f64| f64::from(claim.weight).max(part(claim) * sum);
    let sum = (0..STEPS).fold(0.0, |sum, _| claims.iter().map(|claim| weight(claim, sum)).sum());
    claims.iter().map(|claim| weight(claim, sum).ceil().min(MAX_WEIGHT) as u16).collect()
}

/// What one of so many that are woken at the same time weighs. By powers of two, or each of a crowd would change the weights
/// of all.
fn woken(weight: u16, together: usize) -> u16 {
    let together = u16::try_from(together.next_power_of_two()).unwrap_or(u16::MAX).max(1);
    (weight / together).max(1)
}

impl Host {
    /// Sets the weights anew, as one more or one fewer program runs or is woken.
    pub(super) fn share_processors(&mut self) {
        let running = self.slots.iter().filter(|(_, slot)| slot.state.public() == SlotState::Running);
        let (ids, claims): (Vec<SlotId>, Vec<Claim>) = running
            .filter_map(|(id, slot)| {
                let limits = slot.limits()?;
                let weight = woken(limits.cpu_weight, self.woken_together(*id));
                Some((*id, Claim { weight, reserved: limits.cpu_reserved_percent }))
            })
            .unzip();
        for (id, weight) in ids.iter().zip(weights(&claims, self.processors)) {
            let Some(slot) = self.slots.get_mut(id) else { continue };
            if slot.weight != weight {
                slot.weight = weight;
                if let Err(e) = slot.cgroup(*id).share(weight) {
                    say!("FAILED to {e}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::launch::RESERVABLE_PERCENT;
    use proptest::prelude::*;

    const fn claim(weight: u16, reserved: u16) -> Claim {
        Claim { weight, reserved }
    }

    #[test]
    fn a_reservation_is_a_part_of_the_whole_machine() {
        // Half of one processor beside three others: as much as they have together.
        let four = [claim(100, 50), claim(100, 0), claim(100, 0), claim(100, 0)];
        assert_eq!(weights(&four, 1), [300, 100, 100, 100]);
        // Half of one of two processors.
        assert_eq!(weights(&four, 2), [100, 100, 100, 100]);
        assert_eq!(weights(&[claim(7, 50)], 1), [7], "alone it needs none");
    }

    #[test]
    fn who_is_woken_with_others_weighs_its_part() {
        assert_eq!(
            [(100, 0), (100, 1), (100, 3), (2, 5)].map(|(own, together)| woken(own, together)),
            [100, 100, 25, 1]
        );
    }

    proptest! {
        #[test]
        fn each_gets_what_is_reserved_for_it_and_no_less_than_without(
            reserved in proptest::collection::vec(0u16..25, 1..30),
            own in proptest::collection::vec(1u16..200, 30),
            processors in 1u16..4,
        ) {
            let claims: Vec<_> = reserved.iter().zip(own).map(|(r, w)| claim(w, *r)).collect();
            let sold = reserved.iter().sum::<u16>() <= RESERVABLE_PERCENT * processors;
            let weights = weights(&claims, processors);
            let all: f64 = weights.iter().copied().map(f64::from).sum();
            for (weight, claim) in weights.iter().zip(&claims) {
                prop_assert!(*weight >= claim.weight);
                let part = f64::from(*weight) / all;
                let promised = f64::from(claim.reserved) / (100.0 * f64::from(processors));
                let whole = !sold || part >= promised * 0.97;
                prop_assert!(whole, "{part} of {promised}: {claims:?} {weights:?}");
            }
        }
    }
}
