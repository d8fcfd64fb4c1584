//! Permissions as CIL names them: of one class, by a list, by `all` and `not`, or by the name of a set of several classes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::cil::Node;

/// Permissions by class.
pub(crate) type Permissions<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// What a policy declares of classes and permissions.
#[derive(Default)]
pub(super) struct Classes<'a> {
    own: HashMap<&'a str, Vec<&'a str>>,
    commons: HashMap<&'a str, Vec<&'a str>>,
    common_of: HashMap<&'a str, &'a str>,
    named: HashMap<&'a str, Vec<Node<'a>>>,
}

impl<'a> Classes<'a> {
    /// Takes a statement about classes; gives back any other.
    pub(super) fn take(&mut self, node: Node<'a>) -> Option<Node<'a>> {
        match node.parts() {
            [Node::Word("class"), Node::Word(name), list] => {
                self.own.insert(name, list.words());
            }
            [Node::Word("common"), Node::Word(name), list] => {
                self.commons.insert(name, list.words());
            }
            [Node::Word("classcommon"), Node::Word(class), Node::Word(common)] => {
                self.common_of.insert(class, common);
            }
            [Node::Word("classpermission"), Node::Word(name)] => {
                self.named.entry(name).or_default();
            }
            [Node::Word("classpermissionset"), Node::Word(name), what] => {
                self.named.entry(name).or_default().push(what.clone());
            }
            _ => return Some(node),
        }
        None
    }

    /// The permissions of every set with a name. None when one has a form that is not read.
    pub(super) fn named(&self) -> Option<HashMap<&'a str, Permissions<'a>>> {
        let resolve = |(name, parts): (&&'a str, &Vec<Node<'a>>)| {
            let mut permissions = Permissions::new();
            parts.iter().try_for_each(|part| self.add(&mut permissions, part))?;
            Some((*name, permissions))
        };
        self.named.iter().map(resolve).collect()
    }

    /// Adds `(class (permissions))`.
    pub(super) fn add(&self, permissions: &mut Permissions<'a>, what: &Node<'a>) -> Option<()> {
        let [Node::Word(class), list] = what.parts() else { return None };
        let found = self.evaluate(class, list)?;
        permissions.entry(class).or_default().extend(found);
        Some(())
    }

    fn evaluate(&self, class: &str, list: &Node<'a>) -> Option<BTreeSet<&'a str>> {
        Some(match list.parts() {
            [] => BTreeSet::from([list.word()?]),
            [Node::Word("all")] => self.all(class)?,
            [Node::Word("not"), what] => &self.all(class)? - &self.evaluate(class, what)?,
            [Node::Word("and"), a, b] => &self.evaluate(class, a)? & &self.evaluate(class, b)?,
            [Node::Word("or"), a, b] => &self.evaluate(class, a)? | &self.evaluate(class, b)?,
            parts => {
                let each: Option<Vec<_>> = parts.iter().map(|part| self.evaluate(class, part)).collect();
                each?.into_iter().flatten().collect()
            }
        })
    }

    fn all(&self, class: &str) -> Option<BTreeSet<&'a str>> {
        let common = self.common_of.get(class).and_then(|common| self.commons.get(common));
        let own = self.own.get(class)?;
        Some(own.iter().chain(common.into_iter().flatten()).copied().collect())
    }
}
