//! The system calls that a tenant's program, `kennel-unpack` and the services may make. What is on the list stands in `table.rs` and
//! nowhere else; here it becomes filters. Whoever makes a call that is not on it is killed.
//!
//! seccompiler's filters have two answers each, so the three that we need (allow, refuse with an errno, kill) take
//! several filters, of which the kernel obeys the strictest: one kills whatever the table does not name, and one for
//! each errno refuses. Calls that all of them allow whatever the arguments cost nothing: the kernel remembers those.

pub mod table;

use std::collections::BTreeMap;
use std::io;

use rustix::io::Errno;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use table::{Answer, Kind, Rule, Test, groups};

/// Compiled filters of every kind, made once at boot.
#[derive(Debug)]
pub struct Filters {
    jit: Filter,
    plain: Filter,
    unpack: Filter,
    proxy: Filter,
    control: Filter,
    audit: Filter,
    dhcp: Filter,
    imds: Filter,
    tpm: Filter,
    chronyd: Filter,
    acme: Filter,
}

impl Filters {
    /// # Errors
    /// None that a test would not have seen.
    pub fn compile() -> Result<Self, BackendError> {
        let [jit, plain, unpack, proxy, control, audit, dhcp, imds, tpm, chronyd, acme] =
            Kind::ALL.map(Filter::compile);
        Ok(Self {
            jit: jit?,
            plain: plain?,
            unpack: unpack?,
            proxy: proxy?,
            control: control?,
            audit: audit?,
            dhcp: dhcp?,
            imds: imds?,
            tpm: tpm?,
            chronyd: chronyd?,
            acme: acme?,
        })
    }

    /// The one for this kind of program.
    pub const fn of(&self, kind: Kind) -> &Filter {
        match kind {
            Kind::Jit => &self.jit,
            Kind::Plain => &self.plain,
            Kind::Unpack => &self.unpack,
            Kind::Proxy => &self.proxy,
            Kind::Control => &self.control,
            Kind::Audit => &self.audit,
            Kind::Dhcp => &self.dhcp,
            Kind::Imds => &self.imds,
            Kind::Tpm => &self.tpm,
            Kind::Chronyd => &self.chronyd,
            Kind::Acme => &self.acme,
        }
    }
}

/// What one kind of program is bound by.
#[derive(Debug)]
pub struct Filter {
    programs: Vec<BpfProgram>,
}

impl Filter {
    fn compile(kind: Kind) -> Result<Self, BackendError> {
        let groups = groups().filter(|group| group.kinds.contains(&kind));
        let mut known = BTreeMap::new();
        let mut refused: BTreeMap<i32, BTreeMap<i64, Vec<SeccompRule>>> = BTreeMap::new();
        let mut refuse = |errno: Errno, number: i64, rules: Vec<SeccompRule>| {
            refused.entry(errno.raw_os_error()).or_default().entry(number).or_default().extend(rules);
        };
        for (group, number) in groups.flat_map(|g| g.numbers().map(move |n| (g, n))) {
            known.insert(number, Vec::new());
            match group.answer {
                Answer::Allowed => {}
                // No rule at all matches whatever the arguments.
                Answer::Refused(errno) => refuse(errno, number, Vec::new()),
                Answer::Checked(rules) => {
                    for rule in rules {
                        refuse(rule.errno, number, conditions(rule)?);
                    }
                }
            }
        }
        let mut programs = Vec::new();
        for (errno, rules) in refused {
            let answer = SeccompAction::Errno(errno.cast_unsigned());
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, TargetArch::x86_64)?;
            programs.push(filter.try_into()?);
        }
        // Last, since the call by which the others are set is not on the list.
        let (otherwise, known_too) = (SeccompAction::KillProcess, SeccompAction::Allow);
        programs.push(SeccompFilter::new(known, otherwise, known_too, TargetArch::x86_64)?.try_into()?);
        Ok(Self { programs })
    }

    /// Binds the calling thread, and all that it executes, for good.
    ///
    /// # Errors
    /// The system's.
    pub fn apply(&self) -> io::Result<()> {
        self.programs.iter().try_for_each(|program| apply_filter(program).map_err(io::Error::other))
    }
}

/// The arguments that a rule refuses: any of the answered rules matches them.
fn conditions(rule: &Rule) -> Result<Vec<SeccompRule>, BackendError> {
    // The kernel looks at the lower half of all arguments that are checked, so the filter must do the same.
    let condition =
        |argument, operator, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    let given = || rule.given.map(|(argument, given)| condition(argument, SeccompCmpOp::Eq, given.value));
    let whole = |tests: Vec<Result<SeccompCondition, BackendError>>| {
        SeccompRule::new(given().into_iter().chain(tests).collect::<Result<_, _>>()?)
    };
    match rule.test {
        Test::NoneOf(argument, values) => {
            Ok(vec![whole(values.iter().map(|v| condition(argument, SeccompCmpOp::Ne, v.value)).collect())?])
        }
        Test::AnyOf(argument, mask, values) => values
            .iter()
            .map(|v| whole(vec![condition(argument, SeccompCmpOp::MaskedEq(mask), v.value)]))
            .collect(),
        Test::AnyBit(argument, bits) => bits
            .iter()
            .map(|v| whole(vec![condition(argument, SeccompCmpOp::MaskedEq(v.value), v.value)]))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_call_is_listed_twice_for_a_kind() {
        for kind in Kind::ALL {
            let mut seen = BTreeSet::new();
            for group in groups().filter(|g| g.kinds.contains(&kind)) {
                for number in group.numbers() {
                    assert!(seen.insert(number), "call {number} occurs twice for {kind:?}: {}", group.title);
                }
            }
        }
    }
}
