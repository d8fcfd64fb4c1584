//! The table of system calls: one group for each question, with the reason for its answer. `docs/seccomp.md` is made from
//! it. What it does not name kills the program that tries it: what is left out is forbidden, never overlooked.
//!
//! A call is refused with an errno, instead of killing, only where ordinary programs try it and do without.

use rustix::io::Errno;

mod programs;
mod services;
mod unpack;

/// What a filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Tenants of runtimes that make code at run time (`jit = true`): Node.js. They bring their own C library, glibc.
    Jit,
    /// Tenants of all other runtimes, of which `static` runs programs made with any C library or none.
    Plain,
    /// `kennel-unpack`.
    Unpack,
    /// `kennel-proxy`.
    Proxy,
    /// `kennel-control`.
    Control,
    /// `kennel-audit`.
    Audit,
    /// `kennel-dhcp`.
    Dhcp,
    /// `kennel-imds`.
    Imds,
    /// `kennel-tpm`.
    Tpm,
    /// `chronyd`.
    Chronyd,
    /// `kennel-acme`.
    Acme,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Jit,
        Self::Plain,
        Self::Unpack,
        Self::Proxy,
        Self::Control,
        Self::Audit,
        Self::Dhcp,
        Self::Imds,
        Self::Tpm,
        Self::Chronyd,
        Self::Acme,
    ];

    /// As documents write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jit => "jit",
            Self::Plain => "plain",
            Self::Unpack => "unpack",
            Self::Proxy => "proxy",
            Self::Control => "control",
            Self::Audit => "audit",
            Self::Dhcp => "dhcp",
            Self::Imds => "imds",
            Self::Tpm => "tpm",
            Self::Chronyd => "chronyd",
            Self::Acme => "acme",
        }
    }
}

/// Calls with one answer for one reason.
#[derive(Debug)]
pub struct Group {
    /// What they have in common.
    pub title: &'static str,
    /// Why they get this answer.
    pub reason: &'static str,
    /// Whose they are; for every other kind they are not on the list.
    pub kinds: &'static [Kind],
    /// The answer.
    pub answer: Answer,
    /// The calls.
    pub calls: &'static [Call],
    /// More calls that have no name yet.
    pub unnamed: Option<(i64, i64)>,
}

impl Group {
    const fn new(
        title: &'static str,
        reason: &'static str,
        kinds: &'static [Kind],
        answer: Answer,
        calls: &'static [Call],
    ) -> Self {
        Self { title, reason, kinds, answer, calls, unnamed: None }
    }

    /// The numbers of all its calls.
    pub fn numbers(&self) -> impl Iterator<Item = i64> {
        let unnamed = self.unnamed.map(|(first, last)| first..=last);
        self.calls.iter().map(|call| call.number).chain(unnamed.into_iter().flatten())
    }
}

/// What a group's calls are answered.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// The kernel's own.
    Allowed,
    /// The kernel's own, unless one of the rules refuses the arguments.
    Checked(&'static [Rule]),
    /// This, whatever the arguments.
    Refused(Errno),
}

/// A system call.
#[derive(Debug)]
pub struct Call {
    /// Its constant: `SYS_read`.
    pub constant: &'static str,
    /// Its number.
    pub number: i64,
}

impl Call {
    /// Its name: `read`.
    pub fn name(&self) -> &'static str {
        self.constant.strip_prefix("SYS_").unwrap_or(self.constant)
    }
}

/// A value with its name.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// As C's headers have it.
    pub name: &'static str,
    /// Its lower half, which is all that the kernel looks at.
    pub value: u64,
}

/// Arguments that are refused.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// In words, after "refused": "unless …", "when …".
    pub words: &'static str,
    /// The answer.
    pub errno: Errno,
    /// Applies only where this argument has this value.
    pub given: Option<(u8, Named)>,
    /// What is refused then.
    pub test: Test,
}

/// What is looked at in one argument, counted from 0.
#[derive(Debug, Clone, Copy)]
pub enum Test {
    /// It is none of these.
    NoneOf(u8, &'static [Named]),
    /// Under the mask, it is one of these.
    AnyOf(u8, u64, &'static [Named]),
    /// It has one of these bits.
    AnyBit(u8, &'static [Named]),
}

impl Test {
    /// The argument that it looks at.
    pub const fn argument(self) -> u8 {
        match self {
            Self::NoneOf(argument, _) | Self::AnyOf(argument, ..) | Self::AnyBit(argument, _) => argument,
        }
    }

    /// The values that it names.
    pub const fn values(self) -> &'static [Named] {
        match self {
            Self::NoneOf(_, values) | Self::AnyOf(_, _, values) | Self::AnyBit(_, values) => values,
        }
    }
}

/// Every group: what tenants may do, what they may not but try, then `kennel-unpack`'s and the services'.
pub fn groups() -> impl Iterator<Item = &'static Group> {
    [programs::ALLOWED, programs::REFUSED, unpack::GROUPS, services::GROUPS].into_iter().flatten()
}

/// Calls by the names of their constants in libc.
macro_rules! calls {
    ($($call:ident)*) => { &[$($crate::child::seccomp::table::Call { constant: stringify!($call), number: libc::$call }),*] };
}
use calls;

/// Values by the names of their constants in libc.
macro_rules! values {
    ($($name:ident)*) => {
        &[$($crate::child::seccomp::table::Named { name: stringify!($name), value: libc::$name as u32 as u64 }),*]
    };
}
use values;
