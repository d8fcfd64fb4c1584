//! Rows of tenants' egress lists. What may stand in a list is the model's to say; here each rule has its number, which
//! stays the same until the rule is removed.

use std::collections::HashMap;

use kennel_model::TenantName;
use kennel_model::egress::{Action, Egress, Rule};
use rusqlite::{Connection, params};

use super::{Store, Whose, checked};
use crate::error::{Error, Result};

impl Store {
    /// Adds a rule under a number that is free.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`], or the database's.
    pub fn add_rule(&mut self, name: &TenantName, number: u8, rule: Rule) -> Result<()> {
        let sql = "INSERT INTO egress SELECT id, ?2, ?3, ?4 FROM tenants WHERE name = ?1";
        let row = params![name.as_str(), number, word(rule.action()), rule.to().to_string()];
        match self.db.execute(sql, row)? {
            0 => Err(Error::NoSuchTenant(name.to_string())),
            _ => Ok(()),
        }
    }

    /// Removes the rule of a number.
    ///
    /// # Errors
    /// [`Error::NoSuchRule`], or the database's.
    pub fn remove_rule(&mut self, name: &TenantName, number: u8) -> Result<()> {
        let sql = "DELETE FROM egress
                   WHERE number = ?2 AND tenant = (SELECT id FROM tenants WHERE name = ?1)";
        match self.db.execute(sql, params![name.as_str(), number])? {
            0 => Err(Error::NoSuchRule(name.clone(), number)),
            _ => Ok(()),
        }
    }
}

/// The rules of those who have any, with their numbers in order.
pub(super) fn of(db: &Connection, whose: Whose) -> Result<HashMap<i64, (Vec<u8>, Egress)>> {
    let sql = "SELECT tenant, number, action, destination FROM egress WHERE TRUE";
    let rows = whose.rows(db, sql, "number", |row| {
        Ok((row.get::<_, u8>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
    })?;
    let list = |(tenant, rows): (i64, Vec<(u8, String, String)>)| {
        let (mut numbers, mut rules) = (Vec::new(), Vec::new());
        for (number, action, destination) in rows {
            numbers.push(number);
            let destination = checked("egress destination", destination.parse())?;
            rules.push(checked("egress rule", Rule::new(from_word(&action)?, destination))?);
        }
        Ok((tenant, (numbers, checked("egress list", Egress::new(rules))?)))
    };
    rows.into_iter().map(list).collect()
}

const fn word(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Deny => "deny",
    }
}

fn from_word(word: &str) -> Result<Action> {
    match word {
        "allow" => Ok(Action::Allow),
        "deny" => Ok(Action::Deny),
        other => Err(Error::Damaged(format!("egress action {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{store, wish};
    use super::*;

    fn rule(action: Action, to: &str) -> Rule {
        Rule::new(action, to.parse().unwrap()).unwrap()
    }

    #[test]
    fn rules_come_back_by_number_and_go_with_their_tenant() {
        let mut store = store();
        store.reserve(&wish("a", "a.test"), 9).unwrap();
        let name = "a".parse().unwrap();
        let (deny, allow) = (rule(Action::Deny, "10.0.0.0/8"), rule(Action::Allow, "[2600::]:22"));
        store.add_rule(&name, 3, deny).unwrap();
        store.add_rule(&name, 1, allow).unwrap();
        let row = store.tenant(&name).unwrap().unwrap();
        assert_eq!((row.rule_numbers, row.egress.rules()), (vec![1, 3], &[allow, deny][..]));
        assert!(store.add_rule(&name, 1, rule(Action::Deny, "10.0.0.1")).is_err());
        assert!(matches!(store.remove_rule(&name, 2), Err(Error::NoSuchRule(_, 2))));
        store.remove_rule(&name, 1).unwrap();
        assert_eq!(store.tenant(&name).unwrap().unwrap().egress.rules(), [deny]);
        store.forget(&name).unwrap();
        store.reserve(&wish("a", "a.test"), 9).unwrap();
        assert!(store.tenant(&name).unwrap().unwrap().egress.rules().is_empty());
        assert!(matches!(store.add_rule(&"b".parse().unwrap(), 1, deny), Err(Error::NoSuchTenant(_))));
    }

    #[test]
    fn what_this_program_did_not_write_is_not_taken() {
        let mut store = store();
        store.reserve(&wish("a", "a.test"), 9).unwrap();
        let insert = "INSERT INTO egress VALUES (1, 1, 'allow', '169.254.169.254/32:80/tcp')";
        store.db.execute(insert, []).unwrap();
        assert!(matches!(store.tenant(&"a".parse().unwrap()), Err(Error::Damaged(_))));
    }
}
