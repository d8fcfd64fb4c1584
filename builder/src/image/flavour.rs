//! Everything that a proof image (`kennel build --proof`) has different from the image that people get. It is there to show
//! that each of a slot's two layers holds alone, so some of its slots lack one or both (`kennel_model::proof`): it is named
//! so wherever an image has a name, and is never for tenants.

use kennel_iptables::Rules;
use kennel_policy::Extra;

use super::guests;

/// Which image is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flavour {
    /// The one for people.
    #[default]
    Ordinary,
    /// The one that has slots without layers.
    Proof,
}

impl Flavour {
    /// Whether it is the one that must not be published.
    pub const fn is_proof(self) -> bool {
        matches!(self, Self::Proof)
    }

    /// What follows the version in names.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Ordinary => "",
            Self::Proof => "-proof",
        }
    }

    /// The program that becomes PID 1: the ordinary one has no code to leave a layer away.
    pub(super) const fn init(self) -> &'static str {
        match self {
            Self::Ordinary => guests::INIT,
            Self::Proof => "kennel-init-proof",
        }
    }

    /// What is added to the kernel's command line. On an ordinary host the kernel itself refuses that root changes it or reads
    /// its memory, modules that are not Debian's, and that a program writes through /proc/PID/mem to memory which may only be
    /// read, a way around W^X. All that would answer before SELinux, which in a proof image is to be seen alone, and with
    /// every denial.
    pub(super) const fn arguments(self) -> &'static str {
        match self {
            Self::Ordinary => {
                " lockdown=confidentiality module.sig_enforce=1 debugfs=off proc_mem.force_override=never"
            }
            Self::Proof => " sysctl.kernel.printk_ratelimit=0",
        }
    }

    /// Modules that are added to those of the root: a second network, which a neighbour makes for villains to reach for.
    pub(super) const fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Ordinary => &[],
            Self::Proof => &["veth"],
        }
    }

    /// What is added to the policy.
    pub(super) fn policy(self) -> Option<Extra> {
        self.is_proof().then(kennel_policy::proof_image)
    }

    /// The packet filter, which lets root's packets pass in a proof image: there, whoever lacks the UNIX means is root.
    pub(super) fn open(self, rules: &mut Rules) {
        if self.is_proof() {
            for rules in [&mut rules.v4, &mut rules.v6] {
                *rules = before_the_first(rules, "-A OUTPUT ", "-A OUTPUT -m owner --uid-owner 0 -j ACCEPT\n");
            }
        }
    }

    /// Lines for os-release.
    pub(super) const fn os_release(self) -> &'static str {
        match self {
            Self::Ordinary => "",
            Self::Proof => "VARIANT=\"Proof: some slots are deliberately open\"\nVARIANT_ID=proof\n",
        }
    }
}

/// The lines, with one more before the first that begins so.
fn before_the_first(lines: &str, start: &str, line: &str) -> String {
    match lines.find(&format!("\n{start}")) {
        Some(at) => format!("{}{line}{}", &lines[..=at], &lines[at + 1..]),
        None => lines.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_passes_first_in_a_proof_image_and_nowhere_else() {
        let ordinary = kennel_iptables::render(8).unwrap();
        let mut rules = ordinary.clone();
        Flavour::Ordinary.open(&mut rules);
        assert_eq!(rules, ordinary);
        Flavour::Proof.open(&mut rules);
        for (open, closed) in [(&rules.v4, &ordinary.v4), (&rules.v6, &ordinary.v6)] {
            let first = open.lines().find(|line| line.starts_with("-A OUTPUT ")).unwrap();
            assert_eq!(first, "-A OUTPUT -m owner --uid-owner 0 -j ACCEPT");
            assert_eq!(open.lines().count(), closed.lines().count() + 1);
        }
    }

    #[test]
    fn in_a_proof_image_nothing_answers_before_selinux() {
        for argument in ["lockdown", "sig_enforce", "debugfs", "proc_mem"] {
            assert!(Flavour::Ordinary.arguments().contains(argument));
            assert!(!Flavour::Proof.arguments().contains(argument));
        }
    }
}
