//! The book's promises, whatever happens to the clock, to control and to the host.

use super::*;
use proptest::prelude::*;

fn name() -> TenantName {
    "blog".parse().unwrap()
}

fn look(boot: u64, uptime_ms: u64, cpu_us: u64) -> Look {
    Look { boot, uptime_ms, spent: Spent { cpu_us, ..Spent::default() }, disk_kib: 100 }
}

fn total(entries: &[Entry]) -> Amounts {
    let all = entries.iter().flat_map(|entry| entry.hours.values());
    all.fold(Amounts::default(), |sum, used| sum.plus(used))
}

#[test]
fn hours_get_what_was_spent_in_them() {
    let mut book = Book::default();
    for (uptime_ms, cpu_us, hour) in [(0, 5, 7), (60_000, 15, 7), (120_000, 40, 8)] {
        book.look(&name(), look(1, uptime_ms, cpu_us), hour);
    }
    let due = book.due(8);
    let hours: Vec<_> = due[0].hours.iter().map(|(h, used)| (*h, used.spent.cpu_us, used.disk_kib_s)).collect();
    assert_eq!(hours, [(7, 15, 6000), (8, 25, 6000)]);
    book.written(&due);
    assert_eq!(book.due(8), []);
}

#[test]
fn who_is_quiet_is_written_when_the_hour_is_over() {
    let mut book = Book::new([(name(), look(1, 0, 5))]);
    book.look(&name(), look(1, 60_000, 5), 7);
    assert_eq!(book.due(7), []);
    let due = book.due(8);
    assert_eq!((due.len(), due[0].hours[&7].disk_kib_s, due[0].look.uptime_ms), (1, 6000, 60_000));
}

#[test]
fn a_restart_of_the_host_counts_from_zero_and_its_absence_costs_nothing() {
    let used = between(Some(&look(1, 9_000_000, 500)), &look(2, 10_000, 30));
    assert_eq!((used.spent.cpu_us, used.disk_kib_s), (30, 1000));
}

/// What may happen between two looks: time passes, something is spent, the clock is set, control is killed before it
/// has written, the host starts anew.
#[derive(Debug, Clone)]
struct Happening {
    passes_ms: u64,
    spent_us: u64,
    hour: u64,
    killed: bool,
    reboots: bool,
}

fn happening() -> impl Strategy<Value = Happening> {
    (0u64..100_000, 0u64..1_000_000, 0u64..5, any::<bool>(), proptest::bool::weighted(0.1)).prop_map(
        |(passes_ms, spent_us, hour, killed, reboots)| Happening { passes_ms, spent_us, hour, killed, reboots },
    )
}

proptest! {
    #[test]
    fn all_that_was_spent_is_charged_once(happenings in proptest::collection::vec(happening(), 1..60)) {
        // What was written, and the look that went with it: both or none.
        let (mut kept, mut on_disk) = (Amounts::default(), None::<Look>);
        let (mut book, mut now, mut spent, mut up_ms) = (Book::default(), look(1, 0, 0), 0, 0);
        for h in &happenings {
            if h.reboots {
                now = look(now.boot + 1, 0, 0);
            }
            now.uptime_ms += h.passes_ms;
            now.spent.cpu_us += h.spent_us;
            (spent, up_ms) = (spent + h.spent_us, up_ms + h.passes_ms);
            book.look(&name(), now, h.hour);
            if h.killed && !h.reboots {
                book = Book::new(on_disk.map(|look| (name(), look)));
                book.look(&name(), now, h.hour);
            }
            // Written before a reboot could lose it.
            let due = book.due(99);
            kept = kept.plus(&total(&due));
            on_disk = due.first().map(|entry| entry.look).or(on_disk);
            book.written(&due);
        }
        prop_assert_eq!(kept.spent.cpu_us, spent);
        // The first look begins the time on disk; each look may round down by less than one.
        let first = happenings[0].passes_ms;
        let exact = 100 * (up_ms - first) / 1000;
        prop_assert!(kept.disk_kib_s <= exact && kept.disk_kib_s + happenings.len() as u64 >= exact);
    }
}
