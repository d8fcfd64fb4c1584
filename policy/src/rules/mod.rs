//! The rules of a rendered policy, resolved: which set holds which types, who is allowed what, and what new objects are
//! called. Reads the part of CIL that the policy uses and refuses any other, so that no rule goes unseen; `secilc` checks
//! the rest.

#[cfg(test)]
mod judge;
mod permissions;
mod statements;
mod typeset;

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

pub(crate) use permissions::Permissions;
pub(crate) use typeset::TypeSet;

use crate::cil::BadCil;
use crate::{RenderError, Rendered};
use statements::Statements;

/// Every rule of a policy with what its names stand for.
pub(crate) struct Rules<'a> {
    types: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
    sets: HashMap<&'a str, TypeSet>,
    /// One for each `allow`.
    pub(crate) allows: Vec<Allow<'a>>,
    /// One for each `allowx` of ioctls.
    pub(crate) ioctls: Vec<Ioctls<'a>>,
    /// One for each statement that gives a label to what is made or changed.
    pub(crate) labellings: Vec<Labelling<'a>>,
    /// Domains that may do anything.
    pub(crate) permissive: Vec<&'a str>,
}

/// One rule; source and target are types or sets, or the target is `self`.
pub(crate) struct Allow<'a> {
    /// Who.
    pub(crate) source: &'a str,
    /// To what.
    pub(crate) target: &'a str,
    /// May do what.
    pub(crate) permissions: Rc<Permissions<'a>>,
}

/// The ioctls to which a right to ioctl is narrowed.
pub(crate) struct Ioctls<'a> {
    pub(crate) source: &'a str,
    pub(crate) target: &'a str,
    pub(crate) class: &'a str,
    /// Their numbers as written; anything that is no number stands for any ioctl.
    pub(crate) commands: Vec<&'a str>,
}

/// `typetransition` and its like: what `source` makes of `target` is `result`.
pub(crate) struct Labelling<'a> {
    pub(crate) statement: &'a str,
    pub(crate) source: &'a str,
    pub(crate) target: &'a str,
    pub(crate) class: &'a str,
    pub(crate) result: &'a str,
}

/// Sources that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It is no CIL.
    #[error(transparent)]
    Cil(#[from] BadCil),
    /// It is CIL that the policy's own reader does not know, so it cannot say what follows from it.
    #[error("a statement that the report and the proof do not read: {0}")]
    Statement(String),
}

impl<'a> Rules<'a> {
    /// Reads the rules.
    ///
    /// # Errors
    /// [`RenderError::Rules`] with the name of the source that cannot be read.
    pub(crate) fn read(rendered: &'a Rendered) -> Result<Self, RenderError> {
        let mut statements = Statements::default();
        for file in &rendered.cil {
            let read = statements.read(&file.text);
            read.map_err(|source| RenderError::Rules { name: file.name.clone(), source })?;
        }
        // By now it is not known which file it was.
        statements.resolve().map_err(|source| RenderError::Rules { name: "the policy".to_owned(), source })
    }

    /// The types that a name stands for: a set's, or itself.
    pub(crate) fn types(&self, name: &'a str) -> BTreeSet<&'a str> {
        match self.sets.get(name) {
            Some(set) => set.places().map(|place| self.types[place]).collect(),
            None => BTreeSet::from([name]),
        }
    }

    /// Whether a name stands for this type, or for a set that has it.
    pub(crate) fn covers(&self, name: &str, member: &str) -> bool {
        match (self.sets.get(name), self.places.get(member)) {
            (Some(set), Some(&place)) => set.contains(place),
            _ => name == member,
        }
    }

    /// A type's place in [`TypeSet`]s. None for a set.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// The types that a name stands for, as a set. Nothing for a name that is not declared.
    pub(crate) fn set(&self, name: &str) -> TypeSet {
        match (self.sets.get(name), self.places.get(name)) {
            (Some(set), _) => set.clone(),
            (None, Some(&place)) => TypeSet::one(self.types.len(), place),
            (None, None) => TypeSet::none(self.types.len()),
        }
    }

    /// Every type, by place.
    pub(crate) fn all_types(&self) -> &[&'a str] {
        &self.types
    }
}

/// The digits of a slot's type or domain.
pub(crate) fn slot_digits(name: &str) -> Option<&str> {
    let digits = name.strip_prefix("tenant")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_digit()).then_some(digits)
}
