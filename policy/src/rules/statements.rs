//! What the sources say, before names are resolved. The list of statements is closed: what is neither read here nor known
//! to give nobody a right is an error.

use std::collections::HashMap;
use std::rc::Rc;

use super::permissions::{Classes, Permissions};
use super::{Allow, Ioctls, Labelling, Rules, TypeSet, Unread};
use crate::cil::{self, Node};

/// Statements that give no right: they take rights away, are claims, or name users, levels and what the kernel labels by
/// itself. Roles bound which domain a user's process can be in, and every slot's domain has the same roles.
const GIVES_NOTHING: [&str; 35] = [
    "auditallow",
    "classorder",
    "constrain",
    "context",
    "deny",
    "dontaudit",
    "expandtypeattribute",
    "fsuse",
    "genfscon",
    "level",
    "levelrange",
    "mlsconstrain",
    "mlsvalidatetrans",
    "netifcon",
    "neverallow",
    "neverallowx",
    "nodecon",
    "policycap",
    "portcon",
    "role",
    "roleallow",
    "roleattribute",
    "roleattributeset",
    "roletype",
    "sensitivity",
    "sensitivityorder",
    "sid",
    "sidcontext",
    "sidorder",
    "typebounds",
    "user",
    "userlevel",
    "userrange",
    "userrole",
    "validatetrans",
];

#[derive(Default)]
pub(super) struct Statements<'a> {
    types: Vec<&'a str>,
    members: HashMap<&'a str, Vec<Node<'a>>>,
    classes: Classes<'a>,
    allows: Vec<Node<'a>>,
    ioctls: Vec<Ioctls<'a>>,
    labellings: Vec<Labelling<'a>>,
    permissive: Vec<&'a str>,
}

impl<'a> Statements<'a> {
    /// Takes a source file.
    pub(super) fn read(&mut self, text: &'a str) -> Result<(), Unread> {
        for node in cil::parse(text)? {
            if let Some(node) = self.classes.take(node) {
                self.take(node)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, node: Node<'a>) -> Result<(), Unread> {
        use Node::Word;
        match node.parts() {
            [Word("type"), Word(name)] => self.types.push(name),
            [Word("typeattribute"), Word(name)] => {
                self.members.entry(name).or_default();
            }
            [Word("typeattributeset"), Word(name), what] => {
                self.members.entry(name).or_default().push(what.clone());
            }
            [Word("allow"), ..] => self.allows.push(node),
            [Word("allowx"), Word(source), Word(target), what] => {
                let ioctls = ioctls(source, target, what).ok_or_else(|| unread(&node))?;
                self.ioctls.push(ioctls);
            }
            [
                Word(statement @ ("typetransition" | "typechange" | "typemember")),
                Word(source),
                Word(target),
                Word(class),
                rest @ ..,
            ] => {
                let result = rest.last().and_then(Node::word).ok_or_else(|| unread(&node))?;
                self.labellings.push(Labelling { statement, source, target, class, result });
            }
            [Word("typepermissive"), Word(name)] => self.permissive.push(name),
            // What the policy does not know is refused; there are no levels that could matter.
            [Word("handleunknown"), Word("deny")] | [Word("mls"), Word("false")] => {}
            [Word(other), ..] if GIVES_NOTHING.contains(other) => {}
            _ => return Err(unread(&node)),
        }
        Ok(())
    }

    /// The rules, with what their names stand for.
    pub(super) fn resolve(self) -> Result<Rules<'a>, Unread> {
        let places: HashMap<&str, usize> =
            self.types.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        let mut resolver = Resolver { members: &self.members, places: &places, done: HashMap::new() };
        for name in self.members.keys() {
            resolver.resolve(name)?;
        }
        let sets = resolver.done;
        let named = self.classes.named().ok_or_else(|| Unread::Statement("classpermissionset".to_owned()))?;
        let named: HashMap<&str, Rc<Permissions<'a>>> =
            named.into_iter().map(|(name, permissions)| (name, Rc::new(permissions))).collect();
        let known = |name: &str| places.contains_key(name) || sets.contains_key(name);
        let mut allows = Vec::with_capacity(self.allows.len());
        for node in &self.allows {
            let allow = allow(&self.classes, &named, node);
            let allow = allow.filter(|a| known(a.source) && (a.target == "self" || known(a.target)));
            allows.push(allow.ok_or_else(|| unread(node))?);
        }
        let strange = self.labellings.iter().find(|l| !(known(l.source) && known(l.target) && known(l.result)));
        if let Some(Labelling { statement, source, target, class, result }) = strange {
            return Err(Unread::Statement(format!("({statement} {source} {target} {class} {result})")));
        }
        let Self { types, ioctls, labellings, permissive, .. } = self;
        Ok(Rules { types, places, sets, allows, ioctls, labellings, permissive })
    }
}

fn unread(node: &Node<'_>) -> Unread {
    Unread::Statement(format!("({} …)", node.words().join(" ")))
}

fn allow<'a>(
    classes: &Classes<'a>,
    named: &HashMap<&'a str, Rc<Permissions<'a>>>,
    node: &Node<'a>,
) -> Option<Allow<'a>> {
    let [_, source, target, what] = node.parts() else { return None };
    let permissions = match what {
        Node::Word(name) => Rc::clone(named.get(name)?),
        Node::List(_) => {
            let mut permissions = Permissions::new();
            classes.add(&mut permissions, what)?;
            Rc::new(permissions)
        }
    };
    Some(Allow { source: source.word()?, target: target.word()?, permissions })
}

/// `(ioctl class (commands))`.
fn ioctls<'a>(source: &'a str, target: &'a str, what: &Node<'a>) -> Option<Ioctls<'a>> {
    let [Node::Word("ioctl"), Node::Word(class), list] = what.parts() else { return None };
    // A range or an expression is read as a word that is no number.
    let commands = list.parts().iter().map(|part| part.word().unwrap_or("any")).collect();
    Some(Ioctls { source, target, class, commands })
}

/// Works out which types each set holds.
struct Resolver<'r, 'a> {
    members: &'r HashMap<&'a str, Vec<Node<'a>>>,
    places: &'r HashMap<&'a str, usize>,
    done: HashMap<&'a str, TypeSet>,
}

impl<'a> Resolver<'_, 'a> {
    /// Sets do not contain themselves: `secilc` has seen to that.
    fn resolve(&mut self, name: &'a str) -> Result<TypeSet, Unread> {
        let types = self.places.len();
        if let Some(set) = self.done.get(name) {
            return Ok(set.clone());
        }
        if let Some(&place) = self.places.get(name) {
            return Ok(TypeSet::one(types, place));
        }
        let members = self.members;
        let members = members.get(name).ok_or_else(|| Unread::Statement(format!("the name {name}")))?;
        let mut set = TypeSet::none(types);
        for member in members {
            set = set.or(&self.evaluate(member)?);
        }
        self.done.insert(name, set.clone());
        Ok(set)
    }

    /// The types of an expression: names, or `and`, `or`, `not`, `all` and what they apply to.
    fn evaluate(&mut self, node: &Node<'a>) -> Result<TypeSet, Unread> {
        let types = self.places.len();
        let parts = match node {
            Node::Word(name) => return self.resolve(name),
            Node::List(parts) => parts,
        };
        Ok(match parts.as_slice() {
            [Node::Word("all")] => TypeSet::all(types),
            [Node::Word("not"), what] => self.evaluate(what)?.complement(),
            [Node::Word("and"), a, b] => self.evaluate(a)?.and(&self.evaluate(b)?),
            [Node::Word("or"), a, b] => self.evaluate(a)?.or(&self.evaluate(b)?),
            names => {
                let mut set = TypeSet::none(types);
                for name in names {
                    match name.word().and_then(|name| self.places.get(name)) {
                        Some(&place) => set.insert(place),
                        None => set = set.or(&self.evaluate(name)?),
                    }
                }
                set
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<Rules<'_>, Unread> {
        let mut statements = Statements::default();
        statements.read(text)?;
        statements.resolve()
    }

    const BASE: &str = "(class file (read write)) (class dir (search)) (common c (x)) (classcommon dir c)
        (type a) (type b) (type d) (typeattribute s) (typeattributeset s (and (not b) (or a b)))
        (typeattribute t) (typeattributeset t (all)) (classpermission p)
        (classpermissionset p (file (not (write)))) (classpermissionset p (dir (all)))";

    #[test]
    fn names_are_resolved() {
        let text = format!("{BASE} (allow s t p) (typetransition a b file \"n\" d)");
        let rules = rules(&text).unwrap();
        assert_eq!(rules.types("s").into_iter().collect::<Vec<_>>(), ["a"]);
        assert_eq!(rules.types("t").len(), 3);
        let permissions: Vec<_> = rules.allows[0].permissions.iter().map(|(c, p)| (*c, p.len())).collect();
        assert_eq!(permissions, [("dir", 2), ("file", 1)]);
        assert_eq!((rules.labellings[0].class, rules.labellings[0].result), ("file", "d"));
    }

    #[test]
    fn what_is_not_read_is_refused() {
        for (text, named) in [
            ("(optional o (allow a b p))", "optional"),
            ("(booleanif x (true (allow a b p)))", "booleanif"),
            ("(macro m () (allow a b p))", "macro"),
            ("(typealias x)", "typealias"),
            ("(rangetransition a b process l)", "rangetransition"),
            ("(roletransition r a process q)", "roletransition"),
            ("(handleunknown allow)", "handleunknown allow"),
            ("(allow a nobody p)", "nobody"),
            ("(allow a notself p)", "notself"),
            ("(allow a b unknown)", "unknown"),
            ("(typetransition a b file \"n\" nobody)", "nobody"),
            ("(typeattributeset s (a nobody))", "nobody"),
            ("(allowx a b (nlmsg file (0x1)))", "allowx"),
        ] {
            let text = format!("{BASE}{text}");
            let Err(error) = rules(&text) else { panic!("read: {text}") };
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
