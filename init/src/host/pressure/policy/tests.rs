//! What memory has to be short of, and for how long, before somebody makes room.

use super::*;
use kennel_model::memory::Swap;

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

const MIB: u64 = 1 << 20;
/// The kernel has looked for memory in each of these.
fn figures(available: u64, some_ms: u64, scanned: u64) -> Figures {
    let swap = Swap { total_bytes: 2048 * MIB, ..Swap::default() };
    let memory =
        Memory { total_bytes: 1024 * MIB, available_bytes: available * MIB, swap, ..Memory::default() };
    Figures { memory, some_us: some_ms * 1000, full_us: some_ms * 500, scanned }
}

fn short() -> Policy {
    let mut policy = Policy::default();
    assert_eq!(policy.look(figures(20, 0, 0), 0, false, s(100)), Some(News::Short));
    policy
}

fn candidate(slot: u16, idle: u64) -> Candidate {
    let slot = SlotId::new(slot).unwrap();
    Candidate { slot, idle: s(idle), reclaimed: false, freezes: true, gives_way: true, stops: true }
}

fn chosen(policy: &mut Policy, candidates: &[Candidate]) -> Option<(u16, Relief)> {
    policy.choose(candidates, false, s(101)).map(|(slot, relief)| (slot.index(), relief))
}

#[test]
fn short_from_the_low_mark_to_the_high_one() {
    let mut policy = Policy::default();
    for (now, available, news) in [
        (1, 65, None),
        (1, 64, None),
        (1, 63, Some(News::Short)),
        (2, 65, None),
        (2, 127, None),
        (3, 128, None),
        (4, 127, None),
        (5, 128, None),
        (6, 128, None),
        (9, 128, None),
        (10, 128, Some(News::Enough)),
        (11, 65, None),
    ] {
        assert_eq!(policy.look(figures(available, 0, 0), 0, false, s(now)), news, "{available} MiB at {now} s");
    }
}

#[test]
fn what_those_in_line_need_is_missing_already() {
    let mut policy = Policy::default();
    assert_eq!(policy.look(figures(164, 0, 0), 100 * MIB, false, s(1)), None);
    assert_eq!(policy.look(figures(163, 0, 0), 100 * MIB, false, s(1)), Some(News::Short));
    assert_eq!(policy.look(figures(227, 0, 0), 100 * MIB, false, s(2)), None);
    let gone = Candidate { reclaimed: true, ..candidate(2, 10) };
    assert_eq!(chosen(&mut policy, &[gone]), None, "nobody is stopped for them");
    assert_eq!(chosen(&mut policy, &[candidate(1, 10)]), Some((1, Relief::Reclaim)));
    assert_eq!(policy.look(figures(228, 0, 0), 100 * MIB, false, s(2)), None);
    assert_eq!(chosen(&mut policy, &[candidate(1, 10)]), None);
    assert_eq!(policy.look(figures(130, 0, 0), 0, false, s(7)), Some(News::Enough), "they have gone");
}

#[test]
fn waiting_counts_while_the_kernel_looks_for_memory_for_all() {
    let mut policy = Policy::default();
    assert_eq!(policy.look(figures(300, 0, 0), 0, false, s(1)), None);
    assert_eq!(policy.look(figures(300, 900, 0), 0, false, s(2)), None, "within some program's own limit");
    assert_eq!(policy.look(figures(300, 990, 5), 0, false, s(3)), None, "90 ms of a second");
    assert_eq!(policy.look(figures(300, 1090, 9), 0, false, s(4)), Some(News::Short));
    assert!(!policy.is_strained());
    assert_eq!(policy.look(figures(300, 1390, 19), 0, false, s(5)), None);
    assert!(policy.is_strained());
    assert_eq!(policy.look(figures(300, 1400, 29), 0, false, s(6)), None, "10 ms");
    assert_eq!(policy.look(figures(300, 1400, 29), 0, false, s(11)), Some(News::Enough));
    assert_eq!(policy.look(figures(600, 2300, 39), 0, false, s(12)), None, "half of it is there");
}

#[test]
fn the_kernels_word_counts_however_long_ago_the_last_look_was() {
    let mut policy = Policy::default();
    assert_eq!(policy.look(figures(300, 0, 0), 0, false, s(1)), None);
    assert_eq!(policy.look(figures(300, 100, 0), 0, true, s(6)), None, "nobody looked for memory for all");
    assert_eq!(policy.look(figures(300, 200, 1), 0, true, s(11)), Some(News::Short));
}

#[test]
fn the_least_recently_used_goes_first_and_who_does_not_freeze_last() {
    let mut policy = short();
    let busy = Candidate { freezes: false, gives_way: false, ..candidate(1, 10) };
    let all = [candidate(3, 50), busy, candidate(2, 40), candidate(4, 97)];
    assert_eq!(chosen(&mut policy, &all), Some((2, Relief::Reclaim)));
    assert_eq!(policy.awaited(s(102)), Some(all[2].slot));
    assert_eq!(policy.awaited(s(106)), None);
    assert_eq!(chosen(&mut policy, &[busy, all[0]]), Some((3, Relief::Reclaim)));
    assert_eq!(chosen(&mut policy, &[busy, all[3]]), Some((1, Relief::Reclaim)));
    assert_eq!(chosen(&mut policy, &[all[3]]), None, "needed a moment ago");
}

#[test]
fn who_has_given_all_is_stopped_and_who_does_not_freeze_never() {
    let mut policy = short();
    let gone = |c: Candidate| Candidate { reclaimed: true, ..c };
    let never = Candidate { stops: false, ..gone(candidate(1, 10)) };
    let busy = Candidate { freezes: false, gives_way: false, ..candidate(5, 5) };
    let all = [gone(candidate(3, 50)), never, gone(candidate(2, 60)), busy];
    assert_eq!(chosen(&mut policy, &all), Some((5, Relief::Reclaim)));
    policy.spent(busy.slot, s(101));
    assert_eq!(chosen(&mut policy, &all), Some((3, Relief::Stop)));
    assert_eq!(chosen(&mut policy, &[never, busy]), Some((1, Relief::Stop)));
    assert_eq!(chosen(&mut policy, &[busy]), None);
    let always_on = Candidate { gives_way: false, ..never };
    assert_eq!(chosen(&mut policy, &[always_on]), None);
    policy.spent(never.slot, s(131));
    assert_eq!(chosen(&mut policy, &[busy]), Some((5, Relief::Reclaim)), "asked again after a while");
}

#[test]
fn full_swap_is_asked_for_no_room() {
    for (used, zram) in [(1921, 100), (500, 512)] {
        let mut policy = short();
        let mut full = figures(20, 0, 0);
        full.memory.swap.used_bytes = used * MIB;
        full.memory.swap.zram_memory_bytes = zram * MIB;
        policy.look(full, 0, false, s(101));
        assert_eq!(chosen(&mut policy, &[candidate(1, 10)]), Some((1, Relief::Stop)), "{used} {zram}");
    }
    let mut policy = short();
    let mut none = figures(20, 0, 0);
    none.memory.swap.total_bytes = 0;
    policy.look(none, 0, false, s(101));
    assert_eq!(chosen(&mut policy, &[candidate(1, 10)]), Some((1, Relief::Stop)), "there is no swap");
}

#[test]
fn compressed_memory_may_be_full_while_a_disk_has_room() {
    let relief = |zram_used: u64, zram_memory: u64, disk: u64, disk_used: u64| {
        let mut policy = short();
        let mut figures = figures(20, 0, 0);
        let swap = &mut figures.memory.swap;
        swap.total_bytes = (512 + disk) * MIB;
        swap.used_bytes = (zram_used + disk_used) * MIB;
        (swap.disk_total_bytes, swap.disk_used_bytes) = (disk * MIB, disk_used * MIB);
        swap.zram_memory_bytes = zram_memory * MIB;
        policy.look(figures, 0, false, s(101));
        chosen(&mut policy, &[candidate(1, 10)]).map(|(_, relief)| relief)
    };
    assert_eq!(relief(512, 512, 1600, 0), Some(Relief::Reclaim));
    assert_eq!(relief(512, 150, 1600, 1499), Some(Relief::Reclaim));
    assert_eq!(relief(512, 150, 1600, 1500), Some(Relief::Stop), "both are full");
    assert_eq!(relief(100, 30, 1600, 1600), Some(Relief::Reclaim), "the disk is full, and memory is not");
    assert_eq!(relief(512, 150, 0, 0), Some(Relief::Stop), "there is no disk");
}

#[test]
fn nobody_is_stopped_while_there_is_room_for_what_somebody_gives() {
    for (zram, disk, chosen) in [(256, 0, None), (512, 0, Some(Relief::Stop)), (256, 1600, None)] {
        let mut policy = short();
        let mut figures = figures(20, 0, 0);
        let swap = &mut figures.memory.swap;
        swap.zram_memory_bytes = zram * MIB;
        swap.total_bytes += disk * MIB;
        swap.disk_total_bytes = disk * MIB;
        policy.look(figures, 0, false, s(101));
        let gone = [Candidate { reclaimed: true, ..candidate(1, 10) }];
        assert_eq!(policy.choose(&gone, true, s(101)).map(|(_, relief)| relief), chosen);
        assert_eq!(policy.choose(&gone, false, s(101)).map(|(_, relief)| relief), Some(Relief::Stop));
    }
}

#[test]
fn nobody_is_stopped_for_what_the_disk_holds() {
    // Who is awake works, and is no candidate.
    for (zram, disk_used, chosen) in
        [(255, 0, None), (256, 0, Some(Relief::Stop)), (9, 1500, Some(Relief::Stop))]
    {
        let mut policy = short();
        let mut figures = figures(20, 0, 0);
        let swap = &mut figures.memory.swap;
        (swap.disk_total_bytes, swap.disk_used_bytes) = (1600 * MIB, disk_used * MIB);
        (swap.total_bytes, swap.used_bytes) = (2112 * MIB, (512 + disk_used) * MIB);
        swap.zram_memory_bytes = zram * MIB;
        policy.look(figures, 0, false, s(101));
        let gone = [Candidate { reclaimed: true, ..candidate(1, 10) }];
        assert_eq!(policy.choose(&gone, false, s(101)).map(|(_, relief)| relief), chosen, "{zram} {disk_used}");
    }
}

#[test]
fn nobody_is_stopped_as_others_wait_for_the_disk() {
    for (disk, chosen) in [(0, Some(Relief::Stop)), (1600, None)] {
        let mut policy = short();
        // A fifth of the memory is there, and half of the time somebody waits.
        let mut figures = figures(200, 500, 1);
        figures.memory.swap.disk_total_bytes = disk * MIB;
        figures.memory.swap.total_bytes += disk * MIB;
        assert_eq!(policy.look(figures, 0, false, s(101)), None);
        assert!(policy.is_short());
        let gone = [Candidate { reclaimed: true, ..candidate(1, 10) }];
        assert_eq!(policy.choose(&gone, false, s(101)).map(|(_, relief)| relief), chosen);
        let gives = [candidate(1, 10)];
        assert_eq!(policy.choose(&gives, false, s(101)).map(|(_, relief)| relief), Some(Relief::Reclaim));
    }
}

#[test]
fn nobody_goes_while_there_is_enough() {
    let mut policy = Policy::default();
    assert_eq!(chosen(&mut policy, &[candidate(1, 10)]), None);
    policy.look(figures(500, 0, 0), 0, false, s(1));
    assert_eq!(chosen(&mut policy, &[candidate(1, 10)]), None);
    let mut policy = short();
    policy.look(figures(200, 0, 0), 0, false, s(101));
    assert_eq!(chosen(&mut policy, &[candidate(1, 10)]), None, "as soon as there is enough");
}
