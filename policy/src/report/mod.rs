//! The policy report: which domain may reach what, worked out from the rules themselves, in words and as data. One slot
//! stands for all of them; that no rule leads from one slot to another is checked for every slot.

mod acts;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::proof;
use crate::rules::{Rules, slot_digits};
use crate::{RenderError, Rendered};

/// What the policy's rules add up to. Serialize it for the machine-readable form; [`Report::text`] is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Slots in the pool.
    pub slots: u16,
    /// Rules that lead from one slot to another: none.
    pub between_slots: Vec<String>,
    /// Every domain of the host, and those of a slot, named `tenantNNNN_t` and `tenantNNNN_install_t`.
    pub domains: Vec<DomainReport>,
}

/// One domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainReport {
    /// `proxy_t`
    pub domain: String,
    /// What runs in it.
    pub words: String,
    /// What it may do, in words.
    pub acts: Vec<Act>,
    /// What it may reach, rule by rule.
    pub access: Vec<Access>,
}

/// One kind of act, and upon what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Act {
    /// `read`, `connect to`, …
    pub verb: String,
    /// In words, with the type.
    pub objects: Vec<String>,
}

/// What a domain may do to objects of one type and class.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Access {
    /// The objects' type; for a slot's domain `tenantNNNN_…` is its own slot's, for others every slot's.
    pub target: String,
    /// The objects' class.
    pub class: String,
    /// What it may do.
    pub permissions: Vec<String>,
}

/// Works the report out.
///
/// # Errors
/// [`RenderError::Rules`] when an image's own source cannot be read.
pub fn report(rendered: &Rendered) -> Result<Report, RenderError> {
    let rules = Rules::read(rendered)?;
    let domains: BTreeSet<&str> = rules
        .types("domain")
        .into_iter()
        .filter(|d| slot_digits(d).is_none_or(|slot| slot == "0000"))
        .collect();
    Ok(Report {
        slots: rendered.slots,
        between_slots: proof::direct(&rules),
        domains: domains.into_iter().map(|domain| describe(&rules, domain)).collect(),
    })
}

/// What one type may reach, be it a domain or what packets and files need for being where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainAccess {
    /// `proxy_t`
    pub domain: String,
    /// Rule by rule.
    pub access: Vec<Access>,
}

/// Everything that the rules allow, of any type that is allowed anything.
///
/// # Errors
/// [`RenderError::Rules`] when an image's own source cannot be read.
pub fn access(rendered: &Rendered) -> Result<Vec<DomainAccess>, RenderError> {
    let rules = Rules::read(rendered)?;
    let types =
        rules.types("any_type").into_iter().filter(|t| slot_digits(t).is_none_or(|slot| slot == "0000"));
    let each = types.map(|name| DomainAccess { domain: general(name), access: reach(&rules, name) });
    Ok(each.filter(|of| !of.access.is_empty()).collect())
}

impl Report {
    /// The report for people.
    pub fn text(&self) -> String {
        let mut text =
            format!("SELinux policy of a host with {} slots. What is not listed is refused.\n", self.slots);
        match self.between_slots.as_slice() {
            [] => text.push_str("No rule leads from one slot to another.\n"),
            rules => rules.iter().for_each(|rule| {
                let _ = writeln!(text, "FROM ONE SLOT TO ANOTHER: {rule}");
            }),
        }
        for domain in &self.domains {
            let _ = writeln!(text, "\n{}, {}, may:", domain.domain, domain.words);
            for act in &domain.acts {
                let _ = writeln!(text, "- {}: {}", act.verb, act.objects.join(", "));
            }
        }
        text
    }
}

/// The name with the slot's digits taken out.
fn general(name: &str) -> String {
    slot_digits(name).map_or_else(|| name.to_owned(), |digits| name.replacen(digits, "NNNN", 1))
}

fn describe(rules: &Rules<'_>, domain: &str) -> DomainReport {
    let access = reach(rules, domain);
    let domain = general(domain);
    DomainReport { words: words::of(&domain).to_owned(), acts: acts::of(&domain, &access), domain, access }
}

fn reach(rules: &Rules<'_>, domain: &str) -> Vec<Access> {
    let mut reached: BTreeMap<(String, &str), BTreeSet<&str>> = BTreeMap::new();
    for allow in rules.allows.iter().filter(|allow| rules.covers(allow.source, domain)) {
        let targets: BTreeSet<String> = match allow.target {
            "self" => BTreeSet::from([general(domain)]),
            name => rules.types(name).into_iter().map(general).collect(),
        };
        for target in targets {
            for (class, permissions) in allow.permissions.iter() {
                reached.entry((target.clone(), class)).or_default().extend(permissions);
            }
        }
    }
    reached
        .into_iter()
        .map(|((target, class), permissions)| Access {
            target,
            class: class.to_owned(),
            permissions: permissions.into_iter().map(str::to_owned).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Extra, render};

    fn reported(cil: &str) -> Report {
        let extra = Extra { name: "extra".into(), cil: cil.into(), ..Extra::default() };
        report(&render(12, &[extra]).unwrap()).unwrap()
    }

    fn acts(report: &Report, domain: &str, verb: &str) -> Vec<String> {
        let domain = report.domains.iter().find(|d| d.domain == domain).unwrap();
        domain.acts.iter().filter(|act| act.verb == verb).flat_map(|act| act.objects.clone()).collect()
    }

    #[test]
    fn no_rule_leads_from_slot_to_slot() {
        assert_eq!(reported("").between_slots, Vec::<String>::new());
    }

    #[test]
    fn one_that_does_is_found_however_it_is_said() {
        for rule in [
            "(allow tenant0003_t tenant0007_data_t (file (read)))",
            "(allow tenant_domain slot_data (file (read)))",
            "(allow tenant0003_t slot_log (file (append)))",
            "(typeattribute both)(typeattributeset both (or (tenant0001_t) (tenant0002_t)))
             (allow both tenant0001_tmp_t (dir (search)))",
            "(allow domain domain (fd (use)))",
        ] {
            assert_eq!(reported(rule).between_slots.len(), 1, "{rule}");
        }
        assert!(
            reported("(allow tenant0003_t tenant0007_data_t (file (read)))").text().contains("FROM ONE SLOT")
        );
    }

    #[test]
    fn the_words_are_the_rules() {
        let report = reported("");
        assert_eq!(acts(&report, "proxy_t", "connect to"), ["a slot's ports (tenantNNNN_port_t)"]);
        assert_eq!(acts(&report, "proxy_t", "send packets to"), ["this host itself (loopback_node_t)"]);
        assert_eq!(acts(&report, "tenantNNNN_t", "listen on"), ["a slot's ports (tenantNNNN_port_t)"]);
        assert_eq!(acts(&report, "tenantNNNN_t", "connect to").len(), 5);
        assert_eq!(acts(&report, "control_t", "have the capability"), Vec::<String>::new());
        assert_eq!(acts(&report, "dhcp_t", "have the capability"), ["net_bind_service", "net_raw"]);
        assert_eq!(acts(&report, "init_t", "load kernel modules from"), ["kernel modules (modules_t)"]);
        assert!(acts(&report, "tenantNNNN_t", "write").iter().all(|o| !o.contains("code_t")));
        assert_eq!(acts(&report, "tenantNNNN_t", "write when handed"), ["a slot's log (tenantNNNN_log_t)"]);
    }

    #[test]
    fn every_type_of_ours_has_words() {
        let rendered = render(1, &[]).unwrap();
        let rules = Rules::read(&rendered).unwrap_or_else(|e| panic!("{e}"));
        let missing: Vec<String> = rules
            .types("any_type")
            .into_iter()
            .map(general)
            .filter(|t| words::of(t) == words::UNKNOWN)
            .collect();
        assert_eq!(missing, Vec::<String>::new());
    }
}
