//! What goes wrong on demand: which requests are met is counted, never timed.

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An answer of a machine in between, that speaks no protocol of AWS.
    Status(u16),
    /// A refusal with this status and code, in the service's manner.
    Refuse(u16, &'static str),
    /// The service's way to say: too fast.
    Throttle,
    /// Nothing is done, and no answer ever comes.
    Stall,
    /// The request is done, but no answer ever comes.
    StallAfter,
    /// The connection is closed before anything is done.
    Cut,
    /// The request is done, and then the connection is closed.
    CutAfter,
    /// A bit of the body tips over on the way here.
    Corrupt,
    /// A bit of the answer's body tips over on its way.
    CorruptAnswer,
}

/// Which of an action's requests are met, counted from 1 when the fault was put in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Nth(usize),
    First(usize),
    From(usize),
    Every(usize),
}

impl When {
    fn meets(self, number: usize) -> bool {
        match self {
            When::Nth(nth) => number == nth,
            When::First(last) => number <= last,
            When::From(first) => number >= first,
            When::Every(step) => number.is_multiple_of(step),
        }
    }
}

struct Rule {
    action: String,
    when: When,
    fault: Fault,
    seen: usize,
}

/// All faults that are put in.
#[derive(Default)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    /// How many requests stand still.
    pub(crate) stalled: usize,
}

impl Faults {
    /// One more; `*` means every action.
    pub(crate) fn add(&mut self, action: &str, when: When, fault: Fault) {
        self.rules.push(Rule { action: action.to_owned(), when, fault, seen: 0 });
    }

    /// What happens to the request of this action that has just arrived.
    pub(crate) fn meet(&mut self, action: &str) -> Option<Fault> {
        let mut met = None;
        for rule in self.rules.iter_mut().filter(|rule| rule.action == action || rule.action == "*") {
            rule.seen += 1;
            if met.is_none() && rule.when.meets(rule.seen) {
                met = Some(rule.fault);
            }
        }
        met
    }
}
