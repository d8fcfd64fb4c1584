//! The table of system calls against the kernel: every number up to well beyond the highest is called by a child under
//! the filter, with arguments that cannot do anything. What is allowed must be answered as without the filter, what is
//! refused with the table's errno, and everything else must kill. So must the same calls by their numbers of other ABIs.

#![allow(
    unsafe_code,
    reason = "calls by number have no safe form; a test's child makes them, with no valid pointer"
)]
#![allow(clippy::unwrap_used, reason = "a test without the harness is not seen as one")]

use std::collections::BTreeMap;

use kennel_init::child::seccomp::Filters;
use kennel_init::child::seccomp::table::{Answer, Kind, Rule, Test, groups};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// The kernel's highest is 470 or so; Kennel's own is 462.
const HIGHEST: i64 = 600;
/// Numbers with this bit are calls of the x32 ABI.
const X32: i64 = 0x4000_0000;
/// Nobody, so that even a call that were let through by mistake could do little.
const UID: u32 = 100_901;
/// No descriptor, no pointer, no flag combination, no signal and no process.
const NOTHING: [u64; 6] = [u64::MAX; 6];

type Arguments = [u64; 6];

/// What became of a call.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The child's exit code: 0 when the call succeeded, else its errno.
    Answered(i32),
    Killed(Signal),
}

fn main() {
    let filters = Filters::compile().unwrap();
    for kind in Kind::ALL {
        let mut tally = BTreeMap::new();
        let filter = filters.of(kind);
        let call = |number, arguments| outcome(number, arguments, || filter.apply().is_ok());
        for number in 0..=HIGHEST {
            let what = match answer(kind, number) {
                Some(Answer::Allowed) => {
                    let free = outcome(number, NOTHING, || true);
                    assert_eq!(call(number, NOTHING), free, "{kind:?}: call {number} is allowed");
                    "allowed"
                }
                Some(Answer::Refused(errno)) => {
                    let refused = Outcome::Answered(errno.raw_os_error());
                    assert_eq!(call(number, NOTHING), refused, "{kind:?}: call {number} is refused");
                    "refused"
                }
                Some(Answer::Checked(rules)) => {
                    rules.iter().for_each(|rule| exercise(number, rule, &call));
                    "checked"
                }
                None => {
                    let end = call(number, NOTHING);
                    let harmless = from_no_trampoline(number).is_some_and(|own| own == end);
                    assert!(end == killed() || harmless, "{kind:?}: call {number} is not on the list: {end:?}");
                    "killed"
                }
            };
            *tally.entry(what).or_insert(0) += 1;
            assert_eq!(call(X32 | number, NOTHING), killed(), "{kind:?}: call {number} of x32");
        }
        other_processor(|| filter.apply().is_ok());
        println!("seccomp: {}: {tally:?}", kind.name());
    }
    println!("seccomp: ok");
}

const fn killed() -> Outcome {
    Outcome::Killed(Signal::SIGSYS)
}

fn answer(kind: Kind, number: i64) -> Option<Answer> {
    let mut groups = groups().filter(|group| group.kinds.contains(&kind));
    groups.find(|group| group.numbers().any(|n| n == number)).map(|group| group.answer)
}

/// No filter is asked about `uretprobe` and, since Linux 6.18, `uprobe`: the kernel itself turns away whoever calls them from
/// anywhere but a page of its own.
fn from_no_trampoline(number: i64) -> Option<Outcome> {
    match number {
        335 => Some(Outcome::Killed(Signal::SIGILL)),
        336 => Some(Outcome::Answered(libc::ENXIO)),
        _ => None,
    }
}

/// Every value that a rule names, and others beside them.
fn exercise(number: i64, rule: &Rule, call: &dyn Fn(i64, Arguments) -> Outcome) {
    let refused = Outcome::Answered(rule.errno.raw_os_error());
    let with = |value: u64| {
        // Descriptors and pointers of nothing, and 0 for what a rule of the same call looks at.
        let mut arguments = NOTHING;
        for group in groups().filter(|group| group.numbers().any(|n| n == number)) {
            if let Answer::Checked(rules) = group.answer {
                rules.iter().for_each(|other| arguments[usize::from(other.test.argument())] = 0);
            }
        }
        if let Some((argument, given)) = rule.given {
            arguments[usize::from(argument)] = given.value;
        }
        arguments[usize::from(rule.test.argument())] = value;
        arguments
    };
    let passes = |value: u64| {
        let free = outcome(number, with(value), || true);
        assert_eq!(call(number, with(value)), free, "call {number} with {value:#x} is allowed");
    };
    let refuses = |value: u64| {
        assert_eq!(call(number, with(value)), refused, "call {number} with {value:#x} is refused");
        // The upper half, which the kernel ignores, is no way around.
        assert_eq!(call(number, with(value | 1 << 40)), refused, "call {number} with {value:#x} and more");
    };
    let named = |value: u64| rule.test.values().iter().any(|n| n.value == value);
    match rule.test {
        Test::NoneOf(_, values) => {
            values.iter().for_each(|named| passes(named.value));
            (0..=100).chain([0x5412, 0x541c, 0x4008_6601]).filter(|v| !named(*v)).for_each(refuses);
        }
        Test::AnyOf(_, _, values) | Test::AnyBit(_, values) => {
            values.iter().for_each(|named| refuses(named.value));
            passes(0);
        }
    }
}

/// Makes one call in a child of its own, after `prepare`.
fn outcome(number: i64, a: Arguments, prepare: impl FnOnce() -> bool) -> Outcome {
    in_child(|| {
        if !prepare() {
            return 254;
        }
        // SAFETY: the child ends right after the call, whatever it did to the process. No argument is a pointer to
        // anything, and no process can be made, so that nothing else runs on this stack.
        let result = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
        if result == -1 { nix::errno::Errno::last_raw() } else { 0 }
    })
}

/// A call of the 32-bit ABI: the filter must see that its numbers mean something else.
fn other_processor(prepare: impl Fn() -> bool) {
    let call = |prepare: &dyn Fn() -> bool| {
        in_child(|| {
            if !prepare() {
                return 254;
            }
            // SAFETY: call 20 of that ABI is getpid, which takes no argument.
            unsafe { std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => _, options(nostack)) };
            0
        })
    };
    if call(&|| true) != Outcome::Answered(0) {
        return println!("seccomp: SKIPPED the 32-bit ABI, which this kernel does not have");
    }
    assert_eq!(call(&prepare), killed(), "a call of the 32-bit ABI");
}

fn in_child(work: impl FnOnce() -> i32) -> Outcome {
    // SAFETY: this program has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            if !confine() {
                // SAFETY: ends the child without running anything of the parent's.
                unsafe { libc::_exit(253) };
            }
            let code = work();
            // SAFETY: as above.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
            WaitStatus::Exited(_, code) => {
                assert!(!matches!(code, 253 | 254), "the child could not be prepared");
                Outcome::Answered(code)
            }
            WaitStatus::Signaled(_, signal, _) => Outcome::Killed(signal),
            other => panic!("{other:?}"),
        },
    }
}

/// As nobody, without children, without a core dump, and ended by a signal should the call wait.
fn confine() -> bool {
    use nix::sys::resource::{Resource, setrlimit};
    let timer = libc::itimerval {
        it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
        it_value: libc::timeval { tv_sec: 0, tv_usec: 500_000 },
    };
    let user = nix::unistd::Uid::from_raw(UID);
    let is_user = !nix::unistd::geteuid().is_root() || nix::unistd::setuid(user).is_ok();
    // SAFETY: the structure outlives the call.
    let timed = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) } == 0;
    is_user
        && timed
        && setrlimit(Resource::RLIMIT_CORE, 0, 0).is_ok()
        && setrlimit(Resource::RLIMIT_NPROC, 0, 0).is_ok()
}
