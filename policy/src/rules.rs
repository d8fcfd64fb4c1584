//! The rules of a rendered policy, resolved: which set holds which types, and who is allowed what. Reads the part of CIL
//! that the policy uses; `secilc` checks the rest.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::Rendered;
use crate::cil::{self, Node};

/// Permissions by class.
pub(crate) type Permissions<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;
type Types<'a> = BTreeSet<&'a str>;

/// Every `allow` of a policy with what its names stand for.
pub(crate) struct Rules<'a> {
    sets: HashMap<&'a str, Types<'a>>,
    /// One for each `allow`.
    pub(crate) allows: Vec<Allow<'a>>,
}

/// One rule; source and target are types or sets, or the target is `self`.
pub(crate) struct Allow<'a> {
    /// Who.
    pub(crate) source: &'a str,
    /// To what.
    pub(crate) target: &'a str,
    /// May do what.
    pub(crate) permissions: Permissions<'a>,
}

/// What the sources say, before sets are resolved.
#[derive(Default)]
struct Statements<'a> {
    types: Types<'a>,
    members: HashMap<&'a str, Vec<Node<'a>>>,
    named: HashMap<&'a str, Permissions<'a>>,
    allows: Vec<Node<'a>>,
}

impl<'a> Rules<'a> {
    /// Reads the rules.
    ///
    /// # Errors
    /// The name of the source that is no CIL, and why.
    pub(crate) fn read(rendered: &'a Rendered) -> Result<Self, (String, cil::BadCil)> {
        let mut statements = Statements::default();
        for file in &rendered.cil {
            for node in cil::parse(&file.text).map_err(|e| (file.name.clone(), e))? {
                statements.take(node);
            }
        }
        let allows = statements.allows.iter().filter_map(|node| statements.allow(node)).collect();
        let mut sets = HashMap::new();
        let names: Vec<&str> = statements.members.keys().copied().collect();
        for name in names {
            statements.resolve(name, &mut sets);
        }
        Ok(Self { sets, allows })
    }

    /// The types that a name stands for: a set's, or itself.
    pub(crate) fn types(&self, name: &'a str) -> Types<'a> {
        self.sets.get(name).cloned().unwrap_or_else(|| BTreeSet::from([name]))
    }

    /// Whether a name stands for this type, or for a set that has it.
    pub(crate) fn covers(&self, name: &'a str, member: &str) -> bool {
        self.sets.get(name).map_or(name == member, |set| set.contains(member))
    }
}

impl<'a> Statements<'a> {
    fn take(&mut self, node: Node<'a>) {
        let parts = node.parts();
        match (node.words().as_slice(), parts) {
            (["type", name], _) => {
                self.types.insert(name);
            }
            (["typeattribute", name], _) => {
                self.members.entry(name).or_default();
            }
            (["typeattributeset", name, ..], [_, _, what]) => {
                self.members.entry(name).or_default().push(what.clone());
            }
            (["classpermissionset", name], [_, _, what]) => {
                let named = self.named.entry(name).or_default();
                add_permissions(named, what);
            }
            (["allow", ..], _) => self.allows.push(node),
            _ => {}
        }
    }

    fn allow(&self, node: &Node<'a>) -> Option<Allow<'a>> {
        let [_, source, target, what] = node.parts() else { return None };
        let permissions = match what {
            Node::Word(name) => self.named.get(name)?.clone(),
            Node::List(_) => {
                let mut permissions = Permissions::new();
                add_permissions(&mut permissions, what);
                permissions
            }
        };
        Some(Allow { source: source.word()?, target: target.word()?, permissions })
    }

    /// Puts the set's types into `done`. Sets do not contain themselves: `secilc` has seen to that.
    fn resolve(&self, name: &'a str, done: &mut HashMap<&'a str, Types<'a>>) -> Types<'a> {
        if let Some(types) = done.get(name) {
            return types.clone();
        }
        let Some(members) = self.members.get(name) else { return BTreeSet::from([name]) };
        let mut types = BTreeSet::new();
        for member in members {
            types.append(&mut self.evaluate(member, done));
        }
        done.insert(name, types.clone());
        types
    }

    /// The types of an expression: names, or `and`, `or`, `not`, `all` and what they apply to.
    fn evaluate(&self, node: &Node<'a>, done: &mut HashMap<&'a str, Types<'a>>) -> Types<'a> {
        let parts = match node {
            Node::Word(name) => return self.resolve(name, done),
            Node::List(parts) => parts,
        };
        let mut of = |node: &Node<'a>| self.evaluate(node, done);
        match parts.as_slice() {
            [Node::Word("all")] => self.types.clone(),
            [Node::Word("not"), what] => &self.types - &of(what),
            [Node::Word("and"), a, b] => &of(a) & &of(b),
            [Node::Word("or"), a, b] => &of(a) | &of(b),
            names => names.iter().flat_map(of).collect(),
        }
    }
}

fn add_permissions<'a>(permissions: &mut Permissions<'a>, what: &Node<'a>) {
    if let [Node::Word(class), list] = what.parts() {
        permissions.entry(class).or_default().extend(list.words());
    }
}
