//! The account's promises, under any order of looks.

use super::*;
use proptest::prelude::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn in_ram(resident: u64) -> Memory {
    Memory { resident, swap: 0 }
}

#[test]
fn memory_is_charged_to_the_rung_that_it_was_held_on() {
    let mut meter = Meter::default();
    meter.see(ms(0), in_ram(100));
    meter.moved(ms(0), SlotState::Running, Rung::Stopped);
    meter.see(ms(1000), in_ram(300));
    meter.moved(ms(1000), SlotState::Frozen, Rung::Running);
    meter.see(ms(3000), Memory { resident: 100, swap: 200 });
    meter.moved(ms(3000), SlotState::Reclaimed, Rung::Frozen);
    meter.see(ms(4000), Memory { resident: 100, swap: 200 });
    let spent = meter.spent();
    assert_eq!(
        (spent.running_kib_ms, spent.frozen_kib_ms, spent.reclaimed_kib_ms, spent.swap_kib_ms),
        (200_000, 400_000, 100_000, 400_000)
    );
    assert_eq!(meter.since(), ms(3000));
}

#[test]
fn what_a_program_used_outlives_it() {
    let mut meter = Meter::default();
    for _ in 0..2 {
        meter.see(ms(0), in_ram(10));
        meter.count(Counted { cpu_us: 500, oom_kills: 1 });
        // A file that is gone reads as nothing.
        meter.count(Counted::default());
        meter.ended(ms(100));
    }
    let spent = meter.spent();
    assert_eq!((spent.cpu_us, spent.oom_kills, spent.running_kib_ms), (1000, 2, 2000));
    meter.see(ms(900), in_ram(10));
    assert_eq!(meter.spent().running_kib_ms, 2000, "nothing is charged for the time without a program");
}

#[test]
fn wakes_are_counted_by_where_they_found_it() {
    let mut meter = Meter::default();
    for from in [Rung::Stopped, Rung::Frozen, Rung::Running, Rung::Reclaimed, Rung::Frozen] {
        meter.moved(ms(1), SlotState::Running, from);
    }
    let spent = meter.spent();
    assert_eq!((spent.woken_stopped, spent.woken_frozen, spent.woken_reclaimed), (1, 2, 1));
    assert_eq!((meter.take_wake(), meter.take_wake()), (Some(Rung::Frozen), None));
}

/// What can happen, with the milliseconds since the last.
fn happenings() -> impl Strategy<Value = Vec<(u64, u8, u64)>> {
    proptest::collection::vec((0u64..10_000, 0u8..8, 0u64..1 << 20), 0..60)
}

fn happen(meter: &mut Meter, now: Duration, kind: u8, n: u64) {
    match kind {
        0 => meter.moved(now, SlotState::Running, Rung::Frozen),
        1 => meter.moved(now, SlotState::Frozen, Rung::Running),
        2 => meter.moved(now, SlotState::Reclaimed, Rung::Frozen),
        3 => meter.ended(now),
        4 => meter.count(Counted { cpu_us: n, oom_kills: n % 3 }),
        5 => meter.passed(Traffic { requests: n, ..Traffic::default() }),
        _ => meter.see(now, Memory { resident: n & !3, swap: n & !3 }),
    }
}

proptest! {
    #[test]
    fn nothing_that_was_spent_is_ever_taken_back(happenings in happenings()) {
        let (mut meter, mut now) = (Meter::default(), Duration::ZERO);
        for (later, kind, n) in happenings {
            now += ms(later);
            let before = meter.spent().numbers();
            happen(&mut meter, now, kind, n);
            let after = meter.spent().numbers();
            prop_assert!(before.iter().zip(after).all(|(b, a)| *b <= a), "{before:?} {after:?}");
        }
    }

    #[test]
    fn memory_in_ram_and_the_same_in_swap_cost_as_much(happenings in happenings()) {
        let (mut meter, mut now) = (Meter::default(), Duration::ZERO);
        for (later, kind, n) in happenings {
            now += ms(later);
            happen(&mut meter, now, kind, n);
        }
        let spent = meter.spent();
        prop_assert_eq!(
            spent.running_kib_ms + spent.frozen_kib_ms + spent.reclaimed_kib_ms,
            spent.swap_kib_ms,
            "the rungs are all the time that there is"
        );
    }

    #[test]
    fn how_often_it_is_looked_does_not_matter(steps in proptest::collection::vec(1u64..1000, 1..40)) {
        let (mut often, mut seldom, mut now) = (Meter::default(), Meter::default(), Duration::ZERO);
        let memory = in_ram(4096);
        for meter in [&mut often, &mut seldom] {
            meter.see(now, memory);
        }
        for step in steps {
            now += ms(step);
            often.see(now, memory);
        }
        seldom.see(now, memory);
        prop_assert_eq!(often.spent(), seldom.spent());
    }
}
